"""An emulated AWS (moto) over HTTP that answers one call at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import requests
from moto.server import ThreadedMotoServer


def serve(address: str = "127.0.0.1", port: int = 0) -> ThreadedMotoServer:
    """A server that has begun to answer; port 0 is any that is free.

    One call at a time: moto's models are made for one thread, and now and then two instances that
    are ordered at once find their subnet's addresses in use by each other, which ends one with 500.
    """
    server = ThreadedMotoServer(address, port, verbose=False)
    server.start()
    inner = server._server
    assert inner is not None
    answer, lock = inner.app, threading.Lock()

    def one_at_a_time(environ: Any, start_response: Any) -> Any:
        with lock:
            return list(answer(environ, start_response))

    inner.app = one_at_a_time
    return server


@contextlib.contextmanager
def emulated_aws() -> Iterator[str]:
    """The URL of an empty account that is served while the block runs."""
    server = serve()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        requests.post(f"{url}/moto-api/reset", timeout=10)  # this process may have had one before
        yield url
    finally:
        server.stop()
