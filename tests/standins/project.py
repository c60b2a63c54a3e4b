"""Run the vendor's CLI on small programs, and read what it did from its own event log."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STACK = "::pulumi:pulumi:Stack::"  # in its URN; what the engine itself says has none
PROGRAM = Path(__file__).parent / "program"

# how the program's resources are written in a test; program/__main__.py reads them


def ref(*path: str) -> dict[str, Any]:
    """An output of an earlier resource: ref("vm", "id")."""
    return {"$ref": list(path)}


def secret(value: Any) -> dict[str, Any]:
    """The value as a secret."""
    return {"$secret": value}


@dataclass(frozen=True)
class Made:
    """One resource (or function call) of a program; arguments as the Python SDK spells them."""

    name: str
    kind: str
    arguments: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ran:
    """What one CLI command did.

    `steps` maps a resource's name to its operations in order, unchanged ones left out;
    `paths` to the sorted paths that differ; `errors` are the resources' own error lines.
    """

    status: int
    text: str
    steps: dict[str, list[str]]
    paths: dict[str, list[str]]
    errors: list[str]


class Project:
    """A Pulumi project with one stack in a folder of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder / "project"
        shutil.copytree(PROGRAM, self.folder)
        state = folder / "state"
        state.mkdir()
        self.environment = {
            **environment,
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_DEBUG_COMMANDS": "true",  # it hides --event-log
        }
        self.cli("stack", "init", "test")

    def declare(self, *resources: Made, **outputs: Any) -> None:
        """Make this the program."""
        listed = [
            {
                "name": made.name,
                "kind": made.kind,
                "arguments": made.arguments,
                "options": made.options,
            }
            for made in resources
        ]
        text = json.dumps({"resources": listed, "outputs": outputs})
        (self.folder / "resources.json").write_text(text)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the CLI in a process group of its own, as a terminal would."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def cli(self, *arguments: str, **environment: str) -> str:
        """Run the CLI; return what it printed. An exit status other than 0 fails the test."""
        process = self.start(*arguments, **environment)
        text, _ = process.communicate()
        assert process.returncode == 0, text
        return text

    def up(self, *flags: str) -> Ran:
        """Run `pulumi up` without a preview first."""
        return self._run("up", "--yes", "--skip-preview", *flags)

    def preview(self, *flags: str) -> Ran:
        """Run `pulumi preview`."""
        return self._run("preview", *flags)

    def refresh(self) -> Ran:
        """Run `pulumi refresh` without a preview first."""
        return self._run("refresh", "--yes", "--skip-preview")

    def destroy(self) -> Ran:
        """Run `pulumi destroy` without a preview first."""
        return self._run("destroy", "--yes", "--skip-preview")

    def outputs(self) -> Any:
        """The stack's outputs, secrets shown."""
        return json.loads(self.cli("stack", "output", "--json", "--show-secrets"))

    def state(self, *flags: str) -> dict[str, dict[str, Any]]:
        """Each resource of the state by name, the stack and the providers left out."""
        deployment = json.loads(self.cli("stack", "export", *flags))["deployment"]
        return {
            resource["urn"].split("::")[-1]: resource
            for resource in deployment.get("resources", [])
            if not resource["type"].startswith("pulumi:")
        }

    def state_text(self) -> str:
        """Every byte that the backend keeps, histories and backups included."""
        kept = sorted(self.folder.parent.joinpath("state").rglob("*"))
        return "\n".join(path.read_text() for path in kept if path.is_file())

    def _run(self, command: str, *flags: str) -> Ran:
        log = self.folder.parent / "events.json"
        log.unlink(missing_ok=True)
        process = self.start(command, "--event-log", str(log), *flags)
        text, _ = process.communicate()
        lines = log.read_text().splitlines() if log.exists() else []
        return _read(process.returncode, text, [json.loads(line) for line in lines])


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C: every process of the foreground group gets it."""
    process.send_signal(signal.SIGINT)


def _read(status: int, text: str, events: Sequence[Mapping[str, Any]]) -> Ran:
    steps: dict[str, list[str]] = {}
    paths: dict[str, list[str]] = {}
    errors = []
    for event in events:
        if planned := event.get("resourcePreEvent"):
            step = planned["metadata"]
            name = step["urn"].split("::")[-1]
            if step["type"].startswith("pulumi:") or step["op"] in ("same", "refresh"):
                continue
            steps.setdefault(name, []).append(step["op"])
            if step.get("detailedDiff"):
                paths[name] = sorted(step["detailedDiff"])
        if refreshed := event.get("resOutputsEvent"):
            step = refreshed["metadata"]
            name = step["urn"].split("::")[-1]
            if step["type"].startswith("pulumi:"):
                continue
            if step["op"] in ("update", "delete") and name not in steps:
                steps[name] = [step["op"]]
        told = event.get("diagnosticEvent") or {}
        if told.get("severity") == "error" and STACK not in told.get("urn", STACK):
            errors.append(told["message"].strip())
    return Ran(status, text, steps, paths, errors)
