"""A config var reaches a real process byte for byte, by the way that a worker really takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satellite_infra.agent import frontend, storage
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.release_manifest import Process, ReleaseManifest
from satellite_infra.deploy import Deploy
from satellite_infra.fields import RESERVED_VARS, SHELLS_VARS
from satellite_infra.release import manifest, secrets
from satellite_infra.settings import validated
from tests.infra.conftest import REVISION, SECRET, stack_values

CHECKOUT = Path(__file__).parents[2]
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,30}", fullmatch=True).filter(
    lambda name: name not in RESERVED_VARS | SHELLS_VARS and not name.startswith("SATELLITE_")
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
awkward = st.sampled_from(
    ["\n", "a\n\nb\n", "'", '"', "$HOME `id` $(id)", "%i %%", "\\", "ü😀\u2028", "{{ A }}", "  a  ",
     "END_OF_MANIFEST\n", "\nend: manifest\n", "\x01\x7f\u0085", "x" * 32 * 1024, "ü" * 16 * 1024]
)  # fmt: skip
# what changes how bash, the loader or Python's own start in this test behaves, not what they see
others = {"BASH_ENV", "ENV", "LD_PRELOAD", "LD_LIBRARY_PATH", "POSIXLY_CORRECT"}
sets = st.dictionaries(names.filter(lambda n: n not in others), texts | awkward, max_size=6)
WORKER = """
import os, sys
from pathlib import Path
from satellite_infra.agent import workers
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.system import System
workers.become = lambda user: None  # tests need no root
System.systemctl = lambda *words: ""  # which is asked for the jobs of those before
for _ in sys.stdin:
    child = os.fork()
    if not child:
        workers.work(Layout("shop", Path(sys.argv[1])), "worker", 1, 0, System())
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Becomes a worker for each line that it is sent."""


def sent(config: dict[str, str]) -> tuple[ReleaseManifest, dict[str, str]]:
    """The way from a stack file to the host: settings, manifest, bundle, standard input."""
    values = {**stack_values(), "config": json.dumps(config), "environment_vars": "[]"}
    stack, problems = validated(values, SECRET & values.keys())
    assert problems == []
    deploy = Deploy(REVISION, stack.config)
    text = manifest(stack, "h", deploy).text()
    # as run_agent.sh hands it on: the shell's own substitution takes newlines from the end
    bundle = json.dumps({"machine": "m", **secrets(stack, deploy)}).rstrip("\n")
    head, found = frontend.split(f"{text}{bundle}\n")
    return ReleaseManifest.parse(head), found["config"]


@pytest.fixture
def host(layout: Layout) -> Layout:
    """A host with one release, whose worker shows its environment."""
    release = layout.releases / "r1"
    release.mkdir()
    (release / "Procfile").write_text('worker: exec cat /proc/self/environ >"$SHOWN"\n')
    layout.current.symlink_to(release)
    return layout


@pytest.fixture
def start(host: Layout) -> Iterator[Callable[[], None]]:
    """Runs a worker of that host to its end."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(host.root)],
        env={"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        to, of = process.stdin, process.stdout

        def one() -> None:
            to.write("\n")
            to.flush()
            assert of.readline() == "0\n"

        yield one
        to.close()


def seen(
    host: Layout, start: Callable[[], None], wanted: ReleaseManifest, config: dict[str, str]
) -> dict[bytes, bytes]:
    """What a real worker process is given."""
    shown = host.root / "shown"
    process = Process("worker", 1, command=f"exec cat /proc/self/environ >{shown}")
    storage.write(
        host.manifest("r1"),
        wanted._replace(processes=(process,)).text(),
    )
    storage.write_json(host.config("r1"), config)
    start()
    pairs = (pair.partition(b"=") for pair in shown.read_bytes().split(b"\0") if pair)
    return {name: value for name, _, value in pairs}


@settings(
    max_examples=1000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(config=sets)
def test_generated_sets_reach_a_worker_byte_for_byte(
    host: Layout, start: Callable[[], None], config: dict[str, str]
) -> None:
    wanted, stored = sent(config)
    assert wanted.config.keys() == config.keys()
    environment = seen(host, start, wanted, stored)
    assert {name: environment[name.encode()] for name in config} == {
        name: value.encode() for name, value in config.items()
    }


def test_what_the_shell_sets_itself_is_refused_as_a_name() -> None:
    """The list is of this bash; a variable that it changes must not be a config var."""
    known = subprocess.run(
        ["bash", "-c", "compgen -v"], capture_output=True, text=True, check=True
    ).stdout.split()
    for name in sorted({*known, "A"} - RESERVED_VARS - SHELLS_VARS - {"PATH"}):
        for value in ("a value", "5"):
            done = subprocess.run(
                ["/bin/bash", "-c", "exec cat /proc/self/environ"],
                env={"PATH": os.environ["PATH"], name: value},
                capture_output=True,
                check=True,
            )
            assert f"{name}={value}".encode() in done.stdout.split(b"\0"), name
