"""How preview, checkpoint and state grow with the hosts; `make bench` writes the page.

The engine is real, the hosts are simulated: instances of an emulated EC2, commands that only end.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import boto3

from benchmarks.peers import quiet
from demo.stack import Stack
from lab.emulated_aws import emulated_aws
from lab.engine import environment
from satellite_infra import host_identity, keys

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "hosts.md"
COUNTS = (1, 10, 50, 100)
TIMES = 5
SEED = "a seed of at least thirty-two characters"
CONFIG = {f"VAR_{n}": "v" * 100 for n in range(10)}
TITLE = """\
# How a stack grows with its hosts

`make bench` wrote this page: the real engine, simulated hosts (instances of an emulated EC2,
commands that end at once), 10 config vars of 100 bytes. *Checkpoint* is one write of the whole
state, as the engine does it. *Packed* is the state with gzip, which the S3 and file backends do
where `PULUMI_SELF_MANAGED_STATE_GZIP=true`, as [State](../state.md) sets it. Seconds are medians of
five runs on one machine, each of which waits, two minutes at most, until nobody else uses it: what
counts is how they grow. The first row holds what any Pulumi program costs.

| hosts | preview | checkpoint | state | each further host: preview | checkpoint | state | packed |
|---:|---:|---:|---:|---:|---:|---:|---:|
"""


@dataclass(frozen=True)
class Measured:
    """One stack: seconds, and bytes of its state."""

    hosts: int
    preview: float
    checkpoint: float
    size: int
    packed: int

    def row(self, before: Measured | None) -> str:
        """A row of the table; `before`: the smaller stack that it is compared with."""
        more = self.hosts - before.hosts if before else 0
        each = ["", "", "", ""]
        if before:
            each = [
                f"{(self.preview - before.preview) / more * 1000:.0f} ms",
                f"{(self.checkpoint - before.checkpoint) / more * 1000:.1f} ms",
                f"{(self.size - before.size) / more / 1000:.1f} KB",
                f"{(self.packed - before.packed) / more / 1000:.1f} KB",
            ]
        own = [f"{self.preview:.2f} s", f"{self.checkpoint:.2f} s", f"{self.size / 1000:.0f} KB"]
        return f"| {' | '.join([str(self.hosts), *own, *each])} |\n"


def simulated(folder: Path, aws: str) -> dict[str, str]:
    """The variables of an engine in `folder` whose hosts do not exist, in the AWS at that URL."""
    return {
        **environment(folder, instead={"command": "quiet"}),
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "*"),  # all of it is on this machine
    }


def project(folder: Path) -> Stack:
    """A copy of this program in `folder`."""
    logs = folder / "logs"
    logs.mkdir()
    return Stack.copied(folder / "project", logs, "bench")


def declare(stack: Stack, hosts: int) -> None:
    """The settings of a stack of that many hosts."""
    images = boto3.client("ec2").describe_images(Owners=["amazon"])["Images"]
    login = host_identity.host_identity(SEED, "login").private
    plain = {
        "app": "shop",
        "repository": "https://git.example.com/shop.git",
        "revision": "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233",
        "public_key": keys.public_line(login),
        "count": str(hosts),
        "ami": images[0]["ImageId"],
        "max_unavailable": str(hosts),
        "ssh_cidrs[0]": "203.0.113.0/24",
        "processes.worker.quantity": "2",
    }
    secret = {"private_key": login, "host_key_seed": SEED, "config": json.dumps(CONFIG)}
    stack.configure(
        {f"satellite:{key}": value for key, value in plain.items()},
        {f"satellite:{key}": value for key, value in secret.items()},
    )


def made(stack: Stack, hosts: int) -> str:
    """Make a stack of that many hosts; its state as the engine exports it."""
    stack.run("stack", "init")
    declare(stack, hosts)
    stack.run("up", "--yes", "--skip-preview")
    return stack.run("stack", "export")


def size(exported: str) -> int:
    """Bytes of the resources in an exported state, as the engine writes them."""
    return len(json.dumps(json.loads(exported)["deployment"], separators=(",", ":")))


def packed(exported: str) -> int:
    """Bytes of an exported state with gzip, as the S3 and file backends can store it."""
    return len(gzip.compress(exported.encode()))


def measure(stack: Stack, hosts: int) -> Measured:
    """Make a stack of that many hosts, measure it, and forget it."""
    exported = made(stack, hosts)
    preview = seconds(lambda: stack.run("preview", "--expect-no-changes"))
    checkpoint = seconds(lambda: stack.run("stack", "import", stdin=exported))
    stack.run("stack", "rm", "--force", "--yes")
    return Measured(hosts, preview, checkpoint, size(exported), packed(exported))


def seconds(run: Callable[[], object]) -> float:
    """The median of some runs."""
    taken = []
    for _ in range(TIMES):
        quiet.wait(used=quiet.Used.busy)  # as nothing of ours is at work between two runs
        began = time.monotonic()
        run()
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def main() -> None:
    """Print the page as its rows come, and write it."""
    text, before = TITLE, None
    with (
        emulated_aws() as url,
        tempfile.TemporaryDirectory(prefix="satellite-bench-") as folder,
    ):
        os.environ |= simulated(Path(folder) / "engine", url)
        stack = project(Path(folder))
        for count in COUNTS:
            found = measure(stack, count)
            row = found.row(before)
            sys.stdout.write(row)
            sys.stdout.flush()
            text, before = text + row, found
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
