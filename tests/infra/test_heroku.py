"""A stack that follows an app on Heroku: its config vars, its commit, and what is said of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from satellite_infra.agent import heroku as client
from tests.fakes.heroku import TOKEN, Heroku, HerokuApp, Weather, serving

from .conftest import REVISION, SECRET, stack_values
from .program import Ran, run

COMMIT = "3f2a" * 10
OWN = json.loads(stack_values()["config"])
HOST_TOKEN = "HRKU-canary-of-the-hosts"
ROTATE = {"app": "shop", "config": "inherit", "rotate": 30}


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heroku]:
    """Heroku with one app, which the program is told to ask."""
    app = HerokuApp({"DATABASE_URL": "canary-theirs", "REDIS_URL": "canary-redis", "PATH": "bin"})
    app.release(COMMIT)
    made = Heroku({"shop-staging": app})
    monkeypatch.setattr(client, "TRIES", 1)
    with serving(made) as url:
        monkeypatch.setenv("SATELLITE_HEROKU_URL", url)
        yield made


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the engine is told to show."""
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text: said.append(text))
    return said


def following(heroku: dict[str, Any], preview: bool = False, **changed: Any) -> Ran:
    """The program, with that `heroku`."""
    values = {
        **stack_values(),
        "heroku": json.dumps({"app": "shop-staging", **heroku}),
        "heroku_api_token": TOKEN,
        **{k: v if isinstance(v, str) else json.dumps(v) for k, v in changed.items()},
    }
    return run(values, SECRET & values.keys(), preview=preview)


def sent(ran: Ran) -> dict[str, str]:
    """The config vars that a host is sent, on its standard input."""
    release = ran.resources["command:remote:Command::worker-1-release"]["inputs"]
    found: dict[str, str] = json.loads(release["stdin"]["SECRET"])["config"]
    return found


def shown(ran: Ran) -> str:
    """All that is not a secret."""
    return "".join(
        part for part in json.dumps([ran.outputs, ran.resources], default=str).split('"SECRET"')[:1]
    ) + "".join(str(r["inputs"].get("create")) for r in ran.resources.values())


def test_inherited_config_vars_are_sent_and_the_stacks_own_win(platform: Heroku) -> None:
    ran = following({"config": "inherit"})
    name = {"RAILS_ENV": "staging", "RACK_ENV": "staging"}
    assert sent(ran) == {**name, **OWN, "REDIS_URL": "canary-redis"}
    assert "config.REDIS_URL: " in ran.outputs["manifest"]
    assert "canary" not in shown(ran)
    assert TOKEN not in json.dumps([ran.outputs, ran.resources], default=str)
    platform.apps["shop-staging"].set(RACK_ENV="production")
    assert sent(following({"config": "inherit"}))["RACK_ENV"] == "production"


def test_a_preview_names_what_the_stack_itself_has_in_place_of_herokus(
    platform: Heroku, warned: list[str]
) -> None:
    app = platform.apps["shop-staging"]
    wins = (
        "satellite:config wins over Heroku's DATABASE_URL, whose value is another "
        "(satellite:heroku, shop-staging)"
    )
    following({"config": "inherit"})  # an update comes after its preview
    following({"config": "inherit", "names": ["REDIS_URL"]}, preview=True)
    assert warned == []
    following({"config": "inherit"}, preview=True)
    assert warned == [wins]
    warned.clear()
    alone = (
        "no host follows Heroku's DATABASE_URL, which satellite:config has, too "
        "(satellite:heroku, shop-staging)"
    )
    rotates = {"config": "inherit", "rotate": 30}
    following(rotates, preview=True, heroku_host_token=HOST_TOKEN)
    assert warned == [wins, alone]
    warned.clear()
    app.set(DATABASE_URL=OWN["DATABASE_URL"])  # the same for now, which is how it begins
    following({"config": "inherit"}, preview=True)
    assert warned == []
    following(rotates, preview=True, heroku_host_token=HOST_TOKEN)
    assert warned == [alone]


