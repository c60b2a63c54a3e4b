"""The inputs of a remote resource, and how its command ended: what needs no SSH library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.standins.provider import Failure
from lab.standins.values import SIGNATURE, Properties, secret

DEFAULTS: Properties = {"user": "root", "port": 22, "dialErrorLimit": 10, "perDialTimeout": 15}
Heard = Callable[[str, str], None]  # (stream's name, line with its newline)


@dataclass(frozen=True)
class Variable:
    """An environment variable; a `required` one that the server refuses fails the command."""

    name: str
    value: str
    required: bool


@dataclass(frozen=True)
class Ended:
    """How a command ended: `failure` is empty when it exited with status 0."""

    failure: str
    stdout: str
    stderr: str


def checked(inputs: Properties, failures: list[Failure]) -> Properties:
    """The inputs with the connection's defaults filled in, and the whole of it a secret."""
    connection = inputs.get("connection")
    if connection is None:
        failures.append(("connection", "missing required property"))
        return inputs
    bare = connection
    if isinstance(connection, dict) and SIGNATURE in connection:
        bare = connection["value"]
    if not isinstance(bare, dict):
        return inputs  # not known yet
    if bare.get("host") is None:
        failures.append(("connection.host", "missing required property"))
    bare = {**DEFAULTS, **bare}
    if isinstance(bare.get("proxy"), dict):
        bare["proxy"] = {**DEFAULTS, **bare["proxy"]}
    return {**inputs, "connection": secret(bare)}
