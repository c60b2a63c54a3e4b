"""A bastion that was rebuilt: by the settings it is another one than the last update went through.

The stack's ssh_config is of that update, and the next one, which would change it, asks the hosts
before it begins.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

SECONDS = 5
"""Within so many the bastion of the last update shows its key, or counts as gone."""
WORD = re.compile(r"\S+")
ENTRY = re.compile(r"^Host bastion\.\S+\n(?:  .+\n)+", re.MULTILINE)
"""How the stack's ssh_config says which it is; its second entry is not about that."""


def moved(ssh_config: str, settings: Mapping[str, Any]) -> str:
    """That ssh_config by the bastion of these settings; empty where they name no other one.

    Nor where they are not right, which the program says.
    """
    try:
        named = json.loads(settings.get("satellite:bastion", {}).get("value") or "null")
        kind, key = named["host_key"].split()[:2]
        user = named.get("user") or settings.get("satellite:ssh_user", {}).get("value") or "admin"
        port = str(named.get("port", 22))
        values = {"HostName": named["address"], "Port": port, "User": user}
        right = re.fullmatch("[0-9]{1,5}", port) and int(port) < 1 << 16
        right = right and all(map(WORD.fullmatch, values.values()))
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    entry = ENTRY.search(ssh_config)
    if not entry or not right:
        return ""
    now = _said(entry[0])
    name = now["HostKeyAlias"]
    values["KnownHostsCommand"] = f"/bin/echo {name} {kind} {key}"
    if {"Port": "22", **now} == {**now, **values}:
        return ""
    lines = [f"  {option} {value}\n" for option, value in {**now, **values}.items()]
    new = "".join([f"Host {name}\n", *lines])
    return f"{ssh_config[: entry.start()]}{new}{ssh_config[entry.end() :]}"


def current(ssh_config: str, moved: str) -> str:
    """The one of these two whose bastion is there: hosts may be open to the former one only."""
    if not moved:
        return ssh_config
    before, now = (_way(_said(ENTRY.findall(text)[0])) for text in (ssh_config, moved))
    return ssh_config if before != now and _stands(*before) else moved


@functools.cache
def _stands(address: str, port: int, key: str) -> bool:
    """Whether it still answers as itself."""
    from satellite_infra import dial

    try:
        return key in dial.keys_at(address, port, key, SECONDS)[0]
    except dial.UnreachedError:
        return False


def _way(said: Mapping[str, str]) -> tuple[str, int, str]:
    key = " ".join(said["KnownHostsCommand"].split()[2:])
    return said["HostName"], int(said.get("Port", "22")), key


def _said(entry: str) -> dict[str, str]:
    """Its options."""
    return dict(line.split(maxsplit=1) for line in entry.splitlines()[1:])
