"""Names, and their rules, that several programs have to know. Imports nothing: some start often."""

from __future__ import annotations

NAMESPACE = "satellite"
"""Of all settings."""
PROCESS_TYPE = "[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
MOST_WORKERS = 1000
"""Of a process type, on each host."""
HEROKU = "heroku"
"""The revision that stands for: the commit that Heroku runs."""
STACK_OUTPUTS = "pulumi:pulumi:readStackOutputs"
"""The engine's own function; a stack may ask for its own outputs, too."""
OWN_CHECK = "SATELLITE_OWN_CHECK"
"""In the environment of a program that is the `satellite` command's: that has looked at the stack's
file where somebody brings settings, and goes on with what hosts have where nobody does."""
INSTANCE, REMOTE = "aws:ec2/instance:Instance", "command:remote:Command"
"""The engine's types of a machine, and of a command on a host."""
REACH, AGENT, BOOTSTRAP = "reach", "agent", "bootstrap"
DRAIN, RELEASE, JOBS = "drain", "release", "jobs"
VISIT = (REACH, AGENT, BOOTSTRAP)
"""What is made of a host when it is visited; its release follows the first."""
OF_HOST = (*VISIT, DRAIN, RELEASE, JOBS)
"""What the commands of a host are; each is named after the host, with a dash and one of these."""


def of_host(host: str, role: str) -> str:
    """What the engine calls this command of a host."""
    return f"{host}-{role}"


def host_and_role(name: str) -> tuple[str, str]:
    """Both of such a name; two empty texts where it is another one."""
    host, _, role = name.rpartition("-")
    return (host, role) if host and role in OF_HOST else ("", "")


def attachment(policy: str) -> str:
    """What the engine calls it that the app may what the policy of this ARN allows.

    By account and path, as two accounts may give one name.
    """
    return "-".join(["app-may", *policy.replace("/", "--").split(":")[4:]])


def release_phase(revision: str) -> str:
    """What the engine calls the release phase of a commit."""
    return f"release-phase-{revision[:12]}"
