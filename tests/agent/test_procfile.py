"""The Procfile, as Foreman and Heroku read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from satellite_infra.agent.procfile import parse, read


def test_types_and_commands() -> None:
    text = "web: bundle exec puma -p $PORT\n# note\n\nworker:  run: this  \r\nbad line\nq-2_x: y\n"
    assert parse(text) == {
        "web": "bundle exec puma -p $PORT",
        "worker": "run: this",
        "q-2_x": "y",
    }


def test_a_link_is_followed_within_the_release_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("token: canary\n")
    release = tmp_path / "release"
    release.mkdir()
    assert read(release) == {}
    (release / "Procfile").mkdir()
    assert read(release) == {}
    (release / "Procfile").rmdir()
    os.mkfifo(release / "Procfile")  # and nobody waits for a writer
    assert read(release) == {}
    (release / "Procfile").unlink()
    (release / "Procfile.worker").write_text("worker: run\n")
    (release / "Procfile").symlink_to("Procfile.worker")
    assert read(release) == {"worker": "run"}
    (release / "Procfile").unlink()
    (release / "Procfile").symlink_to("../secret")
    with pytest.raises(ValueError, match="Procfile: should be in the app's repository") as refused:
        read(release)
    assert "canary" not in str(refused.value)
