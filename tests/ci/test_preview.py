"""A preview that did not end well, or told nothing, approves nothing; the comment says so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ci import preview
from tests.programs import executable

COMMIT = "4be1f0c2d3a495867768594a3b2c1d0e0f1e2d3c"
STEP = {"op": "same", "urn": "urn:pulumi:staging::satellite::pulumi:pulumi:Stack::satellite"}
WHOLE = json.dumps({"steps": [STEP]})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in whose `bin` a pulumi is looked for first."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, script: str) -> tuple[int, list[str]]:
    """The exit status, and the comment's lines, where `pulumi` is that script."""
    executable(folder / "bin/pulumi", f"#!/bin/sh\n{script}\n")
    status = preview.main(["staging", "--comment", "comment.md", "--commit", COMMIT])
    return status, (folder / "comment.md").read_text().splitlines()


def said(document: Any, status: int = 0) -> str:
    return f"cat <<'END'\n{json.dumps(document)}\nEND\nexit {status}"


def of_policy(message: str, level: str = "mandatory") -> str:
    """A line of the event log; the script writes it where the engine would."""
    event = {"policyName": "tagged", "enforcementLevel": level, "message": message}
    return json.dumps({"policyEvent": event})


def logged(*lines: str) -> str:
    """Have the events written; the last one without an end."""
    text = "\n".join(lines)
    return f'while [ "$1" != --event-log ]; do shift; done\nprintf %s \'{text}\' >"$2"'


def test_one_that_ended_well_approves_its_commit(folder: Path) -> None:
    assert written(folder, f"echo '{WHOLE}'") == (
        0,
        [
            "<!-- satellite-preview: staging -->",
            f"<!-- satellite-previewed: {COMMIT} -->",
            "### staging: nothing changes",
            "",
            f"<sub>Preview of commit `{COMMIT[:12]}`.</sub>",
        ],
    )


@pytest.mark.parametrize(
    ("script", "status", "why"),
    [
        ("kill -9 $$", -9, "pulumi ended with status -9 and said nothing"),
        ("echo '{\"ste'; kill -9 $$", -9, '{"ste'),
        (f"echo '{WHOLE}'; exit 1", 1, "pulumi ended with status 1 and said nothing"),
        (said({"steps": []}, 1), 1, "pulumi ended with status 1 and said nothing"),
        (said({"steps": []}), 0, "pulumi ended with status 0 and said nothing"),
        ("exit 0", 0, "pulumi ended with status 0 and said nothing"),
        (said([]), 0, "[]"),
        ("echo something else", 0, "something else"),
        ("echo no passphrase >&2; exit 255", 255, "no passphrase"),
    ],
)
def test_one_that_did_not_approves_nothing(
    folder: Path, script: str, status: int, why: str
) -> None:
    assert written(folder, script) == (
        status,
        [
            "<!-- satellite-preview: staging -->",
            "### staging: the preview failed",
            "",
            "```text",
            why,
            "```",
            "",
            f"<sub>Preview of commit `{COMMIT[:12]}`.</sub>",
        ],
    )


@pytest.mark.parametrize("message", [{"message": ""}, {"message": " \n"}, {}])
def test_an_error_or_a_warning_without_words(folder: Path, message: dict[str, str]) -> None:
    told = [{"severity": "error", **message}, {"severity": "warning", **message}]
    status, lines = written(folder, said({"steps": [], "diagnostics": told}, 1))
    assert (status, lines[1]) == (1, "### staging: the preview failed")
    assert lines[3:10] == ["```text", "(no message)", "```", "", "```text", "(no message)", "```"]


def test_a_rule_without_words_and_events_that_were_cut_off(folder: Path) -> None:
    events = logged(of_policy(""), of_policy("Tags say it\nit lacks tags"), of_policy("x")[:30])
    status, lines = written(folder, f"{events}\nkill -9 $$")
    assert status == -9
    assert lines[3:7] == ["```text", "tagged: (no message)", "tagged: it lacks tags", "```"]


def test_a_rule_that_stops_nothing_is_warned_of(folder: Path) -> None:
    events = logged(of_policy("Tags say it\nit lacks tags", "advisory"), "{}", "")
    status, lines = written(folder, f"{events}\necho '{WHOLE}'")
    assert status == 0
    assert lines[1:7] == [
        f"<!-- satellite-previewed: {COMMIT} -->",
        "### staging: nothing changes",
        "",
        "```text",
        "warning: tagged: it lacks tags",
        "```",
    ]


@pytest.mark.parametrize("option", ["--comment", "--whole"])
def test_a_file_that_cannot_be_written(
    folder: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    executable(folder / "bin/pulumi", f"#!/bin/sh\necho '{WHOLE}'\n")
    files = {"--comment": "comment.md", "--whole": "whole.md", option: "not-there/a.md"}
    assert preview.main(["staging", *(word for pair in files.items() for word in pair)]) == 1
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("error: what the preview says cannot be written: ")
    assert "not-there/a.md" in told
