"""How the agent runs programs, and has systemd start units by a `systemctl` like the real one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from satellite_infra.agent import printed, system
from satellite_infra.agent.system import CommandError, System

UNITS = ["satellite-shop.worker@1.service", "satellite-shop.worker@2.service"]
FAILED = """\
echo 'Job for satellite-shop.worker@1.service failed because the control process exited.'
exit 1
"""
REPLACED = "echo 'Job for satellite-shop.worker@1.service canceled.'\nexit 1\n"
LOST = """\
echo 'Warning! D-Bus connection terminated.'
echo 'Failed to wait for response: Connection reset by peer'
exit 1
"""
"""Systemd has executed itself anew, as its upgrade has it do; its jobs go on."""
REFUSED = "echo 'Failed to restart satellite-shop.worker@1.service: Unit not found.'\nexit 5\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(system, "PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def systemctl(place: Path, text: str) -> None:
    program = place / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >{place}/words\n{text}')
    program.chmod(0o755)


def test_it_waits_for_the_units_and_knows_that_they_are_there(place: Path) -> None:
    systemctl(place, 'sleep 0.3; touch "$(dirname "$0")/done"')
    assert System().restart(UNITS, 60)
    assert (place / "done").exists()
    assert (place / "words").read_text() == f"restart -- {' '.join(UNITS)}\n"


def test_or_it_does_not_wait(place: Path) -> None:
    systemctl(place, "")
    assert not System().restart(UNITS, 0)
    assert (place / "words").read_text() == f"restart --no-block -- {' '.join(UNITS)}\n"


@pytest.mark.parametrize("says", [FAILED, REPLACED, LOST])
def test_a_start_that_failed_is_looked_at_by_others(place: Path, says: str) -> None:
    systemctl(place, says)
    assert not System().restart(UNITS, 60)


@pytest.mark.parametrize("says", ["Transport endpoint is not connected", "Connection refused"])
def test_a_systemd_that_executes_itself_anew_is_asked_again(
    place: Path, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = f"[ -e {place}/again ] && echo done && exit 0\ntouch {place}/again\n"
    systemctl(place, f"{again}echo 'Failed to get properties: {says}'\nexit 1\n")
    assert System().systemctl("show") == "done\n"
    systemctl(place, "echo 'Unit x.service not found.'\nexit 5\n")
    with pytest.raises(CommandError, match=r"`systemctl show`: Unit x.service not found"):
        System().systemctl("show")
    monkeypatch.setattr(system, "ANEW", 0.5)
    systemctl(place, f"echo '{says}'\nexit 1\n")
    with pytest.raises(CommandError, match=says):
        System().systemctl("show")


@pytest.mark.parametrize("seconds", [0, 60])
def test_what_systemd_does_not_even_try_is_told_in_its_words(place: Path, seconds: int) -> None:
    systemctl(place, REFUSED)
    with pytest.raises(CommandError, match=r"worker@1\.service: Unit not found"):
        System().restart(UNITS, seconds)


def test_who_waits_too_long_goes_on(place: Path) -> None:
    systemctl(place, "exec sleep 600")
    began = time.monotonic()
    assert not System().restart(UNITS, 0.2)
    assert time.monotonic() - began < 300


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Path]:
    """Where a command notes a process that outlives it, which ends with the test."""
    note = tmp_path / "left"
    yield note
    os.kill(int(note.read_text()), signal.SIGKILL)


def said(command: str, timeout: float = 60, stdin: str | None = None) -> list[str]:
    lines: list[str] = []
    System().run(["/bin/bash", "-c", command], lines.append, stdin=stdin, timeout=timeout)
    return lines


def test_a_program_has_ended_whatever_it_leaves_behind(left: Path) -> None:
    began = time.monotonic()
    assert said(f"setsid sleep 600 & echo $! >{left}; echo done") == ["done"]
    assert time.monotonic() - began < 300


def test_nor_does_what_it_has_left_behind_hold_up_its_limit(left: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"^`/bin/bash` did not end within 1 s$"):
        said(f"setsid sleep 600 & echo $! >{left}; sleep 600", timeout=1)
    assert time.monotonic() - began < 300


def test_one_that_closes_its_output_is_waited_for() -> None:
    with pytest.raises(CommandError, match=r"ended with status 3$"):
        said("exec >&- 2>&-; sleep 0.2; exit 3")


def test_lines_come_as_they_are_printed() -> None:
    command = r"printf 'one\ntwo\r\n10 %%\r20 %%\r'; printf '\xff\xc3'; sleep 0.1; printf '\xa4'"
    assert said(command) == ["one", "two", "10 %", "20 %", "\ufffdä"]


def test_a_program_reads_its_text_or_does_not() -> None:
    text = "a line\n" * 100_000  # more than a pipe holds
    assert said("cat", stdin=text) == text.splitlines()
    assert said("exit 0", stdin=text) == []
    assert said("cat") == []


@pytest.mark.parametrize("length", [printed.LONGEST + 1, 50 * printed.LONGEST])
def test_a_line_without_end_is_left_out_and_no_part_of_it_kept(length: int) -> None:
    line = f"head -c {length} /dev/zero | tr '\\0' x"
    mark = f"[a line of {length} characters is left out]"
    assert said(f"echo before; {line}; echo; echo after") == ["before", mark, "after"]
    assert said(line) == [mark]


def test_a_long_line_that_may_be_a_config_var_is_whole() -> None:
    assert said(f"head -c {printed.LONGEST} /dev/zero | tr '\\0' x") == ["x" * printed.LONGEST]


def test_of_a_program_that_prints_without_end_the_last_lines_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(printed, "MOST", 1 << 20)
    lines: list[str] = []
    with pytest.raises(CommandError, match=r"ended with status 3$"):
        System().run(["/bin/bash", "-c", "seq 1000000; exit 3"], lines.append)
    at = lines.index("[more than 1 MB: the rest is left out, but for its last lines]")
    assert lines[:at] == [str(number) for number in range(1, at + 1)]
    assert sum(len(line) + 1 for line in lines[:at]) in range(1 << 20, (1 << 20) + 10)
    assert lines[at + 1 :] == [str(number) for number in range(999_981, 1_000_001)]


def test_what_is_asked_has_its_own_status_words_and_surroundings(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "canary")
    handle = os.open(os.devnull, os.O_RDONLY)
    program = place / "ask"
    program.write_text(
        '#!/bin/bash\necho "$0 $*"; cat; echo why >&2; printf "\\xff\\r\\n"; trap -p PIPE XFSZ; '
        f'echo "${{TOKEN-}}$LANG"; [ -e /proc/$$/fd/{handle} ] || exit 3'
    )
    program.chmod(0o755)
    text = f"{program} a b\nwhy\n\ufffd\nC.UTF-8\n"
    assert System().output(["ask", "a", "b"]) == (3, text)
    assert System().output([str(program), "a", "b"]) == (3, text)
    os.close(handle)
    assert System().output(["bash", "-c", "kill -KILL $$"]) == (-signal.SIGKILL, "")
    before = [*Path("/proc/self/fd").iterdir()]
    with pytest.raises(FileNotFoundError, match="'nowhere'"):
        System().output(["nowhere"])
    assert [*Path("/proc/self/fd").iterdir()] == before


def test_what_cannot_be_started_at_one_place_is_looked_for_at_the_next(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `subprocess` does, by which `run` goes."""
    for part in ("a/prog", "b"):
        (place / part).mkdir(parents=True)
    (place / "b/prog").write_text("#!/nowhere/sh\n")
    (place / "prog").write_text("#!/bin/sh\necho found\n")
    for program in ("b/prog", "prog"):
        (place / program).chmod(0o755)
    monkeypatch.setattr(system, "PATH", f"{place}/a:{place}/b:{place}")
    assert System().output(["prog"]) == (0, "found\n")
    (place / "prog").unlink()
    with pytest.raises(PermissionError, match="a/prog"):
        System().output(["prog"])
    with pytest.raises(FileNotFoundError, match="'nobody'"):
        System().output(["nobody"])


def test_what_is_asked_ends_with_who_asks(place: Path) -> None:
    (place / "prog").write_text(f"#!/bin/sh\necho $$ >{place}/pid\nexec sleep 600\n")
    (place / "prog").chmod(0o755)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            System().output(["prog"])
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not Path("/proc", (place / "pid").read_text().strip()).exists()
