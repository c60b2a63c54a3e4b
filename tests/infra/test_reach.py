"""A host is reached when it answers as itself; anything else ends in time, with what to do."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import asyncssh
import pytest

from satellite_infra import dial
from satellite_infra.dial import Target, UnreachedError, reach
from satellite_infra.host_identity import HostIdentity, host_identity
from satellite_infra.key_text import fingerprint
from satellite_infra.reach import (
    ANSWERED,
    BEFORE,
    COMMAND,
    INTERRUPTED,
    LATELY,
    SENT,
    Visit,
    answered,
    deployer,
    main,
    way,
    way_there,
)

from .conftest import SEED

OWN = host_identity(SEED, "worker-1")
OTHER = host_identity(SEED, "worker-2")


def target(port: int, seconds: float = 1.5, key: str = OWN.public) -> Target:
    return Target("worker-1", "i-0123", "127.0.0.1", port, key, seconds, "203.0.113.0/24")


@contextmanager
def ssh_server(identity: HostIdentity, delay: float = 0, port: int = 0) -> Iterator[int]:
    """A real SSH server in a thread, after a delay; yields its port."""
    ready, over = threading.Event(), threading.Event()
    found: list[int] = [port]

    async def serve() -> None:
        await asyncio.sleep(delay)
        key = asyncssh.import_private_key(identity.private)
        async with asyncssh.listen("127.0.0.1", port, server_host_keys=[key]) as server:
            found.append(server.get_port())
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert delay or ready.wait(60)
        yield found[-1]
    finally:
        over.set()
        thread.join(60)


@contextmanager
def peer(
    says: bytes = b"", close: bool = False, came: Callable[[], object] = lambda: None
) -> Iterator[int]:
    """A TCP server that says these bytes to whoever comes, and then hangs or closes.

    `came` is called each time.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                kept.append(connection)
                came()
                with suppress(OSError):  # who came has gone already
                    connection.sendall(says)
                if close:
                    connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in kept:
            connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def variables(port: int, seconds: float, opened_to: str) -> dict[str, str]:
    """What the engine tells of `worker-1` on this machine."""
    return {
        "SATELLITE_HOST": "worker-1",
        "SATELLITE_MACHINE": "i-0123",
        "SATELLITE_ADDRESS": "127.0.0.1",
        "SATELLITE_PORT": str(port),
        "SATELLITE_USER": "admin",
        "SATELLITE_HOST_KEY": OWN.public,
        "SATELLITE_REACH_SECONDS": str(seconds),
        "SATELLITE_OPENED_TO": opened_to,
    }


def refused(wanted: Target) -> str:
    start = time.monotonic()
    with pytest.raises(UnreachedError) as caught:
        reach(wanted, pause=0.1)
    assert time.monotonic() - start < wanted.seconds + 60
    return str(caught.value)


def test_the_pinned_key_is_enough() -> None:
    with ssh_server(OWN) as port:
        reach(target(port))


def test_a_machine_that_still_boots_is_waited_for() -> None:
    with ssh_server(OWN, delay=0.7, port=free_port()) as port:
        reach(target(port, seconds=10), pause=0.1)


def test_another_key_ends_it_at_once_with_both_fingerprints() -> None:
    with ssh_server(OTHER) as port:
        start = time.monotonic()
        said = refused(target(port, seconds=600))
        assert time.monotonic() - start < 60
    assert said == (
        f"worker-1 (127.0.0.1, port {port}) shows another host key than the pinned one. "
        "Nothing was sent to it.\n"
        f"  pinned: ssh-ed25519 {fingerprint(OWN.public)}\n"
        f"  shown:  ssh-ed25519 {fingerprint(OTHER.public)}\n"
        "  - If nobody changed this machine or its keys, another machine answers there: find out "
        "which one.\n"
        "  - An EC2 instance has its key from satellite:host_key_seed since its first boot. If the "
        "seed was\n"
        "    changed, put the old one back, or replace the machine: add worker-1 to satellite:roll."
        "\n"
        "  - If you gave an existing host new keys, compare this one on the host itself, then set\n"
        "    satellite:hosts.worker-1.host_key.\n"
        "  - If you rebuilt it, its old machine is gone and cannot be drained, which has to be "
        "said first:\n"
        "      satellite lost worker-1\n"
        "    Then set its host_key, raise satellite:hosts.worker-1.machine, and take that back:\n"
        "      satellite lost worker-1 --undo\n"
        "    By Pulumi alone it is satellite:hosts.worker-1.lost each time, and `pulumi up`,\n"
        "    which deploys the branch's head, too."
    )


