"""Where the engine finds the program: a server that is there before what serves it.

The engine takes a while to start, and what serves it is loaded meanwhile: this loads gRPC alone.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from satellite_cli.noted import Order
from satellite_cli.reachable import Gate

OPTIONS = (
    ("grpc.max_receive_message_length", 400 << 20),  # bytes
    ("grpc.server_max_unrequested_time_in_server", 30 * 60),  # seconds
)
"""As the SDK's own server has them: what is received may be large, and wait."""


class Later(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Knows what handles a call once there is one."""

    def __init__(self, made: Callable[[], grpc.GenericRpcHandler]) -> None:
        self._made = functools.cache(made)

    def service(self, handler_call_details: Any) -> Any:
        """What handles this call; None for one that nothing does."""
        return self._made().service(handler_call_details)


@contextlib.contextmanager
def served(gate: Gate, ready: Callable[[], None], order: Order) -> Iterator[str]:
    """The address where the engine finds the program; `ready` returns once that can run."""

    def made() -> grpc.GenericRpcHandler:
        from satellite_cli.program import handler

        return handler(gate, ready, order)

    server = grpc.server(ThreadPoolExecutor(4), handlers=(Later(made),), options=OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)
