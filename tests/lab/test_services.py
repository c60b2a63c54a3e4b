"""git.lab, db.lab and apt, from inside the lab and from a machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from lab.client import Lab, LabHost

pytestmark = pytest.mark.lab

URL = os.environ.get("LAB_GIT_URL", "")


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=cwd, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with one commit on main, pushed; 8 MB, so that the transfer takes many packets."""
    work = tmp_path_factory.mktemp("work")
    git("clone", "--quiet", URL, ".", cwd=work)
    (work / "big").write_bytes(os.urandom(8 << 20))
    git("add", ".", cwd=work)
    git("commit", "--quiet", "-m", "first", cwd=work)
    git("push", "--quiet", "origin", "HEAD:main", cwd=work)
    return work


def test_push_and_fetch(work: Path, tmp_path: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=work)
    assert git("ls-remote", URL, "main", cwd=work) == f"{head}\trefs/heads/main"
    git("clone", "--quiet", URL, str(tmp_path / "again"), cwd=work)
    assert (tmp_path / "again/big").read_bytes() == (work / "big").read_bytes()


def test_a_commit_is_fetched_by_its_id(work: Path, tmp_path: Path) -> None:
    first = git("rev-parse", "HEAD", cwd=work)
    git("commit", "--quiet", "--allow-empty", "-m", "second", cwd=work)
    git("push", "--quiet", "origin", "HEAD:main", cwd=work)
    git("init", "--quiet", cwd=tmp_path)
    git("fetch", "--quiet", "--depth=1", URL, first, cwd=tmp_path)
    assert git("rev-parse", "FETCH_HEAD", cwd=tmp_path) == first


def test_a_host_fetches_with_the_deploy_key(work: Path, host: LabHost) -> None:
    key, known = (Path(os.environ[n]) for n in ("LAB_DEPLOY_KEY", "LAB_GIT_KNOWN_HOSTS"))
    host.run("umask 077; cat >/root/key", input=key.read_text())
    host.run("cat >/root/known", input=known.read_text())
    ssh = "ssh -i /root/key -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/root/known"
    fetched = host.run(f"GIT_SSH_COMMAND={shlex.quote(ssh)} git ls-remote {URL} refs/heads/main")
    assert fetched.stdout.split() == [git("rev-parse", "HEAD", cwd=work), "refs/heads/main"]


def test_git_refuses_strangers(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-f", str(tmp_path / "key")], check=True)
    ssh = f"/usr/bin/ssh -F none -i {tmp_path}/key -o BatchMode=yes -o StrictHostKeyChecking=no"
    environment = os.environ | {"GIT_SSH_COMMAND": f"{ssh} -o UserKnownHostsFile=/dev/null"}
    refused = subprocess.run(
        ["git", "ls-remote", URL], env=environment, text=True, capture_output=True
    )
    assert refused.returncode == 128
    assert "Permission denied" in refused.stderr


def test_git_runs_nothing_else() -> None:
    ssh = os.environ["GIT_SSH_COMMAND"].split()
    for command in ("", "id", "git-upload-pack /../state", "git-upload-pack /nosuch.git"):
        refused = subprocess.run(
            [*ssh, "-T", "git@git.lab", *([command] if command else [])],
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        assert refused.returncode == 128, command
        assert refused.stderr.startswith("git.lab: no "), refused.stderr


def test_sql_from_inside(lab: Lab) -> None:
    lab.sql("CREATE TABLE IF NOT EXISTS lab_test (n int, t text)")
    lab.sql("INSERT INTO lab_test VALUES (%s, %s)", 1, "ä")
    assert lab.sql("SELECT * FROM lab_test") == [(1, "ä")]
    lab.sql("DROP TABLE lab_test")


def test_sql_from_a_host(host: LabHost) -> None:
    query = "psql -At $URL -c \"SELECT current_user || ' ' || host(inet_client_addr())\""
    shown = host.run(f"URL={os.environ['LAB_DATABASE_URL']}; {query}")
    assert shown.stdout == f"app {host.address}\n"
    refused = host.run("psql postgresql://app:wrong@db.lab/app -c 'SELECT 1'", check=False)
    assert "password authentication failed" in refused.stderr


@pytest.mark.slow
def test_apt_installs_a_package(host: LabHost) -> None:
    host.run("apt-get -qq update")
    host.run("DEBIAN_FRONTEND=noninteractive apt-get -qq install -y hello")
    assert host.run("hello").stdout == "Hello, world!\n"


def test_the_relay_leads_nowhere_else(host: LabHost) -> None:
    assert host.run("getent hosts example.com", check=False).returncode == 2
    unknown = host.run("timeout 2 bash -c '</dev/tcp/198.51.100.1/80'", check=False)
    assert unknown.returncode == 124
