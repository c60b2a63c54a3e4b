"""The agent's command line, whatever surrounds it."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from satellite_infra.agent import cli, compiled, frontend, units

PROJECT = Path(__file__).parents[2]


def test_the_apps_user_gets_into_what_a_careful_login_makes() -> None:
    before = os.umask(0o077)
    try:
        with pytest.raises(SystemExit):
            cli.main(["--help"])
        assert os.umask(0o077) == 0o022
    finally:
        os.umask(before)


class FullDisk(io.StringIO):
    """A log that takes no line."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_stops_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", FullDisk())
    cli._say("the way back goes on")


def test_every_kind_of_request_has_its_verb() -> None:
    assert set(cli.UNIT_VERBS.values()) == set(frontend.KINDS)


HEAVY = {"argparse", "bz2", "dataclasses", "http.client", "inspect", "socket", "ssl", "tempfile"}
HEAVY |= {"shutil", "urllib.request", "zipfile"}


@pytest.mark.parametrize(
    ("module", "more"),
    [
        ("cli", {"subprocess", "_hashlib"}),
        ("notes", {"subprocess", "_hashlib", "satellite_infra.agent.release_manifest"}),
        ("frontend", {"subprocess", "_hashlib", "threading", "satellite_infra.agent.ledger"}),
        ("workers", {"subprocess", "_hashlib", "satellite_infra.agent.bootstrap_manifest"}),
        ("jobs", {"subprocess", "_hashlib", "pkgutil"}),
        ("release_unit", {"_hashlib", "pkgutil", "threading", "html", "base64"}),
        ("state", {"subprocess"}),
    ],
)
def test_what_a_release_starts_loads_nothing_heavy(module: str, more: set[str]) -> None:
    """Six starts of a host's Python were half of a release that builds nothing."""
    code = f"import sys, satellite_infra.agent.{module}; print(*sys.modules)"
    argv = [sys.executable, "-S", "-c", code]
    run = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=PROJECT)
    assert f"satellite_infra.agent.{module}" in run.stdout.split()
    assert not (HEAVY | more) & set(run.stdout.split())


@pytest.mark.parametrize("verb", cli.PLAIN)
def test_what_programs_say_is_read_as_the_parser_reads_it(verb: str) -> None:
    values = {"number": "2.1", "result": "/run/result"}
    words = [
        word
        for name in cli.PLAIN[verb].names
        for word in (f"--{name}", values.get(name, f"a {name}"))
    ]
    plain = cli._plain([verb, *words])
    assert plain is not None
    assert vars(plain) == vars(cli._parser().parse_args([verb, *words]))


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["work"],
        ["work", "--help"],
        ["work", "--app", "shop", "--type", "worker"],
        ["work", "--app", "shop", "--type", "worker", "--number"],
        ["work", "--app", "shop", "--type", "worker", "--number", "one"],
        ["work", "--type", "worker", "--app", "shop", "--number", "1"],
        ["status", "--app", "shop", "more"],
        ["status", "--app", "shop", "--app", "shop"],
        ["logs", "--app", "shop"],
    ],
)
def test_what_people_say_is_left_to_the_parser(argv: list[str]) -> None:
    assert cli._plain(argv) is None


def launcher(place: Path, **modules: str) -> list[str]:
    """A command line that starts an agent of these modules as the one on a host is started."""
    (place / "agent").mkdir()
    for name, text in modules.items():
        (place / f"agent/{name}.py").write_text(text)
    installed = 'os.path.realpath("/usr/local/lib/satellite/current")'
    text = units.template("launcher")
    assert installed in text
    program = place / "launcher"
    program.write_text(text.replace(installed, repr(str(place))))
    _, options = text.partition("\n")[0].split()
    return [sys.executable, options, str(program), "status"]


@pytest.mark.parametrize(
    ("main", "status", "said"),
    [
        ("print('done', end=''); return 0", 0, "done"),
        ("print('why', end='', file=sys.stderr); return 1", 1, "why"),
        ("sys.exit('usage')", 1, "usage\n"),
    ],
)
def test_the_launcher_ends_as_its_verb_did(
    main: str, status: int, said: str, tmp_path: Path
) -> None:
    argv = launcher(tmp_path, cli=f"import sys\ndef main(argv):\n    {main}\n")
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (status, said)
    with Path("/dev/full").open("w") as full:  # as Python itself ends then
        assert subprocess.run(argv, stdout=full, stderr=full, check=False).returncode == 120
    closed = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *argv]
    run = subprocess.run(closed, capture_output=True, text=True, check=False)
    assert (run.returncode, "Traceback" in run.stderr) == (status, False)


MODULE = f"text = {'words ' * 2000!r}\n"
MAIN = """
def main(argv):
    from agent import late
    print(len(light.text + late.text))
    return 0
"""


def test_a_disk_that_was_full_for_a_moment_breaks_no_start(tmp_path: Path) -> None:
    """Python keeps what it has compiled, and may have left a part of it, also a start before."""
    late = f"from agent import light\n{MODULE}"
    argv = launcher(
        tmp_path,
        light=f"{MODULE}def install() -> None: ...",
        late=late,
        cli=f"from agent import light\n{MODULE}{MAIN}",
    )
    full = ["/bin/sh", "-c", 'ulimit -f 4; exec "$@"', "sh"]  # blocks of 512 bytes

    def said() -> str:
        run = subprocess.run(argv, capture_output=True, text=True, check=False)
        return run.stdout + run.stderr

    assert subprocess.run([*full, *argv], capture_output=True, check=False).returncode == 0
    assert said() == "24000\n"
    kept = tmp_path / "agent/__pycache__"
    assert not kept.exists()
    made = compiled.make(tmp_path / "agent")
    assert len(made) == len(list(kept.iterdir())) == 3
    assert said() == "24000\n"
    for size in (4096, 20, 16, 3, 0):
        for path in kept.iterdir():
            os.truncate(path, size)
        assert said() == "24000\n"
    for path in kept.iterdir():
        path.write_bytes(path.read_bytes().ljust(5000, b"\0"))
    assert said() == "24000\n"
