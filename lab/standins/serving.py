"""What every Pulumi plugin process does: serve on a free port, print it, stop when told to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc

MESSAGE_LIMIT = [("grpc.max_receive_message_length", 400 << 20)]  # bytes; the engine's own limit
THREADS = 64  # resources that one provider works on at a time; more wait


def start(register: Callable[[grpc.Server], None]) -> tuple[grpc.Server, int]:
    """Serve in this process; return the server, which must be kept referenced, and its port."""
    server = grpc.server(ThreadPoolExecutor(max_workers=THREADS), options=MESSAGE_LIMIT)
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def serve(register: Callable[[grpc.Server], None]) -> None:
    """Serve until a signal says to stop. The first line on standard output is the port."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    server, port = start(register)
    print(port, flush=True)
    done.wait()
    server.stop(1).wait()
