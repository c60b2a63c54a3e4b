"""The wrapper around the command line, with a small program in Pulumi's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.failure import DemoError
from demo.stack import CHECKOUT, PROGRAM, Stack

SAYS_WHAT_IT_GOT = """
echo "arguments: $*"
echo "input: $(cat)"
echo "folder: ${PWD##*/}"
"""
EXPORT = """
echo '{"deployment": {"resources": [
  {"urn": "urn:pulumi:demo::satellite::pulumi:pulumi:Stack::satellite-demo"},
  {"urn": "urn:pulumi:demo::satellite::aws:ec2/instance:Instance::worker-1"}]}}'
"""
FAILS = """
echo 'Diagnostics:'; echo '    error: no such host' >&2
echo; echo 'Resources:'; echo '    1 errored'
exit 255
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    for name in ("bin", "logs", "project"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return Stack(tmp_path / "project", tmp_path / "logs")


def pulumi_is(stack: Stack, script: str) -> None:
    program = stack.project.parent / "bin" / "pulumi"
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)


def test_output_is_returned_heard_and_logged(stack: Stack) -> None:
    pulumi_is(stack, SAYS_WHAT_IT_GOT)
    heard: list[str] = []
    expected = [
        "arguments: up --yes --stack demo --non-interactive --color never",
        "input: words",
        "folder: project",
    ]
    assert stack.run("up", "--yes", stdin="words", hear=heard.append) == "\n".join(expected)
    assert heard == expected
    assert [(log.name, log.read_text().splitlines()) for log in stack.logs.iterdir()] == [
        ("01-pulumi-up.log", expected)
    ]


def test_a_failure_gives_the_diagnostics_and_the_log(stack: Stack) -> None:
    pulumi_is(stack, FAILS)
    with pytest.raises(DemoError) as caught:
        stack.run("destroy", "--yes")
    assert (caught.value.what, caught.value.why, caught.value.look) == (
        "`pulumi destroy --yes` ended with status 255",
        ("Diagnostics:", "    error: no such host"),
        (str(stack.logs / "01-pulumi-destroy.log"),),
    )


def test_secret_settings_go_by_stdin_only(stack: Stack) -> None:
    pulumi_is(stack, SAYS_WHAT_IT_GOT)
    stack.configure({"satellite:count": "2"}, {"satellite:config.TOKEN": "hush"})
    end = "--stack demo --non-interactive --color never"
    said = [log.read_text().splitlines()[:2] for log in sorted(stack.logs.iterdir())]
    assert said == [
        [f"arguments: config set-all --path --plaintext satellite:count=2 {end}", "input: "],
        [f"arguments: config set --secret --path satellite:config.TOKEN {end}", "input: hush"],
    ]


def test_resources_are_those_of_the_state_without_the_stack_itself(stack: Stack) -> None:
    pulumi_is(stack, EXPORT)
    assert stack.resources() == ["urn:pulumi:demo::satellite::aws:ec2/instance:Instance::worker-1"]


def test_the_copy_holds_the_program_and_nothing_of_the_team(tmp_path: Path) -> None:
    stack = Stack.copied(tmp_path / "project", tmp_path)
    assert sorted(path.name for path in stack.project.iterdir()) == sorted(PROGRAM)
    program = "__main__.py"
    assert (stack.project / program).read_bytes() == (CHECKOUT / program).read_bytes()
