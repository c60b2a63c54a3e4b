"""`python -m satellite_cli` is `satellite`."""

from satellite_cli.main import run

run()
