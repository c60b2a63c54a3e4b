"""What a commit is made of: submodules at their recorded commits, files in Git LFS."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import mirror as mirror_module
from satellite_infra.agent import prune, source
from satellite_infra.agent import system as system_module
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.mirror import FetchError, Mirror, resolved
from satellite_infra.agent.release import Release, ReleaseError, Request
from satellite_infra.agent.system import CommandError
from tests.agent.conftest import FakeSystem, Killed, Origin, request

# keeps what it is asked for in the mirror, as git-lfs does; `version` says that it is there;
# of each commit it lists one file, whose name is the commit's
GIT_LFS = """#!/bin/sh
case $1 in
version) exec echo git-lfs/3.3.0 ;;
fetch)
    [ "$2" = origin ] && echo "$3" >"$GIT_DIR/lfs-of"
    git config remote.origin.url >"$GIT_DIR/lfs-from"
    ;;
ls-files) [ "$2" = --long ] && echo "$3 - a.bin" ;;
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
        layout.repository / "gc.pid",
        layout.repository / "objects/pack/tmp_pack_1",
        layout.repository / "objects/pack/.tmp-1-pack-1.pack",
    ]
    for lock in locks:
        lock.touch()
    assert (checked_out(second) / "a").read_text() == "2"
    assert not any(lock.exists() for lock in locks)
    # that commit alone: not the history, as where a server refuses to serve a commit by its hash
    assert second in (layout.repository / "shallow").read_text().split()


def held(layout: Layout) -> set[str]:
    """The commits that the mirror has refs for."""
    refs = ["git", f"--git-dir={layout.repository}", "for-each-ref", "--format=%(refname:lstrip=2)"]
    return {*subprocess.run(refs, capture_output=True, text=True, check=True).stdout.split()}


def deploy(layout: Layout, system: FakeSystem, wanted: Request) -> list[str]:
    """What it said."""
    said: list[str] = []
    Release(layout, system, said.append).run(wanted)
    return said


