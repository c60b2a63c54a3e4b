"""What a `destroy` left behind: in the state, in EC2, and among the machines."""

from __future__ import annotations

from lab.client import Lab

from demo.stack import Stack

ALIVE = ["pending", "running", "stopping", "stopped", "shutting-down"]


def leftovers(lab: Lab, stack: Stack) -> list[str]:
    """One line for each thing that should be gone."""
    found = [f"in the state: {urn}" for urn in stack.resources()]
    found += [f"machine {host.name} at {host.address}" for host in lab.hosts()]
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
