"""How a release ended is told once, to a sink that fails first, and no release waits for it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import (
    cli,
    frontend,
    release_unit,
    state,
    storage,
    system,
    webhook,
)
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import ROTATION, Ledger, Target, Unfinished
from satellite_infra.agent.release import Release
from tests.agent.conftest import FakeSystem, Killed, Origin, request
from tests.fakes.answers import answering
from tests.fakes.hook import Hook

CANARY = "canary-5d1f"
PAGE = Path(__file__).parents[2] / "docs/monitoring.md"
DIFFERS = {
    r"\d{14}-[0-9a-f]{7}": "RELEASE",
    r"[0-9a-f]{12}": "COMMIT",
    r"after \d+ s": "after N s",
    r"\([a-z-]+, \d restarts\)": "(HOW)",
}
"""What is another in each message, and what stands for it."""


@dataclass
class Sink(Hook):
    """A webhook; its URL is the canary."""

    url: str = ""

    def __call__(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        assert request.headers["Content-Type"] == "application/json"
        assert request.path == f"/{CANARY}"
        return super().__call__(request)

    @property
    def texts(self) -> list[str]:
        """What it took."""
        return [message["text"] for message in self.heard]


@pytest.fixture
def sink() -> Iterator[Sink]:
    found = Sink()
    with answering(found) as url:
        found.url = f"{url}/{CANARY}"
        yield found


class Running(FakeSystem):
    """Notes what systemd is told to run."""

    broken = False

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        if argv[0] != "systemd-run":
            return super().output(argv)
        assert CANARY not in " ".join(argv)
        self.calls.append(("send", argv[-1]))
        if self.broken:
            raise OSError("no systemd")
        return 0, ""


@pytest.fixture
def running(layout: Layout) -> Running:
    return Running(layout)


def work(layout: Layout, system: Running, wanted: Any, url: str) -> tuple[int, list[str]]:
    """A release with that webhook; its status, and its log."""
    bundle = {"machine": "m", "config": wanted.config, "deployer": "bob@ci", "webhook": url}
    said: list[str] = []
    sent = wanted.manifest.text() + json.dumps(bundle)
    result = layout.run / "result"
    status = release_unit.work(layout, sent, result, system, said.append)
    assert json.loads(result.read_text())["ok"] == (status == 0)
    return status, said


def sent(layout: Layout, system: Running) -> tuple[int, list[str]]:
    said: list[str] = []
    return webhook.send_all(layout, system, said.append), said


def test_a_good_release_is_told_once_although_the_sink_fails_first(
    layout: Layout, running: Running, origin: Origin, sink: Sink
) -> None:
    commit = origin.commit()
    assert work(layout, running, request(origin, commit), sink.url)[0] == 0
    assert ("send", "shop") in running.calls
    assert sink.asked == 0  # the release itself asks nobody
    sink.answers = [503, 0, 429]
    status, said = sent(layout, running)
    assert (status, sink.asked, len(said)) == (0, 4, 3)
    current = layout.current.readlink().name
    assert len(sink.texts) == 1
    head, _, tail = sink.texts[0].partition(" after ")
    assert head == f"shop test on h: release of {commit[:12]} by bob@ci: good"
    assert tail.endswith(f" s. {current}: {commit[:12]} is live, 2 workers")
    assert sent(layout, running) == (0, [])
    assert sink.asked == 4
    assert CANARY not in "".join(said)


def test_a_failed_release_says_why_and_what_to_do_and_nothing_secret(
    layout: Layout, running: Running, origin: Origin, sink: Sink
) -> None:
    work(layout, running, request(origin, origin.commit()), "")
    good = layout.current.readlink().name
    bad = origin.commit(CRASH="")
    status, said = work(layout, running, request(origin, bad), sink.url)
    assert status == 1
    assert sent(layout, running)[0] == 0
    (text,) = sink.texts
    first, state, after = text.split("\n")[0], *text.split("\n")[-2:]
    assert first.startswith(f"shop test on h: release of {bad[:12]} by bob@ci: FAILED after ")
    assert " in phase `gate`: " in first
    assert state == f"The host runs its last good release, {good}."
    assert after.startswith("Next: mend the cause and deploy again (")
    for shown in (text, "".join(said), layout.history.read_text()):
        assert "canary" not in shown


def alike(text: str) -> str:
    """The text without what is another each time."""
    for each, name in DIFFERS.items():
        text = re.sub(each, name, text)
    return text


def test_the_page_shows_the_messages_that_come(
    layout: Layout, running: Running, origin: Origin, sink: Sink
) -> None:
    who = {"app": "shop", "environment": "production", "host": "worker-2", "machine": "m"}
    storage.write_json(layout.identity, who)
    for commit in (origin.commit(), origin.commit(CRASH="")):
        work(layout, running, request(origin, commit), sink.url)
    assert sent(layout, running)[0] == 0
    quoted = re.findall("^> (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = [line for text in sink.texts for line in text.split("\n")]
    assert list(map(alike, quoted)) == list(map(alike, told))


def test_a_killed_release_and_one_that_a_boot_cut_off_are_told(
    layout: Layout, running: Running, origin: Origin, sink: Sink
) -> None:
    webhook.set_up(layout, sink.url, print)
    storage.write(layout.phase, "build")
    runs, result = "runs no release: it never had a good one", layout.run / "result"
    for _ in range(2):  # the second finds the result of the first
        release_unit.killed(layout, result, runs, "e" * 40, running, print, frontend.PHASE)
    target = Target("1-f", request(origin, "f" * 40).manifest)
    webhook.put_recovered(layout, Unfinished(target, False, False), runs, print)
    assert sent(layout, running)[0] == 0
    assert [text.split("\n")[0] for text in sink.texts] == [
        "shop test on h: release phase of eeeeeeeeeeee: FAILED in phase `build`: "
        "the release phase's program was killed",
        "shop test on h: release of ffffffffffff: FAILED in phase `unknown`: "
        "it was cut off, by a reboot or a kill",
    ]


CUTS: dict[str, tuple[Any, str] | None] = {
    "gate": None,
    "mark good": None,
    "passed": (Ledger, "mark_good"),
    "good": (Ledger, "record"),
    "recorded": (webhook, "put"),
    "told": (Ledger, "note_good"),
    "noted": (webhook, "send"),
    "close": None,
    "prune": None,
}
"""Where a release is cut off: as a phase begins, or before something is done."""


@pytest.fixture
def by_itself(layout: Layout, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line is that host's."""
    monkeypatch.setattr(cli, "Layout", lambda _: layout)
    monkeypatch.setattr(cli, "_check_root", lambda: None)
    monkeypatch.setattr(system, "System", lambda: running)


