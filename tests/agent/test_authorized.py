"""Who may log in: our block is what was declared, and what others wrote stays."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from satellite_infra.agent import authorized
from satellite_infra.agent.authorized import authorize, key_of, merged

OLD, NEW, ADA, BOB, EVE = (
    f"ssh-ed25519 AAAA{name} {name}" for name in ("old", "new", "ada", "bob", "eve")
)
CLOUD_INIT = OLD + "\n"  # as EC2 gives it to the image's user at launch


def block(*lines: str, app: str = "shop") -> str:
    return "".join(
        f"{line}\n" for line in (f"# satellite {app} begin", *lines, f"# satellite {app} end")
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a login user who is this process's."""
    entry = pwd.struct_passwd(
        ("admin", "x", os.getuid(), os.getgid(), "", str(tmp_path / "home"), "/bin/sh")
    )
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {"admin": entry}[name])
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (OLD, "AAAAold"),
        ("  ssh-rsa\tAAAAr+/= a comment", "AAAAr+/="),
        ("sk-ssh-ed25519@openssh.com AAAAsk", "AAAAsk"),
        ("ecdsa-sha2-nistp256 AAAAe", "AAAAe"),
        ('no-pty,command="echo \\"ssh-rsa AAAAx\\" ssh-rsa AAAAy" ssh-ed25519 AAAAz', "AAAAz"),
        (f"from=10.0.0.0/8 {OLD}\r", "AAAAold"),
        ("# " + OLD, None),
        ("", None),
        ("a note", None),
    ],
)
def test_the_key_of_a_line(line: str, key: str | None) -> None:
    assert key_of(line) == key


@pytest.mark.parametrize(
    ("before", "lines", "after"),
    [
        pytest.param("", [OLD], block(OLD), id="nothing there"),
        pytest.param(CLOUD_INIT, [OLD], CLOUD_INIT + block(OLD), id="given at launch"),
        pytest.param(OLD, [OLD], CLOUD_INIT + block(OLD), id="no newline at the end"),
        pytest.param("", [OLD, BOB, ADA], block(OLD, BOB, ADA), id="order"),
        pytest.param("", [OLD, ADA, "ssh-ed25519 AAAAold x"], block(OLD, ADA), id="once"),
        pytest.param(
            CLOUD_INIT + block(OLD) + EVE + "\n",
            [OLD, NEW],
            CLOUD_INIT + block(OLD, NEW) + EVE + "\n",
            id="the first half of a rotation",
        ),
        pytest.param(
            CLOUD_INIT + block(OLD, NEW) + EVE + "\n",
            [NEW],
            block(NEW) + EVE + "\n",
            id="the second half: cloud-init's line goes, a stranger's stays",
        ),
        pytest.param(
            f"# notes\n\n{ADA}\n\tssh-rsa AAAAada other\n" + block(OLD, ADA, BOB),
            [OLD, BOB],
            "# notes\n\n" + block(OLD, BOB),
            id="a person who was removed",
        ),
        pytest.param(
            CLOUD_INIT + block(OLD, ADA, app="other") + block(OLD, ADA),
            [NEW],
            CLOUD_INIT + block(OLD, ADA, app="other") + block(NEW),
            id="another app still declares them",
        ),
        pytest.param(
            CLOUD_INIT + block(OLD, app="other") + block(NEW),
            [NEW],
            CLOUD_INIT + block(OLD, app="other") + block(NEW),
            id="not ours to remove",
        ),
        pytest.param(block(OLD) + block(ADA), [NEW], block(NEW), id="a second block of ours"),
        pytest.param(CLOUD_INIT + block(OLD, ADA), [], "", id="nobody any more"),
        pytest.param(
            "# satellite shop begin\n" + EVE + "\n",
            [NEW],
            EVE + "\n" + block(NEW),
            id="a begin without an end is no block",
        ),
        pytest.param(
            "# satellite shop begin\n" + EVE + "\n" + block(OLD),
            [NEW],
            EVE + "\n" + block(NEW),
            id="the block ends before a stranger's line",
        ),
        pytest.param(
            "# satellite shop end\n" + EVE + "\n", [NEW], EVE + "\n" + block(NEW), id="an end alone"
        ),
        pytest.param(
            "# satellite shop beginning\n", [], "# satellite shop beginning\n", id="no mark of ours"
        ),
        pytest.param("\udcff\r\n", [NEW], "\udcff\r\n" + block(NEW), id="any bytes"),
    ],
)
def test_what_becomes_of_a_file(before: str, lines: list[str], after: str) -> None:
    assert merged(before, "shop", lines) == after
    assert merged(after, "shop", lines) == after


