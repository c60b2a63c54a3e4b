"""The steps of the demo, in order; each shows what it does and checks what it promises."""

from __future__ import annotations

import secrets
import shlex
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from os import environ
from pathlib import Path

from demo import narration
from demo.failure import DemoError, expect
from demo.leftovers import leftovers
from demo.progress import follow, shares
from demo.report import APP, Snapshot, count, problems, runs_query
from demo.repository import Repository
from demo.screen import Clock, Screen
from demo.stack import Stack
from lab.client import Lab

HOSTS, WORKERS, JOBS = 2, 2, 200
SHORTEST, LONGEST = 0.3, 1.0  # seconds that a job takes, on a machine that is not too slow
FIRST = 20  # jobs done before the app is changed
APP_NAME = "demo"
UP = ("up", "--yes", "--skip-preview")


@dataclass(frozen=True)
class Scene:
    """What the steps work with, and the facts that they found, for the table at the end."""

    lab: Lab
    screen: Screen
    stack: Stack
    repository: Repository
    facts: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def set(cls, screen: Screen, logs: Path) -> Scene:
        """In a folder of its own inside the lab's."""
        folder = Path(environ["SATELLITE_LAB"]) / "demo"
        stack = Stack.copied(folder / "project", logs)
        return cls(Lab(), screen, stack, Repository(folder / "app", environ["LAB_GIT_URL"]))

    def look(self) -> Snapshot:
        """What the database says now."""
        return Snapshot.of(self.lab.sql(runs_query()))

    def connections(self) -> int:
        """How many SSH connections the hosts have seen so far."""
        return sum(host.ssh_connections() for host in self.lab.hosts())

    def pulumi(self, *args: str, telling: Callable[[str], str] = narration.done) -> str:
        """Run Pulumi and show what `telling` makes of each line of its output."""

        def hear(line: str) -> None:
            if told := telling(line):
                self.screen.quote(told)

        return self.stack.run(*args, hear=hear)

    def expect(self, what: str, why: list[str]) -> None:
        """Raise DemoError when there is anything in `why`."""
        expect(what, why, [self.stack.logs])


def tell(scene: Scene, interlude: Callable[[Scene], bool]) -> list[tuple[str, str]]:
    """All steps, with `interlude` before the end; the facts for the table. Raises DemoError.

    `interlude`: whether somebody was there, who may have made and ended what he likes.
    """
    whole = Clock()
    old = publish_app(scene)
    configure(scene)
    preview(scene)
    create(scene)
    pace = change_nothing(scene)
    enqueue(scene, old, *job_seconds(pace))
    new = change_app(scene, old)
    deploy(scene, old, new)
    verify(scene, finish(scene, old, new), old, new)
    destroy(scene, visited=interlude(scene))
    return [*scene.facts, ("all of it", str(whole))]


def publish_app(scene: Scene) -> str:
    """The app on the organisation's git server, its tables in the database."""
    scene.screen.step("An app with a Procfile, on a git server; a database")
    revision = scene.repository.publish()
    scene.lab.sql((APP / "schema.sql").read_text(encoding="utf-8"))
    scene.screen.say(f"{environ['LAB_GIT_URL']}  {scene.repository.last_change()}")
    for line in (APP / "Procfile").read_text(encoding="utf-8").splitlines():
        scene.screen.quote(line)
    return revision


def configure(scene: Scene) -> None:
    """A stack that says what shall be: hosts, process types, where the app comes from."""
    scene.screen.step(f"A stack: {HOSTS} hosts, {WORKERS} workers on each")
    key = _ssh_key(scene.stack.project.parent / "key")
    plain = settings(key)
    scene.screen.command("pulumi stack init demo")
    scene.stack.run("stack", "init")
    scene.screen.command("pulumi config set ...")
    scene.stack.configure(
        plain,
        secret={
            "satellite:private_key": key.read_text(),
            "satellite:host_key_seed": secrets.token_hex(32),
            "satellite:deploy_key": Path(environ["LAB_DEPLOY_KEY"]).read_text(),
            "satellite:config.DATABASE_URL": environ["LAB_DATABASE_URL"],
        },
    )
    for name, value in plain.items():
        scene.screen.quote(f"{name}: {value if len(value) < 60 else value[:57] + '...'}")
    scene.screen.quote("... and four secrets, encrypted: two keys, a seed, DATABASE_URL")


