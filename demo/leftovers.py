"""What a `destroy` left behind: in the state, in EC2, and among the lab's machines."""

from __future__ import annotations

import time
from pathlib import Path

from demo.stack import Stack
from lab.client import Lab

ALIVE = ["pending", "running", "stopping", "stopped"]
SHUTDOWN = 15  # seconds that a machine may take to go after EC2 says that it is gone


def leftovers(lab: Lab, stack: Stack) -> list[str]:
    """One line for each thing that should be gone."""
    found = [f"in the state: {urn}" for urn in stack.resources()]
    found += [f"a machine still runs, process {pid}" for pid in _machines()]
    filters = [{"Name": "instance-state-name", "Values": ALIVE}]
    for reservation in lab.ec2.describe_instances(Filters=filters)["Reservations"]:
        found += [f"instance {each['InstanceId']}" for each in reservation["Instances"]]
    found += [f"key pair {p['KeyName']}" for p in lab.ec2.describe_key_pairs()["KeyPairs"]]
    found += [
        f"security group {group['GroupName']}"
        for group in lab.ec2.describe_security_groups()["SecurityGroups"]
        if group["GroupName"] != "default"
    ]
    found += [f"volume {v['VolumeId']}" for v in lab.ec2.describe_volumes()["Volumes"]]
    return found


def _machines(seconds: float = SHUTDOWN) -> list[str]:
    """The processes of machines that have not gone in time; the lab has its own process table."""
    end = time.monotonic() + seconds
    while found := [c.parent.name for c in Path("/proc").glob("[0-9]*/comm") if _is_machine(c)]:
        if time.monotonic() > end:
            break
        time.sleep(0.2)
    return found


def _is_machine(comm: Path) -> bool:
    try:
        return comm.read_text() == "systemd-nspawn\n"
    except OSError:  # it has just ended
        return False
