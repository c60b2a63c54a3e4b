"""With `ssh_agent` the login key is in the operator's SSH agent: is it there, before all else?

Nothing of the agent gets into a resource: the provider itself finds it by SSH_AUTH_SOCK, and the
next session, or another person's, may have another socket.
"""

from __future__ import annotations

import os
import subprocess

import pulumi

from satellite_infra import keys
from satellite_infra.key_text import fingerprint
from satellite_infra.settings import Settings

TRIES = 6
"""Keys that an sshd looks at before it hangs up, where nobody changed MaxAuthTries."""


def check_ssh_agent(settings: Settings) -> None:
    """RunError where the hosts shall be opened by an agent that cannot do it; previews only warn.

    A preview connects to nothing, and who may only look needs no key.
    """
    problem = agent_problem(settings.public_key) if settings.ssh_agent else None
    if problem and pulumi.runtime.is_dry_run():
        pulumi.log.warn(f"{problem}; `pulumi up` will not begin without")
    elif problem:
        raise pulumi.RunError(problem)


def agent_problem(public_key: str) -> str | None:
    """Why the agent of this session cannot log in with that key, and what to do; None if it can."""
    if not (socket := os.environ.get("SSH_AUTH_SOCK")):
        return "SSH_AUTH_SOCK is not set: start ssh-agent, or set satellite:private_key"
    try:
        done = subprocess.run(
            ["ssh-add", "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except FileNotFoundError:
        return "ssh-add is not installed here: apt install openssh-client"
    except subprocess.TimeoutExpired:
        return f"the SSH agent at {socket} does not answer: start ssh-agent anew"
    if done.returncode not in (0, 1):  # 1: it holds no key
        return f"no SSH agent answers at {socket} (SSH_AUTH_SOCK): start ssh-agent"
    held = [keys.same_public(line, public_key) for line in done.stdout.splitlines()]
    if True not in held:
        wanted = fingerprint(public_key)
        return f"the SSH agent does not hold satellite:public_key, {wanted}: ssh-add ITS_FILE"
    if held.index(True) >= TRIES:
        return (
            f"the SSH agent offers {held.index(True)} other keys before satellite:public_key, and "
            f"sshd hangs up after {TRIES}: use an agent with fewer (ssh-add -d FILE)"
        )
    return None
