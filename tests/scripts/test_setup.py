"""Each checkout has a `satellite` of its own, whatever becomes of the others."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from demo.waiting import wait_until
from lab import paths
from tests.programs import executable

CHECKOUT = Path(__file__).parents[2]
SHARED = "import pulumi, pathlib; print(pathlib.Path(pulumi.__file__).parents[1])"
# An interpreter with which making an environment takes its time.
WAITING = """\
#!/bin/sh
case $* in
*_base_executable*) echo "$0" ;;
"-m venv"*)
    [ ! -e {begun} ] || exit 1
    trap 'exit 1' INT
    touch {begun}
    while :; do sleep 0.1; done
    ;;
*) exec {python} "$@" ;;
esac
"""
WHERE = "import pulumi, satellite_cli; print(satellite_cli.__file__)"


def checkout(folder: Path, how: str = "--no-base") -> Path:
    """A copy that was made ready; what checkouts share is there already."""
    named = subprocess.run(
        ["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    for name in named.split("\0")[:-1]:
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)
    ready(folder, how)
    return folder


def ready(folder: Path, how: str = "--no-base", **variables: str) -> None:
    done = subprocess.run(
        ["scripts/setup", how],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def said(argv: list[str], folder: Path) -> str:
    """What it prints, without the tests' own way to find modules."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        argv, cwd=folder, env=env, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_an_environment_that_is_in_use_is_made_anew(tmp_path: Path) -> None:
    """As somebody has it who was here before: a link, and on PATH."""
    folder = checkout(tmp_path / "a checkout")
    shared = Path(said([f"{folder}/.venv/bin/python", "-c", SHARED], tmp_path)).parents[3]
    for old in ("a link", "its own"):
        if old == "a link":
            shutil.rmtree(folder / ".venv")
            (folder / ".venv").symlink_to(shared)
        else:
            (folder / ".venv/.complete").write_text("of another time")
        ready(folder, PATH=f"{folder}/.venv/bin:{os.environ['PATH']}")
        version = said([f"{folder}/.venv/bin/satellite", "--version"], tmp_path)
        assert version.startswith("satellite ")
        assert not (folder / ".venv").is_symlink()
    assert shared.is_dir()


def test_checkouts_share_packages_and_not_the_command(tmp_path: Path) -> None:
    one, other = (checkout(tmp_path / name) for name in ("one", "other"))
    for each in (one, other):
        assert said([f"{each}/.venv/bin/python", "-Pc", WHERE], tmp_path).startswith(f"{each}/")
        assert said([f"{each}/.venv/bin/satellite", "--version"], tmp_path).startswith("satellite ")
    shutil.rmtree(other)
    made = (one / ".venv/.complete").stat().st_mtime_ns
    ready(one)
    assert (one / ".venv/.complete").stat().st_mtime_ns == made  # nothing was made again
    assert said([f"{one}/.venv/bin/satellite", "--version"], tmp_path).startswith("satellite ")
    moved = one.rename(tmp_path / "moved")
    ready(moved)
    assert said([f"{moved}/.venv/bin/python", "-Pc", WHERE], tmp_path).startswith(f"{moved}/")


def test_who_deploys_needs_no_go_and_no_linter(tmp_path: Path) -> None:
    """As on a machine that has never built anything of the lab, nor the stand-in for a plugin."""
    folder = checkout(tmp_path / "one", "--command")  # what checkouts share is there from now on
    programs, cache = tmp_path / "bin", tmp_path / "cache"
    for place in (programs, cache):
        place.mkdir()
    for path in os.environ["PATH"].split(":"):
        for program in Path(path).glob("*"):
            there = programs / program.name
            unknown = program.name.startswith(("go", "pulumi", "shellcheck"))
            if not unknown and not there.is_symlink():
                there.symlink_to(program)
    for shared in paths.cache().glob("venv-*"):
        (cache / shared.name).symlink_to(shared)
    shutil.rmtree(folder / ".venv")
    ready(folder, "--command", PATH=str(programs), SATELLITE_CACHE=str(cache))
    assert said([f"{folder}/.venv/bin/satellite", "--version"], tmp_path).startswith("satellite ")
    assert not (folder / ".venv/bin/ruff").exists()
    assert (folder / "policy/.venv/bin/python").exists()


def test_what_a_developer_has_stays_where_only_the_command_is_asked_for(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "one")
    made = (folder / ".venv/.complete").stat().st_mtime_ns
    ready(folder, "--command")
    assert (folder / ".venv/.complete").stat().st_mtime_ns == made
    assert (folder / ".venv/bin/ruff").exists()
    with (folder / "pyproject.toml").open("a") as file:
        file.write("# another\n")
    ready(folder, "--command")
    assert (folder / ".venv/.complete").stat().st_mtime_ns != made
    assert (folder / ".venv/bin/ruff").exists()


def test_how_the_user_has_set_up_pip_does_not_lead_the_command_astray(tmp_path: Path) -> None:
    folder = checkout(tmp_path / "one")
    shutil.rmtree(folder / ".venv")
    settings = tmp_path / "pip.conf"
    settings.write_text("[install]\nuser = true\n")
    elsewhere = tmp_path / "elsewhere"
    ready(
        folder,
        PIP_CONFIG_FILE=str(settings),
        PIP_TARGET=str(elsewhere),
        PIP_REQUIRE_HASHES="1",
    )
    assert said([f"{folder}/.venv/bin/satellite", "--version"], tmp_path).startswith("satellite ")
    assert not elsewhere.exists()


def test_ctrl_c_ends_it_whatever_the_step_makes_of_it(tmp_path: Path) -> None:
    """As pip, which says why and ends with a status of its own."""
    begun = tmp_path / "begun"
    python = executable(
        tmp_path / "bin/python3", WAITING.format(begun=begun, python=shlex.quote(sys.executable))
    )
    env = {**os.environ, "PYTHON": str(python), "SATELLITE_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        ["scripts/setup", "--command"],
        cwd=CHECKOUT,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_until("the step has begun", begun.exists)
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert "policy" not in told


def test_without_a_home_folder_it_says_so(tmp_path: Path) -> None:
    executable(tmp_path / "getent", "#!/bin/sh\nexit 2\n")
    done = subprocess.run(
        ["scripts/setup", "--no-base"],
        cwd=CHECKOUT,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "error: this user has no home folder; set HOME to one\n"
