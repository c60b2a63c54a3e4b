"""A host behind a bastion, looked at as the engine does it: with this computer's ssh and agent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from satellite_infra.key_text import fingerprint
from satellite_infra.reach import COMMAND, INTERRUPTED
from tests.standins.ssh_server import SshServer

from .test_reach import OTHER, OWN, free_port, peer, ssh_server, variables

CHECKOUT = Path(__file__).parents[2]
LOOK = COMMAND.replace("python3", sys.executable)
PATIENT = LOOK.replace("run()", "from satellite_infra import dial; dial.TRY = 600; run()")
"""One whose connections may take as long as they like."""


@pytest.fixture
def bastion(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path / "bastion") as server:
        yield server


def public(server: SshServer) -> str:
    return " ".join(server.host_key.export_public_key().decode().split()[:2])


def look(
    bastion: SshServer,
    port: int,
    shell: str = LOOK,
    seconds: float = 4,
    key: str | None = None,
    **changed: str,
) -> subprocess.CompletedProcess[str]:
    """Run `shell` below an agent, with the bastion's key on its standard input."""
    told = {
        **variables(port, seconds, "10.0.0.5/32"),
        "SATELLITE_BASTION": "127.0.0.1",
        "SATELLITE_BASTION_PORT": str(bastion.port),
        "SATELLITE_BASTION_USER": "tester",
        "SATELLITE_BASTION_HOST_KEY": public(bastion),
        **changed,
    }
    sent: str = bastion.connection()["private_key"] if key is None else key
    start = time.monotonic()
    done = subprocess.run(
        ["ssh-agent", "sh", "-c", shell],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], **told},
        input=sent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.monotonic() - start < seconds + 60
    return done


def test_through_the_bastion_with_a_key_that_leaves_no_trace(bastion: SshServer) -> None:
    lives = "sleep 0.2; kill -0 $SSH_AGENT_PID 2>/dev/null && echo the agent lives"
    with ssh_server(OWN) as port:
        done = look(bastion, port, f"{LOOK}; echo $?; {lives}; true")
    assert (done.stdout.splitlines()[4:], done.stderr) == (["0"], "")  # before: who deploys
    assert bastion.forwarded == [("127.0.0.1", port)]
    assert bastion.logins == 1


def test_the_users_own_agent_is_enough(bastion: SshServer) -> None:
    with ssh_server(OWN) as port:
        done = look(bastion, port, f"ssh-add -q - && {LOOK} </dev/null; kill $SSH_AGENT_PID")
    assert (done.returncode, done.stderr) == (0, "")
    assert bastion.forwarded == [("127.0.0.1", port)]


def test_another_key_of_the_host_ends_it_at_once(bastion: SshServer) -> None:
    with ssh_server(OTHER) as port:
        done = look(bastion, port, seconds=60)
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"worker-1 (127.0.0.1, port {port}) shows another host key than the pinned one. "
        "Nothing was sent to it.\n"
        f"  pinned: ssh-ed25519 {fingerprint(OWN.public)}\n"
        f"  shown:  ssh-ed25519 {fingerprint(OTHER.public)}\n"
    )


def test_another_key_of_the_bastion_ends_it_before_anything_is_sent(bastion: SshServer) -> None:
    with ssh_server(OWN) as port:
        done = look(bastion, port, seconds=60, SATELLITE_BASTION_HOST_KEY=OTHER.public)
    assert done.returncode == 1
    assert done.stderr == (
        f"The bastion (127.0.0.1, port {bastion.port}) on the way to worker-1 shows another host "
        "key than the pinned one. Nothing was sent to either.\n"
        f"  pinned: ssh-ed25519 {fingerprint(OTHER.public)}\n"
        f"  shown:  ssh-ed25519 {fingerprint(public(bastion))}\n"
        "  - If nobody changed this machine or its keys, another machine answers there: find out "
        "which one.\n"
        "  - If the bastion was rebuilt, compare the new key on the bastion itself, then set\n"
        "    satellite:bastion.host_key.\n"
    )
    assert (bastion.logins, bastion.refused, bastion.forwarded) == (0, 0, [])


