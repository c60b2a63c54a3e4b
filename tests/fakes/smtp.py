"""A mail server that takes every mail, but for those that it is told to put off first."""

from __future__ import annotations

import email
import email.policy
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage

from tests.fakes.answers import running


@dataclass
class Mailbox:
    """What came, in its order; `busy`: how many mails are put off from now on."""

    mails: list[EmailMessage] = field(default_factory=list)
    busy: int = 0
    put_off: int = 0

    def take(self, text: bytes) -> str:
        """The answer to a whole mail."""
        if self.busy:
            self.busy -= 1
            self.put_off += 1
            return "451 4.3.2 try again later"
        self.mails.append(email.message_from_bytes(text, policy=email.policy.default))
        return "250 2.0.0 taken"


@contextmanager
def receiving(address: str, port: int) -> Iterator[Mailbox]:
    """Mails to that port are in the box while the block runs."""
    box = Mailbox()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 sink ESMTP")
            while line := self.rfile.readline():
                verb = line.split(b" ")[0].strip().upper()
                if verb == b"DATA":
                    self._say("354 go on")
                    self._say(box.take(self._mail()))
                elif verb == b"QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

        def _mail(self) -> bytes:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            return b"".join(lines)

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server((address, port), Session) as server, running(server):
        yield box
