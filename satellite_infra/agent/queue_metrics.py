"""How long the app's queue is, and for how long its oldest job waits, for CloudWatch to watch.

It is measured in the release's environment as the app's user, and told by root: the app's user may
be kept from the instance's metadata.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from . import cloudwatch, measured, own_units, procfile, storage, units, urls, workers
from .bootstrap_manifest import Queue
from .cloudwatch import Datum
from .layout import Layout
from .ledger import Ledger
from .metrics import AGE, DEPTH, dimensions
from .preparation import Preparation
from .redact import Redactor
from .system import CommandError, Say, System

LIMIT = 40  # seconds
URL = "DATABASE_URL"
TAIL = 5  # lines of what it said, where it failed
LONGEST = 500  # characters of that
TWO_NUMBERS = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)[\s,;|]+(-?[0-9]+(?:\.[0-9]+)?)\s*")
PSQL = (
    *("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"),
    *("--field-separator= ", "--pset=null=0", "--set=ON_ERROR_STOP=1", "--file=-"),
)
HOST = re.compile(r"(?:\[(.+)\]|([^:\[\]]*))(?::([0-9]*))?")
PLACE = {"host", "hostaddr", "port", "user", "password", "service", "options"}
HOW = {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslnegotiation", "channel_binding"}
VARIABLES = {
    **{n: f"PG{n.upper().replace('_', '')}" for n in PLACE | HOW | {"target_session_attrs"}},
    "dbname": "PGDATABASE",
}
"""Of what may be behind a URL's ?, what libpq knows; the rest is the app's own, such as `pool`."""


def set_up(host: Preparation) -> bool:
    """Have the queue measured as the manifest says, or not."""
    layout, wanted, system = host.layout, host.manifest.queue, host.system
    if wanted is None:
        return _stop_measuring(layout, system)
    link, files = layout.timers / layout.queue_timer, units.queue(layout, wanted.every_minutes)
    right = all(storage.same(layout.units / f.name, f.content, 0o644) for f in files)
    right = right and link.is_symlink() and layout.queue.exists()
    right = right and system.runs(layout.queue_timer)
    if not right:
        storage.remove(layout.queue)  # it comes last, so that a run that is cut off is made again
    own_units.enable(layout, files, [link], system)
    if not right:
        system.systemctl("restart", layout.queue_timer)
    return storage.write_json(layout.queue, wanted._asdict())


def tell(layout: Layout, system: System, say: Say) -> None:
    """Measure it now and tell CloudWatch; whatever is in the way is the error's text."""
    how = storage.read_json(layout.queue)
    if how is None:
        say("nothing says how the queue is measured: bootstrap is about to")
        return
    wanted = Queue(**how)
    release, who, at = Ledger(layout).current(), Ledger(layout).identity(), time.time()
    if release is None:
        say("there is no release yet, and so nothing to measure")
        return
    depth, age = measure(layout, release, wanted, system)
    measured.keep(layout, wanted.name, depth, age, at)
    data = [Datum(DEPTH, depth, "Count"), Datum(AGE, age, "Seconds")]
    cloudwatch.put(data, dimensions(who["app"], who["environment"], wanted.name), at, system)
    say(f"queue {wanted.name}: {depth:g} jobs could run, the oldest of them for {age:.0f} s")


def measure(layout: Layout, release: str, wanted: Queue, system: System) -> tuple[float, float]:
    """How many jobs could run, and for how many seconds the oldest could; CommandError."""
    config = Ledger(layout).config(release)
    directory = layout.releases / release
    argv, program, own = _how(wanted, directory, config)
    said: deque[str] = deque(maxlen=TAIL)
    redact = Redactor({**config, **own})
    try:
        system.run(
            argv,
            said.append,
            user=layout.app,
            cwd=directory,
            env={**workers.environment(layout, release, config), **own},
            stdin=program,
            timeout=LIMIT,
        )
    except (CommandError, OSError) as problem:
        what = f"queue {wanted.name} could not be measured: {problem}"
        if isinstance(problem, FileNotFoundError) and argv[0] == "psql":
            what = "queue/sql: there is no psql on this host: satellite:packages needs one, such "
            what += "as postgresql-client"
        raise CommandError(_shown(redact, what, said)) from None
    last = next((line for line in reversed(said) if line.strip()), "")
    found = TWO_NUMBERS.fullmatch(last)
    if not found:
        what = f"queue {wanted.name}: its last line should be two numbers, how many jobs could run "
        what += "and for how many seconds the oldest of them could"
        raise CommandError(_shown(redact, what, said))
    return float(found[1]), max(0.0, float(found[2]))


def database(url: str) -> dict[str, str]:
    """A database's URL as the variables that psql reads: an argument would be shown by `ps`."""
    if url.partition("://")[0].lower() not in ("postgres", "postgresql", "postgis"):
        raise CommandError(
            f"queue/sql: needs a config var {URL} that begins with postgresql://; for another "
            "database use queue/command"
        )
    place = urls.parse(url)
    listed = place.hosts.split(",") if place else []
    hosts = [host for each in listed if (host := HOST.fullmatch(each))]
    if place is None or len(hosts) < len(listed):
        # not its words: where it cannot be read, any of them may be a part of the password
        raise CommandError(
            f"queue/sql: {URL} cannot be read: a port should be a number, and in a password / "
            "should be written as %2F"
        )
    parts = {
        "PGHOST": ",".join(host[1] or host[2] for host in hosts),
        "PGPORT": ",".join(host[3] or "" for host in hosts),
        "PGUSER": place.user,
        "PGPASSWORD": place.password,
        "PGDATABASE": place.path,
    }
    found = {name: unquote(part) for name, part in parts.items() if part}
    # not as a form has it, where a + is a space
    pairs = (pair.partition("=") for pair in place.query.split("&"))
    known = ((VARIABLES.get(name), unquote(value)) for name, _, value in pairs)
    wins = {name: value for name, value in known if name and value}
    return {"PGCONNECT_TIMEOUT": "10", **found, **wins}


def _how(
    wanted: Queue, release: Path, config: Mapping[str, str]
) -> tuple[Sequence[str], str | None, dict[str, str]]:
    """The program that measures it, what that reads, and its own variables."""
    if wanted.command:
        return ["/bin/bash", "-c", wanted.command], None, {}
    if wanted.sql:
        # within a transaction: a pooler would give settings of the connection to others
        begin = f"BEGIN READ ONLY; SET LOCAL statement_timeout = {(LIMIT - 5) * 1000};"
        return PSQL, f"{begin}\n{wanted.sql}\n;\nROLLBACK;\n", database(config.get(URL, ""))
    if not procfile.has_delayed_job(release):
        raise CommandError(
            "queue/delayed_job: the release's Gemfile.lock has no delayed_job; use queue/command "
            "or queue/sql"
        )
    return ["bundle", "exec", "ruby", "-"], units.template("queue_delayed_job.rb"), {}


def _shown(redact: Redactor, what: str, said: Sequence[str]) -> str:
    lines = redact("\n".join(said).strip())  # the end of a secret is not known as one any more
    return redact(what) + (f"; it said: {lines[-LONGEST:]}" if lines else "")


def _stop_measuring(layout: Layout, system: System) -> bool:
    link = layout.timers / layout.queue_timer
    names = (layout.queue_timer, layout.queue_unit)
    there = any(path.exists() for path in (layout.queue, *(layout.units / n for n in names)))
    if not there and not link.is_symlink():
        return False
    own_units.disable(layout, names, system)
    storage.remove(layout.queue)  # last: a run that is cut off is made again
    return True