def test_only_named_ones_are_inherited(platform: Heroku) -> None:
    found = sent(following({"config": "inherit", "names": ["PATH"]}))
    assert found["PATH"] == "bin"
    assert "REDIS_URL" not in found
    with pytest.raises(pulumi.RunError) as caught:
        following({"config": "inherit", "names": ["REDIS_URI"]})
    assert str(caught.value) == (
        "satellite:heroku/names: shop-staging on Heroku has no config var REDIS_URI"
    )


def test_what_no_host_can_set_is_told_and_left_out(platform: Heroku, warned: list[str]) -> None:
    platform.apps["shop-staging"].set(PWD="/app", HOME="/app", **{"A-B": "canary"})
    found = sent(following({"config": "inherit"}))
    assert not {"PWD", "HOME", "A-B"} & found.keys()
    assert warned == ["not inherited from Heroku: A-B, HOME, PWD; on a host nobody can set them"]


def test_no_answer_stops_the_run_before_any_resource(platform: Heroku) -> None:
    for weather, said in (
        (Weather(500), "Heroku does not tell about shop-staging: it fails (status 500)"),
        (Weather(half=True), "half an answer"),
        (Weather(403), "satellite:heroku_api_token: it may not read shop-staging (403)"),
        (Weather(body=b"{}"), "shop-staging on Heroku has no config vars at all to inherit"),
    ):
        platform.weather = [weather]
        with pytest.raises(pulumi.RunError) as caught:
            following({"config": "inherit"})
        assert said in str(caught.value)
        assert TOKEN not in str(caught.value)


def test_a_check_names_what_differs_in_a_preview_and_stops_nothing(
    platform: Heroku, warned: list[str]
) -> None:
    ran = following({"config": "check"}, preview=True)
    assert "REDIS_URL" not in ran.outputs["manifest"]
    where = "(satellite:heroku, shop-staging)"
    assert warned == [
        f"config vars of another value on Heroku: DATABASE_URL {where}",
        f"config vars that only Heroku has: REDIS_URL {where}",
        f"config vars that Heroku does not have: RACK_ENV, RAILS_ENV {where}",
        f"Heroku runs {COMMIT[:12]} of shop-staging, and this stack {REVISION[:12]}",
    ]
    warned.clear()
    platform.weather = [Weather(500)]
    following({"config": "check"}, preview=True)
    assert warned == [
        "not compared with Heroku: Heroku does not tell about shop-staging: "
        "it fails (status 500) (asked 1 time); try again in some minutes"
    ]
    asked = len(platform.asked)
    following({"config": "check"})  # an update comes after its preview
    following({}, preview=True)  # off
    assert len(platform.asked) == asked


def test_the_revision_of_heroku_is_deployed(platform: Heroku, warned: list[str]) -> None:
    ran = following({"config": "check", "names": ["DATABASE_URL"]}, revision="heroku", preview=True)
    assert ran.outputs["revision"] == COMMIT
    assert len(warned) == 1
    assert f"revision: {COMMIT}" in ran.outputs["manifest"]


def test_a_template_may_use_what_is_inherited_and_nothing_else(platform: Heroku) -> None:
    files = {"a.yml": {"template": "{{ REDIS_URL | json }}"}}
    assert (
        "config_files.a.yml"
        in following({"config": "inherit"}, config_files=files).outputs["manifest"]
    )
    files = {"a.yml": {"template": "\n{{ REDIS_URI | json }}"}}
    with pytest.raises(pulumi.RunError) as caught:
        following({"config": "inherit"}, config_files=files)
    assert str(caught.value) == (
        "neither this stack nor Heroku tells:\n  satellite:config_files/a.yml/template: "
        "line 2: REDIS_URI is no config var, did you mean REDIS_URL?"
    )


def prepared(ran: Ran, host: str) -> tuple[list[str], dict[str, Any]]:
    """What bootstrap tells a host of rotation: lines in sight, and what is secret."""
    inputs = ran.resources[f"command:remote:Command::{host}-bootstrap"]["inputs"]
    lines = [line for line in inputs["create"].splitlines() if line.startswith("rotation.")]
    return lines, json.loads(inputs["stdin"]["SECRET"])


