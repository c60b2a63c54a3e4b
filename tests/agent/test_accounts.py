"""Who may log in as whom; and as whom jobs run."""

from __future__ import annotations

import pwd
import shutil
from pathlib import Path

import pytest

from satellite_infra.agent import accounts
from tests.agent.machine import KEY, Machine, new_machine, preparation

DEPLOYER, ADA, BOB = KEY.format(1, "deployer"), KEY.format(2, "ada"), KEY.format(3, "bob")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return new_machine(tmp_path / "machine", monkeypatch)


def block(*keys: str) -> str:
    lines = ["# satellite shop begin", *keys, "# satellite shop end"] if keys else []
    return "".join(f"{line}\n" for line in lines)


def found(machine: Machine) -> dict[str, str]:
    """Each user's authorized_keys."""
    paths = (machine.root / "home").glob("*/.ssh/authorized_keys")
    return {path.parts[-3]: path.read_text() for path in sorted(paths)}


def test_jobs_do_not_run_as_a_user_of_the_system(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = pwd.struct_passwd(("mail", "x", 8, 8, "", "/var/mail", "/usr/sbin/nologin"))
    monkeypatch.setattr(pwd, "getpwnam", lambda _: entry)
    with pytest.raises(ValueError, match="mail is a user of this machine already"):
        accounts.user(preparation(machine, app="mail"))


def test_the_team_gets_in_as_both_users_and_the_deployer_as_one(machine: Machine) -> None:
    for team in ((ADA, BOB), (BOB,), ()):
        host = preparation(machine, authorized_keys=team)
        accounts.user(host)
        for step in (accounts.login_keys, accounts.app_keys):
            assert [step(host), step(host)] == [True, False]
        assert found(machine) == {"admin": block(DEPLOYER, *team), "shop": block(*team)}


def test_where_the_login_user_is_another_one_the_former_keeps_no_key(machine: Machine) -> None:
    ubuntu = machine.root / "home/ubuntu"
    ubuntu.mkdir()

    def steps(user: str) -> list[bool]:
        host = preparation(machine, user=user)
        return [accounts.login_keys(host), accounts.login_keys(host)]

    assert steps("admin") == [True, False]
    assert found(machine) == {"admin": block(DEPLOYER, ADA)}
    assert steps("ubuntu") == [True, False]
    assert found(machine) == {"admin": "", "ubuntu": block(DEPLOYER, ADA)}
    shutil.rmtree(ubuntu)
    assert steps("admin") == [True, False]
    assert found(machine) == {"admin": block(DEPLOYER, ADA)}
    with pytest.raises(LookupError, match="this machine has no user ubuntu to log in as"):
        steps("ubuntu")
