"""Make what a manifest says true on a host, with the agent: the importer of pulumi_command."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
from pulumi_command import local, remote

from satellite_infra import keys, naming
from satellite_infra.agent.layout import AGENT
from satellite_infra.agent_bundle import AgentBundle
from satellite_infra.former import AGAIN, Drain
from satellite_infra.host import Host
from satellite_infra.reach import COMMAND
from satellite_infra.settings import Settings

HERE = Path(__file__).parent
LONGEST = 127 * 1024
"""Bytes that one command line of Linux can hold, with a little to spare."""
ASIDE = r"^# shellcheck .*\n|^ *#: .*\n"
"""Lines of a script for its readers and linters alone; the state keeps each twice for each host."""
After = Sequence[pulumi.Resource]


@dataclass(frozen=True)
class Task:
    """What the agent shall do on a host: readable text, and secrets that go on stdin only."""

    title: str
    agent: str
    manifest: str
    secrets: Mapping[str, object] = field(repr=False)

    def text(self) -> str:
        """The whole command as it is sent and as previews show it; holds nothing secret."""
        return _script("run_agent.sh", TITLE=self.title, MANIFEST=self.manifest, AGENT=self.agent)


def digest(*parts: str) -> str:
    """16 hex digits that change when anything of it changes."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def reach(settings: Settings, host: Host, what: str) -> local.Command:
    """Check that the host answers as itself, before it is sent something new (`what`: a digest).

    Its output is who deploys and a mark of the visit: the same until there is something new again.
    """
    bastion, key = settings.bastion, settings.private_key
    through = {}
    if bastion:
        through = {
            "SATELLITE_BASTION": bastion.address,
            "SATELLITE_BASTION_PORT": str(bastion.port),
            "SATELLITE_BASTION_USER": bastion.user or settings.ssh_user,
            "SATELLITE_BASTION_HOST_KEY": keys.bare(bastion.host_key),
        }
    return local.Command(
        naming.of_host(host.name, naming.REACH),
        # the key of the bastion is for an agent that ends with the check
        create=f"ssh-agent {COMMAND}" if bastion and key else COMMAND,
        stdin=pulumi.Output.secret(key) if bastion and key else None,
        environment={
            "SATELLITE_HOST": host.name,
            "SATELLITE_MACHINE": host.machine,
            "SATELLITE_ADDRESS": host.address,
            "SATELLITE_PORT": str(host.port),
            "SATELLITE_USER": host.user,
            "SATELLITE_HOST_KEY": host.host_key,
            "SATELLITE_REACH_SECONDS": str(settings.reach_seconds),
            "SATELLITE_OPENED_TO": ", ".join(settings.ssh_cidrs) or "nobody",
            # not a trigger, which would have it replaced: that frightens who reads a preview
            "SATELLITE_SENT": what,
            **through,
        },
        triggers=[host.machine],
        add_previous_output_in_env=True,  # it is kept while nothing new is sent
        logging=local.Logging.STDERR,  # for how long it has waited
        opts=pulumi.ResourceOptions(depends_on=list(host.openings)),
    )


def visit(reached: local.Command) -> dict[str, pulumi.Output[str]]:
    """What `reach` has printed: who deploys, and what no other visit has. Of mocks, nothing."""
    lines = reached.stdout.apply(lambda text: [*(text or "").split("\n"), ""])
    return {
        "visit": lines.apply(lambda said: said[1]),
        "deployer": lines.apply(lambda said: said[0]),
    }


def copy_agent(settings: Settings, host: Host, agent: AgentBundle, after: After) -> pulumi.Resource:
    """Bring the agent's zip to the login user's home."""
    return remote.CopyToRemote(
        naming.of_host(host.name, naming.AGENT),
        connection=_connection(settings, host),
        source=pulumi.FileAsset(agent.path),
        remote_path=agent.remote_path,
        triggers=[host.machine, host.user],  # another one's home
        opts=pulumi.ResourceOptions(depends_on=list(after)),
    )


def run(
    settings: Settings,
    host: Host,
    role: str,
    task: Task,
    after: After,
    **known: pulumi.Input[str],
) -> pulumi.Resource:
    """Run the agent on the host; create, change and another machine are the same thing.

    A change of what is `known` only at run time is a change, too.
    """
    return _command(naming.of_host(host.name, role), settings, host, task, after, known)


def run_once(
    settings: Settings,
    host: Host,
    name: str,
    task: Task,
    after: After,
    **known: pulumi.Input[str],
) -> pulumi.Resource:
    """Run the agent on the host until it has succeeded, and never again under that name.

    The state remembers it, whatever becomes of the host: no change of any input is one.
    """
    ignored = ["connection", "create", "stdin", "triggers", "logging"]
    return _command(name, settings, host, task, after, known, ignored)


