"""`make import` on a real stack: every value arrives as a secret, and nothing is lost or shown."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from satellite_stack.config import ConfigError
from satellite_stack.import_heroku import chosen, read, sources, unfit
from tests.stack.test_keys import CHECKOUT, Place

OLD = """\
# as heroku_san had it
production:
  app: shop
  tag: production/*
  config: &shared
    BUNDLE_WITHOUT: "development:test"
    DATABASE_URL: postgres://app:canary-production@db/app
staging:
  app: shop-staging
  stack: cedar
  repo: git@heroku.com:shop-staging.git
  addons: [scheduler, newrelic:standard]
  colour: canary-blue
  config:
    <<: *shared
    DATABASE_URL: postgres://app:canary-staging@db/app
    LIMIT: 0123
    PATH: /app/bin
    FLAG: on
    "QUOTED": "on"
    LINES: |
      canary one
      canary two
    A-B: canary
    HOME: /app
    NOTHING:
    DEEP: {a: canary}
demo:
  app: shop-demo
  config: *shared
"""
NASTY = {
    "A": "\n'\"$HOME `id` ü😀\u2028\n\n",
    "EMPTY": "",
    "TRUE": "true",
    "AGENT": "007",
    "N": "5",
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.pulumi("stack", "init")
    (made.folder / "heroku.yml").write_text(OLD)
    return made


def config(place: Place) -> dict[str, str]:
    """The stack's config vars, decrypted."""
    shown = json.loads(place.pulumi("config", "--json", "--show-secrets"))
    found: dict[str, str] = json.loads(shown["satellite:config"]["value"])
    return found


def imported(place: Place, *arguments: str, status: int = 0, stdin: str = "") -> list[str]:
    """What a run says, which shows no value and hands none over in a command line."""
    done = place.script("import_heroku", "--stack", "staging", "--from", *arguments, stdin=stdin)
    assert done.returncode == status, done.stderr
    seen = done.stdout + done.stderr + place.seen.read_text()
    seen += (place.folder / "Pulumi.staging.yaml").read_text()
    assert "canary" not in seen
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


@pytest.mark.engine
def test_an_environment_of_an_old_file(place: Place) -> None:
    before = (place.folder / "Pulumi.staging.yaml").read_text()
    dry = imported(place, "heroku.yml", "--dry-run", status=1)
    assert (place.folder / "Pulumi.staging.yaml").read_text() == before
    said = imported(place, "heroku.yml", status=1)
    done = [line for line in said if not line.startswith("Next: ")]
    made = [line.replace("would be taken", "were taken").replace("would be", "is") for line in dry]
    assert made == done
    assert said == [
        "staging of heroku.yml, into stack staging:",
        "  BUNDLE_WITHOUT: is satellite:config.BUNDLE_WITHOUT, encrypted",
        "  DATABASE_URL: is satellite:config.DATABASE_URL, encrypted",
        "  LIMIT: is satellite:config.LIMIT, encrypted",
        "  PATH: left out, it is about a dyno's disk; to have it all the same: "
        "satellite config set PATH",
        "  FLAG: is satellite:config.FLAG, encrypted",
        "  QUOTED: is satellite:config.QUOTED, encrypted",
        "  LINES: is satellite:config.LINES, encrypted",
        "  A-B: LEFT OUT, should be named with letters, digits and _, no digit first",
        "  HOME: LEFT OUT, should have another name: satellite itself sets this variable",
        "  LIMIT: was taken as it is written; Ruby may have read it otherwise",
        "  FLAG: was taken as it is written; Ruby may have read it otherwise",
        "  NOTHING: left out, it has no value",
        "  DEEP: LEFT OUT, it is no text",
        "  (app shop-staging: the app on Heroku: satellite:heroku.app follows it (docs/heroku.md))",
        "  (stack cedar: Heroku's system: here satellite:ami and satellite:packages)",
        "  (repo: Heroku's own repository: satellite:repository names the app's)",
        "  (addons: not here: what they are reached by is in the config vars)",
        "  (colour: unknown, nothing was done with it)",
        "Not taken: production, demo",
        "Next: pulumi preview --stack staging",
        "error: 6 were taken over; 3 cannot be taken",
    ]
    assert config(place) == {
        "BUNDLE_WITHOUT": "development:test",
        "DATABASE_URL": "postgres://app:canary-staging@db/app",
        "LIMIT": "0123",
        "FLAG": "on",
        "QUOTED": "on",
        "LINES": "canary one\ncanary two\n",
    }
    again = imported(place, "heroku.yml", status=1)
    assert "  DATABASE_URL: is there already" in again
    # another environment differs in one value, which is not overwritten unasked
    other = imported(place, "heroku.yml", "--environment", "production", status=1)
    assert other[1:3] == [
        "  BUNDLE_WITHOUT: is there already",
        "  DATABASE_URL: CONFLICT, the stack has another value, which stays; OVERWRITE=1 takes "
        "this one",
    ]
    assert other[-1].startswith("error: ")
    assert other[-1].endswith("taken over; 1 the stack has with another value, which stays")
    assert "canary-staging" in config(place)["DATABASE_URL"]
    imported(place, "heroku.yml", "--environment", "production", "--overwrite")
    assert "canary-production" in config(place)["DATABASE_URL"]


@pytest.mark.engine
def test_what_the_cli_of_heroku_prints_arrives_byte_for_byte(place: Place) -> None:
    said = imported(place, "-", stdin=json.dumps(NASTY))
    assert said[0] == "  A: is satellite:config.A, encrypted"
    assert config(place) == NASTY
    stored = yaml.safe_load((place.folder / "Pulumi.staging.yaml").read_text())["config"]
    assert all(value.keys() == {"secure"} for value in stored["satellite:config"].values())


def test_other_kinds_of_file() -> None:
    apps = sources("apps:\n  production: shop\n  staging: shop-staging\n", "x")
    assert {stage: source.others for stage, source in apps.items()} == {
        "production": {"app": "shop"},
        "staging": {"app": "shop-staging"},
    }
    both = sources("apps: {production: shop}\nproduction:\n  config: {A: x, B: on}\n", "x")
    assert both["production"].others == {"app": "shop"}
    assert both["production"].config == {"A": "x", "B": "on"}
    assert both["production"].doubtful == ("B",)
    odd = sources("a:\n  config:\n    A: 2024-02-30\n    B: =\n", "x")["a"]
    assert odd.config == {"A": "2024-02-30", "B": "="}
    listed = sources("a:\n  config:\n  - A: x\n  - B: y\n", "x")["a"]
    assert listed.config == {"A": "x", "B": "y"}
    assert dict(sources("A: 1\nB: two\n", "x")[""].config) == {"A": "1", "B": "two"}
    for value in ("[1, 2]", "{B: x}"):  # beside config vars
        mixed = sources(f"A: one\nL: {value}\n", "x")[""]
        assert (mixed.config, mixed.unread) == ({"A": "one"}, ("L",))
    repo = sources("config_repo: git@x:y.git\na: {app: b}\n", "x")
    assert repo["a"].others == {"config_repo": "git@x:y.git", "app": "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: <%= ENV['A'] %>", "x holds ERB: erb x > plain.yml, and import that"),
        ("a:\n  - 'canary", "x is neither JSON nor YAML in line 2"),
        (
            "canary",
            "x should be a map of environments, or of config vars, such as heroku.yml or what "
            "heroku config --json prints",
        ),
        ("a: {config: canary}", "config should be a map of config vars"),
        ("a: !ruby/object:Canary {}", "x is neither JSON nor YAML in line 1"),
    ],
)
def test_what_cannot_be_read_is_said_without_its_text(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sources(text, "x")
    assert str(caught.value) == said


def test_which_environment() -> None:
    found = sources(OLD, "x")
    assert chosen(found, "", "org/shop/staging", "x").environment == "staging"
    assert chosen(found, "demo", "staging", "x").environment == "demo"
    with pytest.raises(ConfigError) as caught:
        chosen(found, "", "qa", "x")
    assert str(caught.value) == "x has no environment qa, but production, staging, demo"


def test_a_value_that_no_host_can_have_is_left_out() -> None:
    assert unfit("A", "x\0") == "should hold no NUL byte"
    assert unfit("PWD", "") == "should have another name: the shell itself sets this variable"


def test_make_passes_on_what_was_typed() -> None:
    typed = ["import", "FROM=a b.yml", "STACK=staging", "ENVIRONMENT=demo", "DRY_RUN=1"]
    done = subprocess.run(
        ["make", "-n", *typed], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    command = " ".join(done.stdout.replace("\\\n", " ").split())
    assert command.endswith(
        '-m satellite_stack.import_heroku --from "$FROM" --stack "$STACK" '
        '--environment "$ENVIRONMENT" --dry-run'
    )


def test_a_file_that_is_not_there_or_no_text_is_told_so(tmp_path: Path) -> None:
    missing, binary = tmp_path / "heroku.yml", tmp_path / "slug.tgz"
    binary.write_bytes(b"\x1f\x8b\xff")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(str(missing))
    with pytest.raises(ConfigError, match="cannot be read as a text in UTF-8"):
        read(str(binary))
