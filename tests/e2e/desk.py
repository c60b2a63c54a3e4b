"""Where an operator types `satellite`, in the folder of a stack of the lab."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.e2e.conftest import Site


@dataclass(frozen=True)
class Desk:
    """Where the operator sits: in the project's folder."""

    site: Site
    made: str = ""
    """What the command said that made it all."""

    def argv(self, line: str) -> list[str]:
        """Its command line."""
        return self.site.command(*self.words(line))

    def words(self, line: str) -> list[str]:
        """What follows the program in a line of the tables, its words in capitals filled in."""
        words = {
            "STACK": self.site.stack.name,
            "HOST": "desk-2",
            "CMD": "'echo $PS; pwd'",
            "BRANCH": "next",
            "NAME": "GREETING",
        }
        line = re.sub("|".join(words), lambda match: words[match[0]], line)
        program, *arguments = shlex.split(line)
        assert program == "satellite"
        return arguments

    def run(self, line: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end; never a traceback."""
        return self.site.satellite(*self.words(line), stdin=stdin)

    def started(self, line: str, **how: Any) -> subprocess.Popen[str]:
        """One that goes on meanwhile."""
        return subprocess.Popen(
            self.argv(line),
            cwd=self.site.stack.project,
            env=self.site.environment(),
            text=True,
            # where tests run in the background of a script, nobody hears it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **{"stdout": subprocess.PIPE, **how},
        )

    def good(self, line: str, stdin: str = "") -> str:
        """Run it; it succeeds; what it prints."""
        ran = self.run(line, stdin)
        assert ran.returncode == 0, ran
        return ran.stdout

    def settings(self) -> str:
        """The stack's file."""
        file = self.site.stack.project / f"Pulumi.{self.site.stack.name}.yaml"
        return file.read_text(encoding="utf-8")

    def runs(self) -> list[set[str]]:
        """The commits that each host's workers run."""
        return [self.site.runs_from(host) for host in self.site.hosts()]

    def commit(self, **files: str) -> str:
        """A new one on the branch."""
        return self.site.repository.commit({"number": os.urandom(4).hex(), **files})

    def environment_of(self, number: int) -> str:
        """What a worker of that host sees."""
        host = self.site.host(number)
        pid = next(iter(self.site.workers(host).values()))
        return host.run(f"cat /proc/{pid}/environ").stdout

    def workers(self) -> list[list[str]]:
        """The workers of each host that run, as `worker.1`."""
        found = [self.site.workers(host) for host in self.site.hosts()]
        return [sorted(unit.split(".")[1].replace("@", ".") for unit in one) for one in found]
