"""Config vars and keys by the command, on a real stack: values on standard input, shown by get."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from satellite_infra import written
from tests.cli.conftest import CANARY
from tests.stack import test_keys as made

pytestmark = pytest.mark.engine
KINDS = """\
  satellite:word: on
  satellite:yes: true
  satellite:number: 12
  satellite:text: "12"
  satellite:part: 1.5
  satellite:list: [x, 1, true]
  satellite:map: {a: {b: 1}, c: "<ä>"}
  satellite:lines: |
    many
    lines
  satellite:empty: ""
  satellite:none: ~
  satellite:nothing: {}
  short: ä
  gate_seconds: 1
"""


class Place(made.Place):
    """One whose stack is there, and selected."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment["SATELLITE_STACK"] = "staging"
        self.pulumi("stack", "init")

    def pulumi_in(self, *arguments: str) -> None:
        """One that names its stack itself."""
        argv = ["pulumi", *arguments, "--non-interactive"]
        subprocess.run(argv, cwd=self.folder, env=self.environment, capture_output=True, check=True)

    def satellite(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "satellite_cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def good(self, *arguments: str, stdin: str = "") -> str:
        done = self.satellite(*arguments, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_life_of_a_config_var(place: Place) -> None:
    value = f"{CANARY} $HOME\n\nlast"
    said = place.good("config", "set", "TOKEN", stdin=value + "\n")
    next_ = "Next: satellite up --same-commit\n"
    assert said == f"TOKEN is set, encrypted\n{next_}"
    assert "TOKEN" in place.good("config").split()
    assert CANARY not in place.good("config", "--json")
    assert place.good("config", "get", "TOKEN") == value + "\n"
    assert CANARY not in (place.folder / "Pulumi.staging.yaml").read_text()
    assert CANARY not in place.seen.read_text()
    said = place.good("config", "unset", "TOKEN", "--json")
    assert json.loads(said) == {"stack": "staging", "said": ["removed: TOKEN"]}
    done = place.satellite("config", "get", "TOKEN")
    assert (done.returncode, done.stderr) == (2, "error: staging has no config var TOKEN\n")
    done = place.satellite("config", "unset", "TOKEN", "OTHER")
    assert done.stderr == "error: staging has no config var TOKEN, OTHER\n"


def test_what_is_read_of_the_file_itself_is_what_pulumi_shows(place: Place) -> None:
    place.good("config", "set", "TOKEN", stdin=CANARY)
    file = place.folder / "Pulumi.staging.yaml"
    before, mark, after = file.read_text().partition("config:\n")
    file.write_text(before + mark + KINDS + after)
    argv = ["pulumi", "config", "--json", "--stack", "staging"]
    told = subprocess.run(argv, cwd=place.folder, env=place.environment, stdout=-1, check=True)
    known = {name: said for name, said in json.loads(told.stdout).items() if not said["secret"]}
    assert {"satellite:branch", "satellite:reach_seconds", "satellite:short"} < {*known}
    ours = written.shown(file)
    assert ours
    assert {name: read(text) for name, text in ours.items()} == {
        # nothing at all is no text for long any more, by its own warning
        name: read(said["value"])
        for name, said in known.items()
        if name != "satellite:none"
    }


def read(text: str) -> Any:
    """What a list or a map of it is; a number stays a text, as it may have been one."""
    return json.loads(text) if text[:1] in ("[", "{") else text


@pytest.mark.parametrize(
    ("words", "stdin", "rule"),
    [
        (["TOKEN=abc"], "", "the value is not an argument: satellite config set TOKEN"),
        (["A-B"], "x", "A-B: "),
        (["TOKEN"], "a\0b", "the value of TOKEN: "),
        (["TOKEN"], "", "nothing came on standard input, TOKEN stays as it is. Where an empty"),
        (["TOKEN", "--stack", "typo"], "", "error: Pulumi.typo.yaml is not there"),
    ],
)
def test_a_wrong_config_var_is_not_set(
    place: Place, words: list[str], stdin: str, rule: str
) -> None:
    done = place.satellite("config", "set", *words, stdin=stdin)
    assert done.returncode == 2
    assert rule in done.stderr
    assert "config set" not in place.seen.read_text()


def test_a_lines_end_of_windows_is_no_part_of_a_value_either(place: Place) -> None:
    place.good("config", "set", "TOKEN", stdin="one\r\ntwo\r\n")
    assert json.loads(place.good("config", "get", "TOKEN", "--json"))["value"] == "one\r\ntwo"


def test_an_empty_value_is_an_empty_line(place: Place) -> None:
    place.good("config", "set", "TOKEN", stdin="\n")
    assert place.good("config", "get", "TOKEN") == "\n"


def test_the_stack_before_a_commands_command_is_the_stack(place: Place) -> None:
    place.pulumi_in("stack", "init", "--stack", "other")
    place.good("config", "set", "TOKEN", stdin="staging's\n")
    said = place.good("config", "-s", "other", "--json", "set", "TOKEN", stdin="other's\n")
    assert json.loads(said)["stack"] == "other"
    assert place.good("config", "get", "TOKEN") == "staging's\n"
    assert place.good("config", "--stack", "other", "get", "TOKEN") == "other's\n"
    assert place.good("config", "--stack", "staging", "get", "-s", "other", "TOKEN") == "other's\n"


def test_config_vars_that_are_none_are_said_to_be(place: Place) -> None:
    place.pulumi("config", "set", "--secret", "satellite:config", CANARY)
    for words in (("config",), ("config", "get", "TOKEN")):
        done = place.satellite(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "satellite:config: should be names with values, and is a text" in done.stderr
        assert CANARY not in done.stderr


def test_a_value_is_shown_as_it_is_or_not_at_all(place: Place) -> None:
    place.good("config", "set", "TOKEN", stdin="\N{CHECK MARK}\n")
    place.environment["PYTHONIOENCODING"] = "latin-1"
    done = place.satellite("config", "get", "TOKEN")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the value has what iso8859-1 cannot show" in done.stderr
    assert json.loads(place.good("config", "get", "TOKEN", "--json"))["value"] == "\N{CHECK MARK}"


def test_a_value_is_a_text(place: Place) -> None:
    argv = [sys.executable, "-m", "satellite_cli", "config", "set", "TOKEN"]
    how: dict[str, Any] = {"cwd": place.folder, "env": place.environment}
    done = subprocess.run(argv, input=b"\xff\n", capture_output=True, check=False, **how)
    assert done.returncode == 2
    assert b"the value of TOKEN: should be a text in UTF-8" in done.stderr


@pytest.mark.parametrize("words", [["set", "TOKEN"], ["import", "-"]])
@pytest.mark.parametrize("language", ["C", "latin-1"])
def test_a_value_is_in_utf_8_whatever_this_machine_writes(
    place: Place, words: list[str], language: str
) -> None:
    place.environment |= {"LC_ALL": "C"} if language == "C" else {"PYTHONIOENCODING": language}
    argv = [sys.executable, "-m", "satellite_cli", "config", *words]

    def ran(value: bytes) -> subprocess.CompletedProcess[bytes]:
        said = b"%s\n" % value if words[0] == "set" else b'{"TOKEN": "%s"}' % value
        how: dict[str, Any] = {"cwd": place.folder, "env": place.environment}
        return subprocess.run(argv, input=said, capture_output=True, check=False, **how)

    assert ran("\N{CHECK MARK}".encode()).returncode == 0
    assert json.loads(place.good("config", "get", "TOKEN", "--json"))["value"] == "\N{CHECK MARK}"
    done = ran(b"caf\xe9")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"UTF-8" in done.stderr
    if words[0] == "import":  # half a character
        done = ran(b"\\ud800")
        assert (done.returncode, done.stderr) == (
            1,
            b"error: 0 were taken over; 1 cannot be taken\n",
        )
        assert done.stdout.startswith(b"TOKEN: LEFT OUT, should be a text in UTF-8\n")


def test_an_import_says_what_it_took_and_no_value(place: Place) -> None:
    file = place.folder / "heroku.json"
    file.write_text(f'{{"TOKEN": "{CANARY}", "A-B": "x"}}')
    done = place.satellite("config", "import", "heroku.json")
    assert done.returncode == 1
    assert "TOKEN: is satellite:config.TOKEN, encrypted" in done.stdout
    assert done.stderr == "error: 1 were taken over; 1 cannot be taken\n"
    assert CANARY not in done.stdout + done.stderr
    assert place.good("config", "get", "TOKEN") == f"{CANARY}\n"


def test_an_import_that_took_nothing_names_no_next_command(place: Place) -> None:
    done = place.satellite("config", "import", "-", stdin='{"A-B": "x"}')
    assert done.returncode == 1
    assert "Next:" not in done.stdout


def test_keys_are_made_once(place: Place) -> None:
    first = place.good("keys", "init", "--deploy-key")
    assert "satellite:private_key is made, encrypted." in first
    assert first.endswith("Next: satellite up\n")
    again = place.good("keys", "init", "--stack", "staging")
    assert again.endswith("Next: satellite up --stack staging\n")
    assert "are there already." in place.good("keys", "init")


def test_a_rotation_wants_a_yes(place: Place) -> None:
    done = place.satellite("keys", "rotate")
    assert (done.returncode, done.stderr) == (4, "error: nobody is there to ask: say --yes\n")


def test_an_unknown_stack_is_the_engines_own_error(place: Place) -> None:
    done = place.satellite("config", "--stack", "nope")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "nope" in done.stderr
    assert "Traceback" not in done.stderr


def names(place: Place) -> list[str]:
    return place.good("config").split()


@pytest.mark.parametrize("kind", ["--secret", "--plaintext"])
def test_config_vars_that_are_one_text_become_several(place: Place, kind: str) -> None:
    """The engine's own CLI has them give way to the first that is set within."""
    place.pulumi("config", "set", kind, "satellite:config", '{"A": "one", "B": 2}')
    place.good("config", "set", "C", stdin="three\n")
    assert names(place) == ["A", "B", "C"]
    assert [place.good("config", "get", name) for name in "ABC"] == ["one\n", "2\n", "three\n"]
    place.pulumi("config", "set", kind, "satellite:config", '{"A": "one", "B": "two"}')
    place.good("config", "unset", "A")
    assert names(place) == ["B"]
    place.pulumi("config", "set", kind, "satellite:config", '{"A": "one", "B": "two"}')
    place.good("config", "import", "-", stdin='{"Z": "<% 1 %>"}')
    assert names(place) == ["A", "B", "Z"]
    place.pulumi("config", "set", kind, "satellite:config", '{"A": "one", "B": [true]}')
    done = place.satellite("config", "set", "C", stdin="three\n")
    assert (done.returncode, done.stderr) == (1, "error: satellite:config: should be texts: B\n")


def test_an_odd_name_is_removed_and_nothing_else(place: Place) -> None:
    odd = ["A.B", "X[0]", 'say "hi"', "back\\slash"]
    for name in odd:
        quoted = name.replace('"', '\\"')
        place.pulumi("config", "set", "--path", f'satellite:config["{quoted}"]', "x")
    place.pulumi("config", "set", "--path", "satellite:config.A.B", "other")
    assert place.good("config", "unset", *odd, odd[0]).startswith(f"removed: {', '.join(odd)}\n")
    assert names(place) == ["A"]


@pytest.mark.parametrize("written", ["0123", "12345678901234567890123", "1.50", "2026-01-01"])
def test_what_the_next_change_would_make_a_number_of_stays(place: Place, written: str) -> None:
    file = place.folder / "Pulumi.staging.yaml"
    place.pulumi("config", "rm", "satellite:config")
    place.pulumi("config", "set", "--path", "satellite:config.GOOD", "12")
    before = file.read_text().replace("    GOOD: 12\n", f"    GOOD: 12\n    ODD: {written}\n")
    file.write_text(before)
    for words in (["config", "set", "NEW"], ["config", "unset", "GOOD"]):
        done = place.satellite(*words, stdin="x\n")
        assert done.returncode == 1
        assert "satellite:config/ODD: should be in quotes" in done.stderr
        assert file.read_text() == before
    file.write_text(before.replace(written, f"'{written}'"))
    place.good("config", "set", "NEW", stdin="x\n")
    assert place.good("config", "get", "ODD") == f"{written}\n"


def test_nothing_is_lost_where_several_change_it_at_once(place: Place) -> None:
    argv = [sys.executable, "-m", "satellite_cli", "config", "set"]
    how: dict[str, Any] = {"cwd": place.folder, "env": place.environment, "text": True}
    how |= {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    many = [subprocess.Popen([*argv, f"V{n}"], **how) for n in range(4)]
    for n, process in enumerate(many):
        process.communicate(f"{n}\n")
        assert process.returncode == 0
    assert names(place) == ["V0", "V1", "V2", "V3"]


def test_an_import_that_fails_on_its_way_has_taken_nothing(place: Place) -> None:
    wrapper = place.folder.parent / "wrapper/pulumi"
    broken = 'case "$*" in *V2*) echo error: no room >&2; exit 1;; esac\nexec'
    wrapper.write_text(wrapper.read_text().replace("exec", broken))
    done = place.satellite("config", "import", "-", stdin=json.dumps({f"V{n}": "" for n in "123"}))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "error: no room\n")
    assert names(place) == ["staging", "has", "no", "config", "vars"]


@pytest.mark.parametrize("words", [["config", "set", "A"], ["keys", "init"]])
def test_a_file_behind_a_link_is_changed_there(place: Place, words: list[str]) -> None:
    file, real = place.folder / "Pulumi.staging.yaml", place.folder / "kept/staging.yaml"
    real.parent.mkdir()
    file.rename(real)
    file.symlink_to(real)
    place.good(*words, stdin="x\n")
    assert file.is_symlink()
    assert "secure" in real.read_text()


def test_a_stack_without_its_file_is_said_to_be(place: Place) -> None:
    (place.folder / "Pulumi.staging.yaml").unlink()
    for words in (["config"], ["config", "set", "A"], ["keys", "init"], ["deploy", "--yes"]):
        done = place.satellite(*words, stdin="x\n")
        assert done.returncode == 2, done
        assert "Pulumi.staging.yaml is not there: pulumi stack init staging" in done.stderr
    assert not (place.folder / "Pulumi.staging.yaml").exists()


def test_a_machine_that_writes_another_language_changes_no_value(place: Place) -> None:
    place.good("config", "import", "-", stdin='{"A": "\N{CHECK MARK}"}')
    place.environment |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    assert json.loads(place.good("config", "get", "A", "--json"))["value"] == "\N{CHECK MARK}"


def test_what_is_too_deep_is_no_config(place: Place) -> None:
    done = place.satellite("config", "import", "-", stdin='{"a":' * 5000)
    assert (done.returncode, done.stderr) == (2, "error: - is too deep to be config vars\n")


@pytest.mark.parametrize(
    ("typed", "taken"),
    [("one line\n", True), ("-----BEGIN-----\nMORE\n", False), (f"{'x' * 4095}\n", False)],
)
def test_what_is_pasted_at_the_prompt_is_taken_whole_or_not(
    place: Place, typed: str, taken: bool
) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "satellite_cli", "config", "set", "A"]
    how: dict[str, Any] = {"cwd": place.folder, "env": place.environment, "text": True}
    with subprocess.Popen(argv, stdin=theirs, stderr=subprocess.PIPE, **how) as process:
        assert process.stderr
        asked = ""
        while "Value of A" not in asked:
            asked += process.stderr.read(1)
        os.write(ours, typed.encode())
        said = process.stderr.read()
    os.close(ours)
    os.close(theirs)
    if taken:
        assert process.returncode == 0, said
        assert place.good("config", "get", "A") == typed
    else:
        assert process.returncode == 2
        assert "a terminal takes one line of 4095 bytes at most, A stays as it is" in said
        assert "A" not in names(place)
