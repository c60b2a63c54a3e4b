"""Config values never reach a log, in any of their usual spellings."""

from __future__ import annotations

import json
from base64 import b64encode
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
        ("postgres://a%3Ab:s%23cr3t@db/app", "s#cr3t"),
        ("postgres://u@h/db?password=s3cr3tpw&host=x", "s3cr3tpw"),
        ("postgres:///db?host=x&password=s3%26cr#t", "s3&cr#t"),
        ("https://h/x?password=s3cr3tpw#part", "s3cr3tpw"),
        ("postgres://u@h/db?password=s3cr3tpw\n", "s3cr3tpw"),
        ('{"url": "postgres://u@h/db?password=s3cr3tpw"}', "s3cr3tpw"),
        ("postgres://me:ot?her@h/db?a=b&sslpassword=s3%26cr3t", "s3%26cr3t"),
        ("pässword", "p\\u00e4ssword"),
        ("<s3c&r3t>", "\\u003cs3c\\u0026r3t\\u003e"),  # JSON of Rails and of Go
        ("ä<s3cr3t", "\\u00e4\\u003cs3cr3t"),
        ("s3c/r3t", "s3c\\/r3t"),  # JSON of PHP
        ("s3 c/r3t", "s3+c%2Fr3t"),  # a form
        ("s3 c*r3~t", "s3+c*r3%7Et"),  # the same by Ruby's encode_www_form
        ("s3 c/r3t", "s3%20c/r3t"),  # a path
        ("s3 c/r3t", "s3%20c%2fr3t"),
        ("s3c&r3\"t'<", "s3c&amp;r3&quot;t&#39;&lt;"),  # ERB
        ("s3c&r3\"t'<", "s3c&amp;r3&quot;t&#x27;&lt;"),
        ("s3c&r3\"t'<", "s3c&amp;r3\"t'&lt;"),  # XML's text
        ("#s3 c&r,3#t", "\\#s3\\ c\\&r\\,3#t"),  # printf %q of bash
        ("s3 c&r,3#t", "s3\\ c\\&r,3\\#t"),  # Shellwords of Ruby
        ("https://us:s3%23cr3t@gems.example.com", b64encode(b"us:s3#cr3t").decode()),
        ("us:s3%23cr3t", b64encode(b"us:s3%23cr3t").decode()),
    ],
)
def test_each_spelling_is_replaced_by_the_name(value: str, printed: str) -> None:
    quote_ = printed[0] if printed[0] in "'\"" else ""
    shown = Redactor({"TOKEN": value})(f"a {printed} b")
    assert shown == f"a {quote_}[TOKEN]{quote_} b"


def test_the_longest_value_wins() -> None:
    redact = Redactor({"A": "secret", "B": "secret-longer"})
    assert redact("secret-longer secret") == "[B] [A]"


def test_what_only_begins_as_a_value_hides_none_that_begins_within_it() -> None:
    redact = Redactor({"A": "aaaab", "B": "aaaac-longer"})
    assert redact("aaaaaab aaaac aaaaaac-longer aaaa") == "aa[A] aaaac aa[B] aaaa"


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