def settings(key: Path) -> dict[str, str]:
    """The stack's settings that are no secret."""
    known = Path(environ["LAB_GIT_KNOWN_HOSTS"]).read_text(encoding="utf-8").splitlines()
    return {
        "satellite:app": APP_NAME,
        "satellite:repository": environ["LAB_GIT_URL"],
        **{f"satellite:known_hosts[{number}]": line for number, line in enumerate(known)},
        "satellite:count": str(HOSTS),
        "satellite:processes.worker.quantity": str(WORKERS),
        "satellite:gate_seconds": "2",
        "satellite:build[0]": "BUNDLE_FROZEN=true bundle install --local",
        "satellite:ami": environ["LAB_AMI"],
        "satellite:connect": "private",
        "satellite:vpc_id": environ["LAB_VPC"],
        "satellite:subnet_ids[0]": environ["LAB_SUBNET"],
        "satellite:ssh_cidrs[0]": "172.31.0.1/32",
        "satellite:public_key": key.with_suffix(".pub").read_text().strip(),
    }


def preview(scene: Scene) -> None:
    """What would be made."""
    scene.screen.step("What would be made")
    scene.screen.command("pulumi preview")
    scene.pulumi("preview", telling=narration.planned)


def create(scene: Scene) -> None:
    """Machines, prepared and released to."""
    clock = scene.screen.step("Make it")
    scene.screen.command("pulumi up")
    scene.pulumi(*UP)
    found = sorted(host.name for host in scene.lab.hosts())
    wrong = [] if len(found) == HOSTS else [f"there are {len(found)}: {', '.join(found)}"]
    scene.expect(f"there should be {HOSTS} machines", wrong)
    scene.screen.good(f"machines that run: {', '.join(found)}")
    scene.facts.append((f"{HOSTS} machines made and released to", str(clock)))


def change_nothing(scene: Scene) -> float:
    """A second `up` has nothing to do and visits nobody; the seconds that it took."""
    clock = scene.screen.step("Again: nothing to do, nobody visited")
    before = scene.connections()
    scene.screen.command("pulumi up")
    scene.pulumi(*UP, "--expect-no-changes")
    seconds = clock.seconds
    made = scene.connections() - before
    wrong = [f"the hosts' sshd logs show {made} more than before"] if made else []
    scene.expect("an `up` without a change should open no SSH connection", wrong)
    scene.screen.good(f"no change, no SSH connection (all that were made so far: {before})")
    scene.facts.append(("an `up` without a change", f"{clock}, {made} SSH connections"))
    return seconds


def job_seconds(pace: float) -> tuple[float, float]:
    """The shortest and the longest job such that a preview and a deploy end before the jobs do.

    `pace` is how many seconds this machine needs for an `up` that does nothing.
    """
    lasting = 1.5 * (3 * pace + 12)  # of all jobs, with half as much again for a busy machine
    mean = lasting * HOSTS * WORKERS / JOBS
    return max(SHORTEST, round(mean * 0.5, 1)), max(LONGEST, round(mean * 1.5, 1))


