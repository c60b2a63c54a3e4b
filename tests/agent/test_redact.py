"""Config values never reach a log, in any of their usual spellings."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from satellite_infra.agent.redact import Redactor, secrets


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("s3cr3t/+", "s3cr3t/+"),
        ("s3cr3t/+", quote("s3cr3t/+", safe="")),
        ('quo"ted', json.dumps('quo"ted')[1:-1]),
        ("line one\nline two", "line two"),
        ("pa\"$'`x", "'pa\"$'\\''`x'"),  # set -x of bash
        ("pa\"$'`x", "'pa\"$'\"'\"'`x'"),  # export -p of dash
        ("pa\"$'`x", '"pa\\"\\$\'\\`x"'),  # export -p of bash
        ('pä"#{x}', '"pä\\"\\#{x}"'),  # inspect of Ruby
        ("postgres://me:s3cr3t@db/app", "s3cr3t"),
        ("redis://:s3cr3t@db?x=a@b", "s3cr3t"),
        ("postgres://me:s3#c?r@3t@db/app", "s3#c?r@3t"),
        ("mysql2://me:s3/cr3t@db/app", "s3/cr3t"),
        ("postgres://me:s%23cr3t@db/app", "s#cr3t"),
        ("smtp://mailer@example.com:s3cr3tpw@smtp.example.com:587", "s3cr3tpw"),
        ("https://u:secretpw@host#x@y", "secretpw"),
        ("pässword", "p\\u00e4ssword"),
    ],
)
def test_each_spelling_is_replaced_by_the_name(value: str, printed: str) -> None:
    quote_ = printed[0] if printed[0] in "'\"" else ""
    shown = Redactor({"TOKEN": value})(f"a {printed} b")
    assert shown == f"a {quote_}[TOKEN]{quote_} b"


def test_the_longest_value_wins() -> None:
    redact = Redactor({"A": "secret", "B": "secret-longer"})
    assert redact("secret-longer secret") == "[B] [A]"


def test_short_values_do_not_garble_the_log() -> None:
    assert Redactor({"A": "1", "B": "on", "C": ""})("1 on one") == "1 on one"


def test_the_environments_name_is_no_secret() -> None:
    config = {"RAILS_ENV": "staging", "TOKEN": "abcdef"}
    redact = Redactor(secrets(config, "staging"))
    assert redact("staging.worker@1: abcdef") == "staging.worker@1: [TOKEN]"


@given(st.text(min_size=4).filter(lambda text: text.strip() == text), st.text(), st.text())
def test_no_value_survives(value: str, before: str, after: str) -> None:
    redacted = Redactor({"[]": value})(f"{before}{value}{after}")
    assert value not in redacted.replace("[[]]", "") or value in before + "[[]]" + after
