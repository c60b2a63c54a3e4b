"""The manifests' text is what reviewers read: whole, and read back the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from satellite_infra.agent.manifest import BootstrapManifest, Process, ReleaseManifest

RELEASE = ReleaseManifest(
    host="worker-1",
    app="shop",
    environment="staging",
    repository="ssh://git@git.example.com/shop.git",
    revision="3f2a" * 10,
    processes=(
        Process("worker", 2, grace=60, memory_max="300M"),
        Process(
            "mailer",
            1,
            command="bundle exec mail",
            cpu="150%",
            overlap=True,
            signal="INT",
            env={"QUEUES": "mail", "A": "", "LINES": "a\nb"},
            on_kill="bin/release-jobs",
        ),
    ),
    config={"TOKEN": "0123456789abcdef", "A": "fedcba9876543210"},
    build=("bundle install --local",),
)
BOOTSTRAP = BootstrapManifest(
    host="worker-1",
    app="shop",
    environment="staging",
    agent="abc123",
    user="admin",
    authorized_keys=("ssh-ed25519 AAAA deployer", "ssh-ed25519 BBBB"),
    packages=("ruby", "bundler"),
    known_hosts=("git.example.com ssh-ed25519 AAAA",),
)


def test_release_text() -> None:
    assert RELEASE.text() == (
        "manifest: release 1\n"
        "host: worker-1\n"
        f"revision: {'3f2a' * 10}\n"
        "app: shop\n"
        "environment: staging\n"
        "repository: ssh://git@git.example.com/shop.git\n"
        "generation: 0\n"
        "build.1: bundle install --local\n"
        "processes.worker.quantity: 2\n"
        "processes.worker.grace: 60\n"
        "processes.worker.memory_max: 300M\n"
        "processes.mailer.quantity: 1\n"
        "processes.mailer.command: bundle exec mail\n"
        "processes.mailer.grace: 60\n"
        "processes.mailer.cpu: 150%\n"
        "processes.mailer.overlap: true\n"
        "processes.mailer.signal: INT\n"
        'processes.mailer.env.A: ""\n'
        'processes.mailer.env.LINES: "a\\nb"\n'
        "processes.mailer.env.QUEUES: mail\n"
        "processes.mailer.on_kill: bin/release-jobs\n"
        "keep_releases: 5\n"
        "gate_seconds: 10\n"
        "config.A: fedcba9876543210\n"
        "config.TOKEN: 0123456789abcdef\n"
        "end: manifest\n"
    )
    assert ReleaseManifest.parse(RELEASE.text()) == RELEASE


def test_a_manifest_that_an_earlier_agent_left_on_disk_is_read() -> None:
    """A recovery may go back to a release from before a line was known."""
    text = RELEASE.text()
    later = ("cpu", "overlap", "signal", "env", "on_kill")
    kept = [
        line
        for line in text.splitlines(True)
        if not any(line.startswith(f"processes.mailer.{key}") for key in later)
    ]
    mailer = Process("mailer", 1, command="bundle exec mail")
    earlier = replace(RELEASE, processes=(RELEASE.processes[0], mailer))
    assert ReleaseManifest.parse("".join(kept)) == earlier


def test_a_health_command_and_a_soak_are_lines_only_where_there_are_some() -> None:
    checked = replace(RELEASE, soak_seconds=600, health="bin/check", health_seconds=5)
    added = set(checked.text().splitlines()) - set(RELEASE.text().splitlines())
    assert added == {"soak_seconds: 600", "health: bin/check", "health_seconds: 5"}
    assert ReleaseManifest.parse(checked.text()) == checked
    assert checked.release_id() == RELEASE.release_id()


def test_bootstrap_text() -> None:
    assert BOOTSTRAP.text() == (
        "manifest: bootstrap 1\n"
        "host: worker-1\n"
        "app: shop\n"
        "environment: staging\n"
        "agent: abc123\n"
        "user: admin\n"
        "authorized_keys.1: ssh-ed25519 AAAA deployer\n"
        "authorized_keys.2: ssh-ed25519 BBBB\n"
        "packages.1: ruby\n"
        "packages.2: bundler\n"
        "known_hosts.1: git.example.com ssh-ed25519 AAAA\n"
        "deploy_key: none\n"
        "app_metadata: blocked\n"
        "end: manifest\n"
    )
    assert BootstrapManifest.parse(BOOTSTRAP.text()) == BOOTSTRAP


def test_release_id_is_of_code_build_and_config_alone() -> None:
    same = replace(RELEASE, host="worker-2", processes=(), generation=4, keep_releases=1)
    assert same.release_id() == RELEASE.release_id()
    for change in (
        {"revision": "0" * 40},
        {"config": {"TOKEN": "x"}},
        {"build": ()},
        {"environment": "production"},
        {"repository": "https://example.com/other"},
    ):
        assert replace(RELEASE, **change).release_id() != RELEASE.release_id()


def test_slots_are_every_worker() -> None:
    assert RELEASE.slots() == [("worker", 1), ("worker", 2), ("mailer", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOOTSTRAP.text(), "manifest: should be `release 1`, got `bootstrap 1`; this host's agent"),
        ("manifest: release 1\nend: manifest\n", "host: is missing"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReleaseManifest.parse(text)
