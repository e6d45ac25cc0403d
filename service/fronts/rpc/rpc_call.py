"""A gRPC call that comes as an HTTP request: what gRPC-Web and Connect have in common.

For browsers and scripts, so plain Python will do.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from batchwire.core import EnvelopeError

from ...state import Ending
from ..http.http_request import HttpRequest
from .rpc_batch import METHODS, RpcBatch
from .rpc_servicer import SERVICE, Metadata, RpcServicer


def method_of(path: str) -> str | None:
    """The method of BatchService that a path names, or None."""
    service, _, method = path.removeprefix("/").partition("/")
    return method if service == SERVICE and method in METHODS else None


class Unpacking(Protocol):
    """Takes the messages out of a request's body."""

    def __call__(self, data: bytes, /) -> AsyncIterator[bytes]:
        """The messages that end in these bytes; b"": in the end of the body. Raises EnvelopeError."""

    @property
    def unfinished_bytes(self) -> int:
        """What is kept of a message that has not ended."""

    def finish(self) -> None:
        """The body has ended. Raises EnvelopeError where it was cut within a message (FR-01)."""


class HttpCall:
    """One call. unpack: of the request's body."""

    def __init__(self, servicer: RpcServicer, method: str, unpack: Unpacking) -> None:
        self._servicer = servicer
        self._method = method
        self._unpack = unpack
        self._opened = asyncio.Event()
        self._failure: EnvelopeError | None = None

    async def run(self, request: HttpRequest, metadata: Metadata, seconds: float | None) -> AsyncIterator[list[Any]]:
        """The messages of the answer in pieces, see RpcBatch.answer(): for HttpRequest.pour().

        Raises EnvelopeError where the call ends with an error.
        """
        call = RpcBatch(self._servicer, self._method, metadata, request.head.peer, seconds)
        exchange = request.exchange
        exchange.hears_damage = True
        exchange.on_lost = lambda: _client_is_gone(call, exchange)
        exchange.bound_memory(self._servicer.request_bound)
        call.on_open = exchange.hand_over
        call.keeps = True
        reader = asyncio.ensure_future(self._read(call, request))
        ended: Ending = "cancelled"
        try:
            await self._opened.wait()
            if self._failure is not None:
                raise self._failure
            if call.batch is None:
                return
            async for pieces in call.answer():
                exchange.owe(sum(map(len, pieces)))
                yield pieces
            ended = "ok"
        except EnvelopeError:
            ended = "ok"  # which its session knows better
            raise
        finally:
            reader.cancel()
            call.close(ended)
            self._failure = None  # its traceback leads back here, and would keep what was read of the message

    async def _read(self, call: RpcBatch, request: HttpRequest) -> None:
        try:
            while data := await request.read():
                if call.batch is not None and call.batch.session.failure is not None:
                    continue  # nothing more of it is of use
                await self._feed(call, data)
                self._keep(request.exchange, self._unpack.unfinished_bytes)
                await request.exchange.wait_room()
            if data is None:
                _client_is_gone(call, request.exchange)
                return
            await self._feed(call, b"")
            self._keep(request.exchange, 0)
            self._unpack.finish()
            call.feed_end()
        except EnvelopeError as error:
            if not call.failed(error):
                self._failure = error
        finally:
            self._opened.set()

    async def _feed(self, call: RpcBatch, data: bytes) -> None:
        async for part in self._unpack(data):
            call.feed(part)
            assert call.batch is not None
            self._opened.set()
            await call.batch.session.wait_input()

    def _keep(self, exchange: Any, size: int) -> None:
        """Counts the bytes of an unfinished message towards those of its connection. Raises EnvelopeError."""
        longest = self._servicer.max_message
        if not exchange.store(size, longest):
            exchange.store(0, longest)  # or those that come in this turn would be refused for its sake
            raise EnvelopeError(413, "TooMuchUnfinished", "too many long messages are unfinished on the connection")


def _client_is_gone(call: RpcBatch, exchange: Any) -> None:
    if call.batch is None:
        return
    if exchange.stalled:
        call.batch.session.client_stalled()
    else:
        call.batch.session.cancel()
