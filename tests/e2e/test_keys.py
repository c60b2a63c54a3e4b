"""Who gets in, and as whom the host answers, while workers go on with their jobs."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.stack import CHECKOUT
from lab.client import LabHost
from satellite_infra.key_text import normal
from satellite_infra.keys import new_private_key
from satellite_infra.ssh_agent import TRIES
from tests.e2e.conftest import PLAIN_APP, UP, Site, demolished, new_site
from tests.ssh_agent import ssh_agent

pytestmark = [pytest.mark.lab, pytest.mark.e2e]


@dataclass(frozen=True)
class Key:
    """A key pair in a file, as a person has it."""

    file: Path

    @classmethod
    def made(cls, file: Path) -> Key:
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", file.name, "-f", str(file)]
        subprocess.run(argv, check=True)
        return cls(file)

    @property
    def public(self) -> str:
        return self.file.with_suffix(".pub").read_text(encoding="utf-8").strip()

    def opens(self, host: LabHost, user: str = "admin") -> bool:
        """Whether the host lets that user in with this key and no other."""
        options = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
        options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        login = f"{user}@{host.address}"
        done = subprocess.run(
            ["/usr/bin/ssh", *options, "-i", str(self.file), login, "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or "Permission denied (publickey)" in done.stderr, done.stderr
        return done.returncode == 0


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One host with two shell workers, up."""
    site = new_site(tmp_path_factory.mktemp("keyed"), "keyed", PLAIN_APP, hosts=1, settings={})
    with demolished(site):
        site.up()
        yield site


@pytest.fixture
def login(keyed: Site) -> Key:
    """The key that the stack began with."""
    return Key(keyed.stack.project.parent / "key")


def put_secret(site: Site, key: str, value: str) -> None:
    site.stack.run("config", "set", "--secret", f"satellite:{key}", stdin=value)


def rotate(site: Site, half: str, status: int = 0) -> str:
    """What `make keys ROTATE=HALF` prints for this stack."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "satellite_stack.keys",
            "--stack",
            site.stack.name,
            "--rotate",
            half,
        ],
        cwd=site.stack.project,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def shown_keys(hosts: list[LabHost]) -> list[str]:
    """The host key of each."""
    return [host.run("cat /etc/ssh/ssh_host_ed25519_key.pub").stdout for host in hosts]


def key_pairs(site: Site) -> list[str]:
    """The ids of the stack's key pairs in EC2."""
    app = [{"Name": "tag:app", "Values": [site.app]}]
    return [pair["KeyPairId"] for pair in site.lab.ec2.describe_key_pairs(Filters=app)["KeyPairs"]]


def test_a_person_gets_in_while_the_stack_says_so(keyed: Site, tmp_path: Path, login: Key) -> None:
    host, ada = keyed.host(1), Key.made(tmp_path / "ada")
    workers = keyed.workers(host)
    assert not ada.opens(host)
    keyed.put("authorized_keys[0]", ada.public)
    assert f"+ authorized_keys.1: {ada.public}" in keyed.pulumi("preview", "--diff")
    keyed.up()
    assert (ada.opens(host), login.opens(host)) == (True, True)
    assert (ada.opens(host, "keyed"), login.opens(host, "keyed")) == (True, False)
    keyed.unset("authorized_keys[0]")
    keyed.up()
    assert (ada.opens(host), login.opens(host)) == (False, True)
    assert not ada.opens(host, "keyed")
    assert keyed.workers(host) == workers


