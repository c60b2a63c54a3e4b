"""What the workflows must not lose: pinned actions, few permissions, limits, a door that closes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.engine import cli
from tests.programs import executable

FOLDER = Path(__file__).parents[2] / ".github/workflows"
PINNED = r"- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
NAMES = ["deploy", "preview"]


def workflow(name: str) -> Any:
    loaded = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    loaded["on"] = loaded.pop(True)  # YAML 1.1 takes `on` for a boolean
    return loaded


def job(name: str) -> Any:
    return workflow(name)["jobs"][name]


def test_there_are_no_others() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_actions_are_pinned_by_commit_and_say_their_version(name: str) -> None:
    used = [line for line in (FOLDER / f"{name}.yml").read_text().splitlines() if "uses:" in line]
    assert len(used) == 4
    assert [line for line in used if not re.fullmatch(PINNED, line.strip())] == []


@pytest.mark.parametrize(
    ("name", "events", "permissions", "group", "cancel"),
    [
        (
            "preview",
            {"pull_request": {"branches": ["staging", "production"]}},
            {"contents": "read", "id-token": "write", "pull-requests": "write"},
            "preview-${{ github.base_ref }}-${{ github.event.pull_request.number }}",
            True,
        ),
        (
            "deploy",
            {"push": {"branches": ["staging", "production"]}},
            {"contents": "read", "id-token": "write", "pull-requests": "read"},
            "deploy-${{ github.ref_name }}",
            False,
        ),
    ],
)
def test_when_it_runs_and_what_it_may(
    name: str, events: Any, permissions: Any, group: str, cancel: bool
) -> None:
    found = workflow(name)
    assert found["on"] == events
    assert found["permissions"] == {}
    assert found["concurrency"] == {"group": group, "cancel-in-progress": cancel}
    assert list(found["jobs"]) == [name]
    assert job(name)["permissions"] == permissions
    assert job(name)["timeout-minutes"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_an_event_becomes_a_command(name: str) -> None:
    assert [step for step in job(name)["steps"] if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_is_the_one_that_is_tested(name: str) -> None:
    versions = [s["with"]["pulumi-version"] for s in job(name)["steps"] if "pulumi/" in str(s)]
    assert versions == [cli.version().removeprefix("v")]


def test_a_fork_is_skipped() -> None:
    same = "github.event.pull_request.head.repo.full_name == github.repository"
    assert job("preview")["if"] == same


def test_a_deploy_is_of_what_was_previewed_before_it_touches_anything() -> None:
    steps = job("deploy")["steps"]
    first = next(n for n, step in enumerate(steps) if "run" in step)
    asks = 'python3 -m ci.previewed "$STACK" "$GITHUB_SHA" --output "$GITHUB_OUTPUT"'
    assert steps[first]["run"] == asks
    assert [s for s in steps[:first] if "aws" in s["uses"] or "pulumi" in s["uses"]] == []


def test_a_deploy_pins_what_was_previewed() -> None:
    steps = job("deploy")["steps"]
    (pins,) = [n for n, step in enumerate(steps) if "ci.pin" in step.get("run", "")]
    (asks,) = [n for n, step in enumerate(steps) if "ci.previewed" in step.get("run", "")]
    (deploys,) = [n for n, step in enumerate(steps) if "pulumi up" in step.get("run", "")]
    assert asks < pins < deploys
    shown = f"steps.{steps[asks]['id']}.outputs"
    given = {"PREVIEWED": f"${{{{ {shown}.revision }}}}", "BEFORE": f"${{{{ {shown}.before }}}}"}
    assert given.items() <= steps[pins]["env"].items()
    assert steps[pins]["run"].endswith(' --previewed "$PREVIEWED" --before "$BEFORE"')


def test_where_the_hosts_are_is_said_by_the_stack_alone() -> None:
    for name in NAMES:
        assert (FOLDER / f"{name}.yml").read_text().count("AWS_REGION") == 1
        assert "AWS_REGION" in str([s for s in job(name)["steps"] if "aws-actions/" in str(s)])
    runs = [step["run"] for step in job("deploy")["steps"] if "run" in step]
    (asks,) = [n for n, run in enumerate(runs) if "ci.placed" in run]
    doors = [run for run in runs[asks:] if "ci.ssh_door" in run]
    assert [run for run in doors if ' --region "$REGION"' in run] == doors != []


def read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pulumi: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """How the step ends that reads where the group is, and what it hands to the steps behind it."""
    (step,) = [step for step in job("deploy")["steps"] if "ci.placed" in step.get("run", "")]
    executable(folder / "bin/pulumi", f"#!/bin/sh\n{pulumi}\n")
    executable(folder / "bin/python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("STACK", "staging")
    monkeypatch.setenv("GITHUB_ENV", str(folder / "handed"))
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]],  # as a runner does where no shell is named
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    handed = folder / "handed"
    return done, handed.read_text().splitlines() if handed.exists() else []


@pytest.mark.parametrize(
    ("config", "handed"),
    [
        (
            {"satellite:app": "shop", "satellite:names": "[]"},
            ["REGION=", "APP=shop", "ENVIRONMENT=staging", "INSTANCES=no"],
        ),
        *(
            (
                {"satellite:app": "shop", key: ""},
                ["REGION=", "APP=shop", "ENVIRONMENT=staging", "INSTANCES=no"],
            )
            for key in ("satellite:names", "satellite:count")
        ),
        (
            {"satellite:app": "shop", "satellite:count": "2"},
            ["REGION=", "APP=shop", "ENVIRONMENT=staging", "INSTANCES=yes"],
        ),
        (
            {
                "aws:region": "eu-1",
                "satellite:app": "shop",
                "satellite:environment": "test",
                "satellite:names": '["mailer"]',
            },
            ["REGION=eu-1", "APP=shop", "ENVIRONMENT=test", "INSTANCES=yes"],
        ),
    ],
)
def test_what_the_door_needs_is_read_from_the_stack(
    config: dict[str, str], handed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = json.dumps({key: {"value": value, "secret": False} for key, value in config.items()})
    asked = '[ "$*" = "config --json --stack staging --non-interactive" ] || exit 9'
    done, found = read(tmp_path, monkeypatch, f"{asked}\necho '{known}'")
    assert (done.returncode, done.stderr, found) == (0, "", handed)


@pytest.mark.parametrize(
    ("pulumi", "status", "said"),
    [
        ("echo 'error: no stack named staging' >&2; exit 7", 7, "error: no stack named staging\n"),
        ("echo '{}'", 1, "error: staging has no satellite:app\n"),
    ],
)
def test_a_stack_that_cannot_be_read_ends_the_deploy_in_its_own_words(
    pulumi: str, status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, handed = read(tmp_path, monkeypatch, pulumi)
    assert (done.returncode, done.stderr, handed) == (status, said, [])


def test_no_comment_that_lies_in_the_checkout_is_published() -> None:
    (previews,) = [step for step in job("preview")["steps"] if "ci.preview" in step.get("run", "")]
    (puts,) = [step for step in job("preview")["steps"] if "ci.publish" in step.get("run", "")]
    assert ' --comment "$RUNNER_TEMP/comment.md" ' in previews["run"]
    assert ' "$RUNNER_TEMP/comment.md" ' in puts["run"]
    # also one of a preview that failed; and none where there was none
    assert puts["if"] == f"always() && steps.{previews['id']}.outcome != 'skipped'"


def test_github_is_asked_whose_a_repository_is() -> None:
    for name in NAMES:
        (pins,) = [step for step in job(name)["steps"] if "ci.pin" in step.get("run", "")]
        assert pins["env"]["GITHUB_TOKEN"] == "${{ github.token }}"


def test_the_door_is_closed_whatever_happened_within_the_jobs_time() -> None:
    steps = job("deploy")["steps"]
    doors = [n for n, step in enumerate(steps) if "ci.ssh_door" in step.get("run", "")]
    assert [steps[n]["run"].split()[3] for n in doors] == ["open", "close"]
    assert doors[1] == len(steps) - 1
    # whether there is a group to find is the stack file's to say
    assert steps[doors[0]]["run"].endswith(' --instances "$INSTANCES"')
    # where it was never opened there is nothing to close it with, nor to hide what went wrong
    assert steps[doors[0]]["id"] == "door"
    assert steps[doors[1]]["if"] == "always() && steps.door.outcome != 'skipped'"
    (deploy,) = steps[doors[0] + 1 : doors[1]]
    assert deploy["timeout-minutes"] + 10 < job("deploy")["timeout-minutes"]
    assert deploy["run"].startswith("pulumi up --yes --skip-preview ")
