"""How git asks a server where no person can be asked; light, for what must start quickly."""

from __future__ import annotations

BATCH = "ssh -o BatchMode=yes -o ConnectTimeout=20"
