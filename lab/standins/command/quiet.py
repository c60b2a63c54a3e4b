"""The command provider with hosts that do not exist: every command has ended well, at once.

For measuring what the engine and the program do for many hosts; nothing is run and nobody reached.
"""

from __future__ import annotations

import secrets

from lab.standins.command.commands import LocalCommand, RemoteCommand
from lab.standins.command.copy import CopyToRemote
from lab.standins.command.inputs import Ended, Heard, Variable
from lab.standins.command.provider import CommandProvider
from lab.standins.values import Properties

SAID = "worker-1: release 549114064c60 is good: worker=2\n"


class QuietRemoteCommand(RemoteCommand):
    """Says what a release says."""

    def run(self, command: str, inputs: Properties, env: list[Variable], heard: Heard) -> Ended:
        return Ended("", SAID, "")


class QuietLocalCommand(LocalCommand):
    """Says nothing."""

    def run(self, command: str, inputs: Properties, env: list[Variable], heard: Heard) -> Ended:
        return Ended("", "", "")


class QuietCopy(CopyToRemote):
    """Copies nothing."""

    def create(self, inputs: Properties) -> tuple[str, Properties]:
        return secrets.token_hex(4), inputs


class QuietProvider(CommandProvider):
    """The same resources, without hosts."""

    resources = {  # noqa: RUF012 - the base class says ClassVar
        "command:remote:Command": QuietRemoteCommand,
        "command:remote:CopyToRemote": QuietCopy,
        "command:local:Command": QuietLocalCommand,
    }

    @classmethod
    def load(cls) -> None:
        """Nothing: nobody is reached."""


main = QuietProvider.serve
