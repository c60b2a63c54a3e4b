"""`make keys` on real stacks: what is missing is made, nothing is overwritten, nothing leaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.engine import environment
from satellite_infra import keys
from satellite_infra.key_text import normal
from satellite_stack.config import Config
from satellite_stack.keys import left, unprepared

CHECKOUT = Path(__file__).parents[2]
NO_PASSPHRASE = "passphrase must be set with PULUMI_CONFIG_PASSPHRASE"


class Place:
    """A copy of the shipped project whose stack `staging` is new; `seen`: each command line."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder / "project", folder / "seen"
        self.folder.mkdir()
        for name in ("Pulumi.yaml", "Pulumi.staging.yaml"):
            shutil.copy(CHECKOUT / name, self.folder / name)
        self.environment = {**os.environ, **environment(folder / "engine")}
        real = shutil.which("pulumi", path=self.environment["PATH"])
        wrapper = folder / "wrapper/pulumi"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\necho "$*" >>{self.seen}\nexec {real} "$@"\n')
        wrapper.chmod(0o755)
        self.environment["PATH"] = f"{wrapper.parent}:{self.environment['PATH']}"
        self.environment["PYTHONPATH"] = str(CHECKOUT)

    def pulumi(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["pulumi", *arguments, "--stack", "staging", "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def keys(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return self.script("keys", *arguments, **changed)

    def script(
        self, name: str, *arguments: str, stdin: str = "", **changed: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"satellite_stack.{name}", *arguments],
            cwd=self.folder,
            env={**self.environment, **changed},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def made(self, *arguments: str) -> list[str]:
        """What a successful run says."""
        done = self.keys("--stack", "staging", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    def refused(self, *arguments: str, **changed: str) -> str:
        """What a failing run says."""
        done = self.keys(*arguments, **changed)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    def values(self) -> dict[str, str]:
        """The keys that are set, secrets shown."""
        shown = json.loads(self.pulumi("config", "--json", "--show-secrets"))
        found = {key.removeprefix("satellite:"): item["value"] for key, item in shown.items()}
        return {key: found[key] for key in sorted(found) if key.endswith(("_key", "_seed"))}

    def hidden(self) -> None:
        """No secret is in a command line, nor in the clear in the stack file."""
        visible = self.seen.read_text() + (self.folder / "Pulumi.staging.yaml").read_text()
        for key, value in self.values().items():
            if "public" not in key:
                assert value.splitlines()[-1] not in visible
                assert value.splitlines()[len(value.splitlines()) // 2] not in visible


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.pulumi("stack", "init")
    return made


pytestmark = pytest.mark.engine


def test_what_is_missing_is_made_and_what_is_there_is_kept(place: Place) -> None:
    said = place.made()
    first = place.values()
    assert first.keys() == {"host_key_seed", "private_key", "public_key"}
    assert first["public_key"] == f"{keys.public_line(first['private_key'])} satellite-staging"
    assert len(first["host_key_seed"]) == 64
    assert said == [
        "satellite:private_key is made, encrypted.",
        f"satellite:public_key is {first['public_key']}",
        "satellite:host_key_seed is made, encrypted.",
        "Next: pulumi preview --stack staging",
    ]
    place.hidden()
    assert "# the kernel" not in place.seen.read_text()

    assert place.made() == [
        "satellite:private_key and satellite:public_key are there already.",
        "satellite:host_key_seed is there already.",
        "Next: pulumi preview --stack staging",
    ]
    assert place.values() == first

    said = place.made("--deploy-key")
    second = place.values()
    deploy_key = second.pop("deploy_key")
    assert second == first
    public = f"  {keys.public_line(deploy_key)} deploy-staging"
    assert said[2:5] == [
        "satellite:deploy_key is made, encrypted.",
        "Give this to the git server, as a deploy key that may only read:",
        public,
    ]
    again = place.made("--deploy-key")
    assert (again[2], again[4]) == ("satellite:deploy_key is there already.", public)
    place.hidden()


def test_of_a_key_that_was_brought_only_the_other_half_is_added(place: Place) -> None:
    own = keys.new_private_key()
    place.pulumi("config", "set", "--secret", "satellite:private_key", stdin=own)
    said = place.made()[0]
    assert said == f"satellite:public_key is {keys.public_line(own)} satellite-staging"
    assert normal(place.values()["private_key"]) == own
    place.pulumi("config", "rm", "satellite:private_key")
    assert "satellite:public_key is there without its other half" in place.refused(
        "--stack", "staging"
    )


def test_a_key_that_is_none_is_said_to_be_none_and_not_shown(place: Place) -> None:
    place.pulumi("config", "set", "--secret", "satellite:private_key", stdin="canary")
    assert place.refused("--stack", "staging") == (
        "error: satellite:private_key should be an SSH private key, BEGIN and END lines included\n"
    )
    place.pulumi("config", "rm", "satellite:private_key")
    place.made()
    place.made("--rotate", "begin")
    before = place.values()
    other = keys.public_line(keys.new_private_key())
    place.pulumi("config", "set", "satellite:next_public_key", stdin=other)
    assert place.refused("--stack", "staging", "--rotate", "end") == (
        "error: satellite:next_public_key should be of satellite:next_private_key\n"
    )
    assert place.values() == {**before, "next_public_key": other}


def test_with_an_agent_only_the_seed_is_made(place: Place) -> None:
    place.pulumi("config", "set", "satellite:ssh_agent", "true")
    assert "satellite:public_key" in place.made()[1]
    assert place.values().keys() == {"host_key_seed"}
    line = f"{keys.public_line(keys.new_private_key())} ada"
    assert "the next key is yours" in place.refused("--stack", "staging", "--rotate", "begin")
    place.pulumi("config", "set", "satellite:public_key", stdin="ssh-ed25519 AAAAold ada")
    place.pulumi("config", "set", "satellite:next_public_key", stdin=line)
    place.made("--rotate", "begin")
    place.made("--rotate", "end")
    values = place.values()
    assert values == {"host_key_seed": values["host_key_seed"], "public_key": line}


def test_rotation_begins_and_ends_and_each_step_may_be_the_last(place: Place) -> None:
    assert "there is no key to rotate yet" in place.refused("--rotate", "begin")
    assert "no rotation has begun" in place.refused("--rotate", "end")
    place.made()
    first = place.values()
    said = place.made("--rotate", "begin")
    begun = place.values()
    assert {key: begun[key] for key in first} == first
    new = {key: begun[f"next_{key}"] for key in ("private_key", "public_key")}
    assert new["public_key"] == f"{keys.public_line(new['private_key'])} satellite-staging"
    assert said[1:] == [
        f"satellite:next_public_key is {new['public_key']}",
        "Next, in this order:",
        "  pulumi up --stack staging   # every host lets both keys in",
        "  make keys STACK=staging ROTATE=end",
    ]
    assert "are there already" in place.made("--rotate", "begin")[0]
    assert place.values() == begun
    # killed after its first steps: the private key is the new one, the rest is to be done
    place.pulumi("config", "set", "--secret", "satellite:private_key", stdin=new["private_key"])
    place.pulumi("config", "set", "satellite:public_key", stdin=new["public_key"])
    place.pulumi("config", "rm", "satellite:next_private_key")
    said = place.made("--rotate", "end")
    assert place.values() == {**first, **new, "private_key": new["private_key"].rstrip("\n")}
    assert said == [
        f"satellite:public_key is {new['public_key']}",
        "Next: pulumi up --stack staging   # logs in with it; the former opens nothing",
    ]
    place.made("--rotate", "begin")
    begun = place.values()
    place.made("--rotate", "end")
    last = place.values()
    assert last["public_key"] == begun["next_public_key"]
    assert keys.same_public(last["public_key"], keys.public_line(last["private_key"]))
    place.hidden()


@pytest.mark.parametrize("breaks_at", ["public_key --", "rm satellite:next_public_key"])
def test_what_does_not_come_to_its_end_has_changed_nothing(place: Place, breaks_at: str) -> None:
    """A half of it would be a key and another one's public half, which no update takes."""
    place.made()
    place.made("--rotate", "begin")
    before = (place.folder / "Pulumi.staging.yaml").read_text()
    wrapper = place.folder.parent / "wrapper/pulumi"
    works = wrapper.read_text()
    broken = f'case "$*" in *"{breaks_at}"*) echo error: no room >&2; exit 1;; esac\n'
    wrapper.write_text(works.replace("exec", f"{broken}exec"))
    assert place.refused("--rotate", "end") == "error: no room\n"
    assert (place.folder / "Pulumi.staging.yaml").read_text() == before
    wrapper.write_text(works)
    place.made("--rotate", "end")


def test_errors_say_what_to_do(place: Place, tmp_path: Path) -> None:
    none = place.refused("--stack", "nowhere")
    assert none == (
        "error: Pulumi.nowhere.yaml is not there: pulumi stack init nowhere (where that stack is "
        "there, its file is in git; if it never had one: touch Pulumi.nowhere.yaml)\n"
        "  known here: staging\n"
    )
    (place.folder / "Pulumi.nowhere.yaml").touch()
    none = place.refused("--stack", "nowhere")
    missing = "error: no stack named 'nowhere' found\n  make it: pulumi stack init NAME\n"
    assert none == f"{missing}  known here: staging\n"
    place.environment["PULUMI_HOME"] = str(tmp_path / "another")
    assert "say which: STACK=NAME" in place.refused()
    environment = {**place.environment}
    del place.environment["PULUMI_CONFIG_PASSPHRASE"]
    before = (place.folder / "Pulumi.staging.yaml").read_text()
    assert NO_PASSPHRASE in place.refused("--stack", "staging")
    assert (place.folder / "Pulumi.staging.yaml").read_text() == before
    wrong = place.refused("--stack", "staging", PULUMI_CONFIG_PASSPHRASE="wrong")
    assert wrong.startswith("error: incorrect passphrase\n")
    place.environment = environment
    missing = place.refused("--stack", "staging", PATH=str(tmp_path))
    assert missing == "error: pulumi is not on PATH: https://www.pulumi.com/docs/install/\n"
    assert place.values() == {}
    file = place.folder / "Pulumi.staging.yaml"
    file.write_text(f"{file.read_text()}<<<<<<< HEAD\n")
    assert "Pulumi.NAME.yaml: git diff shows" in place.refused("--stack", "staging")


def test_which_hosts_do_not_know_a_key() -> None:
    def resource(kind: str, name: str, **inputs: str) -> dict[str, Any]:
        return {"urn": f"urn:pulumi:s::p::{kind}::{name}", "type": kind, "inputs": inputs}

    def command(name: str, **inputs: str) -> dict[str, Any]:
        return resource("command:remote:Command", name, **inputs)

    line = "ssh-ed25519 AAAAnew x"
    known = "deployer_keys.2: ssh-ed25519 AAAAnew x\n"
    replaced = {**command("rented-bootstrap", create=known), "delete": True}
    resources = [
        *(resource("aws:ec2/instance:Instance", f"worker-{n}") for n in (1, 2, 3, 4)),
        *(command(f"worker-{n}-drain", delete="drain") for n in (1, 2)),
        command("worker-1-bootstrap", create=known),
        command("worker-2-bootstrap", create="deployer_keys.1: ssh-ed25519 AAAAold x\n"),
        command("worker-4-drain"),  # lost
        command("rented-drain", delete="drain"),
        command("rented-bootstrap", create="old"),
        replaced,
    ]
    assert unprepared({"resources": resources}, line) == ["rented", "worker-2", "worker-3"]
    assert unprepared({}, line) == []


@pytest.mark.parametrize(
    ("lets_in", "known", "is_left"),
    [
        ("old new", {}, True),
        ("new other", {}, False),  # a first half that was given up
        ("new", {}, False),
        ("old", {}, False),  # that is no rotation's
        ("old new", {"next_public_key": "ssh-ed25519 AAAAnewer z"}, False),
    ],
)
def test_a_second_half_is_left_while_hosts_let_the_former_key_in(
    monkeypatch: pytest.MonkeyPatch, lets_in: str, known: dict[str, str], is_left: bool
) -> None:
    keys_of = enumerate(lets_in.split(), 1)
    script = "".join(f"deployer_keys.{n}: ssh-ed25519 AAAA{key} x\n" for n, key in keys_of)
    script += "authorized_keys.1: ssh-ed25519 AAAAada ada\n"
    kind = "command:remote:Command"
    resource = {
        "urn": f"urn:pulumi:s::p::{kind}::worker-1-bootstrap",
        "type": kind,
        "inputs": {"create": script},
    }
    settings = {"public_key": "ssh-ed25519 AAAAnew y", **known}
    monkeypatch.setattr(Config, "known", lambda _: settings)
    monkeypatch.setattr(Config, "state", lambda _: {"resources": [resource]})
    assert bool(list(left(Config("staging")))) == is_left


def test_make_passes_on_what_was_typed() -> None:
    typed = ["keys", "STACK=staging", "ROTATE=begin", "DEPLOY_KEY=1"]
    done = subprocess.run(
        ["make", "-n", *typed], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    command = '-m satellite_stack.keys --stack "$STACK" --rotate "$ROTATE" --deploy-key'
    assert done.stdout.splitlines()[-1] == f".venv/bin/python {command}"