def enqueue(scene: Scene, revision: str, shortest: float, longest: float) -> None:
    """Jobs for the workers, seen being done."""
    scene.screen.step(f"{JOBS} jobs of {shortest} to {longest} s")
    host = min(scene.lab.hosts(), key=lambda host: host.name)
    user = ("runuser", "-u", APP_NAME, "--")
    where = ("env", f"--chdir=/app/{APP_NAME}/current")
    database = f"DATABASE_URL={environ['LAB_DATABASE_URL']}"
    enqueue = ("bundle", "exec", "ruby", "enqueue.rb", str(JOBS), str(shortest), str(longest))
    done = host.run(shlex.join([*user, *where, database, *enqueue]), check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        raise DemoError(f"{host.name}: no jobs were put into the queue", said)
    follow(scene.screen, scene.look, [revision], until=lambda report: report.done >= FIRST)


def change_app(scene: Scene, old: str) -> str:
    """A commit, and what a reviewer reads before it is deployed."""
    scene.screen.step("Meanwhile the app is changed; what would a deploy do?")
    new = scene.repository.change()
    scene.screen.say(f"{environ['LAB_GIT_URL']}  {scene.repository.last_change()}")
    scene.screen.command("pulumi preview --diff")
    told = narration.diff(scene.stack.run("preview", "--diff"))
    scene.screen.diff(told)
    seen = {revision: sum(revision in line for line in told) for revision in (old, new)}
    wrong = [f"{r} is in it {n} times, not for {HOSTS} hosts" for r, n in seen.items() if n < HOSTS]
    scene.expect("the preview should show old and new revision for each host", wrong)
    return new


def deploy(scene: Scene, old: str, new: str) -> None:
    """The new release goes out while jobs run."""
    clock = scene.screen.step("Deploy it while the jobs run")
    scene.screen.command("pulumi up")
    lines: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(scene.stack.run, *UP, hear=lines.append)
        during = follow(
            scene.screen,
            scene.look,
            [old, new],
            until=lambda _: running.done(),
            note=lambda: _deploying(running, lines),
        )
        running.result()
    for line in filter(None, map(narration.done, lines)):
        scene.screen.quote(line)
    waiting = count(during).waiting
    scene.screen.good(f"released to {HOSTS} hosts; {waiting} jobs are still to be done")
    scene.facts.append(("a deploy while jobs ran", f"{clock}, {old[:7]} -> {new[:7]}"))


def finish(scene: Scene, old: str, new: str) -> Snapshot:
    """The rest of the jobs."""
    scene.screen.step("The rest of the jobs")
    return follow(scene.screen, scene.look, [old, new], until=lambda report: not report.waiting)


def verify(scene: Scene, snapshot: Snapshot, old: str, new: str) -> None:
    """Every job was done exactly once, by the one release or the other."""
    scene.screen.step("Was every job done, and done once?")
    slots = shares(snapshot, [old, new])
    columns = ["worker", *(f"jobs done by release {revision[:7]}" for revision in (old, new))]
    scene.screen.table(columns, [[share.slot, *map(str, share.done)] for share in slots])
    report = count(snapshot)
    by_revision = snapshot.done_by(lambda run: run.revision)
    wrong = problems(report, JOBS)
    wrong += [f"unknown release {r!r} did jobs" for r in by_revision if r not in (old, new)]
    if len(slots) != HOSTS * WORKERS:
        wrong.append(f"{len(slots)} workers did jobs, {HOSTS * WORKERS} should have")
    scene.expect("each job should have been done exactly once", wrong)
    scene.screen.good(report.line())
    idle = [f"release {r} did no job" for r in (old, new) if not by_revision[r]]
    hint = ["this machine is too busy: the jobs were over before the deploy was"] if idle else []
    scene.expect("the deploy should have happened while jobs ran", [*idle, *hint])
    scene.facts.append((f"{JOBS} jobs", f"{report.done} done, {len(report.lost)} lost"))
    scene.facts.append(
        ("ran twice at once, repeated", f"{len(report.twice_at_once)}, {report.repeats}")
    )
    scene.facts.append(("done by old + new release", f"{by_revision[old]} + {by_revision[new]}"))


def destroy(scene: Scene, visited: bool = False) -> None:
    """Everything goes, and nothing is left; of what a visitor has made, that is only told."""
    clock = scene.screen.step("Away with it")
    scene.screen.command("pulumi destroy")
    try:
        scene.pulumi("destroy", "--yes", "--skip-preview")
        found = leftovers(scene.lab, scene.stack)
    except DemoError as failure:
        if not visited:
            raise
        scene.screen.say(f"{failure.what}: all of it goes with the lab")
        return
    if visited and found:
        scene.screen.say(f"also removed with the lab: {', '.join(found)}")
        return
    scene.expect("`destroy` should leave nothing", found)
    scene.screen.good("no resource, machine, key pair, security group or volume is left")
    scene.facts.append(("destroyed", f"{clock}, nothing left"))


def _deploying(running: Future[str], lines: list[str]) -> str:
    if running.done():
        return "deploy: ended"
    last = next((told for line in reversed(lines) if (told := narration.at_work(line))), "starts")
    return f"deploy: {last}"


def _ssh_key(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", str(path)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise DemoError("`ssh-keygen` made no key", (done.stdout + done.stderr).splitlines())
    return path