def _command(
    name: str,
    settings: Settings,
    host: Host,
    task: Task,
    after: After,
    known: Mapping[str, pulumi.Input[str]],
    ignored: Sequence[str] = (),
) -> pulumi.Resource:
    def bundle(found: dict[str, str]) -> str:
        return json.dumps({**found, **task.secrets})

    everything = pulumi.Output.all(machine=host.machine, **known)
    stdin: pulumi.Output[str] = pulumi.Output.secret(everything.apply(bundle))
    return remote.Command(
        name,
        connection=_connection(settings, host),
        create=task.text(),
        stdin=stdin,
        triggers=[host.machine],
        add_previous_output_in_env=False,
        logging=remote.Logging.STDOUT,  # the agent's own words: what it is at
        opts=pulumi.ResourceOptions.merge(
            _options(after), pulumi.ResourceOptions(ignore_changes=list(ignored) or None)
        ),
    )


def drain(settings: Settings, host: Host, after: After) -> pulumi.Resource:
    """Nothing now; a drain of that machine when it goes. A lost host goes without."""
    title = f"Drain {settings.app} on {host.name}"
    own = host.machine.apply(lambda machine: [machine])
    at_the_end = _about_machines("run_drain.sh", title, settings, host, own)
    return remote.Command(
        naming.of_host(host.name, naming.DRAIN),
        connection=_connection(settings, host, dials=2, seconds=5),
        delete=None if host.lost else at_the_end,
        triggers=[host.machine],
        add_previous_output_in_env=False,
        logging=remote.Logging.NONE,
        opts=pulumi.ResourceOptions(
            # the openings outlive it, or it could not connect; and alarms, where it may not go
            depends_on=[*(after or host.openings), *(host.alarms if host.protected else ())],
            # a drain that fails stays what it is, and can still be told that its host is lost;
            # created first, the old one would be left to be deleted, out of anybody's reach
            delete_before_replace=True,
            ignore_changes=["connection", "triggers"] if host.lost else None,
            protect=host.protected,  # what refuses to go is not drained first
        ),
    )


def give_back(
    settings: Settings, leader: Host, lost: Host, noted: Drain | None, after: After
) -> pulumi.Resource:
    """Have a host that lives give back the jobs of one that is lost, once for each machine.

    `noted`: its drain before. Where the engine has heard that an instance is gone, or could not
    drain it, another one is in its place.
    """
    title = f"Give back the jobs of {lost.name} to {settings.app}"
    before, again = ([noted.machine], [AGAIN] * noted.again) if noted else ([], [])
    machines = lost.machine.apply(lambda now: list(dict.fromkeys([*before, now])))
    who = pulumi.Output.all(leader.machine, machines)
    return remote.Command(
        naming.of_host(lost.name, naming.JOBS),
        connection=_connection(settings, leader),
        create=_about_machines("run_give_back.sh", title, settings, lost, machines),
        triggers=who.apply(lambda known: [known[0], *known[1], *again]),
        add_previous_output_in_env=False,
        logging=remote.Logging.NONE,
        opts=_options(after),
    )


def _connection(
    settings: Settings, host: Host, dials: int = 5, seconds: int = 10
) -> remote.ConnectionArgs:
    return remote.ConnectionArgs(
        host=host.address,
        port=host.port,
        user=host.user,
        private_key=_login_key(settings),
        host_key=host.host_key,
        dial_error_limit=dials,
        per_dial_timeout=seconds,
        proxy=_proxy(settings, dials, seconds),
    )


def _proxy(settings: Settings, dials: int, seconds: int) -> remote.ProxyConnectionArgs | None:
    bastion = settings.bastion
    if bastion is None:
        return None
    return remote.ProxyConnectionArgs(
        host=bastion.address,
        port=bastion.port,
        user=bastion.user or settings.ssh_user,
        private_key=_login_key(settings),
        host_key=keys.bare(bastion.host_key),
        dial_error_limit=dials,
        per_dial_timeout=seconds,
    )


def _login_key(settings: Settings) -> str | None:
    """None where the provider shall ask the SSH agent."""
    return keys.short(settings.private_key) if settings.private_key else None


def _options(after: After) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(
        depends_on=list(after), additional_secret_outputs=["stdout", "stderr"]
    )


def _about_machines(
    template: str, title: str, settings: Settings, host: Host, machines: pulumi.Output[list[str]]
) -> pulumi.Output[str]:
    """A script that tells the agent which machines of which host are meant, one after the other."""
    words = {"TITLE": title, "AGENT": AGENT}
    words |= {"APP": shlex.quote(settings.app), "HOST": shlex.quote(host.name)}
    return machines.apply(
        lambda known: "".join(
            _script(template, **words, MACHINE=shlex.quote(machine)) for machine in known
        )
    )


def _script(template: str, **words: str) -> str:
    text = re.sub(ASIDE, "", (HERE / template).read_text("utf-8"), flags=re.MULTILINE)
    text = re.sub(r"@([A-Z]+)@", lambda match: words[match[1]].rstrip("\n"), text)
    if len(text.encode()) > LONGEST:
        raise pulumi.RunError(
            f"{words['TITLE']}: the command's text has {len(text.encode()) // 1024} KB, and Linux "
            f"takes {LONGEST // 1024}: shorten satellite:build, satellite:processes, "
            "satellite:known_hosts or the number of satellite:config vars"
        )
    return text
