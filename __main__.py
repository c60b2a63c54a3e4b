"""A satellite: background workers of an app, on machines beside its home."""

from __future__ import annotations

import pulumi

from satellite_infra.configuration import load
from satellite_infra.stack import satellite

for name, value in satellite(load()).items():
    pulumi.export(name, value)
