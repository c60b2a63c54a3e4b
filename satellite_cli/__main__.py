"""`python -m satellite_cli` is `satellite`."""

from satellite_cli.main import run

if __name__ == "__main__":
    run()
