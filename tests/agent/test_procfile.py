"""The Procfile, as Foreman and Heroku read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from satellite_infra.agent.procfile import LONGEST, content, has_delayed_job, parse, read, told


def test_types_and_commands() -> None:
    text = "web: bundle exec puma -p $PORT\n# note\n\nworker:  run: this  \r\nbad line\nq-2_x: y\n"
    assert parse(text) == {
        "web": "bundle exec puma -p $PORT",
        "worker": "run: this",
        "q-2_x": "y",
    }


def test_what_it_has_is_told_and_which_lines_are_none(tmp_path: Path) -> None:
    assert told(tmp_path) == "there is none"
    procfile = tmp_path / "Procfile"
    procfile.write_text("")
    assert told(tmp_path) == "it has: nothing"
    procfile.write_text("# note: x\n\nweb: x\nmail: y\n")
    assert told(tmp_path) == "it has: web, mail"
    procfile.write_text("web: x\nworker bundle exec x\n\n w: y\n")
    assert told(tmp_path) == "it has: web; no `TYPE: COMMAND` is in line 2, 4"


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


def test_a_file_without_end_fills_no_memory(tmp_path: Path) -> None:
    """Root reads it, and the app may write it."""
    for name in ("Procfile", "Gemfile.lock"):
        (tmp_path / name).write_text("worker: run\n delayed_job (4.1)\n")
        os.truncate(tmp_path / name, 1 << 40)
        assert len(content(tmp_path, name, inside=True)) == LONGEST
    assert read(tmp_path) == {"worker": "run"}
    assert has_delayed_job(tmp_path)


def test_what_is_looked_for_in_the_gemfile_is_read_in_the_same_way(tmp_path: Path) -> None:
    assert not has_delayed_job(tmp_path)
    os.mkfifo(tmp_path / "Gemfile.lock")
    assert not has_delayed_job(tmp_path)
    (tmp_path / "Gemfile.lock").unlink()
    (tmp_path / "shared").write_text("GEM\n delayed_job (4.1)\n")
    (tmp_path / "Gemfile.lock").symlink_to(tmp_path / "shared")
    assert has_delayed_job(tmp_path)  # a build may link what is shared