@contextlib.contextmanager
def cut_off(at: str) -> Iterator[None]:
    """A release that ends there."""
    phase = Release.at

    def enter(release: Release, now: str) -> None:
        phase(release, now)
        if now == at:
            raise Killed

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Release, "at", enter)
        if before := CUTS[at]:
            patch.setattr(*before, kill)
        with pytest.raises(Killed):
            yield


@pytest.mark.parametrize("boots", [True, False], ids=["power cut", "kill"])
@pytest.mark.parametrize("again", ["commit", "settings", "nothing"])
@pytest.mark.parametrize("at", CUTS)
def test_one_that_is_good_when_it_is_cut_off_is_told_as_good_and_once(
    at: str,
    again: str,
    boots: bool,
    layout: Layout,
    running: Running,
    origin: Origin,
    sink: Sink,
    by_itself: None,
) -> None:
    """By its history, its webhook and its result; `again`: what is another than before."""
    wanted = request(origin, origin.commit())
    work(layout, running, wanted, "")
    changes = {"quantity": 1} if again == "settings" else {}
    commit = origin.commit(a="new") if again == "commit" else wanted.manifest.revision
    with cut_off(at):
        work(layout, running, request(origin, commit, **changes), sink.url)
    result = layout.run / "after"
    if boots:
        shutil.rmtree(layout.run)
    good = list(CUTS).index(at) > 2 or (at == "passed" and again == "nothing")
    how = [] if boots else ["--result", str(result), "--revision", commit]
    running.calls.clear()
    assert cli.main(["recover", "--app", "shop", *how]) == 0
    assert running.calls.count(("send", "shop")) == (boots or at != "prune")
    assert sent(layout, running)[0] == 0
    (text,) = sink.texts
    assert (f"release of {commit[:12]}" in text, ": good" in text) == (True, good)
    assert " by bob@ci: " in text or not (boots or good)  # `killed` does not know it
    ends = ["good"] if good else ["recovered"] if boots else ["recovered", "killed"]
    history = Ledger(layout).history()
    assert [line["outcome"] for line in history] == ["good", *ends]
    if good:
        assert history[-1]["release"] == layout.current.readlink().name
        assert history[-1]["by"] == "bob@ci"
    if not boots:
        assert storage.read_json(result)["ok"] == good


