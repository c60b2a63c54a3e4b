"""What a stack's file has without quotes, and Pulumi makes another value of without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import config as pulumi_config

from satellite_infra import written
from satellite_infra.configuration import load
from satellite_infra.naming import OWN_CHECK
from scripts import reference

from .conftest import SECRET, stack_values

CHECKOUT = Path(__file__).parents[2]
RULE = "should be in quotes, or a plain number: Pulumi makes another value of it, got"


def misread(folder: Path, settings: str) -> list[str]:
    """What is said of these lines of a stack's file."""
    file = folder / "Pulumi.staging.yaml"
    file.write_text(f"config:\n{settings}\n")
    return [*written.misread(written.nodes(file))]


@pytest.mark.parametrize(
    ("settings", "place", "shown"),
    [
        *(
            (f"satellite:processes: {{w: {{env: {{A: {value}}}}}}}", "processes/w/env/A", value)
            for value in (
                *("0123", "1e3", "1_000", "0x1F", "0o17", "0b1", "+5", "-0", "007", "12e4", "1E3"),
                *("1.10", ".5", "2.0", "1.", "0.00001", "0.12345678901234567", "1000000.5"),
                *("9223372036854775808", "-9223372036854775809", "12345678901234567890"),
                *("2024-01-01", "2024-1-1"),
            )
        ),
        (
            "satellite:environment: 2024-01-01 10:00:00",
            "environment",
            '"2024-01-01 10:00:00"',
        ),
        ("satellite:tags:\n    until: 2026-01-31 # then it goes", "tags/until", "2026-01-31"),
        ("satellite:tags: {010: x}", "tags/010", "010"),
        ("satellite:branch: 1.10", "branch", "1.10"),
        ("branch: 1.10", "branch", "1.10"),
        ("satellite:branch: 2024-01-01T10:00:00Z", "branch", "2024-01-01T10:00:00Z"),
        ("satellite:processes: {worker: {quantity: 010}}", "processes/worker/quantity", "010"),
        ("satellite:names: [a, 0123]", "names/1", "0123"),
        ("satellite:config: {PIN: 0123}", "config/PIN", "[secret]"),
        ("satellite:config_files: {a: {template: 0123}}", "config_files/a/template", "[secret]"),
        ("satellite:heroku: &a {app: 08, names: *a}", "heroku/app", "08"),
        ("satellite:branch: !!int '0123'", "branch", "0123"),
        ("satellite:branch: ! 0123", "branch", "0123"),
    ],
)  # fmt: skip
def test_what_would_be_another_value_is_found(
    tmp_path: Path, settings: str, place: str, shown: str
) -> None:
    assert misread(tmp_path, f"  {settings}") == [f"satellite:{place}: {RULE} {shown}"]


@pytest.mark.parametrize(
    "value",
    [
        *("true", "on", "no", "~", "", "word", "0", "12", "-5", "1.5", "-0.25"),
        *("9223372036854775807", "-9223372036854775808", "0.0001", "999999.12345", "3.14159265"),
        *("0.1234567890123456", "-0.003095354654882826", "12:30:45", "1.2.3", "10.0.0.0/8"),
        *("v1.10", "0fab", "e3", "1e"),
        *("'0123'", '"1e3"', "!!str 0123", "!!str 2026-01-31", "!own 1.10", "!!int 12"),
        "2026-01-31 10:00",
        *("2024-01", "20240101T", "2026-11-26 or so", "{secure: v1:0123}", "[]", "t3.small", "٣٠"),
    ],
)  # fmt: skip
def test_what_stays_as_it_is_is_not(tmp_path: Path, value: str) -> None:
    for key in ("branch", "tags:\n    a", "config:\n    A"):
        assert misread(tmp_path, f"  satellite:{key}: {value}") == []


