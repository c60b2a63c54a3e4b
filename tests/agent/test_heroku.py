"""Heroku's API in good and bad weather: all of an answer or a clear reason, and never the token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from satellite_infra.agent import heroku
from satellite_infra.agent.heroku import Api, HerokuError
from tests.fakes.heroku import HTML, TOKEN, Heroku, HerokuApp, Weather, serving

COMMIT = "3f2a" * 10
CONFIG = {"DATABASE_URL": "postgres://canary", "LINES": "a\nb", "EMPTY": ""}


@pytest.fixture
def platform() -> Heroku:
    app = HerokuApp(dict(CONFIG))
    app.release(COMMIT)
    return Heroku({"shop": app})


@pytest.fixture
def paused() -> list[float]:
    """The seconds of each pause, which nobody waited for."""
    return []


@pytest.fixture
def api(platform: Heroku, paused: list[float]) -> Iterator[Api]:
    with serving(platform) as url:
        yield Api("shop", TOKEN, url, sleep=paused.append)


def refused(api: Api) -> str:
    """What is said instead of config vars."""
    with pytest.raises(HerokuError) as caught:
        api.config_vars()
    said = str(caught.value)
    assert TOKEN not in said + repr(api)
    assert "canary" not in said
    return said


def test_config_vars_come_as_they_are(api: Api) -> None:
    assert api.config_vars() == CONFIG


def test_the_commit_is_that_of_the_current_release(api: Api, platform: Heroku) -> None:
    app = platform.apps["shop"]
    assert api.commit() == COMMIT
    app.set(A="b")  # a release of the same slug
    app.release("e" * 40, status="failed")  # its release phase did not succeed
    assert api.commit() == COMMIT
    for n in range(5):
        app.release(f"{n}" * 40, status="failed")
    platform.page = 2
    assert api.commit() == COMMIT
    app.release("d" * 40)
    assert api.commit() == "d" * 40


def test_how_the_newest_release_of_a_commit_stands(api: Api, platform: Heroku) -> None:
    app = platform.apps["shop"]
    platform.page = 2
    assert api.standing(COMMIT) == "current"
    app.set(A="b")
    assert api.standing(COMMIT) == "current"
    for status in ("failed", "pending"):
        app.release("e" * 40, status)
        assert api.standing("e" * 40) == status
        assert api.standing(COMMIT) == "current"
    app.release("e" * 40)
    assert api.standing("e" * 40) == "current"
    assert api.standing(COMMIT) == ""  # an older release of it is not the newest word
    for status in ("failed", "pending"):
        app.set(status, A="c")  # of the slug that runs, and goes on doing so
        assert api.standing("e" * 40) == "current"


def test_whether_a_commit_is_built(api: Api, platform: Heroku) -> None:
    app = platform.apps["shop"]
    app.build(COMMIT, "failed")
    assert not api.building(COMMIT)
    app.build(COMMIT)
    app.build("e" * 40, "succeeded")
    app.builds += [{"status": "pending", "source_blob": None}, {}]
    assert api.building(COMMIT)
    assert not api.building("e" * 40)
    platform.weather = [Weather(body=b"{}")]
    with pytest.raises(HerokuError, match="holds no builds"):
        api.building(COMMIT)


def test_an_app_without_a_commit_is_said_to_have_none(api: Api, platform: Heroku) -> None:
    platform.apps["shop"].release(None)
    with pytest.raises(HerokuError, match="names no commit of 40 hex digits"):
        api.commit()
    platform.apps["shop"] = HerokuApp()
    with pytest.raises(HerokuError, match="has no slug"):
        api.commit()


@pytest.mark.parametrize(
    "weather",
    [
        Weather(500),
        Weather(503, body=HTML),
        Weather(429, {"Retry-After": "7"}),
        Weather(429),
        Weather(half=True),
        Weather(gone=True),
        Weather(body=b'{"A": "canary'),
        Weather(body=HTML),
    ],
)
def test_what_may_pass_is_asked_again(
    api: Api, platform: Heroku, paused: list[float], weather: Weather
) -> None:
    platform.weather = [weather] * 3
    assert api.config_vars() == CONFIG
    assert len(platform.asked) == 4
    assert len(paused) == 3
    if "Retry-After" in weather.headers:
        assert paused == [7, 7, 7]
    else:
        assert paused == sorted(paused)  # it backs off
        assert paused[-1] <= 4


@pytest.mark.parametrize(
    ("weather", "said"),
    [
        (Weather(500), "it fails (status 500) (asked 5 times)"),
        (Weather(429), "its rate limit is reached (429) (asked 5 times)"),
        (Weather(429, {"Retry-After": "3600"}), "its rate limit is reached (429) (asked 1 time)"),
        (Weather(half=True), "half an answer (asked 5 times)"),
        (Weather(body=HTML), "the answer is no JSON (asked 5 times)"),
        (Weather(body=b"[" * 200_000), "the answer is no JSON (asked 5 times)"),
        (Weather(gone=True), "the connection broke off (asked 5 times)"),
    ],
)
def test_what_does_not_pass_is_given_up(
    api: Api, platform: Heroku, weather: Weather, said: str
) -> None:
    platform.weather = [weather] * 9
    assert refused(api) == (f"Heroku does not tell about shop: {said}; try again in some minutes")


def test_a_silent_server_is_given_up(
    api: Api, platform: Heroku, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heroku, "ANSWER", 0.2)
    platform.weather = [Weather(silent=True)] * 9
    assert "no answer within 0.2 s (asked 5 times)" in refused(api)


@pytest.mark.parametrize("what", ["headers", "body"])
def test_an_answer_that_drips_is_given_up(
    api: Api, platform: Heroku, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Never silent for as long as a socket's time-out, and without an end."""
    monkeypatch.setattr(heroku, "ANSWER", 0.2)
    platform.weather = [Weather(drip=what)] * 9
    assert "no answer within 0.2 s (asked 5 times)" in refused(api)


def test_nobody_there(api: Api) -> None:
    assert "no connection: " in refused(replace(api, url="http://127.0.0.1:1"))


@pytest.mark.parametrize("document", [b"[]", b'"x"', b'{"A": null}', b'{"A": {}}', b"null"])
def test_an_answer_of_another_kind_is_none(api: Api, platform: Heroku, document: bytes) -> None:
    platform.weather = [Weather(body=document)]
    assert refused(api) == "Heroku's answer about shop holds no config vars"


def test_what_a_person_has_to_mend_is_not_asked_again(api: Api, platform: Heroku) -> None:
    for status, setting in ((403, "heroku_api_token"), (418, ""), (301, "")):
        platform.weather = [Weather(status, {"Location": "http://127.0.0.1:1/"})]
        said = refused(api)
        assert str(status) in said
        assert said.startswith(f"satellite:{setting}: " if setting else "Heroku refuses")
    assert refused(replace(api, app="shpo")) == (
        "satellite:heroku.app: Heroku has no app shpo that satellite:heroku_api_token may see (404)"
    )
    platform.tokens = set()
    assert refused(api).startswith(
        "satellite:heroku_api_token: Heroku does not accept it (401): "
        "heroku authorizations:create --scope read-protected; then pulumi config set --secret"
    )
    assert len(platform.asked) == 5
