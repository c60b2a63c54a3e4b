"""The lab, for programs that run inside it: hosts, EC2, the database, and mishaps on order."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab import control
from lab.errors import LabError


@dataclass(frozen=True)
class LabHost:
    """A running instance and its machine. `name` is the Name tag, else the instance id."""

    name: str
    instance_id: str
    address: str
    public_address: str | None
    lab: Lab

    def run(
        self,
        command: str,
        check: bool = True,
        input: str | None = None,  # noqa: A002
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root on the machine, past its sshd. Output is captured as text.

        The status is 255 while the machine is off or has not begun to boot. With `check`, LabError
        on a status other than 0, with the command's output.
        """
        done = _run([str(self.lab.ssh), self.address, command], input)
        if check and done.returncode:
            raise LabError(
                f"{self.name}: status {done.returncode} of: {command}\n{done.stdout}{done.stderr}"
            )
        return done

    def ssh_logins(self) -> int:
        """How many logins sshd has accepted since the machine was made."""
        return self._count("Accepted publickey for ")

    def ssh_connections(self) -> int:
        """How many connections were made to sshd, whatever became of them."""
        return self._count("Connection from ")

    def kill(self) -> None:
        """Cut the power; EC2 goes on calling the instance running. `reboot` brings it back."""
        control.order("kill", self.instance_id)

    def reboot(self) -> None:
        """Restart the machine as EC2's RebootInstances does; returns at once."""
        self.lab.ec2.reboot_instances(InstanceIds=[self.instance_id])

    def pause(self) -> None:
        """Freeze the machine: TCP connections are taken and nothing answers on them."""
        control.order("pause", self.instance_id)

    def resume(self) -> None:
        control.order("resume", self.instance_id)

    def _count(self, start: str) -> int:
        log = self.run("journalctl --quiet --output=cat -t sshd -t sshd-session").stdout
        return sum(line.startswith(start) for line in log.splitlines())


def _run(argv: list[str], text: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; status 255 where the machine was switched off under it.

    A machine that shuts down stops all its processes before it ends them, and nsenter, outside of
    it, stops with its child: nobody would ever have it go on.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        while True:
            try:
                out, err = process.communicate(text, timeout=2)
            except subprocess.TimeoutExpired:
                text = None  # it was taken
                if _stopped(process.pid):
                    process.kill()
            else:
                status = process.returncode if process.returncode >= 0 else 255
                return subprocess.CompletedProcess(argv, status, out, err)


def _stopped(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    return stat.rpartition(")")[2].split()[0] == "T"


class Lab:
    """The lab that this process runs in; LabError outside of one."""

    def __init__(self) -> None:
        if "SATELLITE_LAB" not in os.environ:
            raise LabError("not inside a lab: start this with `python -m lab run -- COMMAND`")
        self.directory = Path(os.environ["SATELLITE_LAB"])
        self.ssh = Path(__file__).parent / "bin/ssh"

    @cached_property
    def ec2(self) -> Any:
        """A boto3 client of the emulated EC2."""
        import boto3

        return boto3.client("ec2")

    def hosts(self) -> list[LabHost]:
        """The running instances, by name."""
        running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        reservations = self.ec2.describe_instances(Filters=running)["Reservations"]
        hosts = [self._host(i) for r in reservations for i in r["Instances"]]
        return sorted(hosts, key=lambda host: host.name)

    def host(self, name: str) -> LabHost:
        """The running instance with this Name tag or id; LabError if there is none."""
        for host in self.hosts():
            if name in (host.name, host.instance_id):
                return host
        raise LabError(f"no running instance {name!r}")

    def sql(self, query: str, *args: object) -> list[tuple[Any, ...]]:
        """Rows of a query against db.lab; an empty list where it has none. Commits."""
        import psycopg

        with psycopg.connect(os.environ["LAB_DATABASE_URL"]) as connection:
            cursor = connection.execute(query.encode(), args or None)
            return cursor.fetchall() if cursor.description else []

    def _host(self, instance: dict[str, Any]) -> LabHost:
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        return LabHost(
            tags.get("Name") or instance["InstanceId"],
            instance["InstanceId"],
            instance["PrivateIpAddress"],
            instance.get("PublicIpAddress"),
            self,
        )
