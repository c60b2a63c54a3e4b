"""The manifest as a stack's output has it: of no host, and without its end, as people read it."""

from __future__ import annotations

from satellite_infra.agent.flat import END, load

NOT_APP_WIDE = ('host: ""', END)


def shown(manifest: str) -> str:
    """That of a manifest's text, which is of a host without a name."""
    return "".join(f"{line}\n" for line in manifest.splitlines() if line not in NOT_APP_WIDE)


def read(manifest: str) -> dict[str, str]:
    """The pairs of it."""
    return load(f"{manifest}{END}\n")
