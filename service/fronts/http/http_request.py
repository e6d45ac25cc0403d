"""One HTTP request that is answered bit by bit, over either version of HTTP: served apps, gRPC-Web and Connect.

Must never know who answers it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

from batchwire.core.front.stream import http_date

from .head import Fields, Head

_log = logging.getLogger("batchwire.rest")


class HttpRequest:
    """exchange: the core.front.http_exchange.HttpExchange that carries it. fields: of its answer, beside all others."""

    def __init__(self, head: Head, exchange: Any, fields: Fields = ()) -> None:
        self.head = head
        self.exchange = exchange
        self._status = 0
        self._fields = fields
        self._answered = False
        self._ended = False
        self._expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in head.headers)

    async def run(self, answer: Callable[[Self], Awaitable[None]]) -> None:
        """Until it is answered. What fails costs this answer, nothing else."""
        try:
            await answer(self)
        except BaseException as error:
            # Whatever is raised is its own, but for the gateway's cancellation (OP-05).
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            _log.error("a request failed", exc_info=error)
        if self._ended or self.exchange.lost:
            return
        if self._answered:
            self.exchange.end_broken()
        elif not self.exchange.broken:
            self.exchange.start(500, [(b"content-length", b"0")], False)

    async def read(self) -> bytes | None:
        """The next bytes of the body; b"" at its end, None when the client is gone or the answer has ended.

        The exchange says when it raises EnvelopeError.
        """
        if self._expects:
            self._expects = False
            self.exchange.go_ahead()  # which has its place before the head alone
            if self._status:
                self._send_head_early()
        data: bytes | None = await self.exchange.read()
        return data

    def start(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """The head of the answer; names in lower case.

        Over HTTP/2, and to a client that waits to be told to go on, it is sent with what follows.
        """
        self._status, self._fields = status, ((b"date", http_date()), *fields, *self._fields)
        if not self._expects:
            self._send_head_early()

    def write(self, data: bytes) -> None:
        """Bytes of the body, behind start(). None: more will follow."""
        if not self._answered:
            self._send_head(True)
        self.exchange.write(data)

    async def pour(self, pieces: list[Any], kept: int = 0) -> None:
        """Writes pieces as the client takes them; each is let go of with that, and those left count until then (AN-05).

        pieces: bytes, or what bytes() makes some of. kept: bytes that the latter are made of, which are there until the
        last of them is made; they count in place of these.
        """
        left = sum(len(piece) for piece in pieces if type(piece) is bytes)
        unmade = sum(type(piece) is not bytes for piece in pieces)
        pieces.reverse()
        while pieces:
            piece = pieces.pop()
            if type(piece) is bytes:
                left -= len(piece)
            else:
                unmade -= 1
            self.exchange.owe(left + (kept if unmade else 0))
            self.write(bytes(piece))
            del piece
            await self.drain()
        self.exchange.owe(0)

    async def drain(self) -> None:
        """Returns when more should be written."""
        await self.exchange.drain()

    def end(self) -> None:
        """The answer is whole."""
        if not self._answered:
            self._send_head(False)
        self._ended = True
        self.exchange.end()

    def _send_head_early(self) -> None:
        # It is said even where nothing else will be: how the answer breaks off shows (OP-05).
        if not self._answered and self.exchange.request.http_version != "2":
            self._send_head(self._status not in (204, 304))

    def _send_head(self, body: bool) -> None:
        self.exchange.start(self._status, list(self._fields), body and self.head.method != "HEAD")
        self._answered = True


def _is_cancelled() -> bool:
    """Whether the task that runs is; not a variable of who raises this, or the task would lead back to itself."""
    running = asyncio.current_task()
    return running is not None and running.cancelling() > 0
