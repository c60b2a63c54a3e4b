"""The Pulumi CLI, run to its end: what it prints, or its own error line and what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HINTS = {
    "no stack named": "make it: pulumi stack init NAME",
    "no stack selected": "say which: STACK=NAME for make, --stack NAME for satellite; or select it:"
    " pulumi stack select NAME",
    "passphrase must be set": "it is the one that this stack began with",
    "invalid YAML file": "that of the stack, Pulumi.NAME.yaml: git diff shows what came in",
    "incorrect passphrase": "PULUMI_CONFIG_PASSPHRASE should be what this stack began with",
}
"""What to do about an error of the CLI, by a part of its text."""


NOWHERE = "no Pulumi.yaml here or above: run this in its folder"


class ConfigError(Exception):
    """The text says what is wrong, and what to do."""


def pulumi(*arguments: str, stdin: str = "") -> str:
    """What the CLI prints; its error line, and what to do about it, as a ConfigError."""
    done = subprocess.run(
        [cli(), *arguments, "--non-interactive", "--color", "never"],
        input=stdin.encode(),  # as it is, or not at all
        # as short as it lives, it has no need to collect its garbage: a third less time
        env={"GOGC": "off", **os.environ},
        capture_output=True,
        check=False,
    )
    # its own language, whatever this machine writes
    out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    if done.returncode:
        raise ConfigError(explained(err.strip().removeprefix("error: ")))
    return out


def explained(said: str) -> str:
    """An error of the CLI, what to do about it, and what there is instead."""
    if "no Pulumi.yaml" in said:  # its own advice would have one begin a project
        return NOWHERE
    others = _stacks() if "no stack named" in said else ""
    return hinted(said) + (f"\n  known here: {others}" if others else "")


def hinted(said: str) -> str:
    """An error of the CLI, and what to do about it."""
    return "\n  ".join([said, *(hint for part, hint in HINTS.items() if part in said)])


def _stacks() -> str:
    """The names of those that there are; empty where nobody can tell."""
    try:
        return ", ".join(stack["name"] for stack in json.loads(pulumi("stack", "ls", "--json")))
    except (ConfigError, ValueError):
        return ""


def selected() -> str:
    """The name of the selected stack; ConfigError where none is."""
    return pulumi("stack", "--show-name").strip()


def config(*place: str, secrets: bool = True) -> dict[str, Any]:
    """All settings by their full names, as the CLI tells them.

    `place`: its words for which stack, or file. Without `secrets` the values of those are not
    there, and it answers in a third of the time: nothing is decrypted.
    """
    shown = ("--show-secrets",) if secrets else ()
    found: dict[str, Any] = json.loads(pulumi("config", "--json", *shown, *place))
    return found


def cli() -> str:
    """Where it is; ConfigError where it is not."""
    if not (found := shutil.which("pulumi")):
        raise ConfigError("pulumi is not on PATH: https://www.pulumi.com/docs/install/")
    return found


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """For a run of the program: its Python is this one, whichever comes first on PATH."""
    return {**environ, "PATH": f"{Path(sys.executable).parent}:{environ.get('PATH', '')}"}
