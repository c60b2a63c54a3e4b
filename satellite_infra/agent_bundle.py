"""The on-host agent as one zip file: the same bytes from every clone, umask and Python version."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from satellite_infra.agent.installed import digest

SOURCES = Path(__file__).parent / "agent"
MAIN = b"import sys\n\nfrom agent.cli import main\n\nsys.exit(main(sys.argv[1:]))\n"
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class AgentBundle:
    """A built agent. The digest is of its sources; the path is for this run only."""

    path: Path
    digest: str

    @property
    def remote_path(self) -> str:
        """Where it goes on a host, seen from the login user's home."""
        return f".satellite-agent-{self.digest}.pyz"


def agent_bundle(sources: Path = SOURCES) -> AgentBundle:
    """Build it in a directory of its own, which goes when this process ends."""
    files = agent_files(sources)
    directory = Path(tempfile.mkdtemp(prefix="satellite-agent-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = directory / "agent.pyz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.create_system, info.external_attr = 3, 0o100644 << 16  # as made on Unix, always
            archive.writestr(info, content)
    return AgentBundle(path, digest(files))


def agent_files(sources: Path = SOURCES) -> dict[str, bytes]:
    """What is in it, by name."""
    return {"__main__.py": MAIN, **_files(sources)}


def _files(sources: Path) -> dict[str, bytes]:
    """Python modules and templates by their name in the zip, sorted; what editors leave is not."""
    found = [*sources.rglob("*.py"), *(sources / "templates").rglob("*")]
    kept = {
        path.relative_to(sources).as_posix(): path
        for path in found
        if path.is_file() and "__pycache__" not in path.parts
        if not path.name.startswith((".", "#")) and not path.name.endswith(("~", ".pyc", ".orig"))
    }
    return {f"agent/{name}": kept[name].read_bytes() for name in sorted(kept)}
