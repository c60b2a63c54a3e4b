"""What an SSH connection sends, and what it is told."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from satellite_infra.agent import (
    cli,
    frontend,
    gate,
    progress,
    prune,
    release_unit,
    storage,
    webhook,
)
from satellite_infra.agent.layout import AGENT, Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Request
from satellite_infra.agent.release_manifest import Process
from satellite_infra.agent.system import UnitState
from tests.agent.conftest import Origin, Submitting, request
from tests.agent.test_release import PHASES


def text(wanted: Request) -> str:
    bundle = {"machine": "m", "config": wanted.config, "deployer": "bob@ci"}
    return wanted.manifest.text() + json.dumps(bundle)


def leftovers(layout: Layout) -> list[str]:
    return sorted(p.name for p in layout.run.iterdir() if p.name not in ("lock", "phase"))


def test_a_good_release_is_one_line(layout: Layout, submitting: Submitting, origin: Origin) -> None:
    wanted = request(origin, origin.commit())
    submitting.busy = 2
    layout.lock.write_text("release of 0123 by ada@laptop, since then")
    heard: list[str] = []
    status, told = frontend.submit(layout, text(wanted), submitting, tell=heard.append)
    assert heard == ["waiting for release of 0123 by ada@laptop, since then"]  # once
    current = layout.current.readlink().name
    short = wanted.manifest.revision[:12]
    assert (status, told) == (0, f"h: {current}: {short} is live, 2 workers")
    assert leftovers(layout) == []


def test_a_release_whose_killed_workers_jobs_nobody_could_give_back_is_good_and_says_so(
    layout: Layout, submitting: Submitting, origin: Origin
) -> None:
    lock = "GEM\n    delayed_job (4.1.9)\n"
    commit = origin.commit(Gemfile__lock=lock)
    told = (
        "== warning: jobs of killed workers (worker) could not be given back: the release's "
        "Gemfile.lock has delayed_job, and no config var DATABASE_URL says where that keeps its "
        "jobs: set it, or processes.TYPE.on_kill"
    )
    plain, other = Process("worker", 1, grace=5), Process("mailer", 0)
    url = {"DATABASE_URL": "postgres://db/app"}
    for process, expected in (
        (plain, [told]),
        (plain._replace(on_kill="true"), []),
        (plain._replace(env=url), []),
    ):
        heard: list[str] = []
        wanted = request(origin, commit, processes=(process, other), build=("true",))
        status, _ = frontend.submit(layout, text(wanted), submitting, tell=heard.append)
        assert status == 0
        assert [line for line in heard if "warning" in line] == expected
    listed = {**wanted.manifest.config, "DATABASE_URL": "digest"}
    manifest = wanted.manifest._replace(config=listed, processes=(plain,))
    wanted = wanted._replace(manifest=manifest, config={**wanted.config, **url})
    heard = []
    assert frontend.submit(layout, text(wanted), submitting, tell=heard.append)[0] == 0
    assert heard == []


def test_what_takes_long_is_told_while_it_lasts(
    layout: Layout, submitting: Submitting, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK", 0.05)
    heard: list[str] = []
    # which prints what looks like a phase
    wanted = request(origin, origin.commit(), build=("echo '== migrating users'; sleep 1",))
    layout.phase.parent.mkdir(parents=True, exist_ok=True)
    storage.write(layout.phase, "of the one before")
    assert frontend.submit(layout, text(wanted), submitting, tell=heard.append)[0] == 0
    assert "== build" in heard
    assert len(heard) == len({*heard})  # each once
    assert {*heard} <= {f"== {phase}" for phase in PHASES}


def test_a_release_that_its_asker_loses_sight_of_is_waited_for(
    layout: Layout, submitting: Submitting, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systemd executes itself anew, and `systemd-run` ends while the unit goes on."""
    wanted = request(origin, origin.commit())
    output, sleep = submitting.output, submitting.sleep
    later: list[Sequence[str]] = []

    def lost(argv: Sequence[str]) -> tuple[int, str]:
        if argv[0] != "systemd-run":
            return output(argv)
        later.append(argv)
        unit = UnitState(layout.release_unit, "active", "running", 1, 0, "", False)
        submitting.loaded[layout.release_unit] = unit
        return 1, "Transport endpoint is not connected"

    def meanwhile(seconds: float) -> None:
        sleep(seconds)
        if later:
            output(later.pop())

    monkeypatch.setattr(submitting, "output", lost)
    monkeypatch.setattr(submitting, "sleep", meanwhile)
    status, told = frontend.submit(layout, text(wanted), submitting)
    assert (status, "is live, 2 workers" in told) == (0, True)


