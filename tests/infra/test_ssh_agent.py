"""The operator's SSH agent is asked before anything is touched; a preview only warns."""

from __future__ import annotations

import socket
from pathlib import Path

import pulumi
import pytest

from satellite_infra.host_identity import host_identity
from satellite_infra.key_text import fingerprint
from satellite_infra.ssh_agent import agent_problem
from tests.ssh_agent import ssh_agent

from .conftest import LOGIN, LOGIN_PUBLIC, SEED, stack_values
from .program import run

UNSET = "SSH_AUTH_SOCK is not set: start ssh-agent, or set satellite:private_key"


def values() -> dict[str, str]:
    """The stack's settings with the login key in an agent."""
    return {k: v for k, v in stack_values().items() if k != "private_key"} | {"ssh_agent": "true"}


def test_an_agent_that_holds_the_key_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_agent(tmp_path / "agent", host_identity(SEED, "x").private, LOGIN) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        assert agent_problem(LOGIN_PUBLIC) is None
        ran = run(values())
        assert str(path) not in str(ran)
    for urn, resource in ran.resources.items():
        if "remote" in urn:
            assert resource["inputs"]["connection"]["SECRET"].keys() == {
                *("dialErrorLimit", "host", "hostKey", "perDialTimeout", "port", "user")
            }


def test_no_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert agent_problem(LOGIN_PUBLIC) == UNSET
    with pytest.raises(pulumi.RunError, match=UNSET):
        run(values())
    assert len(run(stack_values()).resources) == 19  # where the key is in the stack, nobody asks
    left = str(tmp_path / "left")
    monkeypatch.setenv("SSH_AUTH_SOCK", left)
    gone = f"no SSH agent answers at {left} (SSH_AUTH_SOCK): start ssh-agent"
    assert agent_problem(LOGIN_PUBLIC) == gone
    with socket.socket(socket.AF_UNIX) as nobody:  # as a killed agent leaves it
        nobody.bind(left)
        assert agent_problem(LOGIN_PUBLIC) == gone


@pytest.mark.parametrize("held", [(), (host_identity(SEED, "x").private,)])
def test_an_agent_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: tuple[str, ...]
) -> None:
    with ssh_agent(tmp_path / "agent", *held) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        assert agent_problem(LOGIN_PUBLIC) == (
            f"the SSH agent does not hold satellite:public_key, {fingerprint(LOGIN_PUBLIC)}: "
            "ssh-add ITS_FILE"
        )


@pytest.mark.parametrize("others", [5, 6])
def test_an_agent_with_too_many_keys_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    before = [host_identity(SEED, f"key {n}").private for n in range(others)]
    with ssh_agent(tmp_path / "agent", *before, LOGIN) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        problem = agent_problem(LOGIN_PUBLIC)
    assert problem == (
        None
        if others == 5
        else "the SSH agent offers 6 other keys before satellite:public_key, and sshd hangs up "
        "after 6: use an agent with fewer (ssh-add -d FILE)"
    )


def test_who_only_previews_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    assert len(run(values(), preview=True).resources) == 19
    assert warned == [f"{UNSET}; `pulumi up` will not begin without"]