def test_nobody_listens() -> None:
    port = free_port()
    assert refused(target(port)) == (
        f"worker-1 (127.0.0.1, port {port}) cannot be reached by SSH, tried for 1.5 s: "
        "connection refused.\n"
        "  - Is machine i-0123 running? Look at its console output.\n"
        "  - Is it open to this computer? SSH is open to: 203.0.113.0/24. (satellite:ssh_cidrs)\n"
        "  - Did its address change? `pulumi refresh` reads it again.\n"
        "  - Is it dead? Say so, and nothing waits for it any more:\n"
        "      satellite lost worker-1\n"
        "    By Pulumi alone, which deploys the branch's head, too:\n"
        "      pulumi config set --path 'satellite:hosts.worker-1.lost' true && pulumi up"
    )


@pytest.mark.parametrize(
    ("says", "close", "reason"),
    [
        (b"", False, "no answer: packets are dropped, or the peer accepts and stays silent"),
        (b"", True, "it closes the connection without an SSH banner"),
        (b"HTTP/1.1 400 Bad Request\r\n" * 200, False, "something else than SSH listens there"),
        (b"SSH-2.0-silent\r\n", False, "it speaks SSH, but shows no ssh-ed25519 host key"),
    ],
)
def test_a_peer_that_is_no_ssh_server(says: bytes, close: bool, reason: str) -> None:
    with peer(says, close) as port:
        assert f"tried for 1.5 s: {reason}.\n" in refused(target(port))