def test_nor_is_what_is_not_ours_nor_a_mode_nor_what_is_shipped(tmp_path: Path) -> None:
    theirs = "  aws:x: 0123\n  satellite:config_files: {a: {mode: 0640, template: x}}"
    assert misread(tmp_path, theirs) == []
    for text in (
        *((CHECKOUT / f"Pulumi.{name}.yaml").read_text() for name in ("staging", "production")),
        reference.example_file(),
        "",
        "encryptionsalt: x\n",
        "config: []\n",
    ):
        (tmp_path / "Pulumi.x.yaml").write_text(text)
        assert [*written.misread(written.nodes(tmp_path / "Pulumi.x.yaml"))] == []


PROJECT = """\
name: satellite
config:
  branch: 0123
  instance_type: {value: , default: 1.10}
  satellite:tags: {value: {until: 2026-01-31}}
  ssh_user: {default: "0123"}
  keep_releases: {description: 0123}
  aws:x: 0123
  reach_seconds: {value: 12}
  gate_seconds: {default: 010}
"""


def test_what_the_projects_file_sets_is_looked_at_where_the_stack_sets_nothing(
    tmp_path: Path,
) -> None:
    """As Pulumi has it: `value`, `default` or the value alone, in the project's own namespace."""
    project, file = tmp_path / "Pulumi.yaml", tmp_path / "Pulumi.staging.yaml"
    project.write_text(PROJECT)
    file.write_text("config: {satellite:branch: x, gate_seconds: 1}\n")
    found = [*written.misread_of_project(project, written.nodes(file))]
    assert found == [
        f"satellite:instance_type: {RULE} 1.10",
        f"satellite:tags/until: {RULE} 2026-01-31",
    ]
    project.write_text(PROJECT.replace("satellite", "shop").replace("shop:tags", "satellite:tags"))
    assert [*written.misread_of_project(project, {})] == found[1:]
    project.write_text((CHECKOUT / "Pulumi.yaml").read_text())
    assert [*written.misread_of_project(project, {})] == []


def test_what_is_read_is_what_pulumi_reads(tmp_path: Path) -> None:
    text = "config:\n  s:a: {A: on, B: true, C: 12, D: 0123, E: ~, F: 1.5, 'G': '12', <<: {H: x}}\n"
    file = tmp_path / "Pulumi.staging.yaml"
    file.write_text(text)
    (tmp_path / "Pulumi.yaml").touch()
    assert written.values(file)[1] == {
        "s:a": {
            "A": "on",
            "B": True,
            "C": 12,
            "D": "0123",
            "E": None,
            "F": 1.5,
            "G": "12",
            "H": "x",
        }
    }


def test_what_the_projects_file_sets_holds_where_the_stack_says_nothing(tmp_path: Path) -> None:
    """As Pulumi's own engine does it."""
    project, file = tmp_path / "Pulumi.yaml", tmp_path / "Pulumi.staging.yaml"
    project.write_text(PROJECT)
    file.write_text("config: {satellite:ssh_user: x, gate_seconds: 1, keep_releases:}\n")
    assert written.values(file) == (
        "satellite",
        {
            "satellite:branch": "0123",
            "satellite:instance_type": "1.10",
            "satellite:tags": {"until": "2026-01-31"},
            "satellite:ssh_user": "x",
            "satellite:keep_releases": None,
            "aws:x": "0123",
            "satellite:reach_seconds": 12,
            "satellite:gate_seconds": 1,
        },
    )
    project.write_text(
        "name: shop\nconfig: {branch: {value: ~, default: x}, satellite:branch: y}\n"
    )
    file.write_text("")
    assert written.values(file) == ("shop", {"shop:branch": "x", "satellite:branch": "y"})


