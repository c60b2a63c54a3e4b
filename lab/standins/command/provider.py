"""The command provider's plugin process."""

from __future__ import annotations

import ctypes.util
from importlib import import_module

from lab.standins.command.commands import LocalCommand, RemoteCommand
from lab.standins.command.copy import CopyToRemote
from lab.standins.provider import Provider


class CommandProvider(Provider):
    """The resources of pulumi-command that this project uses."""

    version = "1.2.1"
    resources = {  # noqa: RUF012 - the base class says ClassVar
        "command:remote:Command": RemoteCommand,
        "command:remote:CopyToRemote": CopyToRemote,
        "command:local:Command": LocalCommand,
    }

    @classmethod
    def load(cls) -> None:
        """Load the SSH library, which only a command on a host needs."""
        # it would start a compiler to look for a library of new ciphers; nothing here asks for them
        ctypes.util.find_library = _nowhere
        import_module("lab.standins.command.process")
        import_module("lab.standins.command.connection")


def _nowhere(name: str) -> str | None:
    del name
    return None


main = CommandProvider.serve
