"""The settings of one stack, by the Pulumi CLI: secrets go to it on its standard input."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from satellite_infra.settings import ENCRYPTED, NAMESPACE

HINTS = {
    "no stack named": "make it: pulumi stack init NAME",
    "no stack selected": "say which: STACK=NAME",
    "no Pulumi.yaml": "run this in the folder of Pulumi.yaml",
    "passphrase must be set": "it is the one that this stack began with",
    "incorrect passphrase": "PULUMI_CONFIG_PASSPHRASE should be what this stack began with",
}
"""What to do about an error of the CLI, by a part of its text."""


class ConfigError(Exception):
    """The text says what is wrong, and what to do."""


@dataclass(frozen=True)
class Config:
    """The settings of one stack, by the Pulumi CLI."""

    stack: str

    @classmethod
    def of(cls, stack: str) -> Config:
        """That stack's, or the selected one's where the name is empty."""
        return cls(stack or _pulumi("stack", "--show-name").strip())

    def known(self) -> dict[str, str]:
        """What is set; a secret's value is not shown."""
        found = json.loads(_pulumi("config", "--json", "--stack", self.stack))
        values = {key.removeprefix(f"{NAMESPACE}:"): item for key, item in found.items()}
        given = {key: item.get("value", "[secret]") for key, item in values.items()}
        return {key: value for key, value in given.items() if value != ""}

    def get(self, key: str) -> str:
        """One value, a secret one decrypted."""
        return _pulumi("config", "get", f"{NAMESPACE}:{key}", "--stack", self.stack)

    def put(self, key: str, value: str) -> None:
        """Set one value, encrypted where it has to be."""
        kind = "--secret" if key in ENCRYPTED else "--plaintext"
        _pulumi("config", "set", kind, f"{NAMESPACE}:{key}", "--stack", self.stack, stdin=value)

    def config_vars(self) -> dict[str, str]:
        """The config vars that are set, secret ones decrypted; numbers and the like as text."""
        found = json.loads(_pulumi("config", "--json", "--show-secrets", "--stack", self.stack))
        text = found.get(f"{NAMESPACE}:config", {}).get("value") or "{}"
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in json.loads(text).items()}

    def put_config_var(self, name: str, value: str) -> None:
        """Set one config var, encrypted."""
        key = f"{NAMESPACE}:config.{name}"
        # the CLI takes one newline from the end
        _pulumi(
            "config", "set", "--secret", "--path", key, "--stack", self.stack, stdin=f"{value}\n"
        )

    def remove(self, key: str) -> None:
        """Forget one value."""
        _pulumi("config", "rm", f"{NAMESPACE}:{key}", "--stack", self.stack)

    def state(self) -> dict[str, Any]:
        """What the last `pulumi up` left, secrets encrypted."""
        text = _pulumi("stack", "export", "--stack", self.stack)
        found: dict[str, Any] = json.loads(text)["deployment"]
        return found


def _pulumi(*arguments: str, stdin: str = "") -> str:
    """What the CLI prints; its error line, and what to do about it, as a ConfigError."""
    if not (cli := shutil.which("pulumi")):
        raise ConfigError("pulumi is not on PATH: https://www.pulumi.com/docs/install/")
    done = subprocess.run(
        [cli, *arguments, "--non-interactive", "--color", "never"],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().removeprefix("error: ")
        hints = [f"\n  {hint}" for part, hint in HINTS.items() if part in said]
        raise ConfigError(said + "".join(hints))
    return done.stdout