@pytest.mark.parametrize("at", ["gate", "good", "told", "close"])
def test_a_rotation_that_is_cut_off_is_no_deploy(
    at: str, layout: Layout, running: Running, origin: Origin, sink: Sink, by_itself: None
) -> None:
    """One that failed stays the last deploy, and a good rotation is told to nobody."""
    wanted = request(origin, origin.commit())
    work(layout, running, wanted, sink.url)
    work(layout, running, request(origin, origin.commit(CRASH="")), sink.url)
    sent(layout, running)
    before, told = state.report(layout, running)["last_release"], len(sink.texts)
    base = Ledger(layout).last_good()
    assert base
    assert before["outcome"] == "failed"
    own = {"names": ["TOKEN"], "base": base.release, "until": 10**12}
    config = {**wanted.config, "TOKEN": "canary-other"}
    manifest = base.manifest._replace(config=dict.fromkeys(config, "d" * 16))
    bundle = {"config": config, "deployer": ROTATION, "rotation": own}
    with cut_off(at):
        text = manifest.text() + json.dumps(bundle)
        release_unit.work(layout, text, layout.run / "r", running, print, frontend.ROTATION)
    shutil.rmtree(layout.run)
    assert cli.main(["recover", "--app", "shop", "--no-wait"]) == 0
    assert state.report(layout, running)["last_release"] == before
    sent(layout, running)
    cut = [text.partition(" in phase")[0] for text in sink.texts[told:]]
    name = f"shop test on h: rotation of {base.manifest.revision[:12]} by rotation"
    assert cut == ([f"{name}: FAILED"] if at == "gate" else [])
    last = Ledger(layout).history()[-1]
    if at == "gate":
        assert last["outcome"] == "recovered"
    else:
        assert (last["outcome"], last["by"]) == ("rotated", ROTATION)
        assert last["changed"]


def test_an_older_agents_journal_says_less(
    layout: Layout, running: Running, origin: Origin, sink: Sink, by_itself: None
) -> None:
    work(layout, running, request(origin, origin.commit()), "")
    with cut_off("good"):
        work(layout, running, request(origin, origin.commit(a="new")), sink.url)
    record = storage.read_json(layout.journal)
    for name in ("by", "begun", "event"):
        del record[name]
    storage.write_json(layout.journal, record)
    assert cli.main(["recover", "--app", "shop"]) == 0
    assert [line["outcome"] for line in Ledger(layout).history()] == ["good", "good"]
    sent(layout, running)
    assert [": good" in text for text in sink.texts] == [True]


@pytest.mark.parametrize("at", ["gate", "told"])
def test_one_that_the_next_release_finds_cut_off_is_told_too(
    at: str, layout: Layout, running: Running, origin: Origin, sink: Sink
) -> None:
    work(layout, running, request(origin, origin.commit()), "")
    commits = [origin.commit(a="new"), origin.commit(b="new")]
    with cut_off(at):
        work(layout, running, request(origin, commits[0]), sink.url)
    assert work(layout, running, request(origin, commits[1]), sink.url)[0] == 0
    sent(layout, running)
    ends = [": FAILED in phase" if at == "gate" else ": good. ", ": good after "]
    for text, commit, end in zip(sink.texts, commits, ends, strict=True):
        assert f"release of {commit[:12]} by bob@ci{end}" in text


