"""A stack of two hosts without an engine and without machines: `pulumi` and `ssh` only answer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from satellite_cli import aim, main, remote
from satellite_cli.noted import Order
from satellite_cli.reachable import Gate
from satellite_infra import keys
from satellite_infra.agent import flat
from satellite_infra.agent.installed import digest
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent_bundle import agent_files

CANARY = "canary-7f3a9c"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MANIFEST = f"""\
manifest: release 1
revision: {COMMIT}
app: shop
environment: staging
processes.worker.quantity: 2
processes.worker.grace: 20
"""
PULUMI = """\
#!{python}
import json, os, socket, sys
from pathlib import Path
place = Path({place!r})
with (place / "pulumi.seen").open("a") as seen:
    print(json.dumps(sys.argv[1:]), file=seen)
said = json.loads((place / "pulumi.json").read_text())
ours = sys.argv[1 : sys.argv.index("--non-interactive")]
words = [word for word in ours if not word.startswith("-")]
for word in sys.argv:
    if word.startswith("--client="):
        address, port = word.partition("=")[2].split(":")
        with socket.create_connection((address, int(port))) as program:
            if program.recv(1) != b"1":
                sys.exit("error: the program ended early")
def option(name):
    return Path(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else None
file = option("--config-file")
if words[0] == "config" and file and words[1] in ("set", "rm"):
    with file.open("a") as settings:
        print("#", words[1], *words[-2 if words[1] == "set" else -1:], file=settings)
    sys.exit(0)
if log := option("--event-log"):
    answered = Path(os.environ["SATELLITE_ANSWERED"])
    if answered.exists():
        told = dict(path=str(answered), text=answered.read_text(), at=answered.stat().st_mtime)
        (place / "answered").write_text(json.dumps(told))
    if file:
        number = len([*place.glob(f"{{words[0]}}.*.settings")]) + 1
        for name in (f"{{words[0]}}.settings", f"{{words[0]}}.{{number}}.settings"):
            (place / name).write_text(file.read_text())
    events = json.loads((place / "events.json").read_text()).get(words[0], [])
    with log.open("a") as out:
        for event in events:
            print(json.dumps(event), file=out, flush=True)
for key, (status, out, err) in sorted(said.items(), reverse=True):
    if " ".join(words).startswith(key):
        print(out)
        print(err, file=sys.stderr)
        sys.exit(status)
sys.exit(f"error: nobody told what `pulumi {{' '.join(words)}}` says")
"""
SSH_CONFIG = """\
Host worker-1
  HostName 192.0.2.1
  User admin
  HostKeyAlias worker-1
  KnownHostsCommand /bin/echo worker-1 ssh-ed25519 AAAAone

Host worker-2
  HostName 192.0.2.2
  Port 2222
  User admin
  HostKeyAlias worker-2
  KnownHostsCommand /bin/echo worker-2 ssh-ed25519 AAAAtwo

Host worker-1 worker-2
  StrictHostKeyChecking yes
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
"""
SSH = """\
#!{python}
import json, os, subprocess, sys, time
from pathlib import Path
place = Path({place!r})
if sys.argv[1] == "-Q":
    print(*json.loads((place / "kex.json").read_text()), sep="\\n")
    sys.exit(0)
config, rest = sys.argv[sys.argv.index("-F") + 1], sys.argv[3:]
options = []
while rest[0].startswith("-"):
    options.append(rest.pop(0))
    if options[-1] == "-o":
        options.append(rest.pop(0))
host, *command = rest
seen = dict(host=host, options=options, command=command, config=Path(config).read_text(),
            mode=oct(Path(config).parent.stat().st_mode & 0o777),
            held=subprocess.run(["ssh-add", "-L"], capture_output=True, text=True).stdout)
(place / f"ssh.{{host}}.seen").write_text(json.dumps(seen))
answer = json.loads((place / "ssh.json").read_text()).get(host, {{}})
answer = answer.get(" ".join(command), answer)
sys.stdout.write(answer.get("out", ""))
sys.stdout.flush()
time.sleep(answer.get("sleep", 0))
sys.stderr.write(answer.get("err", ""))
sys.exit(answer.get("status", 0))
"""


@dataclass
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """What it printed, as data."""
        return json.loads(self.out)


@dataclass
class Desk:
    """Where an operator sits: what `pulumi` and each host's `ssh` will say, and what they saw."""

    place: Path
    capture: pytest.CaptureFixture[str]
    outputs: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    pulumi: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[Any]] = field(default_factory=dict)
    kex: list[str] = field(default_factory=lambda: ["sntrup761x25519", "curve25519-sha256"])
    """How this computer's ssh can exchange keys."""
    drains: dict[str, str] = field(default_factory=dict)
    """Host -> the machine that its drain is of, where that is not the one that it has."""
    given: dict[str, list[str]] = field(default_factory=dict)
    """Host -> the machines of which another one has given back what they held, as it is lost."""
    written: str = "config:\n"
    """What the settings are in the stack's file."""

    def satellite(self, *arguments: str) -> Ran:
        """Run it."""
        self.tell()
        (self.place / "ssh.json").write_text(json.dumps(self.hosts))
        (self.place / "kex.json").write_text(json.dumps(self.kex))
        remote.openly.cache_clear()
        (self.place / "events.json").write_text(json.dumps(self.events))
        self.capture.readouterr()
        status = main.main(arguments)
        return Ran(status, *self.capture.readouterr())

    def tell(self) -> None:
        """Have `pulumi` say what it shall, and the stack's file, from now on."""
        file = self.place / "Pulumi.staging.yaml"
        if file.exists() and (text := file.read_text()).startswith(self.written):
            rest = text.removeprefix(self.written)
            self.written = "config:\n"
            for key, item in self.config.items():
                encrypted = {"secure": "v1:AAAA"}
                value = json.dumps(encrypted if item.get("secret") else item["value"])
                self.written += f"  {key}: {value}\n"
            file.write_text(self.written + rest)
        said = {
            "stack output": (0, json.dumps(self.outputs), ""),
            "stack export": (0, json.dumps({"deployment": {"resources": self._state()}}), ""),
            "config": (0, json.dumps(self.config), ""),
            "stack": (0, "staging", ""),
        }
        (self.place / "pulumi.json").write_text(json.dumps({**said, **self.pulumi}))

    def settings(self, name: str = "Pulumi.staging.yaml") -> str:
        """What has become of the stack's file, or of a copy, after the settings of before."""
        return (self.place / name).read_text().replace(self.written, "config:\n", 1)

    def _state(self) -> list[dict[str, Any]]:
        """What of the state is asked for: the outputs, the drains, and what was given back."""
        kind, root = "command:remote:Command", {"urn": "urn:x", "type": "pulumi:pulumi:Stack"}
        machines = {host["name"]: host["machine"] for host in self.outputs.get("hosts", [])}
        inputs = {
            f"{name}-drain": {"triggers": [machine]}
            | ({} if name in self.given else {"delete": "x"})
            for name, machine in {**machines, **self.drains}.items()
        }
        inputs |= {f"{name}-jobs": {"triggers": ["i-1", *m]} for name, m in self.given.items() if m}
        commands = [
            {
                "urn": f"urn:pulumi:staging::satellite::{kind}::{name}",
                "type": kind,
                "parent": "urn:x",
                "inputs": own,
            }
            for name, own in inputs.items()
        ]
        return [{**root, "outputs": self.outputs}, *commands]

    def says(self, host: str, value: object, **more: Any) -> None:
        """What the host's agent will print."""
        self.hosts[host] = {"out": value if isinstance(value, str) else json.dumps(value), **more}

    def seen(self, host: str) -> Any:
        """What its ssh saw."""
        return json.loads((self.place / f"ssh.{host}.seen").read_text())

    def engine(self) -> list[list[str]]:
        """The command lines of the CLI."""
        lines = (self.place / "pulumi.seen").read_text().splitlines()
        return [json.loads(line) for line in lines]


