"""Which commit the stack runs: the pinned one, or the head of its branch, asked for only once."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pulumi

from satellite_infra import key_agent, keys
from satellite_infra.git import BATCH
from satellite_infra.settings import Settings

SECONDS = 60


def revision(settings: Settings) -> str:
    """40 hex digits; RunError when the repository does not tell, before any resource is touched."""
    return settings.revision or head(settings)


def head(settings: Settings, seconds: float = SECONDS) -> str:
    """The head of the stack's branch, asked for with the stack's own key."""
    with _ssh_command(settings) as ssh:
        return branch_head(settings.repository, settings.branch, ssh, seconds)


def branch_head(repository: str, branch: str, ssh: str = BATCH, seconds: float = SECONDS) -> str:
    """The commit that a branch points to now."""
    reference = f"refs/heads/{branch}"
    status, out, err = _git(["ls-remote", "--", repository, reference], ssh, seconds)
    if status != 0:
        said = "\n    ".join(err.strip().splitlines()[-5:]) or f"nothing, but exit status {status}"
        raise pulumi.RunError(
            f"satellite:branch: cannot ask {repository} for the head of {branch}. git says:\n"
            f"    {said}\n"
            "  Check satellite:repository, and that this machine may read it "
            "(satellite:deploy_key and satellite:known_hosts are used here too), "
            "or pin a commit: pulumi config set satellite:revision COMMIT"
        )
    match = re.fullmatch(rf"([0-9a-f]{{40}})\t{re.escape(reference)}", out.strip())
    if not match:
        raise pulumi.RunError(f"satellite:branch: {repository} has no branch {branch}")
    return match[1]


def _git(arguments: list[str], ssh: str, seconds: float) -> tuple[int, str, str]:
    """Run git without a person to ask; status, stdout, stderr. Its children end with it."""
    environment = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": ssh, "LC_ALL": "C"}
    try:
        process = subprocess.Popen(
            ["git", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, **environment},
            start_new_session=True,
        )
    except FileNotFoundError:
        return 127, "", "git is not installed on this machine"
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return 124, "", f"no answer within {seconds:g} s"
    return process.returncode, out, err


@contextmanager
def _ssh_command(settings: Settings) -> Iterator[str]:
    """The SSH that git shall use: with the stack's own deploy key where it has one."""
    if not settings.deploy_key:
        yield os.environ.get("GIT_SSH_COMMAND", BATCH)
        return
    with (
        tempfile.TemporaryDirectory(prefix="satellite-", dir=key_agent.place()) as directory,
        _agent(settings.deploy_key, Path(directory)) as socket,
    ):
        public, known = Path(directory, "key.pub"), Path(directory, "known_hosts")
        public.write_text(f"{keys.public_line(settings.deploy_key)}\n")
        known.write_text("".join(f"{line}\n" for line in settings.known_hosts))
        options = ["-i", str(public), "-o", "IdentitiesOnly=yes", "-o", f"IdentityAgent={socket}"]
        options += ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known}"]
        yield f"{BATCH} {shlex.join([*options, '-F', 'none'])}"


@contextmanager
def _agent(key: str, folder: Path) -> Iterator[str]:
    """One that holds the deploy key, which is in no file; RunError where none does."""
    try:
        with key_agent.agent_with(key, folder, "satellite:deploy_key") as socket:
            yield socket
    except key_agent.KeyAgentError as problem:
        raise pulumi.RunError(str(problem)) from None
