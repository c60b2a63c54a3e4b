"""A host that follows Heroku by itself: in all weather, and no value without its gate."""

from __future__ import annotations

import calendar
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import frontend, gate, heroku, state, storage, webhook
from satellite_infra.agent.control import Control
from satellite_infra.agent.drain import drain
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Release, ReleaseError, Request, recover
from satellite_infra.agent.release_manifest import ConfigFile
from satellite_infra.agent.rotate import rotate
from satellite_infra.agent.system import UnitState
from tests.agent.conftest import Killed, Origin, Submitting, request
from tests.fakes.heroku import HTML, Heroku, HerokuApp, Weather, serving

TOKEN = "HRKU-canary-of-the-host"
OLD, NEW = "postgres://u:canary-old@db/app", "postgres://u:canary-new@db/app"
NEWER = "postgres://u:canary-newer@db/app"
PERIOD = 1800  # seconds
WORKS = '[ "${DATABASE_URL%-bad@*}" = "$DATABASE_URL" ]'


@dataclass
class Night:
    """A host that runs a release with config vars of Heroku, in the first of two turns."""

    layout: Layout
    system: Submitting
    platform: Heroku
    wanted: Request
    said: list[str]

    def look(self) -> int:
        """One look, at the same time as before."""
        return rotate(self.layout, self.system, self.said.append)

    def next_turn(self) -> int:
        """One look when this host's next turn has begun."""
        self.system.clock += PERIOD - self.system.clock % PERIOD
        return self.look()

    def deploy(self, **changes: Any) -> str:
        """A release by somebody, with these config vars changed."""
        config = {**self.wanted.config, **changes}
        digests = {name: f"digest of {value}"[-16:] for name, value in config.items()}
        manifest = self.wanted.manifest._replace(config=digests)
        again = self.wanted._replace(manifest=manifest, config=config)
        return Release(self.layout, self.system, self.said.append).run(again)

    def config(self) -> dict[str, str]:
        """The config vars of the release that the workers run."""
        (release,) = set(self.system.running().values())
        assert release == Ledger(self.layout).current()
        return Ledger(self.layout).config(release)

    def history(self) -> list[dict[str, Any]]:
        return Ledger(self.layout).history()

    def outcomes(self) -> list[str]:
        return [line["outcome"] for line in self.history()]


@pytest.fixture
def night(
    layout: Layout, submitting: Submitting, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Night]:
    monkeypatch.setattr(heroku, "TRIES", 1)
    app = HerokuApp({"DATABASE_URL": OLD, "REDIS_URL": "redis://canary", "TOKEN": "theirs"})
    platform = Heroku({"shop-staging": app}, tokens={TOKEN})
    config = {"DATABASE_URL": OLD, "REDIS_URL": "redis://canary", "TOKEN": "canary-own"}
    files = (ConfigFile("config/database.yml", "digest"),)
    base = request(origin, origin.commit(), health=WORKS, config_files=files)
    names = ("DATABASE_URL", "REDIS_URL")
    manifest = base.manifest._replace(
        config=dict.fromkeys(config, "digest"), inherited=names, inherited_from="shop-staging"
    )
    templates = {"config/database.yml": "url: {{ DATABASE_URL | json }}\n"}
    wanted = base._replace(manifest=manifest, config=config, templates=templates)
    told = {"app": "shop-staging", "token": TOKEN, "minutes": 30, "place": 1, "hosts": 2}
    storage.write_json(layout.heroku, told)
    with serving(platform) as url:
        monkeypatch.setenv("SATELLITE_HEROKU_URL", url)
        found = Night(layout, submitting, platform, wanted, [])
        found.deploy()
        yield found
    hunt(found)


def hunt(night: Night) -> None:
    """The token is in its file alone, and no value is told anybody."""
    files = [path for path in night.layout.root.rglob("*") if path.is_file()]
    holding = [path for path in files if TOKEN in path.read_text(errors="replace")]
    assert holding in ([], [night.layout.heroku])
    places = (night.layout.logs, night.layout.units, night.layout.history, night.layout.rotation)
    told = [path for path in files if any(path == p or p in path.parents for p in places)]
    assert night.layout.history in told
    for text in [*(path.read_text() for path in told), *night.said]:
        assert "canary" not in text.replace("redis://canary", "canary"), text


