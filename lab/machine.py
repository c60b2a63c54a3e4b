"""One disposable machine: systemd-nspawn on an overlay of the base image, real systemd inside."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import network
from lab.apt import Apt
from lab.cgroups import Group
from lab.errors import LabError

REBOOT = 133  # nspawn's exit status when the machine asks for a reboot
HALT, RESTART = signal.SIGRTMIN + 3, signal.SIGRTMIN + 5  # what systemd as PID 1 understands
FIRST_SIGN = 20  # seconds until nspawn must have made PID 1
JOIN = 'for group in $GROUPS_TO_JOIN; do echo 0 >"$group"; done; exec "$@"'


@dataclass(frozen=True)
class Seed:
    """What EC2 gives an instance at boot. `user_data` as decoded bytes, empty for none."""

    hostname: str
    public_keys: tuple[str, ...]
    user_data: bytes


class Machine:
    """A machine by its instance id and address. Its disk is kept over stops until `remove`.

    The methods block and must not overlap, except `kill`, `pause` and `resume`.
    """

    def __init__(
        self,
        name: str,
        address: str,
        base: Path,
        directory: Path,
        group: Group,
        powered_off: Callable[[], None],
    ) -> None:
        """`powered_off` is called when the machine ends by itself (`poweroff` typed inside)."""
        self.name = name
        self.address = address
        self._base = base
        self._directory = directory
        self._group = group
        self._powered_off = powered_off
        self._console = directory / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._expected = False  # that it ends: somebody outside asked for it

    @property
    def root(self) -> Path:
        return self._directory / "root"

    @property
    def running(self) -> bool:
        return self._watcher is not None and self._watcher.is_alive()

    def create(self, apt: Apt, hostname: str) -> None:
        """Make the disk: a layer over the base image with nothing but names and apt sources."""
        upper, work = self._directory / "upper", self._directory / "work"
        for directory in (upper, work, self.root):
            directory.mkdir(parents=True)
        options = f"lowerdir={self._base},upperdir={upper},workdir={work},volatile"
        mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode:
            raise LabError(
                f"lab: no overlay on {self._directory}: {done.stderr.strip()}\n"
                "Set SATELLITE_LAB_RUNS to a directory on ext4, xfs or btrfs."
            )
        apt.write(self.root)
        for path, text in {
            "etc/hostname": f"{hostname}\n",
            "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {hostname}\n",
            "etc/resolv.conf": f"nameserver {network.GATEWAY}\n",
        }.items():
            (self.root / path).write_text(text)

    def start(self, seed: Seed) -> None:
        """Boot. Returns when PID 1 is there; SSH answers one to three seconds later."""
        self._write(seed)
        self._expected = False
        self._boot()
        self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
        self._watcher.start()

    def stop(self, seconds: float = 90) -> None:
        """Shut down in order, as EC2 does: services are stopped; after `seconds` the power goes."""
        self._signal(HALT)
        self._wait_for_end(seconds)

    def reboot(self) -> None:
        """Restart in order; returns at once."""
        self._signal(RESTART, expected=False)

    def kill(self) -> None:
        """Cut the power."""
        self._signal(signal.SIGKILL)
        self._wait_for_end(5)

    def pause(self) -> None:
        """Freeze every process; the network stack still takes connections, as of a hung machine."""
        self._group.freeze(True)

    def resume(self) -> None:
        self._group.freeze(False)

    def remove(self) -> None:
        """Shut down, and remove the disk."""
        self.stop()
        if self.root.is_mount():
            subprocess.run(["umount", "--lazy", str(self.root)], check=True)
        shutil.rmtree(self._directory)

    def console(self) -> str:
        """The end of what the machine printed while it booted."""
        return "\n".join(self._console.read_text(errors="replace").splitlines()[-15:])

    def _write(self, seed: Seed) -> None:
        keys = "".join(f"  - {key}\n" for key in seed.public_keys)
        meta = f"instance-id: {self.name}\nlocal-hostname: {seed.hostname}\n"
        meta += f"public-keys:\n{keys}" if keys else ""
        cloud = self.root / "var/lib/cloud/seed/nocloud"
        cloud.mkdir(parents=True, exist_ok=True)
        (cloud / "meta-data").write_text(meta)
        (cloud / "user-data").write_bytes(seed.user_data)

    def _boot(self) -> None:
        network.unplug(self.name, self.address)
        network.plug(self.name, self.address)
        self._group.create()
        with _Notifications(self.name) as notifications:
            self._process = self._spawn()
            leader = notifications.leader(self._process)
        if leader is None or not self._obeys(leader):
            self._process.kill()
            self._process.wait()
            self._clear()
            raise LabError(f"lab: {self.name} did not boot:\n{self.console()}")
        (self._directory / "leader").write_text(f"{leader}\n")

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["sh", "-c", JOIN, "sh", *self._nspawn()],
            env={
                "PATH": os.environ["PATH"],
                "GROUPS_TO_JOIN": " ".join(self._group.entrances()),
                "NOTIFY_SOCKET": f"@{self.name}",
                "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
            },
            stdin=subprocess.DEVNULL,
            stdout=self._console.open("ab"),
            stderr=subprocess.STDOUT,
        )

    def _obeys(self, leader: int) -> bool:
        """Wait until PID 1 has become systemd: before that, an order to stop would get lost."""
        end = time.monotonic() + FIRST_SIGN
        sign = Path(f"/proc/{leader}/root/run/systemd/private")  # made after its signal handlers
        while not sign.exists():
            if time.monotonic() > end or not Path(f"/proc/{leader}").exists():
                return False
            time.sleep(0.01)
        return True

    def _nspawn(self) -> list[str]:
        return [
            *("systemd-nspawn", "--quiet", f"--machine={self.name}", f"--directory={self.root}"),
            f"--uuid={uuid.uuid5(uuid.NAMESPACE_DNS, self.name)}",
            f"--network-namespace-path=/run/netns/{self.name}",
            *("--register=no", "--keep-unit", "--capability=CAP_NET_ADMIN", "--console=pipe"),
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            "/usr/local/sbin/host-init",
        ]

    def _watch(self) -> None:
        assert self._process is not None
        try:
            while self._process.wait() == REBOOT:
                self._clear()
                self._boot()
        except LabError as error:
            print(error, file=sys.stderr, flush=True)
        finally:
            self._clear()
        if not self._expected:
            self._powered_off()

    def _clear(self) -> None:
        (self._directory / "leader").unlink(missing_ok=True)
        network.unplug(self.name, self.address)
        self._group.remove()

    def _signal(self, number: int, expected: bool = True) -> None:
        leader = self._directory / "leader"
        if self.running and leader.exists():
            self._expected = expected
            os.kill(int(leader.read_text()), number)
            self._group.freeze(False)  # a frozen process takes no signal, not even SIGKILL

    def _wait_for_end(self, seconds: float) -> None:
        if self._watcher is None or self._process is None:
            return
        self._watcher.join(seconds)
        if self._watcher.is_alive():
            self._expected = True
            self._process.kill()  # the machine's PID 1 dies with it
            self._watcher.join()


class _Notifications:
    """The socket on which nspawn says what became of the machine.

    It must be closed once the leader is known: nspawn passes on what the machine's systemd reports,
    and both would stop as soon as nobody empties the queue.
    """

    def __init__(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}")  # no file: the name is the lab's network's own
        self._socket.settimeout(0.1)

    def __enter__(self) -> _Notifications:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def leader(self, process: subprocess.Popen[bytes]) -> int | None:
        """Process id of the machine's PID 1; None if nspawn ended or took too long."""
        end = time.monotonic() + FIRST_SIGN
        while process.poll() is None and time.monotonic() < end:
            try:
                message = self._socket.recv(4096).decode(errors="replace")
            except TimeoutError:
                continue
            if found := re.search(r"X_NSPAWN_LEADER_PID=(\d+)", message):
                return int(found[1])
        return None
