"""The settings of one stack, by the Pulumi CLI: secrets go to it on its standard input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from satellite_infra.settings import ENCRYPTED, NAMESPACE
from scripts.engine import ConfigError as ConfigError
from scripts.engine import config, pulumi


@dataclass(frozen=True)
class Config:
    """The settings of one stack, by the Pulumi CLI."""

    stack: str

    @classmethod
    def of(cls, stack: str) -> Config:
        """That stack's, or the selected one's where the name is empty."""
        return cls(stack or pulumi("stack", "--show-name").strip())

    def known(self) -> dict[str, str]:
        """What is set; a secret's value is not shown."""
        found = json.loads(pulumi("config", "--json", "--stack", self.stack))
        values = {key.removeprefix(f"{NAMESPACE}:"): item for key, item in found.items()}
        given = {key: item.get("value", "[secret]") for key, item in values.items()}
        return {key: value for key, value in given.items() if value != ""}

    def get(self, key: str) -> str:
        """One value, a secret one decrypted."""
        return pulumi("config", "get", f"{NAMESPACE}:{key}", "--stack", self.stack)

    def put(self, key: str, value: str) -> None:
        """Set one value, encrypted where it has to be."""
        kind = "--secret" if key in ENCRYPTED else "--plaintext"
        pulumi("config", "set", kind, f"{NAMESPACE}:{key}", "--stack", self.stack, stdin=value)

    def config_vars(self) -> dict[str, str]:
        """The config vars that are set, secret ones decrypted; numbers and the like as text."""
        found = config("--stack", self.stack)
        text = found.get(f"{NAMESPACE}:config", {}).get("value") or "{}"
        try:
            known = json.loads(text)
        except ValueError:
            known = None
        if not isinstance(known, dict):  # no value in it: it may be secret
            raise ConfigError(f"{NAMESPACE}:config: should be names with values, and is a text")
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in known.items()}

    def put_config_var(self, name: str, value: str) -> None:
        """Set one config var, encrypted."""
        key = f"{NAMESPACE}:config.{name}"
        # the CLI takes one newline from the end
        pulumi(
            "config", "set", "--secret", "--path", key, "--stack", self.stack, stdin=f"{value}\n"
        )

    def remove_config_var(self, name: str) -> None:
        """Forget one config var."""
        pulumi("config", "rm", "--path", f"{NAMESPACE}:config.{name}", "--stack", self.stack)

    def remove(self, key: str) -> None:
        """Forget one value."""
        pulumi("config", "rm", f"{NAMESPACE}:{key}", "--stack", self.stack)

    def state(self) -> dict[str, Any]:
        """What the last `pulumi up` left, secrets encrypted."""
        text = pulumi("stack", "export", "--stack", self.stack)
        found: dict[str, Any] = json.loads(text)["deployment"]
        return found