def test_its_limits_allow_for_the_longest_grace_of_what_runs(
    layout: Layout, submitting: Submitting, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A type that goes has to end, too."""
    limits: list[int] = []
    output = submitting.output

    def heard(argv: Sequence[str]) -> tuple[int, str]:
        named = dict(a.split("=", 2)[1:] for a in argv if a.startswith("--property="))
        if "TimeoutStopSec" in named:
            limits.append(int(named["TimeoutStopSec"]))
        return output(argv)

    monkeypatch.setattr(submitting, "output", heard)
    for grace in ("6", "240", "2min"):  # the last by a person, who may do so
        file = layout.units / layout.template_unit("slow")
        storage.write(file, f"[Service]\nTimeoutStopSec={grace}\n")
        frontend.submit(layout, text(request(origin, origin.commit())), submitting)
        storage.remove(file)
    assert limits[1] - limits[0] == 2 * (240 - 6)
    assert limits[2] == limits[0] - 2 * (6 - 5)


def test_a_failure_names_host_phase_reason_log_and_next_step(
    layout: Layout, submitting: Submitting, origin: Origin
) -> None:
    wanted = request(origin, origin.commit(), build=('echo "token: $TOKEN"; exit 3',))
    status, told = frontend.submit(layout, text(wanted), submitting)
    log = next(layout.logs.iterdir())
    short = wanted.manifest.revision[:12]
    reason = '`/bin/bash -c echo "token: $TOKEN"; exit 3` ended with status 3'
    assert status == 1
    assert told.splitlines()[:3] == [
        f"h: release of {short} FAILED in phase `build`: {reason}",
        "h runs no release: it never had a good one. Hosts after it were not touched.",
        f"The log is {log} on h (`satellite logs --release --host h`); its end:",
    ]
    assert told.splitlines()[-3:] == [
        "  | token: [TOKEN]",
        f"  | failed in phase `build`: {reason}",
        webhook.NEXT,
    ]
    assert "canary-value" not in told + log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert leftovers(layout) == []


def test_of_a_log_without_end_the_end_is_read(
    layout: Layout, submitting: Submitting, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontend, "TAIL_BYTES", 100)
    wanted = request(origin, origin.commit(), build=("seq 1000 1999; exit 3",))
    told = frontend.submit(layout, text(wanted), submitting)[1].splitlines()
    reason = "`/bin/bash -c seq 1000 1999; exit 3` ended with status 3"
    assert told[-3:] == ["  | 1999", f"  | failed in phase `build`: {reason}", webhook.NEXT]
    assert not any(line.endswith("| 1980") for line in told)


def test_logs_of_failures_are_kept_in_number_too(
    layout: Layout, submitting: Submitting, origin: Origin
) -> None:
    layout.logs.mkdir(parents=True)
    for number in range(40):
        (layout.logs / f"release-20250101T0000{number:02}Z-abcd.log").touch()
    wanted = request(origin, origin.commit(), build=("exit 3",))
    told = frontend.submit(layout, text(wanted), submitting)[1]
    names = sorted(path.name for path in layout.logs.iterdir())
    assert len(names) == prune.KEEP_LOGS
    assert names[0] == "release-20250101T000011Z-abcd.log"
    assert names[-1] in told


def test_a_release_phase_that_fails_is_told_likewise(
    layout: Layout, submitting: Submitting, origin: Origin
) -> None:
    layout.home.mkdir(parents=True)
    procfile = 'worker: ./work\nrelease: echo "no $TOKEN"; exit 7\n'
    wanted = request(origin, origin.commit(Procfile=procfile))
    status, told = frontend.submit(layout, text(wanted), submitting, frontend.PHASE)
    short = wanted.manifest.revision[:12]
    reason = '`/bin/bash -c echo "no $TOKEN"; exit 7` ended with status 7'
    assert status == 1
    assert told.splitlines()[:2] == [
        f"h: release phase of {short} FAILED in phase `release phase`: {reason}",
        "h runs no release: it never had a good one. No worker was restarted on any host.",
    ]
    assert "  | no [TOKEN]" in told.splitlines()
    assert "canary-value" not in told
    assert leftovers(layout) == []


def test_the_history_is_a_table_for_people(
    layout: Layout, submitting: Submitting, origin: Origin
) -> None:
    assert frontend.history(layout) == ""
    good, bad = origin.commit(), origin.commit(CRASH="yes")
    for commit in (good, bad):
        frontend.submit(layout, text(request(origin, commit)), submitting)
    shown = frontend.history(layout).split("\n")
    lines = [re.sub(r"\d\S+Z|[0-9.]+ s ", "*", line) for line in shown]
    reason = "satellite-shop.worker@1.service: ended while its health was watched"
    current = layout.current.readlink().name
    assert [re.sub(" +", " ", line) for line in lines] == [
        f"* good {good[:12]} * bob@ci changed: commit: c",
        f"* failed {bad[:12]} * bob@ci gate: {reason} (success, 1 restarts); changed: commit: c",
        f"* recovered {good[:12]} - -",
    ]
    assert [line["release"] for line in Ledger(layout).history()[::2]] == [current, current]


def test_what_a_worker_said_at_last_is_told_without_secrets(
    layout: Layout, submitting: Submitting, origin: Origin
) -> None:
    wanted = request(origin, origin.commit(CRASH="yes"))
    status, told = frontend.submit(layout, text(wanted), submitting)
    assert status == 1
    assert "  | worker.1 said: cannot connect with [TOKEN]" in told
    assert "canary-value" not in told


def test_the_log_of_the_last_release_is_told_as_the_journal_tells_lines(
    layout: Layout, submitting: Submitting, origin: Origin
) -> None:
    with pytest.raises(LookupError, match="no release was tried here yet"):
        frontend.last_log(layout)
    for number, build in enumerate(("echo first", "echo $TOKEN")):
        wanted = request(origin, origin.commit(), build=(build,))
        frontend.submit(layout, text(wanted), submitting)
        last = max(layout.logs.iterdir(), key=lambda log: log.stat().st_mtime_ns)
        os.utime(last, (number + 1, number + 1))
    # one that waits for its turn has said nothing so far
    (layout.logs / "release-29991231T000000Z-0000.log").touch()
    os.utime(layout.logs / "release-29991231T000000Z-0000.log", (0, 0))
    lines = [json.loads(line) for line in frontend.last_log(layout).splitlines()]
    assert {line["__REALTIME_TIMESTAMP"] for line in lines} == {"2000000"}
    assert {line["SYSLOG_IDENTIFIER"] for line in lines} == {"release"}
    said = [line["MESSAGE"] for line in lines]
    assert "[TOKEN]" in said
    assert "first" not in said


@pytest.mark.parametrize("kind", frontend.KINDS.values(), ids=frontend.KINDS)
def test_each_kind_is_gone_back_from_by_its_own_name(
    kind: frontend.Kind,
    layout: Layout,
    submitting: Submitting,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The agent takes the recovery's command as systemd gives it; and so goes what it tells."""
    commands: list[str] = []
    output = submitting.output

    def heard(argv: Sequence[str]) -> tuple[int, str]:
        commands.extend(a for a in argv if a.startswith("--property=ExecStopPost="))
        return output(argv)

    monkeypatch.setattr(submitting, "output", heard)
    frontend.submit(layout, text(request(origin, origin.commit())), submitting, kind)
    first, second = (shlex.split(command.partition("=-")[2])[-1] for command in commands)
    begins = f"grep -qzx EXIT_STATUS=0 /proc/self/environ && test ! -e {layout.journal} || exec "
    assert second == f"{begins}/usr/bin/systemctl start --no-block {layout.recover_unit}"
    assert first.startswith(f"{begins}{AGENT} recover --app shop ")
    asked = cli._parser().parse_args(first.removeprefix(f"{begins}{AGENT} ").split())
    assert frontend.KINDS[asked.kind] is kind
    storage.write(layout.phase, "gate")
    release_unit.killed(layout, asked.result, "", asked.revision, submitting, print, kind)
    last = Ledger(layout).history()[-1]
    assert (last["outcome"], last["reason"]) == ("killed", f"the {kind.name}'s program was killed")


def test_a_killed_release_is_told_by_its_recovery(
    layout: Layout, submitting: Submitting, origin: Origin
) -> None:
    wanted = request(origin, origin.commit())
    submitting.kill = True
    status, told = frontend.submit(layout, text(wanted), submitting)
    assert status == 1
    assert told.splitlines()[0].endswith(
        "FAILED in phase `build`: the release's program was killed"
    )
    (line,) = Ledger(layout).history()
    assert (line["outcome"], line["phase"], line["revision"]) == ("killed", "build", "0" * 40)
    assert leftovers(layout) == []


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("", "stdin: should be a manifest and its end line, then a bundle"),
        ("a: 1\nend: manifest\n{canary", "stdin: the bundle after the manifest should be JSON"),
        ("a: 1\nend: manifest\n[]", "stdin: the bundle should be a JSON object"),
    ],
)
def test_what_cannot_be_read_is_said_without_its_secrets(sent: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$") as problem:
        frontend.split(sent)
    assert problem.value.__cause__ is None


def test_a_unit_that_starts_again_and_again_does_not_hide_what_its_worker_said() -> None:
    unit = "satellite-shop.worker@1.service"
    kept = ["cannot load app/jobs", "Main process exited, code=exited, status=1/FAILURE"]
    steps = [
        f"Started {unit} - shop worker.1.",
        f"Stopped {unit} - shop worker.1.",
        f"{unit}: Failed with result 'exit-code'.",
        f"{unit}: Scheduled restart job, restart counter is at 3.",
    ]
    assert gate.telling(unit, [steps[0], kept[0], *steps[1:], f"{unit}: {kept[1]}"]) == kept


def test_one_that_is_good_and_was_cut_off_in_what_comes_after_is_told_as_good(
    submitting: Submitting, layout: Layout, origin: Origin, tmp_path: Path
) -> None:
    revision, result = origin.commit(), tmp_path / "result"
    frontend.submit(layout, text(request(origin, revision)), submitting)
    for phase, outcome in (("prune", "good"), ("close", "good"), ("check", "killed")):
        storage.write(layout.phase, phase)
        storage.remove(result)
        release_unit.killed(layout, result, "", revision, submitting, print)
        assert Ledger(layout).history()[-1]["outcome"] == outcome
        assert storage.read_json(result)["ok"] == (outcome == "good")
    storage.write(layout.phase, "prune")
    storage.write(layout.journal, "{}")
    storage.remove(result)
    release_unit.killed(layout, result, "", revision, submitting, print)
    assert Ledger(layout).history()[-1]["outcome"] == "killed"
