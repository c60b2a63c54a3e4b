"""The reference of settings is made from them, its example works, and links lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from satellite_infra import keys
from satellite_infra.host_identity import host_identity
from satellite_infra.naming import NAMESPACE
from satellite_infra.settings import (
    ENCRYPTED,
    AmiSettings,
    BastionSettings,
    EgressSettings,
    HostSettings,
    ProcessSettings,
    Settings,
    validated,
)
from scripts import reference

CHECKOUT = Path(__file__).parents[2]
SEED = "a seed of at least thirty-two characters"
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)")


def pages() -> list[Path]:
    """Every page of the repository."""
    argv = ["git", "ls-files", "-z", "*.md"]
    named = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    return [CHECKOUT / name for name in named.split("\0")[:-1]]


def anchors(page: str) -> set[str]:
    """What a link may name of a page, as GitHub makes it of the titles."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page), re.MULTILINE)
    shown = [re.sub(r"\[(.+?)\]\(.+?\)", r"\1", title).lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in shown}


def dead(page: Path) -> list[str]:
    """The links of a page that lead nowhere, or to no title of where they lead."""
    found = []
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        to = page.parent / path if path else page
        if not to.exists() or (anchor and anchor not in anchors(to.read_text(encoding="utf-8"))):
            found.append(f"{path}#{anchor}")
    return found


def test_the_reference_and_the_example_are_what_the_settings_say() -> None:
    for name, page in reference.PAGES.items():
        assert (CHECKOUT / "docs" / name).read_text(encoding="utf-8") == page()


def test_the_example_names_every_setting_and_is_accepted() -> None:
    text = reference.example_file()
    for key in Settings.model_fields:
        assert f"{NAMESPACE}:{key}" in text, key
    config = yaml.safe_load(text)["config"]
    values = {
        key.removeprefix(f"{NAMESPACE}:"): json.dumps(value)
        if isinstance(value, dict | list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        for key, value in config.items()
        if key != "aws:region"
    }
    private, following = (host_identity(SEED, name).private for name in ("login", "next"))
    values |= {
        "private_key": private,
        "public_key": keys.public_line(private),
        "next_private_key": following,
        "next_public_key": keys.public_line(following),
        "host_key_seed": SEED,
        "deploy_key": private,
        "monit_password": "the password",
        "alert_urls": json.dumps(["https://alerts.example.com/key"]),
        "release_webhook": "https://hooks.example.com/key",
        "heroku_api_token": "a-token-of-heroku",
        "heroku_host_token": "another-token-of-heroku",
    }
    assert validated(values, ENCRYPTED)[1] == []
    given = {key for key in values if f"# {NAMESPACE}:{key}:" not in text}
    assert given == set(Settings.model_fields) - reference.INSTEAD


def test_every_part_of_a_setting_has_a_row() -> None:
    rows = [row.split("`")[1] for _, row in reference.rows(Settings)]
    assert set(rows) >= {
        *Settings.model_fields,
        *(f"processes.TYPE.{key}" for key in ProcessSettings.model_fields),
        *(f"hosts.NAME.{key}" for key in HostSettings.model_fields),
        *(f"egress.N.{key}" for key in EgressSettings.model_fields),
        *(f"bastion.{key}" for key in BastionSettings.model_fields),
        *(f"ami_lookup.{key}" for key in AmiSettings.model_fields),
    }
    assert len(rows) == len(set(rows))
    text = reference.settings_page()
    grace = "Seconds from `signal` to SIGKILL: more than the longest job takes."
    assert f"| `processes.TYPE.grace` | {grace} | `60` |" in text
    assert "| `reach_seconds` | Seconds that a host may take to answer on SSH. | `300` |" in text


@pytest.mark.parametrize(
    ("title", "package"),
    [
        ("One direction", "satellite_infra"),
        ("The command", "satellite_cli"),
        ("The agent", "satellite_infra/agent"),
    ],
)
def test_the_design_names_every_module_and_no_other(title: str, package: str) -> None:
    page = (CHECKOUT / "docs/design.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"\w+\.py", row)]
    there = {path.name for path in (CHECKOUT / package).glob("[!_]*.py")}
    assert sorted(named) == sorted(there)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# The `one`, [two](x.md)\n```\n# no title\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](there.md#the-one-two) [b](#here) [c](there.md) [d](https://x/#y)\n"
    )
    assert dead(page) == []
    page.write_text("[a](there.md#no-title) [b](#here) [c](away.md)\n")
    assert dead(page) == ["there.md#no-title", "#here", "away.md#"]
