"""What every command waits for: no command that needs no settings loads Pulumi's SDK."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_the_list_of_commands_loads_neither_the_sdk_nor_the_settings() -> None:
    asked = "import sys, satellite_cli.main; print(*sys.modules)"
    argv = [sys.executable, "-c", asked]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "satellite_cli.promote_command" in loaded
    assert loaded & {"pulumi", "pydantic", "satellite_infra.settings"} == set()