def test_what_changed_reaches_the_workers_and_nothing_else_changes(night: Night) -> None:
    before = dict(night.system.loaded)
    assert night.look() == 0
    assert night.system.loaded == before
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW, TOKEN="else", MORE="one more")
    assert night.look() == 0
    assert night.config() == {**night.wanted.config, "DATABASE_URL": NEW}
    assert not set(night.system.loaded.values()) & set(before.values())
    path = night.layout.current / "config/database.yml"
    assert path.read_text() == f'url: "{NEW}"\n'
    line = night.history()[-1]
    assert (line["outcome"], line["by"], line["changed"]) == (
        "rotated",
        "rotation",
        ["config DATABASE_URL"],
    )
    assert line["revision"] == night.wanted.manifest.revision
    starts = night.system.starts
    assert night.next_turn() == 0
    assert (night.system.starts, night.outcomes()) == (starts, ["good", "rotated"])


WEATHER = {
    "500": Weather(500),
    "503": Weather(503, body=HTML),
    "429": Weather(429),
    "half": Weather(half=True),
    "gone": Weather(gone=True),
    "silent": Weather(silent=True),
    "drip": Weather(drip="headers"),
    "too deep": Weather(body=b"[" * 200_000),
    "html": Weather(body=HTML),
    "401": Weather(401),
    "403": Weather(403),
    "404": Weather(404),
    "redirect": Weather(302, {"Location": "http://127.0.0.1:1/"}),
    "nothing": Weather(body=b"{}"),
    "no object": Weather(body=b"[]"),
    "null": Weather(body=b'{"DATABASE_URL": null, "REDIS_URL": "x"}'),
    "none of them": Weather(body=b'{"DATABASE_URL": "canary\\u0000", "MORE": "x"}'),
}


