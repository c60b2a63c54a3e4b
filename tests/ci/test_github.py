"""Nobody sees a traceback, whatever comes instead of an answer, and wherever the programs run."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ci import pin, placed, preview, previewed, publish

COMMIT = "a" * 40


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Have GitHub's API answer with these bytes, whatever it is asked."""
    served: list[tuple[socket.socket, threading.Thread]] = []

    def begin(answer: bytes) -> None:
        listening = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        served.append((listening, threading.Thread(target=serve)))
        served[-1][1].start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("GITHUB_API_URL", url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "example/shop")
        monkeypatch.setenv("GITHUB_TOKEN", "token-1")

    yield begin
    for listening, thread in served:
        thread.join()
        listening.close()


def asked(program: str, folder: Path) -> int:
    if program == "previewed":
        return previewed.main(["staging", COMMIT])
    comment = folder / "comment.md"
    comment.write_text("<!-- satellite-preview: staging -->\n")
    return publish.main([str(comment), "--pull-request", "7"])


@pytest.mark.parametrize("program", ["previewed", "publish"])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n[{", "GitHub does not answer: what came"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
            "GitHub does not answer: what came",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff", "GitHub does not answer: what came"),
        *(
            (b"HTTP/1.1 200 OK\r\n\r\n" + document, "GitHub does not answer: what came")
            for document in (b'{"message": "sign in"}', b"null", b'"x"', b"[1]", b"{}")
        ),
        (b"garbage\r\n\r\n", "GitHub does not answer: what came"),
        (b"", "GitHub does not answer: "),
        (b"HTTP/1.1 502 No\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n<", "GitHub says 502: "),
    ],
)
def test_what_is_no_answer_of_github(
    answers: Callable[[bytes], None],
    program: str,
    answer: bytes,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers(answer)
    assert asked(program, tmp_path) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {said}")
    assert "token-1" not in told.err + told.out


@pytest.mark.parametrize("program", ["previewed", "publish"])
@pytest.mark.parametrize("missing", ["GITHUB_REPOSITORY", "GITHUB_TOKEN"])
def test_outside_of_a_workflow(
    program: str,
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "example/shop")
    monkeypatch.setenv("GITHUB_TOKEN", "token-1")
    monkeypatch.delenv(missing)
    assert asked(program, tmp_path) == 1
    told = f"error: {missing} is not set, as it is in a step of a workflow\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("program", ["previewed", "publish"])
@pytest.mark.parametrize("token", ["canary-1\n", "canary-1 ", "canary-1\u2026", "canary-1\xe4"])
def test_a_token_that_is_none_is_not_shown(
    program: str,
    token: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "example/shop")
    monkeypatch.setenv("GITHUB_TOKEN", token)
    assert asked(program, tmp_path) == 1
    told = "error: GITHUB_TOKEN has white space in it, or other than plain ASCII\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("document", [b"{}", b"null", b'"x"', b"[1]", b'{"full_name": null}'])
def test_a_repository_of_another_shape(answers: Callable[[bytes], None], document: bytes) -> None:
    answers(b"HTTP/1.1 200 OK\r\n\r\n" + document)
    with pytest.raises(OSError, match="not of its API: no full_name"):
        pin.is_ours("example/other")


def test_a_comment_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comment = tmp_path / "comment.md"
    assert publish.main([str(comment), "--pull-request", "7"]) == 1
    assert capsys.readouterr().err.startswith(f"error: there is no comment in {comment}: ")
    comment.write_bytes(b"\xff")
    assert publish.main([str(comment), "--pull-request", "7"]) == 1
    assert capsys.readouterr().err.startswith(f"error: there is no comment in {comment}: ")


@pytest.mark.parametrize(
    "main", [lambda: pin.main(["staging", COMMIT]), lambda: placed.main(["staging"])]
)
def test_without_an_engine(
    main: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main() == pin.NOT_FOUND
    told = "error: pulumi cannot be started: No such file or directory\n"
    assert capsys.readouterr().err == told


def test_a_preview_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    comment = tmp_path / "comment.md"
    assert preview.main(["staging", "--comment", str(comment)]) == pin.NOT_FOUND
    assert comment.read_text().splitlines()[1:5] == [
        "### staging: the preview failed",
        "",
        "```text",
        "error: pulumi cannot be started: No such file or directory",
    ]