def test_hosts_follow_what_is_inherited_each_in_its_turn(platform: Heroku) -> None:
    platform.apps["shop-staging"].set(RACK_ENV="production")
    ran = following({"config": "inherit", "rotate": 30}, heroku_host_token=HOST_TOKEN)
    manifest = ran.outputs["manifest"].splitlines()
    assert [line for line in manifest if line.startswith("inherited")] == [
        "inherited.1: RACK_ENV",  # not the stack's own
        "inherited.2: REDIS_URL",
        "inherited_from: shop-staging",
    ]
    for place, host in enumerate(("worker-1", "worker-2"), 1):
        lines, secret = prepared(ran, host)
        assert lines[:-1] == [
            "rotation.app: shop-staging",
            "rotation.minutes: 30",
            f"rotation.place: {place}",
            "rotation.hosts: 2",
        ]
        assert secret["heroku_host_token"] == HOST_TOKEN
    assert "canary" not in shown(ran)
    assert TOKEN not in json.dumps([ran.outputs, ran.resources], default=str)
    off = following({"config": "inherit"})
    assert prepared(off, "worker-1")[0] == []
    assert "heroku_host_token" not in prepared(off, "worker-1")[1]
    assert "inherited" not in off.outputs["manifest"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"heroku": ROTATE}, "heroku_host_token: should be there with satellite:heroku.rotate"),
        (
            {"heroku": {"app": "shop"}, "heroku_host_token": HOST_TOKEN},
            "heroku_host_token: should be there with satellite:heroku.rotate, and only so",
        ),
        (
            {"heroku": ROTATE, "heroku_host_token": TOKEN},
            "heroku_host_token: should be another one than heroku_api_token",
        ),
        (
            {"heroku": {**ROTATE, "config": "check"}, "heroku_host_token": HOST_TOKEN},
            "heroku/rotate: should be there only with satellite:heroku.config inherit, got 30",
        ),
        (
            {"heroku": {**ROTATE, "rotate": 45}, "heroku_host_token": HOST_TOKEN},
            "heroku/rotate: should be a part of an hour, or hours that are a part of a day, "
            "in minutes, got 45",
        ),
        (
            {"heroku": {**ROTATE, "rotate": 6}, "heroku_host_token": HOST_TOKEN},
            "heroku/rotate: should be at least 10: 2 hosts take turns, and one restart may take "
            "160 s, twice the longest grace and the gate, got 6",
        ),
        (
            {
                "heroku": ROTATE,
                "heroku_host_token": HOST_TOKEN,
                "processes": {"worker": {"quantity": 1, "grace": 86_400}},
            },
            "heroku/rotate: should be there with less to wait for: 2 hosts take turns",
        ),
    ],
)
def test_rotation_that_cannot_be(changed: dict[str, Any], said: str) -> None:
    values = {k: v if isinstance(v, str) else json.dumps(v) for k, v in changed.items()}
    with pytest.raises(pulumi.RunError) as caught:
        run({**stack_values(), "heroku_api_token": TOKEN, **values}, SECRET)
    assert f"satellite:{said}" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"revision": "heroku"},
            "heroku: is missing: pulumi config set --path satellite:heroku.app",
        ),
        ({"heroku": "{}"}, "heroku/app: is missing"),
        (
            {"heroku": '{"app": "shop"}', "heroku_api_token": ""},
            "heroku_api_token: is missing: pulumi config set --secret satellite:heroku_api_token",
        ),
        ({"heroku_api_token": "two words canary"}, "heroku_api_token: should be one word"),
        ({"heroku": '{"app": "shop", "config": "on"}'}, "heroku/config: should be inherit, check"),
    ],
)
def test_settings_that_are_not_whole(changed: dict[str, str], said: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        run({**stack_values(), **changed}, SECRET)
    assert f"satellite:{said}" in str(caught.value)
    assert "canary" not in str(caught.value)
