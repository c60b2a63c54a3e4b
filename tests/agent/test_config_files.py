"""Config files: filled in exactly, out of reach for others, and one copy for each release."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from satellite_infra.agent.config_files import render, telling
from satellite_infra.agent.layout import Layout
from satellite_infra.agent.ledger import Ledger
from satellite_infra.agent.release import Release, ReleaseError, Request
from satellite_infra.agent.release_manifest import ConfigFile
from tests.agent.conftest import FakeSystem, Origin, request
from tests.agent.test_release import deploy, no_leftovers

FILE = "config/initializers/mail.rb"
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def with_file(
    origin: Origin,
    template: str,
    commit: str = "",
    /,
    file: str = FILE,
    build: tuple[str, ...] = (),
) -> Request:
    """A request for a commit, a new one without its name, with one config file."""
    wanted = request(origin, commit or origin.commit(), build=build)
    files = (ConfigFile(file, f"digest of {len(template)}"),)
    manifest = wanted.manifest._replace(config_files=files)
    return wanted._replace(manifest=manifest, templates={file: template})


def test_a_template_is_filled_in_and_ends_with_a_newline() -> None:
    assert render("a {{ A }}{{A}}\n{{ '{{' }} }}", {"A": "{{ B }}$x"}) == (
        "a {{ B }}$x{{ B }}$x\n{{ }}\n"
    )
    assert render("", {}) == "\n"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n{{ B }}", "line 2: B is no config var"),
        ("{{ A | xml }}", "line 1: should have one of the filters json, ruby"),
        ("{{ A ", "line 1: has no end, }}"),
    ],
)
def test_what_cannot_be_filled_in_is_said_without_values(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        render(template, {"A": "canary"})
    assert "canary" not in str(caught.value)


@settings(max_examples=500, deadline=None)
@given(values)
def test_a_quoted_value_is_the_same_for_yaml_and_json(value: str) -> None:
    text = render("a: {{ A | json }}", {"A": value})
    assert yaml.safe_load(text) == {"a": value}
    assert json.loads(text.removeprefix("a: ")) == value


def test_a_text_for_ruby_does_not_interpolate() -> None:
    value = 'a\'b "c" #{exit} #$HOME #@x \\ \n ü 😀'
    assert render("{{ A | ruby }}", {"A": value}) == (
        '"a\'b \\"c\\" \\#{exit} \\#$HOME \\#@x \\\\ \\n ü 😀"\n'
    )


def test_the_file_is_there_before_the_build_and_goes_with_its_release(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    first = with_file(origin, "key = {{ TOKEN }}", build=(f"cp {FILE} seen; ls -l {FILE}",))
    log: list[str] = []
    deploy(layout, system, first, log)
    old = Ledger(layout).current()
    assert old
    link = layout.releases / old / FILE
    assert (layout.releases / old / "seen").read_text() == "key = canary-value\n"
    assert link.readlink() == layout.config_files(old) / FILE
    assert link.stat().st_mode & 0o777 == 0o640
    for directory in (link.resolve().parent, layout.config_files(old).parent):
        assert directory.stat().st_mode & 0o777 == 0o750
    # another template alone is another release, and the old one keeps its file
    second = with_file(origin, "other = {{ TOKEN }}", first.manifest.revision)
    deploy(layout, system, second)
    new = Ledger(layout).current()
    assert new
    assert new != old
    assert (layout.releases / new / FILE).read_text() == "other = canary-value\n"
    assert link.read_text() == "key = canary-value\n"
    deploy(layout, system, first)
    assert Ledger(layout).current() == old
    # and it goes when the release does
    for n in range(2):
        deploy(layout, system, with_file(origin, "x" * n))
    no_leftovers(layout)
    kept = {path.name for path in layout.config_files("any").parent.iterdir()}
    assert kept == {target.release for target in Ledger(layout).good()}


def test_a_file_of_the_repository_gives_way(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, with_file(origin, "mine", origin.commit(a__yml="theirs"), file="a.yml"))
    release = Ledger(layout).current()
    assert release
    assert (layout.releases / release / "a.yml").read_text() == "mine\n"


def test_what_cannot_be_filled_in_fails_before_anything_that_runs(
    layout: Layout, system: FakeSystem, origin: Origin
) -> None:
    deploy(layout, system, request(origin, origin.commit()))
    before = dict(system.loaded)
    with pytest.raises(ReleaseError, match=f"config_files/{FILE}: line 1: B is no config var"):
        deploy(layout, system, with_file(origin, "{{ B }}"))
    assert system.loaded == before
    no_leftovers(layout)
    assert list(layout.config_files("any").parent.iterdir()) == []
    with pytest.raises(ReleaseError, match=r"config_files: .* should name the same, not"):
        Release(layout, system, lambda _: None).run(with_file(origin, "x")._replace(templates={}))


def test_what_a_template_itself_holds_is_kept_out_of_logs(origin: Origin) -> None:
    template = "production:\n  license_key: canary-in-template\n  password: {{ TOKEN }}\n"
    template += "  url: postgres://app:canary@{{ TOKEN }}/app\n"
    wanted = with_file(origin, template)
    assert telling(wanted.templates) == {
        FILE: "  license_key: canary-in-template\npostgres://app:canary@"
    }
    assert wanted.redactor()("> license_key: canary-in-template") == f"> [{FILE}]"
