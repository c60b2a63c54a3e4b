"""Whether the project's program can run in this process, which then needs no language host.

It has to be what `pulumi up` would run: the same files in the same Python.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import satellite_infra
from satellite_cli.noted import Order
from satellite_cli.problems import note
from satellite_cli.reachable import Gate
from satellite_cli.slim import slim

OURS = Path(satellite_infra.__file__).parent
SERVER = "satellite_cli.program"
AWS = "pulumi_aws"
SERVICES = ("ec2", "vpc", "iam", "cloudwatch")
"""Of which a stack needs a few types of many."""
USED = {"ec2": "Instance", "vpc": "SecurityGroupIngressRule"}
"""What every stack with instances needs first; a service loads itself when something of it is used,
which may be in one thread."""


@functools.cache
def loading() -> tuple[Future[Any], Future[None]]:
    """Begin to load what a run needs, beside everything else: what serves the program, and all."""
    with_it = ThreadPoolExecutor(1)
    found = with_it.submit(importlib.import_module, SERVER), with_it.submit(_load)
    with_it.shutdown(wait=False)
    return found


def _load() -> None:
    for service in SERVICES:
        slim(f"{AWS}.{service}")
    importlib.import_module("satellite_infra.stack")
    aws = vars(importlib.import_module(AWS))
    for service, name in USED.items():
        getattr(aws[service], name)


@contextlib.contextmanager
def client(folder: Path, gate: Gate, order: Order) -> Iterator[list[str]]:
    """More words for the engine, and the program behind them, which passes that gate.

    `order`: in which its resources are made, too. Where it is impossible here, the engine starts
    the program itself, later.
    """
    if why := impossible(folder):
        note(f"the engine starts the program itself, which takes longer: {why}")
        yield []
        return
    from satellite_cli.serving import served  # before all the rest, which would keep it waiting

    server, everything = loading()

    def ready() -> None:
        wait([everything])  # its error, if there is one, comes again in the program

    with served(gate, ready, order) as address:
        yield [f"--client={address}", "--exec-kind", "auto.inline"]
    if server.done():
        server.result()  # without it the engine has found nobody


@functools.cache
def impossible(folder: Path) -> str:
    """Why the program in that folder cannot run here; empty where it can."""
    import yaml  # most commands do without

    try:
        project = yaml.safe_load((folder / "Pulumi.yaml").read_text("utf-8")) or {}
    except (yaml.YAMLError, ValueError):  # which the engine may read, such as with a tab
        return "Pulumi.yaml is no YAML"
    runtime = project.get("runtime")
    runtime = {"name": runtime} if isinstance(runtime, str) else runtime or {}
    if runtime.get("name") != "python":
        return "Pulumi.yaml names another runtime than python"
    options = dict(runtime.get("options") or {})
    toolchain, virtualenv = options.pop("toolchain", "pip"), options.pop("virtualenv", "")
    if virtualenv and (folder / virtualenv).resolve() != Path(sys.prefix).resolve():
        return f"Pulumi.yaml names another virtualenv than {sys.prefix}"
    if toolchain != "pip" or options:
        return f"runtime.options of Pulumi.yaml: {', '.join(options) or toolchain}"
    theirs = folder / str(project.get("main") or ".") / OURS.name
    if theirs.is_dir() and not _same(theirs):
        return f"its {OURS.name} is another than this command's"
    return ""


def _same(theirs: Path) -> bool:
    return theirs.resolve() == OURS or _files(theirs) == _files(OURS)


def _files(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
