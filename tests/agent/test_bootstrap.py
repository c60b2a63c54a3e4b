"""Bootstrap, as far as it can be seen without a machine of its own."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from satellite_infra.agent.bootstrap import Bootstrap
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.manifest import BootstrapManifest
from satellite_infra.agent.system import CommandError, Say
from tests.agent.conftest import FakeSystem


class Apt(FakeSystem):
    """A machine whose power was cut in the middle of dpkg, until somebody repairs that."""

    interrupted = True

    def run(
        self,
        argv: Sequence[str],
        say: Say,
        *,
        user: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | Path | None = None,
        timeout: float = 60,
    ) -> None:
        verb = next(word for word in argv if word in ("update", "install", "--configure"))
        self.calls.append((argv[0], verb))
        if verb == "--configure":
            self.interrupted = False
        elif verb == "install" and self.interrupted:
            raise CommandError("dpkg was interrupted")

    def output(self, argv: Sequence[str]) -> tuple[int, str]:
        return 1, "git installed\n"


def bootstrap(layout: Layout, system: FakeSystem, user: str = "admin", *keys: str) -> Bootstrap:
    manifest = BootstrapManifest(layout.app, layout.app, "test", "0", user, keys)
    return Bootstrap(manifest, {}, Path("agent.pyz"), system, lambda _: None)


def test_an_interrupted_installation_is_finished(layout: Layout) -> None:
    apt = Apt(layout)
    assert bootstrap(layout, apt).packages()
    assert apt.calls == [
        ("apt-get", "update"),
        ("apt-get", "install"),
        ("dpkg", "--configure"),
        ("apt-get", "install"),
    ]


def test_jobs_do_not_run_as_a_user_of_the_system(
    tmp_path: Path, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout("mail", tmp_path)
    entry = pwd.struct_passwd(("mail", "x", 8, 8, "", "/var/mail", "/usr/sbin/nologin"))
    monkeypatch.setattr(pwd, "getpwnam", lambda _: entry)
    with pytest.raises(ValueError, match="mail is a user of this machine already"):
        bootstrap(layout, system).user()


def test_where_the_login_user_is_another_one_the_former_keeps_no_key(
    layout: Layout, tmp_path: Path, system: FakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = {name: tmp_path / name for name in ("admin", "ubuntu")}
    for home in homes.values():
        home.mkdir()

    def entry(name: str) -> pwd.struct_passwd:
        home = str(homes[name])  # KeyError: no such user
        return pwd.struct_passwd((name, "x", os.getuid(), os.getgid(), "", home, "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwnam", entry)

    def files() -> dict[str, str]:
        found = {n: home / ".ssh/authorized_keys" for n, home in homes.items()}
        return {name: path.read_text() for name, path in found.items() if path.exists()}

    block = "# satellite shop begin\nssh-ed25519 AAAA1 deployer\n# satellite shop end\n"
    for user, expected in (
        ("admin", {"admin": block}),
        ("ubuntu", {"admin": "", "ubuntu": block}),
    ):
        step = bootstrap(layout, system, user, "ssh-ed25519 AAAA1 deployer").authorized_keys
        assert [step(), step()] == [True, False]
        assert files() == expected
    del homes["ubuntu"]
    step = bootstrap(layout, system, "admin", "ssh-ed25519 AAAA1 deployer").authorized_keys
    assert [step(), step()] == [True, False]
    assert files() == {"admin": block}
    with pytest.raises(LookupError, match="this machine has no user ubuntu to log in as"):
        bootstrap(layout, system, "ubuntu", "ssh-ed25519 AAAA1").authorized_keys()
