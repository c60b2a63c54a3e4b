"""What `satellite doctor` looks at here: the engine, its state, keys, credentials, git access."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from satellite_cli import lock
from satellite_cli.finding import RUNBOOK, Finding
from satellite_cli.problems import SatelliteError
from satellite_cli.project import Project

if TYPE_CHECKING:
    from satellite_infra.settings import Settings

OLD = 7200
"""Seconds after which an update of another machine is taken for a killed one."""
INSTALL = "https://www.pulumi.com/docs/install/"
PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"
MENDS = {
    "passphrase": f"read -rsp 'Passphrase: ' {PASSPHRASE}; export {PASSPHRASE}",
    "no stack named": "pulumi stack select",
    "no stack selected": "pulumi stack select",
    "is not there: pulumi stack init": "git pull",
}
"""What mends settings that cannot be read, by a part of the error."""
Found = Iterator[Finding]


def examine(stack: str, seconds: float) -> list[Finding]:
    """All findings, in the order of the looks; each look ends within so many seconds."""
    if not shutil.which("pulumi"):
        return [Finding("engine", "pulumi is not on PATH", command=INSTALL), *_programs(seconds)]
    looks: list[Callable[[float], Found]] = [_engine, _programs]
    looks += [lambda limit: _lock(stack, limit), lambda limit: _settings(stack, limit)]
    with ThreadPoolExecutor(len(looks)) as together:
        return [
            one
            for found in together.map(lambda look: _looked(look, seconds), looks)
            for one in found
        ]


def _looked(look: Callable[[float], Found], seconds: float) -> list[Finding]:
    try:
        return list(look(seconds))
    except subprocess.TimeoutExpired as late:
        what = " ".join(late.cmd[:2])
        return [Finding("late", f"`{what}` gives no answer within {seconds:g} s", command=what)]


def _said(argv: Sequence[str], seconds: float) -> tuple[int, str, str]:
    done = subprocess.run(
        [*argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def _engine(seconds: float) -> Found:
    _, out, _ = _said(["pulumi", "version", "--non-interactive"], seconds)
    wanted = importlib.metadata.version("pulumi")
    if _number(out) < _number(wanted):
        text = f"pulumi is {out.strip()}, and should be {wanted} or later, as its SDK is"
        yield Finding("engine", text, command=INSTALL)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _plugins(settings: Settings, seconds: float) -> Found:
    status, out, _ = _said(["pulumi", "plugin", "ls", "--json", "--non-interactive"], seconds)
    there = {(one["name"], one.get("version")) for one in json.loads(out)} if not status else set()
    for name in ("command", *(["aws"] if settings.instance_names() else [])):
        wanted = importlib.metadata.version(f"pulumi-{name}")
        if (name, wanted) not in there and not shutil.which(f"pulumi-resource-{name}"):
            text = f"the engine's plugin {name} {wanted} is not here; an update fetches it"
            yield Finding("plugin", text, command=f"pulumi plugin install resource {name} {wanted}")


def _programs(_: float) -> Found:
    packages = {"git": "git"} | dict.fromkeys(
        ("ssh", "ssh-agent", "ssh-add", "ssh-keyscan"), "openssh-client"
    )
    for program, package in packages.items():
        if not shutil.which(program):
            text = f"{program} is not installed here"
            yield Finding("program", text, command=f"sudo apt-get install {package}")


def _lock(stack: str, seconds: float) -> Found:
    """A lock of the stack whose holder is dead, or has held it for hours."""
    status, out, err = _said(["pulumi", "whoami", "--json", "--non-interactive"], seconds)
    if status:
        said = (err.strip().splitlines() or ["it said nothing"])[0]
        yield Finding("backend", f"the state cannot be reached: {said}", command="pulumi login")
        return
    backend = json.loads(out).get("url", "")
    if not backend.startswith("file:"):
        return
    try:
        name = Project.of(stack).stack
    except SatelliteError:  # the stack's own finding
        return
    for path in lock.files(backend, name) or ():
        try:
            held = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):  # it has just ended
            continue
        if _left(held):
            text = (
                f"an update of {lock.made_by(held)} was killed, and has left its lock of the stack"
            )
            yield Finding("stack_locked", text, command="satellite lock release")


def _left(held: dict[str, Any]) -> bool:
    if (lives := lock.lives(held)) is not None:
        return not lives
    began = datetime.fromisoformat(str(held.get("timestamp", "")))
    if began.tzinfo is None:
        began = began.replace(tzinfo=UTC)
    return time.time() - began.timestamp() > OLD


def _settings(stack: str, seconds: float) -> Found:
    """What the settings ask for: they are right, and the keys and credentials do."""
    try:
        settings = Project.of(stack).settings()
    except SatelliteError as problem:
        text = str(problem)
        mends = (command for part, command in MENDS.items() if part in text)
        yield Finding("settings", text, command=next(mends, RUNBOOK))
        return
    looks = [_plugins, _ssh_agent, _git, *([_aws] if settings.instance_names() else [])]
    with ThreadPoolExecutor(len(looks)) as together:
        asked = [together.submit(lambda one: list(one(settings, seconds)), look) for look in looks]
        for one in asked:
            yield from one.result()


def _ssh_agent(settings: Settings, _: float) -> Found:
    from satellite_infra.ssh_agent import agent_problem

    if settings.ssh_agent and (problem := agent_problem(settings.public_key)):
        yield Finding("ssh_agent", problem, command="ssh-add")


def _git(settings: Settings, seconds: float) -> Found:
    import pulumi

    from satellite_infra.revision import head

    try:
        head(settings, seconds)
    except pulumi.RunError as problem:
        text = " ".join(str(problem).split())
        line = f"git ls-remote {settings.repository} {settings.branch}"
        yield Finding("git", text, command=line)


def _aws(settings: Settings, seconds: float) -> Found:
    """Whether AWS knows who asks; by the SDK or the command, where one of them is here."""
    del settings
    if importlib.util.find_spec("boto3"):
        program = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
        argv = [sys.executable, "-c", program]
    elif shutil.which("aws"):
        argv = ["aws", "sts", "get-caller-identity"]
    else:
        return
    status, _, err = _said(argv, seconds)
    if status:
        said = (err.strip().splitlines() or ["it said nothing"])[-1]
        yield Finding("aws", f"AWS does not take the credentials: {said}", command="aws configure")