def test_the_login_key_may_be_in_an_agent_and_nothing_of_the_agent_stays(
    keyed: Site, tmp_path: Path, login: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = login.file.read_text(encoding="utf-8")
    others = [new_private_key() for _ in range(TRIES - 1)]  # as many as sshd bears
    host = keyed.host(1)
    keyed.unset("private_key")
    keyed.put("ssh_agent", "true")
    for session in ("first", "second"):
        with ssh_agent(tmp_path / session, *others, private) as socket:
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            if session == "first":
                revision = keyed.repository.commit({"number": "with an agent"})
                keyed.up()
                assert keyed.revision(host) == revision
                logins = host.ssh_logins()
            assert "unchanged" in keyed.up()  # another session's socket is no difference
            assert host.ssh_logins() == logins
            state = keyed.pulumi("stack", "export", "--show-secrets")
            assert str(tmp_path) not in state
            assert private.splitlines()[2] not in state

    monkeypatch.delenv("SSH_AUTH_SOCK")
    keyed.repository.commit({"number": "without an agent"})
    told = "SSH_AUTH_SOCK is not set: start ssh-agent, or set satellite:private_key"
    assert told in keyed.pulumi("preview")
    assert told in keyed.fails(*UP)
    assert (keyed.revision(host), host.ssh_logins()) == (revision, logins)
    keyed.unset("ssh_agent")
    put_secret(keyed, "private_key", private)
    keyed.up()


def test_the_login_key_is_rotated_in_two_ups(keyed: Site, tmp_path: Path, login: Key) -> None:
    host, stranger = keyed.host(1), Key.made(tmp_path / "stranger")
    file = "/home/admin/.ssh/authorized_keys"
    assert login.public.split()[1] in host.run(f"head -n 1 {file}").stdout  # cloud-init's
    host.run(f"cat >> {file}", input=stranger.public + "\n")
    workers, pair = keyed.workers(host), key_pairs(keyed)

    rotate(keyed, "begin")
    following = Key(tmp_path / "next")
    following.file.touch(0o600)
    private = keyed.pulumi("config", "get", "satellite:next_private_key")
    following.file.write_text(normal(private), encoding="utf-8")
    too_early = rotate(keyed, "end", status=1)
    assert "these hosts do not let the next key in yet: keyed-1" in too_early
    keyed.up()
    assert [key.opens(host) for key in (login, following, stranger)] == [True, True, True]

    rotate(keyed, "end")
    keyed.up()
    assert [key.opens(host) for key in (login, following, stranger)] == [False, True, True]
    public = keyed.pulumi("config", "get", "satellite:public_key").strip()
    assert host.run(f"cat {file}").stdout == (
        f"# satellite keyed begin\n{public}\n# satellite keyed end\n{stranger.public}\n"
    )
    assert keyed.workers(host) == workers
    # EC2's key pair is another one; the machine, which was launched with the former, is the same
    assert len(key_pairs(keyed)) == 1
    assert key_pairs(keyed) != pair
    assert keyed.host(1).instance_id == host.instance_id
    logins = host.ssh_logins()
    assert "unchanged" in keyed.up()
    assert host.ssh_logins() == logins


def test_hosts_get_another_identity_with_another_machine(keyed: Site) -> None:
    keyed.put("names[1]", "keyed-2")
    keyed.up()
    old = keyed.hosts()
    before, workers = shown_keys(old), [keyed.workers(host) for host in old]
    put_secret(keyed, "host_key_seed", secrets.token_hex(32))
    keyed.put("reach_seconds", "10")
    told = keyed.fails(*UP)
    for part in ("keyed-1", "host key", "satellite:roll"):
        assert part in told, told
    assert [keyed.workers(host) for host in old] == workers

    keyed.put("reach_seconds", "60")
    for number in (1, 2):
        keyed.put(f"roll[{number - 1}]", f"keyed-{number}")
    keyed.up()
    new = keyed.hosts()
    assert [host.name for host in new] == ["keyed-1", "keyed-2"]
    assert not {host.instance_id for host in new} & {host.instance_id for host in old}
    assert not set(shown_keys(new)) & set(before)
    assert [len(keyed.workers(host)) for host in new] == [2, 2]
    keyed.unset("roll")
    assert "unchanged" in keyed.up()
    assert keyed.hosts() == new


def test_one_host_gets_another_identity_with_another_name(keyed: Site) -> None:
    first, second = keyed.hosts()
    workers, logins = keyed.workers(first), first.ssh_logins()
    identity = shown_keys([second])[0]
    keyed.put("names[1]", "keyed-3")
    keyed.up()
    other, third = keyed.hosts()
    assert (other, third.name) == (first, "keyed-3")
    assert len(set(shown_keys([first, third])) | {identity}) == 3
    assert (keyed.workers(first), first.ssh_logins()) == (workers, logins)