def test_the_mirror_has_what_the_releases_on_disk_are_made_of_and_grows_no_further(
    tmp_path: Path,
    origin: Origin,
    layout: Layout,
    system: FakeSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, run = 1 << 20, system.run
    collected: list[str] = []

    def noted(argv: Sequence[str], *rest: Any, **options: Any) -> None:
        collected.extend(argument for argument in argv if argument == "gc")
        run(argv, *rest, **options)

    monkeypatch.setattr(system, "run", noted)
    monkeypatch.setattr(mirror_module, "SPARE", 0)
    inner = Origin(tmp_path / "inner")
    inner.commit()
    add_submodule(origin, inner, "../inner", "vendor/inner")
    commits: list[str] = []
    parts: dict[str, set[str]] = {}
    other = Layout("other", layout.root)  # another app has a mirror of its own
    for number in range(12):
        (inner.path / "model").write_bytes(os.urandom(size))
        recorded = inner.commit()
        origin.git("-C", "vendor/inner", "fetch", "--quiet")
        origin.git("-C", "vendor/inner", "checkout", "--quiet", recorded)
        commits.append(origin.commit(number=str(number)))
        parts[commits[-1]] = {commits[-1], recorded}
        wanted = request(origin, commits[-1])
        if not number:
            source.fetch(other, wanted.manifest, system, print)
        deploy(layout, system, wanted)
        assert held(layout) == set().union(*(parts[commit] for commit in commits[-2:]))
        packs = (layout.repository / "objects" / "pack").glob("*.pack")
        # twice what it has to have
        assert sum(path.stat().st_size for path in packs) < 4.2 * size
    assert 1 < len(collected) < 8
    assert held(other) == parts[commits[0]]

    for place in (origin, inner):
        place.path.rename(tmp_path / f"{place.path.name}-away")
    for commit in commits[-2:]:
        # of other config vars it is made anew, of what is in the mirror
        wanted = request(origin, commit)._replace(config={"TOKEN": "canary-2"})
        deploy(layout, system, wanted)
        model = layout.current / "vendor/inner/model"
        assert model.stat().st_size == size
    with pytest.raises(ReleaseError, match=f"did not give {commits[0][:12]}"):
        deploy(layout, system, request(origin, commits[0]))


def test_what_another_release_is_made_of_stays_as_long_as_it_is_in_use(
    origin: Origin, layout: Layout, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = [origin.commit(a="0")]
    deploy(layout, system, request(origin, commits[0], keep_releases=1))
    used = {str(Ledger(layout).current())}
    monkeypatch.setattr(prune, "in_use", lambda *_: used)
    monkeypatch.setattr(mirror_module, "SPARE", 0)
    for number in range(1, 4):
        commits.append(origin.commit(a=str(number)))
        deploy(layout, system, request(origin, commits[-1], keep_releases=1))
    assert held(layout) == {commits[0], commits[-1]}
    used.clear()
    commits.append(origin.commit(a="4"))
    deploy(layout, system, request(origin, commits[-1], keep_releases=1))
    assert held(layout) == {commits[-1]}


def test_some_that_nobody_needs_may_stay_for_a_while(
    origin: Origin, layout: Layout, system: FakeSystem
) -> None:
    commits: list[str] = []
    for number in range(mirror_module.SPARE + 1):
        commits.append(origin.commit(a=str(number)))
        deploy(layout, system, request(origin, commits[-1], keep_releases=1))
    assert held(layout) == {*commits}
    commits.append(origin.commit(a="last"))
    deploy(layout, system, request(origin, commits[-1], keep_releases=1))
    assert held(layout) == {commits[-1]}


def forget(layout: Layout, commit: str) -> None:
    """Have the mirror hold that commit no more."""
    ref = f"refs/satellite/{commit}"
    subprocess.run(["git", f"--git-dir={layout.repository}", "update-ref", "-d", ref], check=True)


def half_collected(origin: Origin, layout: Layout) -> None:
    """Have one file of the last commit gone, as a git leaves it that is killed while it prunes."""
    (pack,) = (layout.repository / "objects" / "pack").glob("*.pack")
    loose = pack.rename(layout.root / pack.name)
    pack.with_suffix(".idx").unlink()
    unpack = ["git", f"--git-dir={layout.repository}", "unpack-objects", "-q"]
    subprocess.run(unpack, input=loose.read_bytes(), check=True)
    blob = origin.git("rev-parse", "HEAD:a")
    (layout.repository / "objects" / blob[:2] / blob[2:]).unlink()


def test_a_server_that_serves_no_commit_by_its_hash_is_asked_for_its_branches(
    origin: Origin, layout: Layout, checked_out: Callable[[str], Path]
) -> None:
    origin.git("config", "uploadpack.allowAnySHA1InWant", "false")
    (layout.state / ".gitconfig").write_text("[protocol]\nversion = 0\n")  # newer ones serve any
    first = origin.commit(a="0")
    checked_out(first)
    commit = origin.commit(a="1")
    origin.git("commit", "--quiet", "--allow-empty", "-m", "another")
    assert (checked_out(commit) / "a").read_text() == "1"
    assert held(layout) == {first, commit, "main"}


def test_one_of_which_some_is_gone_here_and_there_is_not_taken_for_whole(
    origin: Origin, layout: Layout, checked_out: Callable[[str], Path]
) -> None:
    commit = origin.commit(a="1")
    checked_out(commit)
    forget(layout, commit)
    half_collected(origin, layout)
    origin.git("config", "uploadpack.allowAnySHA1InWant", "false")
    (layout.state / ".gitconfig").write_text("[protocol]\nversion = 0\n")
    (origin.path / "a").write_text("2")
    origin.git("commit", "--quiet", "--all", "--amend", "-m", "another")
    with pytest.raises(FetchError, match=f"has no commit {commit} on any branch"):
        checked_out(commit)


@pytest.mark.parametrize("whole", [True, False])
def test_a_commit_that_is_held_no_more_is_fetched_only_where_some_of_it_is_gone(
    whole: bool,
    origin: Origin,
    layout: Layout,
    tmp_path: Path,
    checked_out: Callable[[str], Path],
) -> None:
    commit = origin.commit(a="1")
    checked_out(commit)
    forget(layout, commit)
    if whole:
        origin.path.rename(tmp_path / "away")
    else:
        half_collected(origin, layout)
    shutil.rmtree(layout.releases / commit[:7])
    assert (checked_out(commit) / "a").read_text() == "1"
    assert held(layout) == {commit}


def test_a_mirror_that_cannot_be_tidied_decides_no_release(
    origin: Origin, layout: Layout, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = system.run

    def late(argv: Sequence[str], *rest: Any, **options: Any) -> None:
        if "gc" in argv:
            raise CommandError(f"`git` did not end within {options['timeout']} s")
        run(argv, *rest, **options)

    monkeypatch.setattr(system, "run", late)
    monkeypatch.setattr(mirror_module, "SPARE", 0)
    for number in range(3):
        commit = origin.commit(a=f"{number}{os.urandom(20000).hex()}")
        said = deploy(layout, system, request(origin, commit, keep_releases=1))
    assert said[-1] == "the mirror keeps what no release needs: `git` did not end within 60 s"
    assert Ledger(layout).history()[-1]["outcome"] == "good"


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
    system: FakeSystem,
    checked_out: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror_module, "SPARE", 0)
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

    objects = layout.repository / "lfs" / "objects" / "aa" / "bb"
    objects.mkdir(parents=True)
    deploy(layout, system, request(origin, revision, keep_releases=1))
    (objects / revision).touch()
    new = origin.commit(a__bin="another\n")
    (objects / new).touch()
    deploy(layout, system, request(origin, new, keep_releases=1))
    assert [path.name for path in objects.iterdir()] == [new]


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
