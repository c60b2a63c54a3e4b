"""What happens to the workers while they work, in order; each says what it has seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from demo.failure import expect
from demo.waiting import wait_until
from endurance.stage import NOTES, Stage

BOOTS = 180  # seconds that a machine may take to boot and have all its workers again


@dataclass(frozen=True)
class Event:
    """Something that happens; `outlasting` jobs of its own are too long for any grace."""

    name: str
    happens: Callable[[Stage], str]
    outlasting: int = 0


def deploy(stage: Stage) -> str:
    """A new commit, on all hosts."""
    commit = stage.site.repository.commit({"note": f"deploy {len(stage.revisions)}"})
    stage.revisions.append(commit)
    if stage.pinned:
        stage.site.unset("revision")
        stage.pinned = False
    return _up(stage, f"{commit[:7]} is live")


def roll_back(stage: Stage) -> str:
    """The commit before the last, on all hosts, until the next deploy."""
    back = stage.revisions[-2]
    stage.revisions.append(back)
    stage.site.put("revision", back)
    stage.pinned = True
    return _up(stage, f"{back[:7]} is live again")


def scale_up(stage: Stage) -> str:
    """One worker more on each host."""
    return _scale(stage, stage.per_host + 1)


def scale_down(stage: Stage) -> str:
    """One worker less on each host."""
    return _scale(stage, stage.per_host - 1)


def kill_worker(stage: Stage) -> str:
    """`kill -9` of a worker in the middle of a job."""
    worker = stage.busy()
    host, unit = stage.home(worker)
    stage.killed.add(worker)
    host.run(f"systemctl kill --kill-whom=main --signal=KILL {unit}")
    wait_until(f"the job of {worker} is given back", lambda: stage.free(worker))
    wait_until(f"{host.name} has its workers", lambda: stage.complete(host))
    return f"{worker} was killed"


def outlast_the_grace(stage: Stage) -> str:
    """A worker is told to end, and its job takes longer than the grace."""
    query = "SELECT id FROM tasks WHERE seconds >= %s"
    long = {row[0] for row in stage.site.lab.sql(query, stage.scale.outlasting)}
    worker = stage.busy(lambda _, task: task in long)
    host, unit = stage.home(worker)
    stage.killed.add(worker)
    host.run(f"systemctl restart --no-block {unit}")
    wait_until(f"the job of {worker} is given back", lambda: stage.free(worker), BOOTS)
    cut_off = long & stage.unfinished()
    wait_until(f"{host.name} has its workers", lambda: stage.complete(host))
    # no later event shall interrupt it a second time
    lasts = 60 + 2 * stage.scale.outlasting
    wait_until("that job is done", lambda: not long & stage.unfinished(), lasts)
    if not cut_off:  # told too late, on a machine that is too busy
        return f"{worker} ended in time: its job had less than {stage.scale.grace} s to go"
    return f"{worker} was killed when its {stage.scale.grace} s were over"


def reboot(stage: Stage) -> str:
    """EC2 reboots a machine: it shuts down in order, and its workers finish their jobs."""
    host = stage.host(2)
    boot = _boot(stage, 2)
    stage.busy(lambda worker, _: worker.startswith(f"{host.name}."))
    host.reboot()
    wait_until(f"{host.name} boots", lambda: _boot(stage, 2) not in ("", boot), BOOTS)
    wait_until(f"{host.name} has its workers", lambda: stage.complete(stage.host(2)), BOOTS)
    return f"{host.name} is back"


def cut_power(stage: Stage) -> str:
    """The power of a machine is cut in the middle of jobs, and comes back."""
    host = stage.host(2)
    stage.busy(lambda worker, _: worker.startswith(f"{host.name}."))
    notes = host.run(f"ls {NOTES}").stdout.split()
    stage.killed.update(note.removesuffix(".json") for note in notes)
    host.kill()
    host.reboot()
    wait_until(f"{host.name} has its workers", lambda: stage.complete(stage.host(2)), BOOTS)
    return f"{host.name} is back"


def roll(stage: Stage) -> str:
    """A machine is replaced by one with a new image."""
    site, old = stage.site, stage.host(3)
    image = site.lab.ec2.register_image(Name="debian-next", RootDeviceName="/dev/xvda")["ImageId"]
    site.put(f"hosts.{old.name}.ami", image)
    site.put("roll[0]", old.name)
    said = _up(stage, f"{old.name} was {old.instance_id}")
    site.unset("roll")
    new = stage.host(3)
    same = [] if new.instance_id != old.instance_id else [f"{old.name} is {old.instance_id} still"]
    expect("the machine should have been replaced", same)
    return f"{said}, is {new.instance_id}"


EVENTS = (
    Event("first deploy while jobs run", deploy),
    Event("scale up", scale_up),
    Event("second deploy", deploy),
    Event("a worker is killed", kill_worker),
    Event("rollback", roll_back),
    Event("third deploy", deploy),
    Event("a host is rebooted", reboot),
    Event("scale down", scale_down),
    Event("fourth deploy", deploy),
    Event("a job outlasts its worker's grace", outlast_the_grace, outlasting=1),
    Event("a machine is rolled to a new image", roll),
    Event("the power of a host is cut", cut_power),
    Event("fifth deploy", deploy),
)

FEW = (
    Event("first deploy while jobs run", deploy),
    Event("scale up", scale_up),
    Event("a worker is killed", kill_worker),
    Event("second deploy", deploy),
    Event("rollback", roll_back),
    Event("a job outlasts its worker's grace", outlast_the_grace, outlasting=1),
    Event("scale down", scale_down),
)
"""For a check that takes minutes, on machines that stay."""


def _up(stage: Stage, said: str) -> str:
    stage.site.up()
    for host in stage.site.hosts():
        wanted = f"{host.name} has {stage.per_host} workers of {stage.revisions[-1]} alone"
        wait_until(wanted, partial(stage.complete, host))
    return said


def _scale(stage: Stage, workers: int) -> str:
    stage.per_host = workers
    stage.site.put("processes.worker.quantity", str(workers))
    return _up(stage, f"{workers} workers on each host")


def _boot(stage: Stage, number: int) -> str:
    """Which boot the machine is in; empty while it is off."""
    command = "cat /proc/sys/kernel/random/boot_id"
    return stage.host(number).run(command, check=False).stdout.strip()
