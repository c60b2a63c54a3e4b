"""`remote.Command` and `local.Command`: what is run when, and what becomes of its output."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from typing import ClassVar

from pulumi.runtime.proto import engine_pb2

from lab.standins.command.inputs import Ended, Heard, Variable, checked
from lab.standins.provider import Failure, Resource
from lab.standins.values import UNKNOWN, Properties, plain


class Command(Resource):
    """What remote and local commands have in common.

    Changed `triggers` replace it; any other changed input runs `update`, or else `create`.
    """

    replace_on: ClassVar[frozenset[str]] = frozenset({"triggers"})
    outputs = ("stdout", "stderr")

    def run(self, command: str, inputs: Properties, env: list[Variable], heard: Heard) -> Ended:
        """Run one command; `inputs` are plain."""
        raise NotImplementedError

    def planned(self, inputs: Properties, old_state: Properties | None) -> Properties:
        return {**inputs, **dict.fromkeys(self.outputs, UNKNOWN)}

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        state = self._ran(plain(inputs).get("create"), inputs, {})
        return self.name + secrets.token_hex(4), state

    def update(
        self,
        resource_id: str,
        inputs: Properties,
        old_state: Properties,
        old_inputs: Properties,
    ) -> Properties:
        bare = plain(inputs)
        command = bare["update"] if bare.get("update") is not None else bare.get("create")
        return self._ran(command, inputs, plain(old_state))

    def delete(self, resource_id: str, state: Properties) -> None:
        bare = plain(state)
        if bare.get("delete") is not None:
            self._ran(bare["delete"], state, bare)

    def _ran(self, command: str | None, inputs: Properties, previous: Properties) -> Properties:
        """The state after running the command, if any; a failure carries its text and output."""
        bare = plain(inputs)
        before = {name: previous.get(name, "") for name in self.outputs}
        if command is None:
            return {**inputs, **before}
        wanted = bare.get(
            "logging", "stdoutAndStderr"
        ).lower()  # stdout, stderr, stdoutAndStderr, none
        both: list[str] = []

        def heard(stream: str, line: str) -> None:
            both.append(line)
            if stream in wanted:
                self.provider.log(self.urn, line.rstrip("\n"))

        ended = self.run(command, bare, _environment(bare, before), heard)
        if ended.failure:
            quoted = json.dumps(command, ensure_ascii=False)
            raise RuntimeError(f"{ended.failure}: running {quoted}:\n{''.join(both)}")
        return {
            **inputs,
            "stdout": ended.stdout.removesuffix("\n"),
            "stderr": ended.stderr.removesuffix("\n"),
        }


def _environment(inputs: Properties, before: dict[str, str]) -> list[Variable]:
    given = [Variable(k, str(v), True) for k, v in (inputs.get("environment") or {}).items()]
    if not inputs.get("addPreviousOutputInEnv", True):
        return given
    return given + [
        Variable(f"PULUMI_COMMAND_{name.upper()}", text, False)
        for name, text in before.items()
        if text
    ]


class RemoteCommand(Command):
    """A command on a host, over an SSH connection of its own."""

    def check(
        self,
        inputs: Properties,
        old_inputs: Properties,
        failures: list[Failure],
    ) -> Properties:
        return checked(inputs, failures)

    def run(self, command: str, inputs: Properties, env: list[Variable], heard: Heard) -> Ended:
        from lab.standins.command.connection import connect  # brings the SSH library along
        from lab.standins.command.process import execute

        async def session() -> Ended:
            def say(message: str) -> None:
                self.provider.log(self.urn, message)

            stdin = inputs.get("stdin") or ""
            async with connect(inputs["connection"], say) as connection:
                return await execute(connection, command, stdin, env, self._refused, heard)

        return asyncio.run(session())

    def _refused(self, variable: Variable) -> None:
        self.provider.log(
            self.urn,
            f"Unable to set '{variable.name}'. This only works if your SSH server is configured "
            "to accept these variables via AcceptEnv.",
            engine_pb2.ERROR if variable.required else engine_pb2.WARNING,
            ephemeral=False,
        )
        if variable.required:
            raise RuntimeError(
                f'could not set environment variable "{variable.name}": ssh: setenv failed'
            )


class LocalCommand(Command):
    """A command on the machine that runs the engine."""

    def check(
        self, inputs: Properties, old_inputs: Properties, failures: list[Failure]
    ) -> Properties:
        failures += [
            (key, "not in this stand-in for the command provider")
            for key in ("archivePaths", "assetPaths")
            if inputs.get(key) is not None
        ]
        return inputs

    def run(self, command: str, inputs: Properties, env: list[Variable], heard: Heard) -> Ended:
        interpreter = inputs.get("interpreter") or ["/bin/sh", "-c"]
        done = subprocess.run(
            [*interpreter, command],
            cwd=inputs.get("dir"),
            input=inputs.get("stdin") or "",
            env={**os.environ, **{variable.name: variable.value for variable in env}},
            capture_output=True,
            text=True,
            check=False,
        )
        for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
            for line in text.splitlines(keepends=True):
                heard(name, line)
        failure = f"exit status {done.returncode}" if done.returncode else ""
        return Ended(failure, done.stdout, done.stderr)
