"""Files and links are whole or absent, whoever looks and whatever dies."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from satellite_infra.agent import storage


def test_write_says_whether_it_changed_something(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    assert [storage.write(path, text) for text in ("x", "x", "y")] == [True, False, True]
    assert path.read_text() == "y"
    assert path.stat().st_mode & 0o777 == 0o600
    assert storage.write(path, "y", 0o644)
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["b"]


def test_what_is_not_there_is_removed_from_a_disk_that_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to("nowhere")

    def fixed(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "unlink", fixed)
    assert not storage.remove(tmp_path / "b")
    for name in ("a", "link"):
        with pytest.raises(OSError, match="Read-only file system"):
            storage.remove(tmp_path / name)


def test_who_owns_a_file_is_put_right_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, given, there = tmp_path / "a", [], []

    def fchown(_: int, *owner: int) -> None:
        given.append(owner)
        there.append(path.exists())

    monkeypatch.setattr(os, "fchown", fchown)
    mine = (os.geteuid(), os.getegid())
    other = (mine[0] + 1, mine[1])
    assert storage.write(path, "x")
    assert not storage.write(path, "x", owner=mine)
    storage.remove(path)
    assert storage.write(path, "x", owner=other)
    assert (given, there) == ([mine, other], [False, False])
    assert storage.same(path, "x", 0o600)
    assert not storage.same(path, "x", 0o600, other)
    monkeypatch.setattr(os, "getegid", lambda: mine[1] + 1)
    assert storage.write(path, "x")  # its own content and mode, and somebody else's file


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    storage.write(path, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        storage.write(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_thousand_switches_under_a_reader(tmp_path: Path) -> None:
    releases = [tmp_path / "1", tmp_path / "2"]
    for release in releases:
        release.mkdir()
        (release / "REVISION").write_text(release.name)
    link = tmp_path / "current"
    storage.point(link, releases[0])
    seen: set[str] = set()
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                seen.add((link / "REVISION").read_text())
            except OSError as problem:
                wrong.append(str(problem))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1000):
        storage.point(link, releases[(number + 1) % 2])
    done.set()
    reader.join()
    assert wrong == []
    assert seen == {"1", "2"}


def test_a_directory_is_made_right_but_not_through_a_link(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    assert storage.directory(mine, 0o700)
    assert not storage.directory(mine, 0o700)
    theirs = tmp_path / "theirs"
    theirs.mkdir(0o700)
    (tmp_path / "link").symlink_to(theirs)
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        match = f"^{tmp_path / name} should be a directory, and no link; to have it on another disk"
        with pytest.raises(ValueError, match=match):
            storage.directory(tmp_path / name, 0o755)
    assert theirs.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("full", "parents", "mounted", "roots", "given"),
    [
        pytest.param(True, False, False, True, False, id="the app may have moved it there"),
        pytest.param(True, False, False, False, True, id="of a machine with other numbers"),
        pytest.param(False, False, False, True, True, id="an empty one gives nothing away"),
        pytest.param(True, True, False, True, True, id="in root's directory only root moves"),
        pytest.param(True, False, True, True, True, id="what root mounted there"),
    ],
)
def test_what_root_has_in_it_is_not_given_to_who_may_have_moved_it_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    full: bool,
    parents: bool,
    mounted: bool,
    roots: bool,
    given: bool,
) -> None:
    log, fstat = tmp_path / "log", os.fstat
    log.mkdir(0o700)
    if full:
        (log / "secret").touch()
    app = (os.geteuid() + int(parents), os.getegid())
    owners: list[tuple[int, ...]] = []

    def another(handle: int) -> os.stat_result:
        found = fstat(handle)
        device = found.st_dev + int(mounted)
        whose = found.st_uid + (7 if roots else 8)
        changed = (found.st_mode, found.st_ino, device, found.st_nlink, whose)
        return os.stat_result((*changed, *found[5:]))

    monkeypatch.setattr(storage, "ROOT", os.geteuid() + 7)
    monkeypatch.setattr(os, "fstat", another)
    monkeypatch.setattr(os, "fchown", lambda _, *owner: owners.append(owner))
    if given:
        assert storage.directory(log, 0o755, app)
    else:
        match = f"^{log} is not empty, and root's: chown it where its content is the app's"
        with pytest.raises(ValueError, match=match):
            storage.directory(log, 0o755, app)
    assert owners == [app] * given
    assert log.stat().st_mode & 0o777 == (0o755 if given else 0o700)


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    order: list[str] = []
    entered = threading.Event()

    told: list[str] = []

    def tell(holder: str) -> None:
        told.append(holder)
        entered.set()

    def second() -> None:
        with storage.locked(tmp_path / "lock", "release of 2 by bob", tell):
            order.append("second")

    with storage.locked(tmp_path / "lock", "release of 1 by ada"):
        thread = threading.Thread(target=second)
        thread.start()
        assert entered.wait(10)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert len(told) == 1
    assert re.fullmatch(r"release of 1 by ada, since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told[0])
    assert storage.holder(tmp_path / "lock") == "other work"


@pytest.mark.parametrize("default", [None, {}, [], 0], ids=repr)
@pytest.mark.parametrize("text", ["", '[{"a": ', "\0" * 64, "\xff", "null", '"text"'], ids=repr)
def test_a_file_that_holds_no_json_or_another_kind_is_named(
    text: str, default: object, tmp_path: Path
) -> None:
    path = tmp_path / "good.json"
    assert storage.read_json(path, default) == default
    path.write_text(text, "latin-1")
    whole = text in ("null", '"text"') and default is None
    named = f"^{path} cannot be read: "
    with contextlib.nullcontext() if whole else pytest.raises(ValueError, match=named):
        storage.read_json(path, default)
    for kind in (dict, list) if whole else ():
        with pytest.raises(ValueError, match=f"{named}it should hold a JSON (object|array)$"):
            storage.read_json(path, kind=kind)


def test_who_has_a_limit_waits_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with storage.locked(path, "release of 1"):
        began = time.monotonic()
        with (
            pytest.raises(storage.HeldError, match=r"^release of 1, since \S+Z$"),
            storage.locked(path, "stop of workers", limit=0.3),
        ):
            pytest.fail("it was held")
        assert 0.3 <= time.monotonic() - began < 10
        assert storage.holder(path).startswith("release of 1, since")
    with storage.locked(path, "stop of workers", limit=0):
        assert storage.holder(path).startswith("stop of workers, since")


def test_a_holder_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = os.fork()
    if not child:
        with storage.locked(path, "release of 1 by ada"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert storage.holder(path).startswith("release of 1 by ada")  # nobody could take it back
    with storage.locked(path, "release of 2 by bob", pytest.fail):
        assert storage.holder(path).startswith("release of 2 by bob, since ")


@pytest.mark.parametrize("knows", [True, False])
def test_what_is_nameless_goes_with_its_program(
    knows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def of_a_disk(path: object, flags: int, *rest: Any, **more: Any) -> int:
        if not knows and flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return opened(path, flags, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", of_a_disk)
    with storage.nameless(tmp_path) as file:
        path = Path(f"/proc/self/fd/{file.fileno()}")
        path.write_text("an archive")
        assert path.read_text() == "an archive"
        assert path.stat().st_mode & 0o777 == 0o600
        assert not list(tmp_path.iterdir())


def test_a_directory_goes_with_all_that_is_in_it_and_no_link_is_followed(tmp_path: Path) -> None:
    empty, full, link = (tmp_path / name for name in ("empty", "full", "link"))
    empty.mkdir()
    (full / "more").mkdir(parents=True)
    (full / "more/file").write_text("")
    for path in (empty, full, full):  # the last is not there
        storage.remove_tree(path)
        assert not path.exists()
    empty.mkdir()
    link.symlink_to(empty)
    with pytest.raises(OSError, match="symbolic link"):
        storage.remove_tree(link)
    assert empty.is_dir()
