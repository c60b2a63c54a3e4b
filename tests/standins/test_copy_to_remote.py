"""The command provider's copies: what is copied where, and when again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.standins.project import Made, Project
from tests.standins.ssh_server import SshServer

pytestmark = pytest.mark.engine


def copy(ssh: SshServer, source: dict[str, Any], target: Path, **more: Any) -> Made:
    arguments = {
        "connection": ssh.connection(),
        "source": source,
        "remote_path": str(target),
        **more,
    }
    return Made("copy", "pulumi_command.remote.CopyToRemote", arguments)


def test_a_file_is_copied_again_only_for_new_content_path_or_triggers(
    project: Project, ssh: SshServer, tmp_path: Path
) -> None:
    local, remote = tmp_path / "local.bin", ssh.home / "deep" / "remote.bin"
    local.write_bytes(b"\x00\xff one")
    project.declare(copy(ssh, {"$file": str(local)}, remote))
    assert project.up().steps == {"copy": ["create"]}
    assert remote.read_bytes() == b"\x00\xff one"

    remote.write_bytes(b"changed over there")
    assert project.up().steps == {}
    connection = {"connection": ssh.connection(user="other")}
    project.declare(copy(ssh, {"$file": str(local)}, remote, **connection))
    logins = ssh.logins
    assert project.up().steps == {"copy": ["update"]}
    assert (ssh.logins, remote.read_bytes()) == (logins, b"changed over there")

    local.write_bytes(b"two")
    project.declare(copy(ssh, {"$file": str(local)}, remote))
    assert project.up().steps == {"copy": ["update"]}
    assert remote.read_bytes() == b"two"

    moved = ssh.home / "moved.bin"
    project.declare(copy(ssh, {"$file": str(local)}, moved))
    assert project.up().steps == {"copy": ["update"]}
    assert moved.read_bytes() == remote.read_bytes() == b"two"  # nothing is removed

    moved.unlink()
    project.declare(copy(ssh, {"$file": str(local)}, moved, triggers=["new machine"]))
    replaced = project.up()
    assert replaced.steps == {"copy": ["create-replacement", "replace", "delete-replaced"]}
    assert moved.read_bytes() == b"two"
    assert project.destroy().steps == {"copy": ["delete"]}
    assert moved.exists()


def test_a_text_needs_a_file_for_its_target(project: Project, ssh: SshServer) -> None:
    project.declare(copy(ssh, {"$text": "hello\n"}, ssh.home / "greeting"))
    assert project.up().status == 0
    assert (ssh.home / "greeting").read_text() == "hello\n"

    project.declare(copy(ssh, {"$text": "hello\n"}, ssh.home))
    assert project.up().errors == [
        f"remote path {ssh.home} is a directory; when using a text asset, remotePath must be a "
        "file path"
    ]


def test_a_file_goes_into_a_folder_and_a_folder_as_scp_would(
    project: Project, ssh: SshServer, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a").write_text("a")
    (tree / "sub" / "b").write_text("b")
    into, inside = ssh.home / "into", ssh.home / "inside"
    into.mkdir()
    project.declare(copy(ssh, {"$folder": str(tree)}, into))
    assert project.up().status == 0
    project.declare(copy(ssh, {"$folder": f"{tree}/"}, inside))
    assert project.up().status == 0
    project.declare(copy(ssh, {"$file": str(tree / "a")}, inside / "sub"))
    assert project.up().status == 0
    found = {
        str(p.relative_to(ssh.home)): p.read_text() for p in ssh.home.rglob("*") if p.is_file()
    }
    assert found == {
        "into/tree/a": "a",
        "into/tree/sub/b": "b",
        "inside/a": "a",
        "inside/sub/b": "b",
        "inside/sub/a": "a",
    }


def test_an_archive_of_assets_becomes_a_folder(
    project: Project, ssh: SshServer, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "leaf").write_text("leaf")
    (tree / "link").symlink_to(tree / "leaf")
    assets = {
        "greeting": {"$text": "hello"},
        "deep/data": {"$file": str(tree / "leaf")},
        "inner": {"$folder": f"{tree}/"},
    }
    target = ssh.home / "made" / "here"
    project.declare(copy(ssh, {"$assets": assets}, target))
    assert project.up().errors == []
    found = {str(p.relative_to(target)): p.read_text() for p in target.rglob("*") if p.is_file()}
    assert found == {
        "greeting": "hello",
        "deep/data": "leaf",
        "inner/leaf": "leaf",
        "inner/link": "leaf",
    }
    assert project.up().steps == {}


def test_a_source_that_is_no_file_is_refused(project: Project, ssh: SshServer) -> None:
    project.declare(copy(ssh, {"neither": "asset"}, ssh.home / "greeting"))
    refused = project.up()
    assert refused.status == 1
    assert "either asset or archive must be set" in refused.text
    assert ssh.logins == 0