@pytest.mark.parametrize("weather", WEATHER.values(), ids=list(WEATHER))
def test_an_answer_that_is_none_changes_nothing_and_is_told_once(
    night: Night, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(heroku, "ANSWER", 0.2)
    monkeypatch.setattr(webhook, "tell", lambda _layout, text, *_: told.append(text))
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    before, config = dict(night.system.loaded), night.config()
    for _ in range(3):
        night.platform.weather = [weather]
        assert night.look() == 1
    assert (night.system.loaded, night.config()) == (before, config)
    assert night.outcomes() == ["good", "kept"]
    line = night.history()[-1]
    assert (line["phase"], line["by"]) == ("ask", "rotation")
    assert told == [f"config vars are kept as they are: {line['reason']}"]
    assert night.look() == 0  # the sun
    assert night.outcomes() == ["good", "kept", "answered", "rotated"]
    assert told[1:] == [
        "Heroku tells its config vars again",
        "rotated: DATABASE_URL changed on Heroku; the workers have it",
    ]


UNFIT = {"NUL": "canary\0", "half a character": "canary\ud800", "too long": "x" * 130_001}


@pytest.mark.parametrize("value", [None, *UNFIT.values()], ids=["lost", *UNFIT])
def test_one_that_is_lost_or_unfit_is_kept_and_told_once_and_the_others_follow(
    night: Night, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(webhook, "tell", lambda _layout, text, *_: told.append(text))
    app = night.platform.apps["shop-staging"]
    app.config.pop("REDIS_URL")
    if value:
        app.set(REDIS_URL=value)
    for new in (NEW, NEWER):
        app.set(DATABASE_URL=new)
        assert night.next_turn() == 1
        assert night.config() == {**night.wanted.config, "DATABASE_URL": new}
    assert night.next_turn() == 1
    lost = "shop-staging on Heroku has no config var REDIS_URL any more"
    unfit = "what shop-staging has there as REDIS_URL cannot be set on a host"
    kept, *others = told
    assert kept == (
        f"config vars are kept as they are: satellite:heroku.app: {unfit if value else lost}; "
        "of those what the workers have stays until a `pulumi up`"
    )
    assert others == ["rotated: DATABASE_URL changed on Heroku; the workers have it"] * 2
    assert night.outcomes() == ["good", "kept", "rotated", "rotated"]
    app.set(REDIS_URL="redis://canary-new")
    assert night.next_turn() == 0
    assert night.config()["REDIS_URL"] == "redis://canary-new"
    assert night.outcomes()[4:] == ["answered", "rotated"]


def test_changing_weather_is_one_line_and_what_to_mend_another(night: Night) -> None:
    for weather in (Weather(500), Weather(429), Weather(gone=True), Weather(503), Weather(403)):
        night.platform.weather = [weather]
        night.look()
    night.platform.tokens = set()
    night.look()
    night.look()
    reasons = [line["reason"] for line in night.history() if line["outcome"] == "kept"]
    weather, *mend = reasons
    assert "it fails (status 500)" in weather
    assert [reason[: reason.index(")")] for reason in mend] == [
        "satellite:heroku_host_token: it may not read shop-staging (403",
        "satellite:heroku_host_token: Heroku does not accept it (401",
    ]
    assert mend[1].endswith("pulumi config set --secret satellite:heroku_host_token")


def test_what_lasts_is_told_once_a_day_and_to_whoever_examines_the_host(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(webhook, "tell", lambda _layout, text, *_: told.append(text))
    night.system.clock = calendar.timegm((2026, 11, 25, 2, 0, 0))
    assert not_followed(night) == []
    night.platform.tokens = set()
    tells = []
    for turn in range(120):
        before = len(told)
        night.next_turn()
        tells += [turn] if len(told) > before else []
    assert tells == [0, 48, 96]
    assert len(set(told)) == 1
    assert night.outcomes() == ["good", "kept"]
    reason = night.history()[-1]["reason"]
    assert not_followed(night) == [f"Heroku is not followed since 2026-11-25T02:30:00Z: {reason}"]
    night.platform.weather = [Weather(500)]
    night.next_turn()
    # which hides nothing that a person has to mend
    assert not_followed(night) == [f"Heroku is not followed since 2026-11-25T02:30:00Z: {reason}"]
    night.platform.tokens = {TOKEN}
    night.next_turn()
    assert not_followed(night) == []
    assert night.outcomes() == ["good", "kept", "answered"]
    night.platform.weather = [Weather(500)]
    night.next_turn()
    (weather,) = not_followed(night)
    assert weather.endswith(": Heroku does not tell; it is asked again in each turn")


def not_followed(night: Night) -> list[str]:
    found = state.report(night.layout, night.system)["findings"]
    return [one["text"] for one in found if one["code"] == "not_followed"]


def test_what_cannot_be_remembered_as_told_is_not_told(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(webhook, "tell", lambda _layout, text, *_: told.append(text))
    night.platform.tokens = set()
    write = storage.write_json

    def full(path: Path, value: Any) -> bool:
        if path == night.layout.rotation:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_json", full)
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                night.next_turn()
    assert (told, night.outcomes()) == ([], ["good"])
    night.next_turn()
    assert (len(told), night.outcomes()) == (1, ["good", "kept"])


def test_values_that_fail_the_gate_are_taken_back_and_tried_later_and_later(night: Night) -> None:
    app = night.platform.apps["shop-staging"]
    app.set(DATABASE_URL="postgres://u:canary-bad@db/app")
    assert night.look() == 1
    assert night.config()["DATABASE_URL"] == OLD
    line = night.history()[-2]
    assert (line["outcome"], line["phase"], line["changed"]) == (
        "failed",
        "gate",
        ["config DATABASE_URL"],
    )
    assert night.outcomes() == ["good", "failed", "recovered"]
    starts = night.system.starts
    assert night.look() == 1
    assert (night.system.starts, len(night.history())) == (starts, 3)
    tries = []
    for turn in range(1, 64):
        before = night.system.starts
        assert night.next_turn() == 1
        tries += [turn] if night.system.starts != before else []
        assert night.config()["DATABASE_URL"] == OLD
    assert tries == [1, 3, 7, 15, 31, 63]
    app.set(DATABASE_URL=NEW)  # others are tried at once
    assert night.next_turn() == 0
    assert night.config()["DATABASE_URL"] == NEW


@pytest.mark.parametrize("bad", [False, True], ids=["good", "bad"])
def test_by_night_nobody_starts_what_a_person_has_stopped(night: Night, bad: bool) -> None:
    """A rotation is nobody's deploy."""
    host = Control(night.layout, night.system)
    host.stop(["worker.2"])
    value = "postgres://u:canary-bad@db/app" if bad else NEW
    night.platform.apps["shop-staging"].set(DATABASE_URL=value)
    assert night.look() == bad
    assert night.config()["DATABASE_URL"] == (OLD if bad else NEW)
    assert list(night.system.running()) == ["satellite-shop.worker@1.service"]
    log = max(night.layout.logs.glob("*.log")).read_text()
    assert "stopped by a person, and stays so: worker.2\n" in log
    assert bad or night.said[-1].endswith("is live, 1 worker")
    host.start([])
    assert len(night.system.running()) == 2
    assert night.config()["DATABASE_URL"] == (OLD if bad else NEW)


def test_a_deploy_that_runs_goes_first(night: Night) -> None:
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    unit = night.layout.release_unit
    night.system.loaded[unit] = UnitState(unit, "active", "running", 1, 0, "", False)
    night.layout.lock.write_text("release of 0123 by ada@laptop")
    asked = len(night.platform.asked)
    assert night.look() == 0
    assert night.said[-1] == "gives way to release of 0123 by ada@laptop"
    assert len(night.platform.asked) == asked
    del night.system.loaded[unit]
    assert night.look() == 0
    assert night.config()["DATABASE_URL"] == NEW


def test_a_deploy_that_came_in_between_is_not_undone(
    night: Night, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rotation has compared with a release that is no longer the last when its turn comes."""
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    newer = night.wanted.manifest._replace(revision=origin.commit(note="newer"))
    night.wanted = night.wanted._replace(manifest=newer)
    output, deploys = Submitting.output, [night.deploy]

    def late(system: Submitting, argv: Sequence[str]) -> tuple[int, str]:
        if argv[0] == "systemd-run" and deploys:
            deploys.pop()()
        return output(system, argv)

    monkeypatch.setattr(Submitting, "output", late)
    assert night.look() == 0
    assert "another release came first" in night.said[-1]
    assert (night.layout.current / "REVISION").read_text().strip() == newer.revision
    assert night.config()["DATABASE_URL"] == OLD
    assert night.outcomes() == ["good", "good"]
    assert night.next_turn() == 0
    assert (night.layout.current / "REVISION").read_text().strip() == newer.revision
    assert night.config()["DATABASE_URL"] == NEW


@pytest.mark.parametrize("clock", [890, 1000], ids=["at the turn's end", "in another's turn"])
def test_what_cannot_be_over_in_its_turn_waits_built_for_the_next(night: Night, clock: int) -> None:
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    night.system.clock = clock
    before = dict(night.system.loaded)
    assert night.look() == 0
    assert "too late in this turn" in night.said[-1]
    assert (night.system.loaded, night.outcomes()) == (before, ["good"])
    prepared = Ledger(night.layout).prepared()
    assert prepared
    assert night.next_turn() == 0
    assert Ledger(night.layout).current() == prepared.release
    assert night.config()["DATABASE_URL"] == NEW


def test_the_next_up_restarts_nobody(night: Night) -> None:
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    night.look()
    before = dict(night.system.loaded)
    night.deploy(DATABASE_URL=NEW)
    assert night.system.loaded == before


def test_a_run_that_asked_too_early_brings_no_older_value_back(night: Night) -> None:
    app = night.platform.apps["shop-staging"]
    app.set(DATABASE_URL=NEW)
    night.look()
    before = dict(night.system.loaded)
    for weather in (Weather(), Weather(500)):
        night.platform.weather = [weather]
        with pytest.raises(
            ReleaseError, match=r"DATABASE_URL: this run has what Heroku had before, .*pulumi up"
        ) as refused:
            night.deploy(DATABASE_URL=OLD)
        assert refused.value.phase == "check"
    assert night.system.loaded == before
    night.deploy(DATABASE_URL="postgres://u:canary-newest@db/app")
    app.set(DATABASE_URL=NEWER)
    night.next_turn()
    app.set(DATABASE_URL=NEW)
    night.next_turn()
    with pytest.raises(ReleaseError, match="this run has what Heroku had before"):
        night.deploy(DATABASE_URL=NEWER)
    assert night.config()["DATABASE_URL"] == NEW


def test_who_cannot_ask_whether_a_value_came_back_says_what_to_mend(night: Night) -> None:
    app = night.platform.apps["shop-staging"]
    app.set(DATABASE_URL=NEW)
    night.look()
    app.set(DATABASE_URL=OLD)
    night.platform.tokens = set()
    with pytest.raises(ReleaseError) as refused:
        night.deploy(DATABASE_URL=OLD)
    assert refused.value.reason.endswith(
        "whether they are there again it cannot tell: satellite:heroku_host_token: Heroku does not "
        "accept it (401): heroku authorizations:create --scope read-protected; then pulumi config "
        "set --secret satellite:heroku_host_token; then run `pulumi up` again"
    )
    night.platform.tokens = {TOKEN}
    night.deploy(DATABASE_URL=OLD)
    assert night.config()["DATABASE_URL"] == OLD


def test_what_heroku_has_again_or_the_stack_says_itself_is_no_older_value(night: Night) -> None:
    app = night.platform.apps["shop-staging"]
    app.set(DATABASE_URL=NEW)
    night.look()
    app.set(DATABASE_URL=OLD)
    night.deploy(DATABASE_URL=OLD)  # before this host has noticed it
    assert night.config()["DATABASE_URL"] == OLD
    app.set(DATABASE_URL=NEW)
    night.next_turn()
    own = night.wanted.manifest._replace(inherited=("REDIS_URL",))
    night.wanted = night.wanted._replace(manifest=own)
    night.deploy(DATABASE_URL=OLD)
    assert night.config()["DATABASE_URL"] == OLD
    assert night.next_turn() == 0
    assert night.config()["DATABASE_URL"] == OLD


def other_app(night: Night, **config: str) -> None:
    """Have the stack follow another app: bootstrap has told the host, and no release came yet."""
    night.platform.apps["shop-production"] = HerokuApp(config)
    told = storage.read_json(night.layout.heroku)
    storage.write_json(night.layout.heroku, {**told, "app": "shop-production"})


def test_what_came_from_one_app_is_not_followed_on_another(night: Night) -> None:
    bad = "postgres://u:canary-bad@db/app"
    other_app(night, DATABASE_URL=bad, REDIS_URL="redis://canary")
    older = night.wanted
    manifest = older.manifest._replace(inherited_from="shop-production")
    night.wanted = older._replace(manifest=manifest)
    with pytest.raises(ReleaseError):
        night.deploy(DATABASE_URL=bad)
    night.platform.apps["shop-production"].set(DATABASE_URL=NEW)
    assert night.next_turn() == 0
    assert (night.config(), night.platform.asked) == (older.config, [])
    assert night.said[-1] == (
        "the release here has config vars of shop-staging: the next one follows shop-production"
    )
    night.deploy(DATABASE_URL=NEW)
    night.platform.apps["shop-production"].set(DATABASE_URL=NEWER)
    assert night.next_turn() == 0
    assert night.config()["DATABASE_URL"] == NEWER


def test_a_release_that_does_not_say_of_which_app_it_is_follows_the_hosts(night: Night) -> None:
    """As the programs before this one made them: a deploy that fails must not end it."""
    named = night.wanted
    night.wanted = named._replace(manifest=named.manifest._replace(inherited_from=""))
    night.deploy()
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    assert night.look() == 0
    assert night.config()["DATABASE_URL"] == NEW


def test_another_app_is_not_asked_whether_a_value_came_back(night: Night) -> None:
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    night.look()
    other_app(night, DATABASE_URL=OLD)
    asked = len(night.platform.asked)
    whose = "they are of shop-staging, and it follows shop-production: run `pulumi up` again"
    with pytest.raises(ReleaseError, match=whose):
        night.deploy(DATABASE_URL=OLD)
    assert len(night.platform.asked) == asked


def test_one_that_is_cut_off_is_recovered_and_tried_again(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)

    def cut(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(gate, "watch", cut)
        with pytest.raises(Killed):
            night.look()
    recover(night.layout, night.system, night.said.append)
    assert night.config()["DATABASE_URL"] == OLD
    assert night.look() == 1  # not at once
    assert night.config()["DATABASE_URL"] == OLD
    assert night.next_turn() == 0
    assert night.config()["DATABASE_URL"] == NEW


def test_a_release_of_an_agent_that_kept_no_templates_waits_for_the_next(night: Night) -> None:
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    release = str(Ledger(night.layout).current())
    storage.remove(night.layout.templates(release))
    assert night.look() == 1
    assert night.config()["DATABASE_URL"] == OLD
    night.deploy()  # the same again
    assert night.look() == 0
    assert night.config()["DATABASE_URL"] == NEW


def test_who_does_not_follow_asks_nobody(night: Night) -> None:
    follows = night.wanted.manifest
    night.wanted = night.wanted._replace(manifest=follows._replace(inherited=()))
    night.deploy()
    assert night.look() == 0
    night.wanted = night.wanted._replace(manifest=follows)
    night.deploy()
    storage.remove(night.layout.heroku)
    assert night.look() == 0
    assert night.platform.asked == []
    assert night.said[-1].startswith("this host does not follow Heroku by itself")


def test_a_host_that_goes_follows_nobody_any_more(night: Night) -> None:
    timer = night.layout.units / night.layout.rotate_timer
    timer.touch()
    drain(night.layout, "h", "m", night.system, night.said.append)
    assert not night.layout.heroku.exists()
    stopped = ("stop", "--", timer.name, night.layout.rotate_unit)
    assert stopped in night.system.calls
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW)
    assert night.look() == 0
    assert night.system.running() == {}


def test_the_history_shows_the_names(night: Night) -> None:
    night.platform.apps["shop-staging"].set(DATABASE_URL=NEW, REDIS_URL="redis://canary-new")
    night.look()
    last = frontend.history(night.layout).splitlines()[-1]
    assert last.endswith("rotation  changed: config DATABASE_URL, REDIS_URL")
    assert Path(night.layout.history).stat().st_mode & 0o777 == 0o600
