"""`make pictures`: what `satellite` prints on a terminal of 80 columns, as SVG in docs/pictures.

The output is real, of a small stack in the lab; what differs in each run (commits, instances, times
of day) is replaced by words of the same length.
"""

from __future__ import annotations

import io
import os
import pty
import re
import select
import socket
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from demo.site import Site, demolished, new_site
from demo.waiting import wait_until
from lab import kernel

CHECKOUT = Path(__file__).parent.parent
PICTURES = CHECKOUT / "docs" / "pictures"
COLUMNS, ROWS = 80, 50
APP = {
    "Procfile": "worker: ./worker\nmailer: ./worker\n",
    "worker": """\
#!/bin/sh
trap 'exit 0' TERM
echo waits for jobs
n=0
while :; do
    sleep 2 & wait $!
    n=$((n + 1)); echo "job $n done in 2.0 s"
done
""",
}
BROKEN = "#!/bin/sh\necho 'cannot load such file -- app/jobs' >&2\nexit 1\n"
SETTINGS = {"environment": "staging", "processes.mailer.quantity": "1"}
FONT = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
FORMAT = FONT.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "DejaVu Sans Mono")
"""rich's own frame; a page that shows the picture loads no font from elsewhere."""


def typed(argv: list[str], cwd: Path, environment: Mapping[str, str], answer: str = "") -> str:
    """What a command prints on a terminal; `answer` is typed where it asks."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env={**environment, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        said = b""
        while (more := _read(ours)) is not None:
            said += more
            if answer and said.rstrip().endswith(b"]:"):
                os.write(ours, f"{answer}\n".encode())
                answer = ""
            if process.poll() is not None and not more:
                break
    os.close(ours)
    return said.decode(errors="replace").replace("\r\n", "\n")


def _read(terminal: int) -> bytes | None:
    """What is there within a moment; None where the other side is gone."""
    if not select.select([terminal], [], [], 0.2)[0]:
        return b""
    try:
        return os.read(terminal, 65_536) or None
    except OSError:  # how Linux says that nobody has it open any more
        return None


@dataclass
class Names:
    """What is put in place of words that differ in each run."""

    words: dict[str, str] = field(default_factory=dict)

    def commit(self, commit: str) -> None:
        """Have a commit shown as one that is always the same."""
        digit = f"{len(self.words) + 1:x}"
        self.words[commit] = (digit + "c0ffee0" * 6)[:40]

    def plain(self, text: str) -> str:
        """The text with the words in their places."""
        for commit, shown in self.words.items():
            for length in (40, 12, 7):
                text = text.replace(commit[:length], shown[:length])
        instances = sorted(set(re.findall(r"i-[0-9a-f]{17}", text)), key=text.index)
        for number, instance in enumerate(instances, 1):
            text = text.replace(instance, f"i-{number:02x}23456789abcdef0")
        text = re.sub(r"release-\d{8}T\d{6}Z-[0-9a-f]{4}", "release-20260102T030405Z-a1b2", text)
        text = re.sub(r"\b20\d{12}-", "20260102030405-", text)
        return re.sub(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:", "2026-01-02T03:04:", text)


def svg(command: str, output: str, name: str) -> str:
    """The picture of a command and what it printed, folded as a terminal does."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {command}", style="bold"))
    for line in Text.from_ansi(output.rstrip("\n")).split(allow_blank=True):
        for part in line.divide(range(COLUMNS, max(line.cell_len, 1), COLUMNS)):
            console.print(part, no_wrap=True, crop=False)
    picture = console.export_svg(title=command, code_format=FORMAT, unique_id=name)
    # rich's blanks are hard ones, which some viewers take away at the beginning all the same
    return picture.replace("<text ", '<text xml:space="preserve" ')


@dataclass(frozen=True)
class Camera:
    """Takes pictures of the command upon a stack."""

    site: Site
    names: Names

    def take(self, name: str, line: str, answer: str = "", **environment: str) -> None:
        """Run the line, and keep its picture under that name."""
        before = {"SATELLITE_STACK": self.site.stack.name, "PYTHONPATH": str(CHECKOUT)}
        argv = [sys.executable, "-m", "satellite_cli", *line.split()[1:]]
        project = self.site.stack.project
        text = typed(argv, project, {**os.environ, **before, **environment}, answer)
        shown = self.names.plain(text).replace(self.site.stack.name, "staging")
        (PICTURES / f"{name}.svg").write_text(svg(line, shown, name), encoding="utf-8")
        print(f"{name}: $ {line}\n{shown}")

    def change(self, **files: str) -> None:
        """A new commit on the branch."""
        self.names.commit(self.site.repository.commit(files))


def main() -> None:
    """Make a stack, use the command, keep the pictures."""
    PICTURES.mkdir(exist_ok=True)
    kernel.unshare(kernel.NEWUTS)  # the machine's own name may be longer or shorter
    socket.sethostname("laptop")
    os.environ["LOGNAME"] = "ada"
    with tempfile.TemporaryDirectory(prefix="satellite-pictures-") as folder:
        site = new_site(Path(folder) / "site", "shop", APP, 2, SETTINGS, {})
        with demolished(site):
            camera = Camera(site, Names())
            camera.change(number="1")
            site.up()
            camera.take("help", "satellite --help")
            camera.change(number="2")
            camera.take("deploy", "satellite deploy", answer="y")
            worker = APP["worker"]
            camera.change(worker=BROKEN)
            camera.take("failed", "satellite deploy --yes")
            camera.change(worker=worker)
            wait_until("workers run", lambda: all(len(site.workers(h)) == 3 for h in site.hosts()))
            time.sleep(5)  # for some jobs
            camera.take("info", "satellite info")
            camera.take("info-no-color", "satellite info", NO_COLOR="1")
            camera.take("ps", "satellite ps")
            camera.take("releases", "satellite releases")
            camera.take("logs", "satellite logs -n 12")


if __name__ == "__main__":
    main()
