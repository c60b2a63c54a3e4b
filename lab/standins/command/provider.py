"""The command provider's plugin process."""

from __future__ import annotations

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


main = CommandProvider.serve
