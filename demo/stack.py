"""The Pulumi command line on a private copy of the program, so that the checkout stays as it is."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from demo import narration
from demo.failure import DemoError

CHECKOUT = Path(__file__).parent.parent
PROGRAM = ("Pulumi.yaml", "__main__.py", "satellite_infra")
TAIL = 40  # lines of output shown when a command fails


def _unheard(_: str) -> None:
    pass


@dataclass(frozen=True)
class Stack:
    """One stack of a copy of the program in `project`; what is printed goes to `logs`, too."""

    project: Path
    logs: Path
    name: str = "demo"

    @classmethod
    def copied(cls, project: Path, logs: Path, name: str = "demo") -> Stack:
        """Copy the program from the checkout to `project`."""
        project.mkdir(parents=True)
        for part in PROGRAM:
            source = CHECKOUT / part
            if source.is_dir():
                shutil.copytree(
                    source, project / part, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy2(source, project / part)
        return cls(project, logs, name)

    def run(self, *args: str, stdin: str = "", hear: Callable[[str], None] = _unheard) -> str:
        """Run `pulumi ARGS` and return its output; each line goes to `hear` as it comes.

        Raises DemoError with the end of the output and the log's path.
        """
        command = ["pulumi", *args, "--stack", self.name, "--non-interactive", "--color", "never"]
        log = self.logs / f"{len(list(self.logs.iterdir())) + 1:02}-pulumi-{args[0]}.log"
        lines = []
        with (
            log.open("w", encoding="utf-8") as file,
            subprocess.Popen(
                command,
                cwd=self.project,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            if process.stdin:
                process.stdin.write(stdin)
                process.stdin.close()
            for line in process.stdout or ():
                file.write(line)
                file.flush()
                lines.append(line.rstrip("\n"))
                hear(lines[-1])
        if process.returncode:
            said = narration.errors("\n".join(lines)) or [line for line in lines if line.strip()]
            raise DemoError(
                f"`{shlex.join(['pulumi', *args])}` ended with status {process.returncode}",
                said[-TAIL:],
                [log],
            )
        return "\n".join(lines)

    def configure(self, plain: Mapping[str, str], secret: Mapping[str, str]) -> None:
        """Set the settings at these paths, secret values by stdin only."""
        pairs = [part for key, value in plain.items() for part in ("--plaintext", f"{key}={value}")]
        self.run("config", "set-all", "--path", *pairs)
        for key, value in secret.items():
            self.run("config", "set", "--secret", "--path", key, stdin=value)

    def resources(self) -> list[str]:
        """The names (URNs) of all resources in the state, but for the stack's own."""
        deployment = json.loads(self.run("stack", "export"))["deployment"]
        found = [resource["urn"] for resource in deployment.get("resources") or []]
        return [urn for urn in found if "pulumi:pulumi:Stack::" not in urn]
