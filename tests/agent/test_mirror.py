"""What a commit is made of: submodules at their recorded commits, files in Git LFS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import source
from satellite_infra.agent import system as system_module
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.mirror import FetchError, Mirror, resolved
from tests.agent.conftest import FakeSystem, Killed, Origin, request

# keeps what it is asked for in the mirror, as git-lfs does; `version` says that it is there
GIT_LFS = """#!/bin/sh
case $1 in
version) exec echo git-lfs/3.3.0 ;;
fetch)
    [ "$2" = origin ] && echo "$3" >"$GIT_DIR/lfs-of"
    git config remote.origin.url >"$GIT_DIR/lfs-from"
    ;;
smudge) sed "s/^/from LFS: /" ;;
*) exit 1 ;;
esac
"""


@pytest.fixture
def checked_out(layout: Layout, system: FakeSystem, origin: Origin) -> Callable[[str], Path]:
    """Fetches a commit and lays it out; the directory."""

    def lay_out(commit: str) -> Path:
        manifest = request(origin, commit).manifest
        mirror = source.fetch(layout, manifest, system, print)
        source.check_out(layout, commit[:7], mirror, system, print)
        return layout.releases / commit[:7]

    return lay_out


def add_submodule(outer: Origin, inner: Origin, url: str, path: str) -> None:
    outer.git(
        *("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "--", url, path),
    )
    outer.git("-C", path, "checkout", "--quiet", inner.git("rev-parse", "HEAD"))


def test_submodules_come_at_the_commits_that_are_recorded(
    tmp_path: Path, origin: Origin, checked_out: Callable[[str], Path], layout: Layout
) -> None:
    leaf, branch = Origin(tmp_path / "leaf"), Origin(tmp_path / "branch")
    leaf.commit(leaf="old")
    add_submodule(branch, leaf, "../leaf", "deep/leaf")
    recorded = branch.commit(branch="old")
    add_submodule(origin, branch, str(branch.path), "vendor/the branch")
    first = origin.commit(a="1")
    leaf.commit(leaf="new")
    branch.commit(branch="new")
    directory = checked_out(first)
    inside = directory / "vendor" / "the branch"
    assert (inside / "branch").read_text() == "old"
    assert (inside / "deep" / "leaf" / "leaf").read_text() == "old"
    # it is held in the mirror: another commit asks nobody for it
    refs = ["git", f"--git-dir={layout.repository}", "for-each-ref", "--format=%(refname)"]
    held = subprocess.run(refs, capture_output=True, text=True, check=True).stdout.split()
    assert f"refs/satellite/{recorded}" in held
    branch.path.rename(tmp_path / "away")
    assert (checked_out(origin.commit(a="2")) / "vendor/the branch/branch").read_text() == "old"


def test_a_submodule_that_is_not_to_be_had_is_named(
    tmp_path: Path, origin: Origin, checked_out: Callable[[str], Path]
) -> None:
    inner = Origin(tmp_path / "inner")
    commit = inner.commit()
    add_submodule(origin, inner, "../inner", "vendor/inner")
    revision = origin.commit()
    inner.path.rename(tmp_path / "away")
    with pytest.raises(
        FetchError, match=f"^{inner.path} did not give {commit[:12]}: fatal: '{inner.path}' does"
    ):
        checked_out(revision)


def test_a_commit_chooses_no_way_but_ssh_and_https(
    tmp_path: Path, origin: Origin, checked_out: Callable[[str], Path]
) -> None:
    inner = Origin(tmp_path / "inner")
    inner.commit()
    add_submodule(origin, inner, "../inner", "inner")
    marker = tmp_path / "ran"
    origin.git("config", "-f", ".gitmodules", "submodule.inner.url", f"ext::touch {marker}")
    with pytest.raises(FetchError, match="transport 'ext' not allowed"):
        checked_out(origin.commit())
    assert not marker.exists()


def test_a_release_has_each_file_as_it_is_whatever_its_archives_leave_out(
    tmp_path: Path, origin: Origin, checked_out: Callable[[str], Path]
) -> None:
    inner = Origin(tmp_path / "inner")
    text = "$Format:%H$\n"
    ignored = "spec/ export-ignore\n/.gitattributes export-ignore\n"
    rules = f"[attr]private export-ignore\n{ignored}version export-subst\ntasks private\n"
    for each in (inner, origin):
        (each.path / "spec").mkdir()
        (each.path / "spec" / "helper").write_text("h")
    inner.commit(__gitattributes=rules, version=text, tasks="t")
    add_submodule(origin, inner, "../inner", "vendor/inner")
    windows = "*.bat text eol=crlf\n"
    directory = checked_out(
        origin.commit(__gitattributes=rules + windows, version=text, tasks="t", run__bat="a\n")
    )
    for place in (directory, directory / "vendor/inner"):
        assert (place / "version").read_text() == text
        assert (place / "tasks").read_text() == "t"
        assert (place / "spec" / "helper").read_text() == "h"
        assert (place / ".gitattributes").read_text().startswith(rules)
    assert (directory / "run.bat").read_bytes() == b"a\r\n"


def test_nor_does_a_mirror_that_was_there_before_leave_files_out(
    origin: Origin, layout: Layout, checked_out: Callable[[str], Path]
) -> None:
    checked_out(origin.commit())
    (layout.repository / "info" / "attributes").unlink()
    commit = origin.commit(__gitattributes="tasks export-ignore\n", tasks="t")
    assert (checked_out(commit) / "tasks").read_text() == "t"


def test_a_commits_first_line_is_told_as_a_line(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    said = "\x1b[31mred\u202eblue\n\nMore"
    origin.git("commit", "--quiet", "--allow-empty", "-m", said)
    commit = origin.git("rev-parse", "HEAD")
    mirror = source.fetch(layout, request(origin, commit).manifest, system, print)
    assert mirror.subject() == " [31mred blue"
    assert Mirror(layout, request(origin, "a" * 40).manifest, system, print).subject() == ""


def test_what_a_killed_git_has_left_locked_is_no_dead_end(
    origin: Origin, layout: Layout, checked_out: Callable[[str], Path]
) -> None:
    checked_out(origin.commit(a="1"))
    heads = layout.repository / "refs" / "heads" / "team"
    heads.mkdir(parents=True)
    second = origin.commit(a="2")
    kept = layout.repository / "refs" / "satellite" / second
    locks = [layout.repository / f"{name}.lock" for name in ("shallow", "config", "HEAD")]
    locks += [heads / "main.lock", kept.with_name(f"{kept.name}.lock")]
    locks += [
        layout.repository / "packed-refs.lock",
        layout.repository / "objects/maintenance.lock",
    ]
    for lock in locks:
        lock.touch()
    assert (checked_out(second) / "a").read_text() == "2"
    assert not any(lock.exists() for lock in locks)
    # that commit alone: not the history, as where a server refuses to serve a commit by its hash
    assert second in (layout.repository / "shallow").read_text().split()


@pytest.mark.parametrize("left", [["HEAD"], ["config"], ["objects", "refs"], []])
@pytest.mark.parametrize("empty", [False, True])
def test_a_mirror_that_was_cut_off_while_it_was_made_is_made_anew(
    left: list[str],
    empty: bool,
    origin: Origin,
    layout: Layout,
    system: FakeSystem,
    checked_out: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = system.run

    def cut(argv: Sequence[str], *rest: Any, **options: Any) -> None:
        run(argv, *rest, **options)
        (made,) = (Path(a.partition("=")[2]) for a in argv if a.startswith("--git-dir="))
        for path in made.iterdir():
            if path.name not in left:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif empty and path.is_file():  # as a power cut leaves it
                path.write_text("")
        raise Killed

    commit = origin.commit(a="1")
    with monkeypatch.context() as patch:
        patch.setattr(system, "run", cut)
        with pytest.raises(Killed):
            checked_out(commit)
    assert (checked_out(commit) / "a").read_text() == "1"
    assert layout.repository.stat().st_mode & 0o777 == 0o700


def test_lfs_without_git_lfs_says_what_to_add(
    origin: Origin, checked_out: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (origin.path / "sub").mkdir()
    (origin.path / "sub" / ".gitattributes").write_text("*.bin filter=lfs -text\n")
    # git finds `git lfs` by PATH: one that has all but that
    monkeypatch.setattr(system_module, "PATH", _path_without_git_lfs(origin.path.parent / "bin"))
    with pytest.raises(FetchError, match="has no git-lfs: add it to satellite:packages"):
        checked_out(origin.commit())


def test_lfs_files_are_fetched_and_laid_out(
    origin: Origin,
    layout: Layout,
    checked_out: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    programs = origin.path.parent / "bin"
    path = _path_without_git_lfs(programs)
    (programs / "git-lfs").write_text(GIT_LFS)
    (programs / "git-lfs").chmod(0o755)
    monkeypatch.setattr(system_module, "PATH", path)
    revision = origin.commit(__gitattributes="*.bin filter=lfs -text\n", a__bin="pointer\n", b="b")
    directory = checked_out(revision)
    assert (directory / "a.bin").read_text() == "from LFS: pointer\n"
    assert (directory / "b").read_text() == "b"
    assert (layout.repository / "lfs-from").read_text().strip() == str(origin.path)
    assert (layout.repository / "lfs-of").read_text().strip() == revision


def _path_without_git_lfs(folder: Path) -> str:
    folder.mkdir()
    for name in ("git", "sh", "sed", "tar", "tee", "mkdir", "rm", "ln", "echo"):
        (folder / name).symlink_to(Path("/usr/bin") / name)
    return str(folder)


@pytest.mark.parametrize(
    ("base", "url", "whole"),
    [
        ("git@git.lab:team/app.git", "../lib.git", "git@git.lab:team/lib.git"),
        ("git@git.lab:app.git", "../lib.git", "git@git.lab:lib.git"),
        ("ssh://git@git.lab/app.git/", "./../lib.git", "ssh://git@git.lab/lib.git"),
        ("https://git.lab/a/b.git", "../../c/d.git", "https://git.lab/c/d.git"),
        ("https://git.lab/a/b.git", "./c.git", "https://git.lab/a/b.git/c.git"),
        ("https://git.lab/a/b.git", "git@other:c.git", "git@other:c.git"),
    ],
)
def test_relative_urls_are_the_parents(base: str, url: str, whole: str) -> None:
    assert resolved(base, url) == whole
