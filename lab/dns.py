"""A DNS server for IPv4 addresses: known names are answered, all others are NXDOMAIN at once."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

TYPE_A = 1
TTL = 1  # machines come and go
KNOWN, UNKNOWN = 0x8580, 0x8583  # response, authoritative, recursion: NOERROR, NXDOMAIN
POINTER = b"\xc0\x0c"  # "the name in the question"

Resolve = Callable[[str], "str | None"]


def question(query: bytes) -> tuple[str, int, int]:
    """Name in lower case, type, and where the question ends. ValueError on anything malformed."""
    position, labels = 12, []
    try:
        while length := query[position]:
            if length > 63:
                raise ValueError("compressed name in a question")
            labels.append(query[position + 1 : position + 1 + length].decode("latin1"))
            position += length + 1
        (kind,) = struct.unpack_from("!H", query, position + 1)
    except (IndexError, struct.error):
        raise ValueError("truncated question") from None
    return ".".join(labels).lower(), kind, position + 5


def answer(query: bytes, resolve: Resolve) -> bytes:
    """The reply to a query with one question. A known name has no records but its address."""
    name, kind, end = question(query)
    address = resolve(name)
    record = b""
    if address and kind == TYPE_A:
        record = POINTER + struct.pack("!HHIH", TYPE_A, 1, TTL, 4) + socket.inet_aton(address)
    flags = KNOWN if address else UNKNOWN
    header = query[:2] + struct.pack("!HHHHH", flags, 1, 1 if record else 0, 0, 0)
    return header + query[12:end] + record


class Server(asyncio.DatagramProtocol):
    """Answers every datagram by `resolve`, a function from a name in lower case to an address."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        try:
            reply = answer(data, self._resolve)
        except ValueError:
            return  # not worth an answer
        self._transport.sendto(reply, addr)
