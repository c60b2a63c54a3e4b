"""A branch becomes a commit, or the deploy stops with what git said."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pulumi
import pytest

from satellite_infra.keys import bare
from satellite_infra.revision import branch_head, revision
from satellite_infra.settings import validated
from tests.standins.ssh_server import SshServer

from .conftest import LOGIN, LOGIN_PUBLIC, REVISION, SECRET, stack_values


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    git(work, "commit", "-q", "--allow-empty", "-m", "one")
    git(work, "branch", "feature/main")
    git(work, "commit", "-q", "--allow-empty", "-m", "two")
    return work


def test_the_head_of_exactly_that_branch(repository: Path) -> None:
    # `ls-remote main` alone would find feature/main too
    assert branch_head(str(repository), "main") == git(repository, "rev-parse", "main")
    assert branch_head(str(repository), "feature/main") == git(repository, "rev-parse", "main~1")


def test_a_branch_that_is_not_there(repository: Path) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        branch_head(str(repository), "mian")
    assert str(caught.value) == f"satellite:branch: {repository} has no branch mian"


def test_a_repository_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        branch_head(str(tmp_path / "none"), "main")
    assert str(caught.value) == (
        f"satellite:branch: cannot ask {tmp_path}/none for the head of main. git says:\n"
        f"    fatal: '{tmp_path}/none' does not appear to be a git repository\n"
        "    fatal: Could not read from remote repository.\n"
        "    \n"
        "    Please make sure you have the correct access rights\n"
        "    and the repository exists.\n"
        "  Check satellite:repository, and that this machine may read it (satellite:deploy_key and "
        "satellite:known_hosts are used here too), or pin a commit: pulumi config set "
        "satellite:revision COMMIT"
    )


def test_a_server_that_never_answers_costs_the_limit_and_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ssh://git@127.0.0.1:{server.getsockname()[1]}/app.git"
        start = time.monotonic()
        with pytest.raises(pulumi.RunError, match=r"no answer within 1 s"):
            branch_head(url, "main", seconds=1)
        assert time.monotonic() - start < 60


def test_a_pinned_revision_asks_nobody() -> None:
    settings, _ = validated(stack_values(), SECRET)
    assert revision(settings) == REVISION


@pytest.mark.parametrize("folder", ["tmp", "my tmp 50%"])
def test_the_deploy_key_is_used_privately_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """A fake ssh first on PATH shows what git was told to use."""
    (tmp_path / folder).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
    shown = tmp_path / "shown"
    fake = tmp_path / "ssh"
    fake.write_text(
        "#!/bin/sh\n"
        f'exec >"{shown}"\n'
        'for word; do echo "$word"; done\n'
        "for word; do case $word in\n"
        '*/key.pub) ls "${word%/*}"; cat "$word";;\n'
        "IdentityAgent=*) SSH_AUTH_SOCK=${word#*=} ssh-add -L;;\n"
        "esac; done\n"
        "exit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    values = {
        **stack_values(),
        "repository": "git@git.example.com:shop.git",
        "revision": "",
        "deploy_key": LOGIN,
    }
    settings, _ = validated(values, SECRET)
    with pytest.raises(pulumi.RunError) as caught:
        revision(settings)
    said = shown.read_text()
    assert "BatchMode=yes" in said
    assert "StrictHostKeyChecking=yes" in said
    public = bare(LOGIN_PUBLIC)
    assert f"agent\nkey.pub\nknown_hosts\n{public}\n{public} " in said  # in no file
    key = re.search(r"^/.*/key.pub$", said, re.MULTILINE)
    assert key
    assert not Path(key[0]).exists()
    assert LOGIN.splitlines()[1] not in said + str(caught.value)


def test_the_deploy_key_opens_a_real_server(repository: Path, tmp_path: Path) -> None:
    with SshServer(tmp_path / "server") as server:
        key = server.client_key.export_private_key().decode()
        host_key = server.host_key.export_public_key().decode().strip()
        values = {
            **stack_values(),
            "repository": f"ssh://git@127.0.0.1:{server.port}{repository}",
            "revision": "",
            "deploy_key": key,
            "known_hosts": [f"[127.0.0.1]:{server.port} {host_key}"],
        }
        settings, problems = validated(values, SECRET)
        assert revision(settings) == git(repository, "rev-parse", "main"), problems
