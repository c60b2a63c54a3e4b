"""Tables on a terminal of 80 columns, and elsewhere."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from satellite_cli import doctor_local, screen, stack_settings
from satellite_cli.look import FEW, NARROW
from satellite_cli.problems import fitted
from satellite_cli.update import shown
from tests.cli.conftest import Desk, status

ROW = (
    "worker-12",
    "running",
    "i-0123456789abcdef0",
    "172.31.255.12",
    "3 h",
    "0123456*",
    "12 of 12",
    "0",
)
NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_of_no_width_is_one_whose_width_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    monkeypatch.setenv("TERM", "xterm")
    screen.table(["host"], [["worker-1"]])
    assert "worker-1" in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_a_name_in_a_file_is_no_order_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    stack_settings.said(["A\x1b[31mB: left out"], "staging", as_json=False, done=False)
    assert capsys.readouterr().out == "A·[31mB: left out\n"


@pytest.mark.usefixtures("terminal")
def test_what_info_shows_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(FEW, [ROW])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines == [
        "host      state   id                  address       age revision workers  drift",
        "worker-12 running i-0123456789abcdef0 172.31.255.12 3 h 0123456* 12 of 12 0",
    ]


@pytest.mark.usefixtures("terminal")
def test_a_column_that_others_can_do_without_goes_first(capsys: pytest.CaptureFixture[str]) -> None:
    long = ("worker-12.eu", "no answer", ROW[2], "192.168.100.200", *ROW[4:])
    screen.table(FEW, [long, ROW], may_go="id")
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "host          state      address          age  revision  workers   drift",
        "worker-12.eu  no answer  192.168.100.200  3 h  0123456*  12 of 12  0",
        "worker-12     running    172.31.255.12    3 h  0123456*  12 of 12  0",
    ]


@pytest.mark.usefixtures("terminal")
def test_a_reason_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(("outcome",), [("failed in gate: [red]no[/]",)])
    assert "failed in gate: [red]no[/]" in capsys.readouterr().out


@pytest.mark.usefixtures("terminal")
def test_a_cell_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table(("by",), [("ada :bug: :x:",)])
    assert capsys.readouterr().out.splitlines()[-1].rstrip() == "ada :bug: :x:"


OBEYED = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\tof\u202eold\x9b"
SHOWN = "·]0;owned··[2J·[31mred"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    "words",
    [["info"], ["ps"], ["releases"], ["doctor"], ["restart"], ["logs"], ["logs", "-f"]],
)
@pytest.mark.parametrize("how", [{}, {"status": 1}, {"status": 255}])
def test_a_terminal_obeys_nothing_of_what_a_host_says(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, words: list[str], how: dict[str, int]
) -> None:
    said: dict[str, object] = {
        "releases": [
            {"at": "2026-11-25T10:00:00Z", "outcome": "failed", "phase": "gate", "reason": OBEYED}
        ],
        "restart": OBEYED,
        "logs": json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": OBEYED}),
    }
    found = [{"code": "unit_edited", "text": f"a.service: {OBEYED}", "about": OBEYED}]
    told = status("worker-1", (OBEYED,), findings=found)
    monkeypatch.setattr(doctor_local, "examine", lambda *_: [])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for name in ("worker-1", "worker-2"):
        desk.says(name, said.get(words[0], told), err=OBEYED, **how)
    ran = desk.satellite(*words)
    shown = ran.out + ran.err
    assert not screen.OBEYED.search(shown)
    if how or words[0] != "info":  # which shows no worker's state
        assert SHOWN in shown


@pytest.mark.usefixtures("terminal")
def test_our_own_colours_stay(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    shown(f"worker-1 release: FAILED {OBEYED}")
    out = capsys.readouterr().out
    assert out.startswith(f"\x1b[31mworker-1 release: FAILED {SHOWN}")
    assert out.endswith("·\x1b[0m\n")


@pytest.mark.parametrize(
    ("stamp", "shown"),
    [
        ("2026-11-25T11:59:30Z", "30 s"),
        ("2026-11-25T11:01:00Z", "59 m"),
        ("2026-11-25T09:30:00Z", "2 h"),
        ("2026-11-20T12:00:00Z", "5 d"),
        ("2026-11-25T12:00:05Z", "0 s"),
        (None, "-"),
    ],
)
@pytest.mark.usefixtures("terminal")
def test_ages(stamp: str | None, shown: str) -> None:
    assert screen.when(stamp, NOW) == shown


def test_elsewhere_times_are_whole() -> None:
    assert screen.when("2026-11-25T11:59:30Z", NOW) == "2026-11-25T11:59:30Z"


HOST = "worker-12.eu"
REASON = (
    "failed in gate: satellite-shop.worker@12.service: ended while its health was watched "
    "(exit-code, 0 restarts)"
)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (
            ("host", "worker", "state", "since", "revision", "memory", "pid"),
            (HOST, "scheduler.12", "starting", "59 m", "0123456", "12345 MB", "4194304"),
        ),
        (
            ("  revision", "outcome", "when", "by", "on"),
            ("* 0123456", "stopped worker.12", "59 m", "ada@laptop.local", f"{HOST}, {HOST}"),
        ),
        (("lock", "held by"), (HOST, "release of 0123456789ab by ada@laptop.local, since 10:00")),
    ],
)
def test_a_row_is_one_line_of_80_columns(
    capsys: pytest.CaptureFixture[str], columns: tuple[str, ...], row: tuple[str, ...]
) -> None:
    screen.table(columns, [row])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [max(map(len, lines)) <= 80, len(lines)] == [True, 2]
    assert lines[1].split() == " ".join(row).split()


@pytest.mark.usefixtures("terminal")
def test_a_long_reason_folds_within_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    row = ("  0123456", REASON, "59 m", "ada@laptop", "all hosts")
    screen.table(("  revision", "outcome", "when", "by", "on"), [row])
    first, *more = capsys.readouterr().out.splitlines()[1:]
    assert [cell in first for cell in row] == [True, False, True, True, True]
    assert " ".join([first[11:45], *more]).split()[:3] == REASON.split()[:3]
    place = first.index("failed in gate")
    assert more
    assert all(line[:place].strip() == "" and line[place] != " " for line in more)


WORKERS = ("host", "worker", "state", "since", "revision", "memory", "pid")
RUNS = ("worker-12", "scheduler.12", "running", "59 m", "0123456", "12345 MB", "4194304")


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (60, ["worker-12  scheduler.12  running  59 m   0123456   12345 MB"]),
        (40, ["worker-12  scheduler.12  running  59 m"]),
        (31, ["worker-12 scheduler.12 running"]),
        (22, ["worker- schedu running", "12      ler.12"]),
    ],
)
def test_on_a_narrow_terminal_columns_go_and_no_name_is_cut(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    shown: list[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    screen.table(WORKERS, [RUNS], narrow=("pid", "memory", "revision", "since"))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()[1:]] == shown


@pytest.mark.usefixtures("terminal")
def test_what_info_shows_on_40_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    screen.table(FEW, [ROW], may_go="id", narrow=NARROW)
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "host       state    workers   drift",
        "worker-12  running  12 of 12  0",
    ]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("word", screen.STYLES)
def test_what_a_colour_says_is_a_word_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = []
    for plain in ("", "1"):
        monkeypatch.setenv("NO_COLOR", plain)
        screen.table(("state",), [(word,)])
        shown.append(capsys.readouterr().out + screen.coloured(word, "red"))
    colours = re.compile(r"\x1b\[[\d;]*m")
    assert re.search(r"\x1b\[3\dm" + word, shown[0])
    assert not re.search(r"\x1b\[[\d;]*3\d[\d;]*m", shown[1])
    assert colours.sub("", shown[0]) == colours.sub("", shown[1])
    assert word in colours.sub("", shown[1])


def test_a_long_error_is_broken_between_words_and_keeps_what_its_lines_begin_with() -> None:
    text = "error: release of 3c0ffee0c0ff FAILED\n\n  | a worker said: no such file\nhttps://a/long/one"
    assert fitted(text, 20).splitlines() == [
        "error: release of",
        "3c0ffee0c0ff FAILED",
        "",
        "  | a worker said:",
        "  | no such file",
        "https://a/long/one",
    ]
    assert fitted(text, 80) == text


@pytest.mark.parametrize("width", range(20, 100))
def test_no_command_is_broken_for_a_half_of_it_is_another_one(width: int) -> None:
    rollback, scale = "satellite rollback 3c0ffee0c0ff", "satellite up --same-commit"
    engine = "pulumi config set --path satellite:hosts.w.lost true && pulumi up"
    text = (
        f"To go further back, which nobody has asked for: {rollback}\n  Or {engine}, then {scale}"
    )
    lines = fitted(text, width).splitlines()
    for command in (rollback, scale, engine):
        assert sum(command in line for line in lines) == 1
