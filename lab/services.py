"""The process that serves all that machines and people talk to: EC2, DNS, git, database."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from lab import control, database, dns, engine, git_server, paths
from lab.apt import Apt
from lab.base import Image
from lab.ec2 import AMI, PORT, REGION, Ec2
from lab.engine.errors import EngineError
from lab.errors import LabError
from lab.fleet import Fleet
from lab.network import GATEWAY
from lab.rundir import Run

ENVIRONMENT = "environment.json"
READY = signal.SIGUSR1  # told to the parent when ENVIRONMENT is written
LOCAL_NAMES = ("git.lab", "db.lab")


def main(run: Run, image: Image, apt: Apt, outside: Mapping[str, str]) -> NoReturn:
    """Serve until killed. `outside` maps the names that the relay serves to their addresses."""
    try:
        os.setsid()  # the terminal's Ctrl-C is for the command, not for the machines
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        asyncio.run(_serve(run, image, apt, outside))
    except LabError as error:
        print(error, file=sys.stderr, flush=True)
    finally:
        os._exit(1)


async def _serve(run: Run, image: Image, apt: Apt, outside: Mapping[str, str]) -> None:
    sql = database.start(image.root, image.database, run.directory / "database", GATEWAY)
    ec2 = Ec2(run.directory / "ec2.log")
    fleet = Fleet(run, image, apt, ec2.powered_off)

    def resolve(name: str) -> str | None:
        if name in LOCAL_NAMES:
            return GATEWAY
        return outside.get(name) or ec2.resolve(name)

    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: dns.Server(resolve), local_addr=(GATEWAY, 53))
    git = await git_server.start(run.directory, GATEWAY)
    await control.serve(fleet)
    engine_variables, _, _ = await asyncio.gather(
        asyncio.to_thread(_engine, run.directory),
        asyncio.to_thread(ec2.start, fleet),
        asyncio.to_thread(database.wait, sql, GATEWAY),
    )
    environment = engine_variables | _environment(run.directory) | ec2.place() | git
    environment["PATH"] = f"{paths.package() / 'bin'}:{environment['PATH']}"
    (run.directory / ENVIRONMENT).write_text(json.dumps(environment))
    os.kill(os.getppid(), READY)
    await asyncio.Event().wait()


def _environment(directory: Path) -> dict[str, str]:
    return {
        "SATELLITE_LAB": str(directory),
        "LAB_AMI": AMI,
        "LAB_DATABASE_URL": f"postgresql://app:app@db.lab:{database.PORT}/app",
        "AWS_ENDPOINT_URL": f"http://{GATEWAY}:{PORT}",
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def _engine(directory: Path) -> dict[str, str]:
    """The engine's part: where `pulumi` is and what it needs. A lab without one is still a lab."""
    try:
        return engine.environment(directory)
    except EngineError as error:
        print(f"lab: no `pulumi` inside: {error}", file=sys.stderr, flush=True)
        return {"PATH": os.environ["PATH"]}
