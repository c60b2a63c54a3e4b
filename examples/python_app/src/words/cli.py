"""The app's commands: `work`, `put TEXT` and `give-back`."""

from __future__ import annotations

import argparse
import json
import os
import socket
from pathlib import Path

from .spool import Spool
from .worker import Worker

REVISION, LOG = Path("REVISION"), Path("log/jobs.log")


def main() -> None:
    """Run one of them, in the app's directory."""
    parser = argparse.ArgumentParser(prog="words", description=__doc__)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("work", help="do jobs until SIGTERM").set_defaults(run=work)
    putting = commands.add_parser("put", help="add a job; prints its id")
    putting.set_defaults(run=put)
    putting.add_argument("text")
    putting.add_argument("--seconds", type=float, default=0, help="how long it shall take")
    back = commands.add_parser("give-back", help="make the jobs of DEAD_WORKERS new again")
    back.set_defaults(run=give_back)
    arguments = parser.parse_args()
    spool = Spool(Path(os.environ.get("SPOOL") or Path.home() / "spool"))
    arguments.run(spool, arguments)


def work(spool: Spool, _arguments: argparse.Namespace) -> None:
    """Be a worker, in the name that the host gave."""
    name = os.environ.get("WORKER_NAME") or f"{socket.gethostname()}.{os.getpid()}"
    revision = REVISION.read_text(encoding="utf-8").strip() if REVISION.is_file() else "none"
    LOG.parent.mkdir(exist_ok=True)
    Worker(spool, name, revision, LOG).run()


def put(spool: Spool, arguments: argparse.Namespace) -> None:
    """Add the job."""
    print(spool.put(json.dumps({"text": arguments.text, "seconds": arguments.seconds})))


def give_back(spool: Spool, _arguments: argparse.Namespace) -> None:
    """Say which jobs are free again."""
    for job in spool.give_back(os.environ["DEAD_WORKERS"].splitlines()):
        print(f"{job} is new again")
