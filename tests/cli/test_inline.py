"""Which way the engine takes to the program, and what the program is in this process."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from satellite_cli import inline
from tests.cli.conftest import Desk
from tests.cli.test_change import changing as changing


def project(folder: Path, text: str) -> Path:
    (folder / "Pulumi.yaml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("runtime: python", ""),
        ("runtime: {name: python}", ""),
        ("runtime: {name: python, options: {toolchain: pip}}", ""),
        (f"runtime: {{name: python, options: {{virtualenv: {sys.prefix}}}}}", ""),
        ("runtime: nodejs", "another runtime than python"),
        ("", "another runtime than python"),
        ("runtime:\tpython", "Pulumi.yaml is no YAML"),
        ("runtime: python\n---\n", "Pulumi.yaml is no YAML"),
        ("runtime: {name: python, options: {virtualenv: venv}}", "another virtualenv than"),
        ("runtime: {name: python, options: {toolchain: uv}}", "runtime.options of Pulumi.yaml: uv"),
        ("runtime: {name: python, options: {typechecker: mypy}}", "typechecker"),
    ],
)
def test_it_is_run_here_where_it_is_the_same(tmp_path: Path, text: str, why: str) -> None:
    found = inline.impossible(project(tmp_path, text))
    assert (why in found) if why else not found


def test_another_satellite_infra_is_the_engines_to_run(tmp_path: Path) -> None:
    folder = project(tmp_path, "runtime: python")
    (folder / "satellite_infra").mkdir()
    (folder / "satellite_infra/__init__.py").touch()
    assert "another than this command's" in inline.impossible(folder)


def test_the_engine_is_told_where_the_program_is(changing: Desk) -> None:
    assert changing.satellite("up", "--yes").err == ""
    words = next(words for words in changing.engine() if words[0] == "up")
    assert any(word.startswith("--client=127.0.0.1:") for word in words)
    assert words[words.index("--exec-kind") + 1] == "auto.inline"


def test_or_it_starts_the_program_itself_and_why_is_said(changing: Desk) -> None:
    project(changing.place, "runtime: nodejs")
    assert changing.satellite("up", "--yes").err == (
        "the engine starts the program itself, which takes longer: Pulumi.yaml names another "
        "runtime than python\n"
    )
    words = next(words for words in changing.engine() if words[0] == "up")
    assert not any(word.startswith("--client") for word in words)


def test_what_the_program_prints_goes_to_standard_error_and_its_modules_end_with_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from satellite_cli import program

    (tmp_path / "helper_of_the_program.py").write_text("count = []\n")
    (tmp_path / "__main__.py").write_text(
        "import os, sys, helper_of_the_program as helper\n"
        "helper.count.append(1)\n"
        "print(len(helper.count), os.getcwd(), sys.argv)\n"
    )

    def run() -> None:
        with program.as_its_own(str(tmp_path), str(tmp_path)):
            program.execute(str(tmp_path))

    with ThreadPoolExecutor(1) as thread:
        thread.submit(run).result()
        thread.submit(run).result()
    out, err = capfd.readouterr()
    assert (out, err.splitlines()) == ("", [f"1 {tmp_path} ['{tmp_path}']"] * 2)


def test_errors_of_the_program_are_told_without_a_traceback() -> None:
    import pulumi

    from satellite_cli.program import told

    assert told(pulumi.RunError("2 problems:\n  satellite:app: is missing")) == (
        "2 problems:\n  satellite:app: is missing"
    )
    assert told(RuntimeError("Resource monitor has terminated, shutting down")) == ""
    assert told(ZeroDivisionError("division by zero")) == (
        "the program failed: ZeroDivisionError: division by zero (pulumi preview shows where)"
    )


def test_what_the_sdk_does_not_promise_is_as_it_was() -> None:
    """Fails where the pinned SDK has moved what satellite_cli/program.py uses."""
    import inspect

    from pulumi.runtime import reset_options, run_in_stack, set_all_config, stack
    from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
    from pulumi.runtime.proto import language_pb2, language_pb2_grpc

    assert _GRPC_CHANNEL_OPTIONS
    waits = inspect.getsource(stack.wait_for_rpcs)
    assert "await asyncio.wait(" in waits
    assert "return_when=asyncio.FIRST_COMPLETED" in waits
    assert list(inspect.signature(run_in_stack).parameters) == ["func"]
    assert list(inspect.signature(set_all_config).parameters) == ["config", "secret_keys"]
    known = {"project", "stack", "root_directory", "parallel", "engine_address"}
    known |= {"monitor_address", "preview", "organization"}
    assert set(inspect.signature(reset_options).parameters) >= known
    assert {"GetPluginInfo", "GetRequiredPackages", "Run"} <= set(
        dir(language_pb2_grpc.LanguageRuntimeServicer)
    )
    fields = set(language_pb2.RunRequest.DESCRIPTOR.fields_by_name)
    assert fields >= {"info", "args", "config", "configSecretKeys", "dryRun", "monitor_address"}


def test_a_value_that_fails_is_told_at_once_and_all_are_waited_for() -> None:
    import asyncio

    from pulumi.runtime import stack

    from satellite_cli.program import quick

    ended: list[str] = []

    async def value(seconds: float, name: str) -> str:
        await asyncio.sleep(seconds)
        if name == "bad":
            raise RuntimeError(name)
        ended.append(name)
        return name

    async def waited(*names: str) -> None:
        """What the SDK does at a program's end, with values of its own."""
        its = vars(stack)["asyncio"]
        tasks = [its.ensure_future(value(n * 0.05, name)) for n, name in enumerate(names)]
        done, _ = await its.wait(tasks, return_when=its.FIRST_COMPLETED)
        for task in done:
            await task

    with quick(), contextlib.closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(waited("first", "second"))
        assert ended == ["first", "second"]
        with pytest.raises(RuntimeError):
            loop.run_until_complete(waited("third", "bad", "last"))
        assert ended == ["first", "second", "third"]
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop)))
    assert vars(stack)["asyncio"] is asyncio
