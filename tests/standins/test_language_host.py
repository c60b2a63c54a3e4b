"""The language host: how the typed CLI runs a program, and what a person sees when it fails."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from tests.standins.project import Project

pytestmark = pytest.mark.engine

CANARY = "canary-77aa01"


def program(project: Project, text: str) -> Path:
    """Make this the program."""
    path = project.folder / "__main__.py"
    path.write_text(text)
    return path


def test_configuration_reaches_the_program_and_secrets_stay_secret(project: Project) -> None:
    project.cli("config", "set", "plain", "visible")
    project.cli("config", "set", "--secret", "hidden", CANARY)
    project.cli("config", "set", "--path", "nested.list[0]", "1")
    program(
        project,
        "import pulumi\n"
        "config = pulumi.Config()\n"
        "for name in ('plain', 'nested'):\n"
        "    pulumi.export(name, config.require_object(name) if name == 'nested'"
        " else config.require(name))\n"
        "pulumi.export('hidden', config.require_secret('hidden'))\n"
        "pulumi.export('where', [pulumi.get_project(), pulumi.get_stack(),"
        " pulumi.get_organization()])\n",
    )
    ran = project.up()
    assert ran.status == 0
    assert project.outputs() == {
        "plain": "visible",
        "hidden": CANARY,
        "nested": {"list": [1]},
        "where": ["standins", "test", "organization"],
    }
    assert CANARY not in ran.text + project.state_text()


def test_the_program_imports_its_neighbours_runs_in_its_folder_and_may_print(
    project: Project,
) -> None:
    (project.folder / "neighbour.py").write_text("VALUE = 'imported'\n")
    program(
        project,
        "import os, sys, neighbour, pulumi\n"
        "print('to out', neighbour.VALUE)\n"
        "print('to err', file=sys.stderr)\n"
        "pulumi.export('folder', os.getcwd())\n"
        "pulumi.export('python', sys.executable)\n"
        "pulumi.export('standins', [p for p in sys.path if 'standins/language' in p])\n"
        "pulumi.export('preview', pulumi.runtime.is_dry_run())\n",
    )
    ran = project.up()
    lines = [line.strip() for line in ran.text.splitlines()]
    assert [line for line in ("to out imported", "to err") if line not in lines] == []
    assert project.outputs() == {
        "folder": str(project.folder),
        "python": shutil.which("python3", path=project.environment["PATH"]),
        "standins": [],
        "preview": False,
    }


def test_an_exception_shows_the_programs_own_frames(project: Project) -> None:
    path = program(project, "def broken():\n    raise ValueError('of no use')\n\n\nbroken()\n")
    ran = project.preview()
    assert ran.status == 1
    shown = ran.text[ran.text.index("error: Program failed") :]
    files = [line.split('"')[1] for line in shown.splitlines() if line.strip().startswith("File ")]
    assert set(files) == {str(path)}
    assert "ValueError: of no use" in shown


def test_a_run_error_shows_its_message_alone(project: Project) -> None:
    program(project, "import pulumi\nraise pulumi.RunError('two problems:\\n  one\\n  two')\n")
    ran = project.preview()
    assert ran.status == 1
    assert "error: two problems:\n      one\n      two" in ran.text
    assert "Traceback" not in ran.text


def test_a_missing_setting_is_named(project: Project) -> None:
    program(project, "import pulumi\npulumi.Config().require('repository')\n")
    ran = project.preview()
    assert ran.status == 1
    assert "Missing required configuration variable 'standins:repository'" in ran.text


def test_a_programs_own_exit_status_fails_the_run(project: Project) -> None:
    program(project, "import sys\nsys.exit(3)\n")
    ran = project.preview()
    assert ran.status == 1
    assert "program exited with non-zero exit code: 3" in ran.text


def test_no_program(project: Project) -> None:
    (project.folder / "__main__.py").unlink()
    assert project.preview().status == 1


def test_a_failed_resource_brings_no_traceback_and_leaves_no_settings(project: Project) -> None:
    own = project.folder.parent / "own-tmp"
    own.mkdir()
    project.environment["TMPDIR"] = str(own)
    program(
        project,
        "from pulumi_command import local\n"
        "import atexit, time, pulumi\n"
        "atexit.register(time.sleep, 1)\n"
        "bad = local.Command('bad', create='exit 4')\n"
        "local.Command('after', create='true', opts=pulumi.ResourceOptions(depends_on=[bad]))\n",
    )
    ran = project.up()
    assert (ran.status, ran.errors) == (1, ['exit status 4: running "exit 4":'])
    assert "Traceback" not in ran.text
    assert [path.name for path in own.glob("pulumi-run-*")] == []


def test_the_projects_own_environment_is_used_where_it_names_one(project: Project) -> None:
    folder = project.folder / "own" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").write_text(f'#!/bin/sh\nOWN=yes exec {shlex.quote(sys.executable)} "$@"\n')
    (folder / "python").chmod(0o755)
    settings = project.folder / "Pulumi.yaml"
    settings.write_text(
        "name: standins\nruntime: {name: python, options: {toolchain: pip, virtualenv: own}}\n"
    )
    program(project, "import os, pulumi\npulumi.export('own', os.environ.get('OWN'))\n")
    assert project.up().status == 0
    assert project.outputs() == {"own": "yes"}


def test_about_and_install(project: Project) -> None:
    program(project, "")
    assert f"version='{sys.version.split()[0]}'" in project.cli("about")
    project.cli("install")
