"""All machines of a lab. Orders return at once, as EC2's do; each machine obeys in sequence."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lab.apt import Apt
from lab.base import Image
from lab.errors import LabError
from lab.machine import Machine, Seed
from lab.rundir import Run


class Fleet:
    """Machines by instance id. `powered_off` is told the id of a machine that ended by itself."""

    def __init__(
        self, run: Run, image: Image, apt: Apt, powered_off: Callable[[str], None]
    ) -> None:
        self._run = run
        self._image = image
        self._apt = apt
        self._powered_off = powered_off
        self._machines: dict[str, Machine] = {}
        self._queues: dict[str, ThreadPoolExecutor] = {}
        self._last_at: dict[str, Future[None]] = {}  # by address: until its last machine is gone
        for name in ("machines", "addresses"):
            (run.directory / name).mkdir()

    def launch(self, instance: str, address: str, seed: Seed) -> None:
        """Make and start a machine, as soon as its address is free."""
        machine = Machine(
            instance,
            address,
            self._image.root,
            self._run.directory / "machines" / instance,
            self._run.group.child(instance),
            lambda: self._powered_off(instance),
        )
        self._machines[instance] = machine
        self._queues[instance] = ThreadPoolExecutor(1, f"machine {instance}")
        before = self._last_at.get(address)

        def make() -> None:
            if before:
                before.result()
            machine.create(self._apt, seed.hostname)
            _point(self._run.directory / "addresses" / address, Path("../machines") / instance)
            machine.start(seed)

        self._order(instance, make)

    def start(self, instance: str, seed: Seed) -> None:
        machine = self._machines[instance]
        self._order(instance, lambda: None if machine.running else machine.start(seed))

    def stop(self, instance: str, then: Callable[[], None]) -> None:
        """Shut down; `then` is called when the machine is off."""
        self._order(instance, self._machines[instance].stop, then)

    def reboot(self, instance: str, seed: Seed) -> None:
        """Restart; a machine whose power was cut is started."""
        machine = self._machines[instance]
        self._order(instance, lambda: machine.reboot() if machine.running else machine.start(seed))

    def terminate(self, instance: str, then: Callable[[], None]) -> None:
        """Shut down and remove; `then` is called when nothing is left of the machine."""
        machine = self._machines.get(instance)
        if machine is None:
            then()
            return
        self._last_at[machine.address] = self._order(instance, machine.remove, then)
        self._queues.pop(instance).shutdown(wait=False)
        del self._machines[instance]

    def machine(self, instance: str) -> Machine:
        """For what EC2 has no word for: power cuts and pauses. KeyError if there is none."""
        return self._machines[instance]

    def _order(
        self, instance: str, action: Callable[[], object], then: Callable[[], None] | None = None
    ) -> Future[None]:
        def obey() -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001  # no caller is left to be told
                _complain(instance, error)
            if then:
                then()

        return self._queues[instance].submit(obey)


def _point(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _complain(instance: str, error: Exception) -> None:
    text = str(error) if isinstance(error, LabError) else traceback.format_exc()
    print(f"lab: {instance}: {text}", file=sys.stderr, flush=True)
