"""Does this host answer on SSH, and as itself? The engine runs `COMMAND`, once for each host.

Runs before anything connects: the command provider's SSH client waits for a banner without end, and
tries a wrong host key again and again. What to reach comes in the environment, SATELLITE_*; the
login key, where a bastion asks for it, on standard input. Loads little, `collections` is much.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

COMMAND = "python3 -Sc 'from satellite_infra.reach import run; run()'"
"""It needs no packages, which take longest to load; and -m brings more along than there is here."""
ANSWERED = "SATELLITE_ANSWERED"
"""Variable that names a file of the hosts that `satellite` has just logged in to, a line each."""
INTERRUPTED = "SATELLITE_INTERRUPTED"
"""Variable that names a file which is there once `satellite` was told to end."""
LATELY = 60
"""Seconds after which they are asked again."""
SENT = "SATELLITE_SENT"
"""Variable with a digest of what the host is to be sent."""
WAY = ("SATELLITE_ADDRESS", "SATELLITE_PORT", "SATELLITE_HOST_KEY")
AROUND = (
    *("SATELLITE_HOST", "SATELLITE_MACHINE", "SATELLITE_USER", "SATELLITE_OPENED_TO"),
    *("SATELLITE_BASTION", "SATELLITE_BASTION_PORT"),
    *("SATELLITE_BASTION_USER", "SATELLITE_BASTION_HOST_KEY"),
)
"""Variables with all that leads to the host."""
BEFORE = "PULUMI_COMMAND_STDOUT"
"""Variable with what the visit before has printed."""
NAMED = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""Variables with the user's name, as `getpass.getuser` reads them, which takes longer to load."""
CI_ACTORS = {"GITHUB_ACTOR": "GitHub Actions", "GITLAB_USER_LOGIN": "GitLab CI"}
"""Variable that names who started a job -> the CI."""


def run() -> None:
    """Do it, as the process that the engine started."""
    sys.exit(main())


def main() -> int:
    """0 when the host is reached; else 1 and one message on stderr.

    On stdout are the deployer, a mark that no other visit has, what the host is to be sent, and a
    digest of the way there. The first two are those of before while what is sent is the same.
    """
    before, there = Visit.read(os.environ.get(BEFORE, "")), way_there(os.environ)
    # the command took the way of the update before: through another bastion, by other rules
    if before.way != there or not answered(os.environ):
        from satellite_infra import dial

        try:
            target = dial.Target.of(os.environ)
            with dial.waited_for(target, os.environ.get(INTERRUPTED, "")):
                dial.reach(target, sys.stdin.read() if target.bastion else "")
        except dial.UnreachedError as problem:
            print(problem, file=sys.stderr)
            return 1
    sent = os.environ.get(SENT, "")
    same = before.mark and before.sent == sent
    if same:
        now = Visit(before.deployer, before.mark, sent, there)
    else:
        now = Visit(deployer(os.environ), os.urandom(4).hex(), sent, there)
    print(now.text())
    return 0


class Visit:
    """What is printed of a visit; all of it is text."""

    def __init__(self, deployer: str = "", mark: str = "", sent: str = "", way: str = "") -> None:
        self.deployer, self.mark, self.sent, self.way = deployer, mark, sent, way

    @classmethod
    def read(cls, text: str) -> Visit:
        """It, of what was printed."""
        return cls(*text.split("\n")[:4])

    def text(self) -> str:
        """What is printed."""
        return "\n".join((self.deployer, self.mark, self.sent, self.way))


def way_there(environment: Mapping[str, str]) -> str:
    """A checksum of all that leads to the host: address, key, bastion, rules."""
    import zlib

    pairs = [f"{name}={environment.get(name, '')}" for name in (*WAY, *AROUND)]
    return f"{zlib.crc32(chr(0).join(pairs).encode('utf-8', 'surrogateescape')):08x}"


def way(address: str, port: int | str, host_key: str) -> str:
    """A line of that file: where a host was logged in to, and the key that it showed."""
    return f"{address} {port} {host_key}"


def answered(environment: Mapping[str, str]) -> bool:
    """Whether it is one of them, by the same address, port and key."""
    path = environment.get(ANSWERED)
    if not path:
        return False
    try:
        asked = way(*(environment[name] for name in WAY))
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to load
            age = time.time() - os.fstat(file.fileno()).st_mtime
            return 0 <= age < LATELY and asked in file.read().split("\n")
    except (OSError, KeyError):
        return False


def deployer(environment: Mapping[str, str]) -> str:
    """Who runs this: a name and the CI's, or USER@MACHINE. It goes into each host's history."""
    for variable, where in CI_ACTORS.items():
        if environment.get(variable):
            return f"{environment[variable]} ({where})"
    named = (environment.get(variable) for variable in NAMED)
    user = next(filter(None, named), None) or _account(os.getuid())
    return f"{user}@{os.uname().nodename}"


def _account(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # without a name
        return str(number)