def test_the_file_is_the_users_and_closed_to_others(home: Path) -> None:
    path = home / ".ssh/authorized_keys"
    assert [authorize("admin", "shop", [OLD]) for _ in range(2)] == [True, False]
    assert path.read_text() == block(OLD)
    path.parent.chmod(0o777)
    path.chmod(0o666)
    assert [authorize("admin", "shop", [OLD]) for _ in range(2)] == [True, False]
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path)]
    assert modes == [0o700, 0o600]
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes())
    assert authorize("admin", "shop", [NEW])
    assert path.read_bytes() == b"\xff\xfe\n" + block(NEW).encode()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_nothing_is_made_where_nobody_shall_log_in(home: Path) -> None:
    assert not authorize("admin", "shop", [])
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", [".ssh", ".ssh/authorized_keys"])
def test_a_link_is_not_followed(home: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "authorized_keys").write_text("not ours")
    link = home / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere if name == ".ssh" else elsewhere / "authorized_keys")
    with pytest.raises(ValueError, match=f"{link} should be a .*, and no link"):
        authorize("admin", "shop", [OLD])
    assert (elsewhere / "authorized_keys").read_text() == "not ours"


@pytest.mark.parametrize("name", ["authorized_keys", "of-root"])
def test_what_is_roots_is_not_given_to_whoever_moved_it_there(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """But it is put right where a person has made it as root, for its keys alone."""
    (home / ".ssh").mkdir()
    (home / ".ssh" / name).touch()
    entry = pwd.getpwnam("admin")
    given: list[tuple[int, ...]] = []
    other = pwd.struct_passwd((*entry[:2], entry.pw_uid + 1, *entry[3:]))
    monkeypatch.setattr(pwd, "getpwnam", lambda _: other)
    monkeypatch.setattr(os, "fchown", lambda _, *owner: given.append(owner))
    if name == "authorized_keys":
        assert authorize("admin", "shop", [OLD])
        assert given == [(other.pw_uid, other.pw_gid)] * 2
        return
    match = f"^{home}/.ssh is not empty, and root's: chown it where its content is admin's"
    with pytest.raises(ValueError, match=match):
        authorize("admin", "shop", [OLD])
    assert given == []


@pytest.mark.parametrize("kind", ["fifo", "hard link", "directory"])
def test_only_a_plain_file_is_read(home: Path, tmp_path: Path, kind: str) -> None:
    path = home / ".ssh/authorized_keys"
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        (tmp_path / "shadow").write_text("not ours")
        path.hardlink_to(tmp_path / "shadow")
    with pytest.raises(ValueError, match=f"{path} should be a file, and no link"):
        authorize("admin", "shop", [OLD])


@pytest.mark.parametrize("call", ["open", "fchmod", "fsync", "replace"])
def test_killed_at_any_step_the_file_is_whole_and_the_next_run_ends_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    class Killed(BaseException):
        """Stands for SIGKILL: no handler of the program sees it."""

    path = home / ".ssh/authorized_keys"
    path.parent.mkdir()
    path.write_text(CLOUD_INIT + block(OLD, NEW))
    real = getattr(os, call)

    def killed(*args: object, **kwargs: object) -> object:
        if call != "open" or args[0] == authorized.TEMPORARY:
            raise Killed
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, killed)
        with pytest.raises(Killed):
            authorize("admin", "shop", [NEW])
    assert path.read_text() == CLOUD_INIT + block(OLD, NEW)
    assert authorize("admin", "shop", [NEW])
    assert path.read_text() == block(NEW)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
