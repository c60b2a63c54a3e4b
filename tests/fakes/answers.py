"""An HTTP server that says what a function says."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], tuple[int, bytes]]
"""Takes a request, and gives the status and the body; status 0 ends the connection half-way."""


@contextmanager
def answering(
    answer: Answer,
    address: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """The URL at which it answers while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = answer(self)
            if not status:
                self.wfile.write(b"HTTP/1.1 2")
                return
            self.send_response(status)
            self.send_header("Location", self.path)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST  # noqa: N815 - one that follows a redirect would come here

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer((address, port), Handler) as server:
        if tls:
            # the handshake is for the thread of each connection, when it first reads
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        with running(server):
            yield f"http{'s' if tls else ''}://{address}:{server.server_port}"


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    """It serves while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
