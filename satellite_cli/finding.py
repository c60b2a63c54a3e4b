"""What `satellite doctor` finds, and the one command that mends each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from satellite_cli.aim import aimed

SILENT = "no_answer"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be; `host`: empty for this machine; nothing secret."""

    code: str
    text: str
    host: str = ""
    about: str = ""
    command: str = ""
    """Of this machine's, which are not in the table; and where a host's is not the table's."""
    why: str = ""
    """The command that shows the cause, which is to be seen before."""
    deploys: bool = False
    """Its update is a deploy: there is no one commit that all hosts run, and could keep."""

    def mend(self, app: str) -> str:
        """What mends it."""
        words = MENDS.get(self.code, _visit)(self, app)
        return aimed(self.command or (shlex.join(words) if words else RUNBOOK))

    @property
    def updates(self) -> bool:
        """Whether an update mends it."""
        return not self.command and MENDS.get(self.code, _visit) in (_visit, _up)


RUNBOOK = "docs/runbook.md says what to look at"
Words = list[str]


def _up(found: Finding, _: str) -> Words:
    """What was pushed meanwhile is nothing that a mend brings."""
    return ["satellite", "up", *([] if found.deploys else ["--same-commit"])]


def _visit(found: Finding, app: str) -> Words:
    return [*_up(found, app), "--again", "--host", found.host]


def _worker(verb: str) -> Callable[[Finding, str], Words]:
    def words(found: Finding, _: str) -> Words:
        worker = ".".join(found.about.split(".")[:2])  # without its lane
        return ["satellite", verb, worker, "--host", found.host]

    return words


def _there(found: Finding, line: str) -> Words:
    return ["satellite", "ssh", found.host, "--", line]


def _room(found: Finding, app: str) -> Words:
    """What nobody misses; what else is large is listed."""
    old = f"sudo find /app/{app}/shared/log -name '*.gz' -delete"
    large = "sudo du -xh / | sort -h | tail"
    clean = ("sudo journalctl -q --vacuum-size=100M", "sudo apt-get clean", old, large)
    return _there(found, "; ".join(clean))


def _kernel(found: Finding, _: str) -> Words:
    """What it has said of its disks."""
    return _there(found, "sudo dmesg -T | tail -n 50")


def _mounts(found: Finding, _: str) -> Words:
    """What should be mounted there, and what is."""
    return _there(found, "findmnt --fstab; findmnt --real")


def _clock(found: Finding, _: str) -> Words:
    restart = "sudo systemctl restart"
    return _there(found, f"{restart} chrony || {restart} systemd-timesyncd")


def _reaped(found: Finding, app: str) -> Words:
    """What was said by whoever tries to give the jobs back, and goes on trying."""
    return _there(found, f"sudo journalctl -n 50 --no-pager -u satellite-{app}-reap")


def _take_away(found: Finding, _: str) -> Words:
    return _there(found, f"sudo rm {shlex.quote(found.about)} && sudo systemctl daemon-reload")


def _unmask(found: Finding, _: str) -> Words:
    """Until the machine boots, or for longer: whichever it is."""
    unmask = f"sudo systemctl unmask {shlex.quote(found.about)}"
    return _there(found, f"{unmask} --runtime && {unmask}")


MENDS: Mapping[str, Callable[[Finding, str], Words]] = {
    SILENT: lambda found, _: ["satellite", "lost", found.host],
    "host_key": lambda found, _: ["satellite", "lost", found.host],
    "login": lambda *_: [],
    "not_followed": lambda *_: [],
    "to_roll": lambda found, _: ["satellite", "roll", found.host],
    "not_prepared": _up,
    "agent_older": lambda *_: ["satellite", "up"],  # nobody can ask it what it runs
    "agent_differs": _up,
    "lock_long": lambda found, _: ["satellite", "lock", "release", "--host", found.host],
    "worker_stopped": _worker("start"),
    "worker_down": _worker("start"),
    "worker_waiting": _worker("restart"),
    "jobs_held": _reaped,
    "disk_full": _room,
    "disk_low": _room,
    "read_only": _kernel,
    "state_missing": _mounts,
    "drop_in": _take_away,
    "unit_replaced": _take_away,
    "unit_masked": _unmask,
    "clock": _clock,
}
"""Finding -> command; for all others a visit, which makes the host what the stack says."""
