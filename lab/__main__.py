"""`python -m lab`: run a command, or a shell, among emulated EC2 machines that really exist."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from lab.errors import LabError

HELP = """
run -- COMMAND...   run COMMAND inside a new lab; its exit status is ours
shell               the same with a shell
base                build the machines' base image where it is not there yet
gc                  remove what killed labs left behind
"""


def main(argv: list[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description=__doc__,
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("run", "shell", "base", "gc"))
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for `run`, after `--`")
    options = parser.parse_args(argv)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if (options.action == "run") != bool(command):
        parser.error("`run` needs a command, the others take none")
    try:
        return _act(options.action, command, argv)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _act(action: str, command: list[str], argv: list[str]) -> int:
    from lab import base, run, tools

    tools.as_root(argv)
    os.umask(0o022)  # what is written into a machine is for all its users
    if action == "base":
        print(base.ensure().directory)
    elif action == "gc":
        for lab in run.collect():
            print(f"removed {lab.name}")
    else:
        return run.run(command or [os.environ.get("SHELL", "/bin/bash")])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
