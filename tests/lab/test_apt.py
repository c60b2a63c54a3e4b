"""Which apt sources the lab's machines get, and what the relay has to let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import apt
from lab.apt import Relay, Source
from lab.errors import LabError

DEBIAN = """\
Types: deb
# a comment
URIs: http://m.example.com/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://m.example.com/debian-security
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://disabled.example.com/debian
Suites: bookworm
Components: main
"""
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MAIN = Source("http://m.example.com/debian", ("bookworm", "bookworm-updates"), ("main",), KEYRING)
SECURITY = Source("http://m.example.com/debian-security", ("bookworm-security",), ("main",))


def test_deb822() -> None:
    assert apt.deb822(DEBIAN) == [MAIN, SECURITY]


def test_deb822_with_an_armoured_key() -> None:
    text = (
        "Types: deb\nURIs: https://m.example.com/debian/\nSuites: bookworm\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n"
    )
    (source,) = apt.deb822(text)
    assert source.signed_by == "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF"
    assert apt.deb822(source.stanza()) == [source]


def test_one_line() -> None:
    text = """
# deb http://commented.example.com/debian bookworm main
deb http://m.example.com/debian bookworm main contrib # the rest
deb-src http://m.example.com/debian bookworm main
deb [arch=x signed-by=/etc/apt/m.gpg trusted=yes] https://m.example.com/debian bookworm main
"""
    assert apt.one_line(text) == [
        Source("http://m.example.com/debian", ("bookworm",), ("main", "contrib")),
        Source(
            "https://m.example.com/debian",
            ("bookworm",),
            ("main",),
            "/etc/apt/m.gpg",
            True,
        ),
    ]


def test_only_the_distribution_counts() -> None:
    others = [
        Source("https://apt.example.org", ("bookworm",), ("main",)),
        Source("https://download.example.org/linux/debian", ("bookworm",), ("stable",)),
        Source("https://packages.example.org/apt", ("cloud-sdk-bookworm",), ("main",)),
        Source("https://more.example.org/debian/12/prod", ("bookworm",), ("main",)),
        Source("http://m.example.com/debian", ("trixie",), ("main",)),
    ]
    assert apt.of_distribution([*others, MAIN, SECURITY], "bookworm") == [MAIN, SECURITY]


def test_a_mirror_at_an_unusual_path_counts_where_there_is_no_other() -> None:
    mirror = Source("https://repo.example.com/mirrors/of/debian", ("bookworm",), ("main",))
    assert apt.of_distribution([mirror], "bookworm") == [mirror]


def test_mirror_lists_are_followed(tmp_path: Path) -> None:
    (tmp_path / "debian.list").write_text("# first\nhttps://cdn.example.com/debian\nhttps://b/\n")
    source = Source(f"mirror+file:{tmp_path}/debian.list", ("bookworm",), ("main",))
    local = Source("file:/srv/debian", ("bookworm",), ("main",))
    assert [s.uri for s in apt.expand_mirror_lists([source, local])] == [
        "https://cdn.example.com/debian"
    ]


@pytest.mark.parametrize(
    ("url", "inside", "relay"),
    [
        ("http://m.example.com/debian", None, Relay("m.example.com", "m.example.com", 80)),
        ("https://m.example.com/debian", None, Relay("m.example.com", "m.example.com", 443)),
        ("http://10.1.2.3:8081/debian", None, Relay("10.1.2.3", "10.1.2.3", 8081)),
        (
            "http://u:p@localhost:3142/x",
            "http://u:p@outside.lab:3142/x",
            Relay("outside.lab", "localhost", 3142),
        ),
        ("http://127.0.0.1/x", "http://outside.lab:80/x", Relay("outside.lab", "127.0.0.1", 80)),
    ],
)
def test_relay(url: str, inside: str | None, relay: Relay) -> None:
    assert apt.relay_to(url) == (inside or url, relay)


def test_configuration() -> None:
    made = apt.configure(
        "bookworm", [MAIN, SECURITY], {"Acquire::Check-Valid-Until": "false", "APT::X": "1"}, {}
    )
    assert made == apt.Apt(
        suite="bookworm",
        outside=MAIN.stanza() + "\n" + SECURITY.stanza(),
        sources=MAIN.stanza() + "\n" + SECURITY.stanza(),
        settings=(
            'Acquire::Languages "none";\n'
            'APT::Install-Recommends "false";\n'
            'Acquire::Check-Valid-Until "false";\n'
        ),
        keyrings=(Path(KEYRING),),
        relays=(Relay("m.example.com", "m.example.com", 80),),
    )


@pytest.mark.parametrize(
    ("settings", "environment"),
    [
        ({"Acquire::http::Proxy": "http://127.0.0.1:3142"}, {}),
        ({}, {"http_proxy": "http://127.0.0.1:3142"}),
    ],
)
def test_a_proxy_is_all_that_the_relay_reaches(
    settings: dict[str, str], environment: dict[str, str]
) -> None:
    made = apt.configure("bookworm", [MAIN], settings, environment)
    assert made.relays == (Relay("outside.lab", "127.0.0.1", 3142),)
    assert 'Acquire::http::Proxy "http://outside.lab:3142";\n' in made.settings
    assert made.sources == MAIN.stanza()


def test_no_source_says_what_to_add() -> None:
    with pytest.raises(LabError, match=r"deb http://m\.example\.com/debian bookworm main"):
        apt.configure("bookworm", [Source("cdrom:x", ("bookworm",), ("main",))], {}, {})


def test_write_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "etc/apt/apt.conf.d").mkdir()
    (tmp_path / "etc/apt/sources.list").write_text("deb http://old.example.com/debian x main")
    (tmp_path / "etc/apt/sources.list.d/old.list").write_text("deb http://old x main")
    keyring = tmp_path / "keyring.gpg"
    keyring.write_bytes(b"key")
    apt.Apt("bookworm", "", "sources\n", "settings\n", (keyring,)).write(tmp_path)
    files = {p.name: p.read_bytes() for p in tmp_path.glob("etc/apt/**/*") if p.is_file()}
    assert files == {"lab.sources": b"sources\n", "90lab": b"settings\n"}
    assert (tmp_path / str(keyring).lstrip("/")).read_bytes() == b"key"
