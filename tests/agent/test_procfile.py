"""The Procfile, as Foreman and Heroku read it."""

from __future__ import annotations

from satellite_infra.agent.procfile import parse


def test_types_and_commands() -> None:
    text = "web: bundle exec puma -p $PORT\n# note\n\nworker:  run: this  \r\nbad line\nq-2_x: y\n"
    assert parse(text) == {
        "web": "bundle exec puma -p $PORT",
        "worker": "run: this",
        "q-2_x": "y",
    }