def test_nobody_listens_behind_the_bastion(bastion: SshServer) -> None:
    port = free_port()
    done = look(bastion, port)
    # in the words of the bastion's sshd; this one is a Python program
    assert done.stderr == (
        f"worker-1 (127.0.0.1, port {port}) cannot be reached by SSH through the bastion "
        f"127.0.0.1, tried for 4 s: [errno 111] connect call failed ('127.0.0.1', {port}).\n"
        "  - Is machine i-0123 running? Look at its console output.\n"
        "  - Is it open to the bastion's address? SSH is open to: 10.0.0.5/32. "
        "(satellite:ssh_cidrs)\n"
        "  - Did its address change? `pulumi refresh` reads it again.\n"
        "  - Is it dead? Say so, and nothing waits for it any more:\n"
        "      satellite lost worker-1\n"
        "    By Pulumi alone, which deploys the branch's head, too:\n"
        "      pulumi config set --path 'satellite:hosts.worker-1.lost' true && pulumi up\n"
    )


def test_a_peer_behind_the_bastion_that_stays_silent(bastion: SshServer) -> None:
    with peer() as port:
        done = look(bastion, port)
    assert "tried for 4 s: no answer: packets are dropped, or the peer accepts" in done.stderr


def test_a_host_without_an_address_is_not_asked_for(bastion: SshServer) -> None:
    done = look(bastion, 22, seconds=1, SATELLITE_ADDRESS="")
    assert "tried for 1 s: it has no such address; see satellite:connect" in done.stderr
    assert bastion.forwarded == []


def test_no_bastion_is_there(bastion: SshServer) -> None:
    port = free_port()
    done = look(bastion, 22, SATELLITE_BASTION_PORT=str(port))
    assert done.stderr == (
        f"The bastion (127.0.0.1, port {port}) on the way to worker-1 cannot be reached by SSH, "
        "tried for 4 s: connection refused.\n"
        "  worker-1 itself was not tried.\n"
        "  - Is the bastion running, and is its SSH port open to this computer?\n"
        "  - Is satellite:bastion right about its address and port?\n"
    )


def refused(bastion: SshServer, why: str) -> str:
    return (
        f"The bastion (127.0.0.1, port {bastion.port}) answers as itself, but is no way to "
        f"worker-1: {why}.\n"
        "  worker-1 itself was not tried. The key is satellite:private_key, or with "
        "satellite:ssh_agent\n"
        "  one that `ssh-add -l` shows here; the user is satellite:bastion.user, or "
        "satellite:ssh_user.\n"
    )


def test_a_bastion_that_knows_another_key(bastion: SshServer) -> None:
    done = look(bastion, 22, key=OTHER.private)
    assert done.stderr == refused(bastion, "it does not let tester log in with this key")
    assert bastion.refused == 1


def test_a_bastion_that_lets_nobody_further(bastion: SshServer) -> None:
    bastion.forwards = False
    done = look(bastion, 22)
    why = "its sshd forbids the way on: set AllowTcpForwarding yes (or local)"
    assert done.stderr == refused(bastion, why)


def test_a_text_that_is_no_key(bastion: SshServer) -> None:
    done = look(bastion, 22, key="canary")
    assert "ssh-add does not take satellite:private_key" in done.stderr
    assert "canary" not in done.stderr


def test_whoever_waits_no_longer_ends_a_look_through_the_bastion(
    bastion: SshServer, tmp_path: Path
) -> None:
    interrupted = tmp_path / "interrupted"
    start = time.monotonic()
    with peer(came=interrupted.touch) as port:
        done = look(bastion, port, PATIENT, seconds=600, **{INTERRUPTED: str(interrupted)})
        left = subprocess.run(["pgrep", "-f", f"ssh .*{port}"], capture_output=True, check=False)
    assert time.monotonic() - start < 60
    said = "worker-1 is waited for no longer: the update was interrupted\n"
    assert (done.returncode, done.stderr, left.stdout) == (1, said, b"")
