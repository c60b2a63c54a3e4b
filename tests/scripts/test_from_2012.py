"""Each thing of the set-up of 2012 has its setting or command, and each that is named exists."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.engine import environment
from satellite_cli.commands import MODULES
from satellite_infra.settings import Settings
from scripts import reference

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
THINGS = """
    key pair, image, flavor, COUNT, label, rails_env, region, security group, login user,
    package, ruby, bundler, users, sudo, authorized keys, deploy key, known hosts, directories,
    config files, logrotate, monit, chef, repository, branch, heroku.yml, Procfile, foreman,
    bundle install, releases,
    satellite:spawn, satellite:configure, satellite:info, satellite:deploy, satellite:destroy,
    filtered by environment, filtered by id, worker:start, worker:stop, worker:tail,
    deploy:staging, deploy:production, git:tag
"""
SETTINGS = {row.split("`")[1] for _, row in reference.rows(Settings)}
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (CHECKOUT / "Makefile").read_text(), re.M))


def rows() -> list[tuple[str, str]]:
    """The tables' rows: the thing of 2012, and what there is now."""
    commands = (DOCS / "commands.md").read_text(encoding="utf-8").partition("| 2012 | now |\n")[2]
    page = (DOCS / "from-2012.md").read_text(encoding="utf-8")
    lines = [*page.splitlines(), *commands.partition("\n\n")[0].splitlines()]
    cells = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")]
    assert {len(row) for row in cells} == {2}
    return [(then.strip(), now.strip()) for then, now in cells if then.strip() != "2012"]


def settings(text: str) -> Iterator[str]:
    """The settings that a text names, with a map's own part as the reference writes it."""
    for found in re.findall(r"satellite:([a-z_]+(?:\.[A-Za-z_][A-Za-z_0-9-]*)*)", text):
        key, *parts = found.split(".")
        if key in reference.PARTS and parts:
            parts[0] = reference.PARTS[key]
        yield key if key == "config" else ".".join([key, *parts])


def test_every_thing_of_2012_is_in_the_table_once() -> None:
    then = [row[0] for row in rows()]
    assert len(then) == len(set(then))
    text = "\n".join(then).lower()
    assert [thing for thing in re.split(r",\s*", THINGS.strip()) if thing.lower() not in text] == []


@pytest.mark.parametrize(("then", "now"), rows(), ids=[row[0] for row in rows()])
def test_what_there_is_now_exists(then: str, now: str) -> None:
    named = list(settings(now))
    assert set(named) <= SETTINGS
    targets = re.findall(r"`make ([a-z]+)", now)
    assert set(targets) <= TARGETS
    left_out = re.search(r"\b[Nn]ot here\b", now)
    commands = re.findall(r"`satellite ([a-z]+)", now)
    assert set(commands) <= set(MODULES)
    assert named or targets or commands or left_out or "`pulumi " in now


@pytest.mark.parametrize("page", ["keys.md", "from-2012.md"])
def test_the_pages_name_settings_and_targets_that_exist(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    text = re.sub(r"`rake satellite:[a-z]+", "", text)
    assert set(settings(text)) <= SETTINGS
    assert set(re.findall(r"(?:^ +|`)make ([a-z]+)", text, re.M)) <= TARGETS


@pytest.mark.engine
def test_the_commands_are_the_clis_own(tmp_path: Path) -> None:
    text = "".join((DOCS / page).read_text("utf-8") for page in ("keys.md", "from-2012.md"))
    verbs = set(re.findall(r"(?:^ +|`)pulumi ((?:stack |config )?[a-z-]+)", text, re.M))
    assert {"up", "destroy", "config set"} <= verbs
    env = {**os.environ, **environment(tmp_path)}

    def about(*words: str) -> str:
        argv = ["pulumi", *words, "--help"]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
        return done.stdout

    for words in (verb.split() for verb in sorted(verbs)):
        # of a command that it does not have, the CLI shows the help of what is above
        assert about(*words) != about(*words[:-1]), words