def served(desk: Desk) -> Any:
    """What serves the program, for that `pulumi`: what a run tells the gate, and asks it."""

    @contextlib.contextmanager
    def serve(gate: Gate, ready: Callable[[], None], _: Order) -> Iterator[str]:
        def run() -> None:
            with contextlib.suppress(OSError):  # nobody has come
                engine, _ = server.accept()
                with engine:
                    gate.told(lambda: desk.config, lambda: json.dumps(desk.outputs))
                    ready()
                    engine.send(b"1" if gate.passed() else b"0")

        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=run)
            thread.start()
            yield "{}:{}".format(*server.getsockname())
            server.shutdown(socket.SHUT_RDWR)
            thread.join()

    return serve


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    found = Desk(tmp_path, capfd)
    (tmp_path / "Pulumi.yaml").write_text("name: satellite\nruntime: python\n")
    (tmp_path / "Pulumi.staging.yaml").write_text("config:\n")
    monkeypatch.chdir(tmp_path)
    key = keys.new_private_key()
    for name, text in (("pulumi", PULUMI), ("ssh", SSH)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(python=sys.executable, place=str(tmp_path)))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.delenv("SATELLITE_STACK", raising=False)
    aim.at("")
    found.outputs = {
        "hosts": [host("worker-1", "i-1", "192.0.2.1"), host("worker-2", "i-2", "192.0.2.2")],
        "ssh_config": SSH_CONFIG,
        "revision": COMMIT,
        "formation": {"worker": 2},
        "manifest": MANIFEST,
    }
    found.config = {
        "satellite:private_key": {"value": key.strip(), "secret": True},
        "satellite:config": {"value": json.dumps({"TOKEN": CANARY}), "secret": True},
    }
    monkeypatch.setattr("satellite_cli.serving.served", served(found))
    yield found
    # whatever was asked: neither the key nor a value of a secret in a command line
    shown = (tmp_path / "pulumi.seen").read_text() if (tmp_path / "pulumi.seen").exists() else ""
    shown += "".join(path.read_text() for path in tmp_path.glob("ssh.*.seen"))
    assert CANARY not in shown
    assert key.splitlines()[1] not in shown