def test_whoever_waits_is_told_how_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(dial, "time", SimpleNamespace(monotonic=lambda: clock[-1]))
    monkeypatch.setattr(dial, "LOOK", 600)  # it is we who have it look
    with dial.waited_for(target(22, seconds=60), ""):
        for now in (114, 115.2, 129, 132, 144, 145):
            clock.append(now)
            signal.raise_signal(signal.SIGALRM)
    assert capsys.readouterr().err.splitlines() == [
        f"== no answer yet ({waited} of 60 s)" for waited in (15, 32, 45)
    ]
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_whoever_waits_may_end_it_in_the_middle_of_a_connection(
    here: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    interrupted = tmp_path / "interrupted"
    monkeypatch.setattr(dial, "TRY", 600)
    monkeypatch.setenv("SATELLITE_REACH_SECONDS", "600")
    monkeypatch.setenv(INTERRUPTED, str(interrupted))
    monkeypatch.delenv(ANSWERED)
    start = time.monotonic()
    with peer(came=interrupted.touch) as port:
        monkeypatch.setenv("SATELLITE_PORT", str(port))
        assert main() == 1
    assert time.monotonic() - start < 60
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "worker-1 is waited for no longer: the update was interrupted"
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_name_that_does_not_resolve() -> None:
    wanted = Target("worker-1", "1", "nowhere.invalid", 22, OWN.public, 0.5, "nobody")
    assert re.search(r"tried for 0.5 s: .*(not known|resolution).*\.\n", refused(wanted))


def test_as_the_engine_runs_it_with_the_standard_library_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_server(OWN) as port:
        done = subprocess.run(
            [sys.executable, *shlex.split(COMMAND)[1:]],
            cwd=Path(__file__).parents[2],
            env={"PATH": os.environ["PATH"], **variables(port, 1, "nobody")},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    # who deploys, for the hosts' history
    assert re.fullmatch(
        rf"[^@\s]+@{re.escape(socket.gethostname())}\n[0-9a-f]{{8}}\n\n[0-9a-f]{{8}}\n",
        done.stdout,
    )
    for name, value in variables(free_port(), 1, "nobody").items():
        monkeypatch.setenv(name, value)
    assert main() == 1
    assert "SSH is open to: nobody" in capsys.readouterr().err


def test_a_host_that_was_asked_loads_little(here: dict[str, str]) -> None:
    """One runs for each host, beside everything else that a deploy does."""
    program = "import sys; from satellite_infra.reach import main; print(main(), *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **here, "GITHUB_ACTOR": "", "USER": "ada"},
        capture_output=True,
        text=True,
        check=True,
    )
    status, *loaded = done.stdout.splitlines()[-1].split()
    assert status == "0"
    slow = {"typing", "hashlib", "re", "socket", "subprocess", "pathlib", "dataclasses"}
    assert not {*slow, "collections", "getpass", "runpy"} & {*loaded}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a host where nobody is, and who has just been logged in to: it."""
    port, file = free_port(), tmp_path / "answered"
    lines = [way(address, port, OWN.public) for address in ("127.0.0.2", "127.0.0.1")]
    file.write_text("".join(f"{line}\n" for line in lines))
    found = {
        **variables(port, 1, "203.0.113.0/24"),
        SENT: "0123456789abcdef",
        "GITHUB_ACTOR": "ada",
        ANSWERED: str(file),
    }
    found[BEFORE] = Visit("bob@laptop", "0a0b0c0d", "0" * 16, way_there(found)).text()
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def visited(capsys: pytest.CaptureFixture[str]) -> Visit:
    """What one more visit prints, which finds the host."""
    assert main() == 0
    return Visit.read(capsys.readouterr().out)


def test_who_has_just_answered_is_not_asked_again(
    here: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = visited(capsys), visited(capsys)
    wanted = Visit("ada (GitHub Actions)", first.mark, here[SENT], way_there(here))
    assert first.text() == wanted.text()
    assert first.mark != second.mark
    for other in (
        {"SATELLITE_ADDRESS": "127.0.0.3"},
        {"SATELLITE_PORT": "22"},
        {"SATELLITE_HOST_KEY": OTHER.public},
        {"SATELLITE_HOST_KEY": OWN.public[:-1]},
        {ANSWERED: str(tmp_path / "none")},
        {ANSWERED: ""},
    ):
        assert not answered({**here, **other})
    assert not answered({ANSWERED: here[ANSWERED]})
    for since in (LATELY, -5):  # long ago; by a clock that was put back since
        os.utime(here[ANSWERED], (time.time(), time.time() - since))
        assert not answered(here)


@pytest.mark.parametrize(
    "other",
    [
        {"SATELLITE_OPENED_TO": "nobody"},
        {"SATELLITE_MACHINE": "i-9876"},
        {BEFORE: ""},  # what it was before is not known
        {"SATELLITE_BASTION_HOST_KEY": OTHER.public},
    ],
)
def test_by_another_way_it_is_asked_all_the_same(
    here: dict[str, str],
    other: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in other.items():
        monkeypatch.setenv(name, value)
    assert main() == 1
    assert "cannot be reached by SSH" in capsys.readouterr().err


def test_a_visit_is_the_same_while_nothing_new_is_sent(
    here: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Visit("bob@laptop", "0a0b0c0d", here[SENT], way_there(here))
    monkeypatch.setenv(BEFORE, before.text())
    monkeypatch.setenv("SATELLITE_REACH_SECONDS", "600")
    assert visited(capsys).text() == before.text()
    with ssh_server(OWN, port=int(here["SATELLITE_PORT"])):  # asked, as the rules are others
        monkeypatch.setenv("SATELLITE_OPENED_TO", "198.51.100.0/24")
        after = visited(capsys)
    there = way_there({**here, "SATELLITE_OPENED_TO": "198.51.100.0/24"})
    assert there != before.way
    assert after.text() == Visit(before.deployer, before.mark, before.sent, there).text()


def test_the_deployer_is_a_person_at_a_machine_or_who_started_the_ci_job() -> None:
    assert re.fullmatch(rf"[^@]+@{re.escape(socket.gethostname())}", deployer({}))
    assert deployer({"GITHUB_ACTOR": "ada", "USER": "runner"}) == "ada (GitHub Actions)"
    assert deployer({"GITLAB_USER_LOGIN": "bob"}) == "bob (GitLab CI)"
    assert deployer({"LOGNAME": "", "USER": "bob"}) == f"bob@{socket.gethostname()}"
