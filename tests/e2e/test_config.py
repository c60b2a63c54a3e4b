"""Config vars and files on a real host: exact, out of others' reach, and as Heroku has them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import CANARY, PLAIN_APP, UP, Site, demolished, new_site
from tests.fakes.heroku import TOKEN, Heroku, HerokuApp, Weather, serving

pytestmark = [pytest.mark.lab, pytest.mark.e2e]

NASTY = f"{CANARY}\n'one' \"two\" $HOME `id` #{{3}} \\ %i ü 😀\n\n" + "x" * 32_000
FILE = "config/initializers/mail.rb"
TEMPLATE = "{{ RAILS_ENV }} {{ NASTY }}|{{ REDIS_URL | json }}"


@pytest.fixture(scope="module")
def platform() -> Iterator[Heroku]:
    """Heroku with the app that the stack follows; only this machine asks it."""
    app = HerokuApp({"REDIS_URL": f"redis://{CANARY}", "CANARY": "theirs"})
    made = Heroku({"config": app})
    with serving(made) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SATELLITE_HEROKU_URL", url)
        yield made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, platform: Heroku) -> Iterator[Site]:
    """One host that is up, with awkward config vars and a file made from them."""
    folder = tmp_path_factory.mktemp("config")
    settings = {"heroku.app": "config", "heroku.config": "inherit"}
    made = new_site(folder, "config", PLAIN_APP, hosts=1, settings=settings)
    made.stack.configure(
        {f'satellite:config_files["{FILE}"].owner': "root"},
        {
            "satellite:heroku_api_token": TOKEN,
            "satellite:config.NASTY": NASTY + "\n",  # the CLI takes one newline from the end
            f'satellite:config_files["{FILE}"].template': TEMPLATE,
        },
    )
    with demolished(made):
        made.up()
        yield made


def environment(site: Site) -> dict[str, str]:
    """What a worker sees."""
    host = site.host(1)
    pid = next(iter(site.workers(host).values()))
    pairs = host.run(f"cat /proc/{pid}/environ").stdout.split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def test_workers_and_files_have_the_values_and_nobody_else(site: Site) -> None:
    seen = environment(site)
    assert seen["NASTY"] == NASTY
    assert seen["CANARY"] == CANARY  # the stack's own wins
    assert seen["REDIS_URL"] == f"redis://{CANARY}"
    assert seen["RAILS_ENV"] == seen["RACK_ENV"] == "config-test"
    host, path = site.host(1), f"/app/config/current/{FILE}"
    text = f'config-test {NASTY}|"redis://{CANARY}"\n'
    assert host.run(f"runuser -u config -- cat {path}").stdout == text
    assert host.run(f"stat -L -c '%a %U %G' {path}").stdout == "640 root config\n"
    assert host.run(f"runuser -u nobody -- cat {path}", check=False).returncode != 0
    assert host.run(f"runuser -u config -- sh -c 'echo x >>{path}'", check=False).returncode != 0
    leaked = host.run(f"grep -rl {CANARY} /var/log /etc /run 2>/dev/null", check=False).stdout
    assert leaked == ""
    told = "".join(site.outputs) + site.pulumi("stack", "output", "--json")
    assert CANARY not in told
    assert TOKEN not in told


def test_what_changes_on_heroku_comes_with_the_next_up_and_bad_weather_changes_nothing(
    site: Site, platform: Heroku
) -> None:
    before = site.workers(site.host(1))
    platform.weather = [Weather(403)]
    said = site.fails(*UP)
    assert "satellite:heroku_api_token: it may not read config (403)" in said
    assert site.workers(site.host(1)) == before
    platform.apps["config"].set(REDIS_URL=f"redis://new-{CANARY}")
    site.up()
    assert environment(site)["REDIS_URL"] == f"redis://new-{CANARY}"
    assert "unchanged" in site.up()
