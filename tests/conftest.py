"""What all tests share: no test sees the developer's own Pulumi, AWS or SSH settings."""

from __future__ import annotations

import os
import signal
from itertools import groupby
from pathlib import Path

import pytest

# The lab sets these on purpose, for the tests inside it.
if "SATELLITE_LAB" not in os.environ:
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "AWS_"))]:
        del os.environ[name]
    os.environ.pop("SSH_AUTH_SOCK", None)

# What tests talk to is on this machine. The rest, packages for one, may need the proxy.
for name in ("no_proxy", "NO_PROXY"):
    if (others := os.environ.get(name)) != "*":
        os.environ[name] = ",".join(filter(None, (others, "127.0.0.1", "localhost")))

# A shell starts what is in its background with Ctrl-C ignored, and all that is started from there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# As Ctrl-C: what a test has started is ended by its fixtures.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share",
        metavar="FOLDER",
        type=Path,
        help="share the modules with other runs that name this folder: each runs what it takes "
        "first, in its own lab",
    )


@pytest.fixture(scope="session", autouse=True)
def collected(request: pytest.FixtureRequest) -> None:
    """Note in the report how many tests the runs share, for who sums up what each has run."""
    if request.config.getoption("share"):
        note = request.getfixturevalue("record_testsuite_property")
        note("shared", len({item.nodeid for item in request.session.items}))


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the modules that no other run has taken; pytest's own loop where nothing is shared."""
    folder: Path | None = session.config.getoption("share")
    if folder is None or session.config.getoption("collectonly"):
        return None
    for path, module in groupby(session.items, key=lambda item: item.path):
        items = list(module)
        try:
            (folder / path.relative_to(session.config.rootpath)).mkdir(parents=True)
        except FileExistsError:
            continue
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    return True