def host(name: str, machine: str, address: str, lost: bool = False) -> dict[str, Any]:
    """One of the stack's outputs."""
    return {"name": name, "machine": machine, "address": address, "lost": lost}


def missed() -> str:
    """What an agent says that does not find what its host has to remember."""
    with pytest.raises(LookupError) as failure:
        Ledger(Layout("shop", Path("/nowhere"))).identity()
    return str(failure.value)


def status(host: str, states: tuple[str, ...] = ("running", "running"), **more: Any) -> Any:
    """What a host's agent says of itself."""
    workers = [
        {
            "name": f"worker.{n}",
            "state": state,
            "since": "2026-11-25T10:00:00Z",
            "revision": COMMIT,
            "memory": 84 << 20,
            "pid": 100 + n,
        }
        for n, state in enumerate(states, 1)
    ]
    found = {
        "host": host,
        "launched": "2026-11-18T07:00:00Z",
        "booted": "2026-11-20T08:00:00Z",
        "current": "20261125100000-0123456",
        "revision": COMMIT,
        "lock": None,
        "unfinished": False,
        "disk": {"free": 1, "total": 2},
        "workers": workers,
        "clock": None,  # a test that is slow would see it off
        "agent": digest(agent_files()),
        "manifest": flat.digests(flat.load(f"{MANIFEST}{flat.END}\n")),
        "queue": None,
        "findings": [],
    }
    return {**found, **more}