def test_a_recovery_by_hand_tells_nothing_of_a_release_that_is_under_way(
    layout: Layout,
    running: Running,
    origin: Origin,
    sink: Sink,
    by_itself: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locked = storage.locked

    @contextlib.contextmanager
    def waits(path: Path, *how: Any) -> Iterator[None]:
        if path == layout.lock:  # the release ends while it waits
            storage.remove(layout.journal)
        with locked(path, *how):
            yield

    work(layout, running, request(origin, origin.commit()), sink.url)
    sent(layout, running)
    last = Ledger(layout).last_good()
    assert last
    Ledger(layout).open_journal(last)
    monkeypatch.setattr(storage, "locked", waits)
    assert cli.main(["recover", "--app", "shop"]) == 0
    assert list(layout.outbox.iterdir()) == []


@pytest.mark.parametrize(("answer", "asked"), [(404, 1), (302, 1), (500, 5)])
def test_what_will_never_be_taken_is_given_up(
    layout: Layout, running: Running, sink: Sink, answer: int, asked: int
) -> None:
    webhook.set_up(layout, sink.url, print)
    webhook.tell(layout, "text", running, print)
    sink.answers = [answer] * 9
    status, said = sent(layout, running)
    assert (status, sink.asked) == (1, asked)
    assert said[-1] == "gave up on that message; `satellite releases` has what it said"
    assert list(layout.outbox.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"text": "go'])
def test_what_a_power_cut_has_damaged_keeps_no_later_message(
    layout: Layout, running: Running, sink: Sink, content: bytes
) -> None:
    webhook.set_up(layout, sink.url, print)
    damaged = layout.outbox / "00000000000000000001-aa.json"
    storage.directory(layout.outbox, 0o700)
    damaged.write_bytes(content)
    webhook.tell(layout, "text", running, print)
    assert sent(layout, running) == (1, [f"{damaged} cannot be read: that message is dropped"])
    assert sink.texts == ["shop test on h: text"]
    assert sent(layout, running) == (0, [])


def test_what_waits_is_dropped_with_the_url_and_not_sent_to_the_next(
    layout: Layout, running: Running, sink: Sink
) -> None:
    webhook.set_up(layout, f"http://127.0.0.1:9/{CANARY}", print)
    webhook.put(layout, "of before", print)
    webhook.set_up(layout, "", print)
    webhook.set_up(layout, sink.url, print)
    webhook.tell(layout, "of now", running, print)
    sent(layout, running)
    assert sink.texts == ["shop test on h: of now"]


def test_nobody_there_is_said_without_the_url(layout: Layout, running: Running) -> None:
    webhook.set_up(layout, f"http://127.0.0.1:9/{CANARY}", print)
    webhook.tell(layout, "text", running, print)
    status, said = sent(layout, running)
    assert status == 1
    assert set(said[:-1]) == {"the webhook did not take a message: ConnectionRefusedError"}


def test_no_release_fails_for_its_message(
    layout: Layout, running: Running, origin: Origin, sink: Sink
) -> None:
    running.broken = True
    status, said = work(layout, running, request(origin, origin.commit()), sink.url)
    assert status == 0
    assert "the webhook could not be told: OSError" in said
    running.broken = False
    assert work(layout, running, request(origin, origin.commit()), sink.url)[0] == 0
    assert sent(layout, running)[0] == 0
    assert len(sink.texts) == 2  # the one that waited as well
    assert [line["outcome"] for line in Ledger(layout).history()] == ["good", "good"]


def test_the_url_is_in_one_file_that_goes_with_the_setting(
    layout: Layout, running: Running, origin: Origin, sink: Sink, tmp_path: Path
) -> None:
    wanted = request(origin, origin.commit())
    work(layout, running, wanted, sink.url)
    files = [path for path in (tmp_path / "host").rglob("*") if path.is_file()]
    assert [path for path in files if CANARY in path.read_text("utf-8", "replace")] == [
        layout.webhook
    ]
    assert layout.webhook.stat().st_mode & 0o777 == 0o600
    running.calls.clear()
    work(layout, running, wanted, "")
    assert not layout.webhook.exists()
    assert not any(call[0] == "send" for call in running.calls)


def test_a_text_cannot_make_a_mention(layout: Layout, running: Running, sink: Sink) -> None:
    webhook.set_up(layout, sink.url, print)
    webhook.tell(layout, "<!channel> & more", running, print)
    sent(layout, running)
    assert sink.texts == ["shop test on h: &lt;!channel&gt; &amp; more"]