@pytest.mark.parametrize(
    ("project", "text", "found"),
    [
        ("name: satellite", "config: {branch: x, keep: ~}", {"satellite:branch": "x"}),
        (
            "",
            "config: {a: {secure: x}, b: {c: [{secure: x}]}, d: {e: f}}",
            {"satellite:d": '{"e": "f"}'},
        ),
        ("", "environment: [shop]\nconfig: {branch: x}", None),
        ("config: {branch: {secret: true, value: x}}", "config: {}", None),
        ("", "config:\tx", None),
        ("a: [", "config: {}", None),
        ("", "config: {a: x, a: y}", None),  # which Pulumi refuses
        ("", "config: {a: [{b: 1, b: 2}]}", None),
        ("", "config: {a: !!binary aGVsbG8=}", None),
        ("", "config: {a: &a [*a]}", None),
        ("", "config: {satellite:config:branch: x}", {"satellite:branch": "x"}),
    ],
)
def test_what_is_open_is_shown_where_the_files_say_all_of_it(
    tmp_path: Path, project: str, text: str, found: dict[str, str] | None
) -> None:
    file = tmp_path / "Pulumi.staging.yaml"
    (tmp_path / "Pulumi.yaml").write_text(project)
    file.write_text(text)
    assert written.shown(file) == found
    file.unlink()
    assert written.shown(file) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("config:\n  satellite:branch:\tmain\n", ": line 2: found character"),
        ("config: {}\n---\nconfig: {}\n", ": line 2: but found another document"),
        ("config: *name\n", ": line 1: found undefined alias"),
        ("config: \x01\n", ""),
    ],
)
def test_what_is_no_yaml_is_named_by_file_and_line_and_not_shown(
    tmp_path: Path, text: str, why: str
) -> None:
    project, file = tmp_path / "Pulumi.yaml", tmp_path / "Pulumi.staging.yaml"
    for one, other in ((project, file), (file, project)):
        one.write_text(text)
        other.write_text("")
        with pytest.raises(written.UnreadError) as caught:
            written.values(file)
        assert str(caught.value).startswith(f"{one.name} is no YAML{why}")
        assert "name" not in str(caught.value)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have a program run in a project's folder, with good settings and these beside them."""
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    monkeypatch.setattr(pulumi, "get_stack", lambda: "staging")
    monkeypatch.delenv(OWN_CHECK, raising=False)

    def refused(**more: str) -> list[str]:
        known = {f"satellite:{k}": v for k, v in {**stack_values(), **more}.items()}
        pulumi_config.set_all_config(known, [f"satellite:{k}" for k in SECRET])
        try:
            load()
        except pulumi.RunError as error:
            return str(error).split("\n  ")[1:]
        finally:
            pulumi_config.set_all_config({}, [])
        return []

    return refused


def test_the_program_looks_into_the_stacks_file(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "Pulumi.staging.yaml"
    tags = '{"until":"2026-01-31 00:00:00 +0000 UTC"}'
    assert engine(tags='{"until":"2026-01-31"}') == []
    day = f'satellite:tags: {RULE} "2026-01-31 00:00:00 +0000 UTC"'
    assert engine(tags=tags) == [day]
    file.write_text("config:\n  satellite:tags: {until: 2026-01-31}\n")
    assert engine(tags=tags) == [f"satellite:tags/until: {RULE} 2026-01-31"]
    assert engine(tags=tags, count="0") == [
        "satellite:count: should be at least 1, got 0",
        f"satellite:tags/until: {RULE} 2026-01-31",
    ]
    project = tmp_path / "Pulumi.yaml"
    project.write_text("config: {branch: {default: 1.10}, satellite:tags: 0123}\n")
    assert engine(tags=tags) == [
        f"satellite:branch: {RULE} 1.10 (in Pulumi.yaml)",
        f"satellite:tags/until: {RULE} 2026-01-31",
    ]
    project.write_text("a: [\n")
    assert engine(tags=tags) == [f"satellite:tags/until: {RULE} 2026-01-31"]
    monkeypatch.setenv(OWN_CHECK, "1")  # the command looks itself, where that stops nobody at night
    assert engine(tags=tags) == []
    monkeypatch.delenv(OWN_CHECK)
    for unread in (b"\xff", b"a: [\n"):
        file.write_bytes(unread)
        assert engine() == []
        assert engine(tags=tags) == [day]
    assert engine(config='{"A":"2026-01-31 00:00:00 +0000 UTC"}') == []  # encrypted: as it was put


def test_yaml_itself_reads_a_shipped_file_as_we_do() -> None:
    for name in ("staging", "production"):
        file = CHECKOUT / f"Pulumi.{name}.yaml"
        own = yaml.safe_load(file.read_text())["config"]
        assert {key: value for key, value in written.values(file)[1].items() if key in own} == own
