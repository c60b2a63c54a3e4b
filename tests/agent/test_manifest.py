"""The manifests' text is what reviewers read: whole, and read back the same."""

from __future__ import annotations

import pytest

from satellite_infra.agent.bootstrap_manifest import AptSource, BootstrapManifest, Ruby
from satellite_infra.agent.release_manifest import ConfigFile, Process, ReleaseManifest

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
            signal_to="main",
            env={"QUEUES": "mail", "A": "", "LINES": "a\nb"},
            on_kill="bin/release-jobs",
        ),
    ),
    config={"TOKEN": "0123456789abcdef", "A": "fedcba9876543210"},
    build=("bundle install --local",),
    ruby="3.3.5",
)
BOOTSTRAP = BootstrapManifest(
    host="worker-1",
    app="shop",
    environment="staging",
    agent="abc123",
    user="admin",
    deployer_keys=("ssh-ed25519 AAAA deployer",),
    authorized_keys=("ssh-ed25519 BBBB",),
    apt_sources=(
        AptSource("pgdg", "https://apt.example.com", "bookworm-pgdg", ("main", "16"), "A\nKEY\n"),
        AptSource("flat", "https://flat.example.com", "./", (), "KEY\n"),
    ),
    packages=("ruby", "bundler"),
    known_hosts=("git.example.com ssh-ed25519 AAAA",),
    ruby=Ruby(
        "3.3.6", "https://ruby.example.com/r.tar.gz", "0f" * 32, ("--enable-yjit",), "3.5.23"
    ),
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
        "ruby: 3.3.5\n"
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
        "processes.mailer.signal_to: main\n"
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
    earlier = RELEASE._replace(processes=(RELEASE.processes[0], mailer))
    assert ReleaseManifest.parse("".join(kept)) == earlier


def test_a_health_command_and_a_soak_are_lines_only_where_there_are_some() -> None:
    checked = RELEASE._replace(soak_seconds=600, health="bin/check", health_seconds=5)
    added = set(checked.text().splitlines()) - set(RELEASE.text().splitlines())
    assert added == {"soak_seconds: 600", "health: bin/check", "health_seconds: 5"}
    assert ReleaseManifest.parse(checked.text()) == checked
    assert checked.code_id() == RELEASE.code_id()


def test_config_files_are_part_of_the_release() -> None:
    files = (ConfigFile("a.mode", "0123456789abcdef"), ConfigFile("b/c.yml", "d", "0440", "root"))
    filled = RELEASE._replace(config_files=files)
    added = set(filled.text().splitlines()) - set(RELEASE.text().splitlines())
    assert added == {
        "config_files.a.mode.mode: 0640",
        "config_files.a.mode.owner: app",
        "config_files.a.mode.template: 0123456789abcdef",
        "config_files.b/c.yml.mode: 0440",
        "config_files.b/c.yml.owner: root",
        "config_files.b/c.yml.template: d",
    }
    assert ReleaseManifest.parse(filled.text()) == filled
    ids = {m.code_id() for m in (RELEASE, filled, RELEASE._replace(config_files=files[:1]))}
    assert len(ids) == 3


def test_what_follows_heroku_and_its_app_are_lines_only_where_there_are_some() -> None:
    follows = RELEASE._replace(inherited=("A", "TOKEN"), inherited_from="shop-staging")
    added = set(follows.text().splitlines()) - set(RELEASE.text().splitlines())
    assert added == {"inherited.1: A", "inherited.2: TOKEN", "inherited_from: shop-staging"}
    assert ReleaseManifest.parse(follows.text()) == follows
    assert follows.code_id() == RELEASE.code_id()


def test_bootstrap_text() -> None:
    assert BOOTSTRAP.text() == (
        "manifest: bootstrap 1\n"
        "host: worker-1\n"
        "app: shop\n"
        "environment: staging\n"
        "agent: abc123\n"
        "user: admin\n"
        "deployer_keys.1: ssh-ed25519 AAAA deployer\n"
        "authorized_keys.1: ssh-ed25519 BBBB\n"
        "apt_sources.pgdg.uri: https://apt.example.com\n"
        "apt_sources.pgdg.suite: bookworm-pgdg\n"
        "apt_sources.pgdg.components.1: main\n"
        "apt_sources.pgdg.components.2: 16\n"
        'apt_sources.pgdg.key: "A\\nKEY\\n"\n'
        "apt_sources.flat.uri: https://flat.example.com\n"
        "apt_sources.flat.suite: ./\n"
        'apt_sources.flat.key: "KEY\\n"\n'
        "packages.1: ruby\n"
        "packages.2: bundler\n"
        "known_hosts.1: git.example.com ssh-ed25519 AAAA\n"
        "deploy_key: none\n"
        "app_metadata: blocked\n"
        "unattended_upgrades: true\n"
        "ruby.version: 3.3.6\n"
        "ruby.source: https://ruby.example.com/r.tar.gz\n"
        f"ruby.sha256: {'0f' * 32}\n"
        "ruby.configure.1: --enable-yjit\n"
        "ruby.rubygems: 3.5.23\n"
        "end: manifest\n"
    )
    assert BootstrapManifest.parse(BOOTSTRAP.text()) == BOOTSTRAP
    other = BOOTSTRAP._replace(unattended_upgrades=False, ruby=None, apt_sources=())
    assert BootstrapManifest.parse(other.text()) == other


def test_code_id_is_of_code_and_build_alone() -> None:
    same = RELEASE._replace(host="worker-2", processes=(), config={}, generation=4)
    assert same.code_id() == RELEASE.code_id()
    for change in (
        {"revision": "0" * 40},
        {"build": ()},
        {"ruby": "3.3.6"},
        {"environment": "production"},
        {"repository": "https://example.com/other"},
    ):
        assert RELEASE._replace(**change).code_id() != RELEASE.code_id()


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
