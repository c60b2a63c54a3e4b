"""What the machines know about a failure, brought where it outlives them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.client import Lab, LabHost

QUESTIONS = {
    "journal.log": "journalctl --boot --no-pager --output=short-precise",
    "units.log": "systemctl list-units --all --no-pager 'satellite*'",
    "releases.log": "find /var/log/satellite -type f -exec tail -n +1 {} +",
    "cloud-init.log": "cat /var/log/cloud-init-output.log",
}


def collect(lab: Lab, logs: Path) -> None:
    """Put each host's answers into `logs`/HOST/."""
    for host in lab.hosts():
        folder = logs / host.name
        folder.mkdir(exist_ok=True)
        for name, question in QUESTIONS.items():
            (folder / name).write_text(_answer(host, question), encoding="utf-8")


def _answer(host: LabHost, question: str) -> str:
    try:
        done = host.run(question, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{host.name} gave no answer: {error}\n"
    return done.stdout + done.stderr
