"""A gRPC call that comes as an HTTP request: what gRPC-Web and Connect have in common.

For browsers and scripts, so plain Python will do.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, Protocol

from batchwire.core import EnvelopeError
from google.protobuf.message import Message

from ...state import Ending
from ..http.http_request import HttpRequest
from . import connect_json
from .conversions import turn_for
from .rpc_batch import METHODS, RpcBatch
from .rpc_servicer import SERVICE, Metadata, RpcServicer
from .slices import PEER, turn


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
    """One call. unpack: of the request's body. kind: of the messages that come in JSON; None: they are protobuf."""

    def __init__(
        self, servicer: RpcServicer, method: str, unpack: Unpacking, kind: type[Message] | None = None
    ) -> None:
        self._servicer = servicer
        self._method = method
        self._unpack = unpack
        self._kind = kind
        self._kept = 0
        self._opened = asyncio.Event()
        self._failure: EnvelopeError | None = None

    async def run(
        self, request: HttpRequest, metadata: Metadata, seconds: float | None
    ) -> AsyncGenerator[list[Any], None]:
        """The messages of the answer in pieces, see RpcBatch.answer(): for HttpRequest.pour().

        Raises EnvelopeError where the call ends with an error. The task that runs it is cancelled when the client is
        gone: whatever is done for the call then is for nobody.
        """
        PEER.set(request.head.peer)
        call = RpcBatch(self._servicer, self._method, metadata, request.head.peer, seconds)
        exchange = request.exchange
        exchange.hears_damage = True
        exchange.bound_memory(self._servicer.request_bound)
        call.on_open = exchange.hand_over
        call.keeps = True
        reader = asyncio.ensure_future(self._read(call, request))
        reader.add_done_callback(lambda _: exchange.let_go())
        exchange.on_lost = partial(_client_is_gone, call, exchange, (reader, asyncio.current_task()))
        ended: Ending = "cancelled"
        try:
            await self._opened.wait()
            if self._failure is not None:
                raise self._failure
            if call.batch is None:
                await reader  # which has failed
                return
            async for pieces in call.answer():
                await turn()
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
                await self._feed(call, request.exchange, data)
                await request.exchange.wait_room()
            if data is None:
                return  # the client is gone
            await self._feed(call, request.exchange, b"")
            self._unpack.finish()
            call.feed_end()
        except EnvelopeError as error:
            if not call.failed(error):
                self._failure = error
        finally:
            self._opened.set()

    async def _feed(self, call: RpcBatch, exchange: Any, data: bytes) -> None:
        left = self._kept + len(data)
        async for message in self._unpack(data):
            self._keep(exchange, left)
            left = max(left - len(message), 0)
            if not message and call.batch is not None and self._kind is None and self._method != "Execute":
                continue  # it brings nothing, and thousands may come at once (PL-01)
            if self._kind is not None:
                exchange.at_work()
                async with turn_for(len(message), PEER.get(), self._servicer.idle_seconds):
                    await turn()
                    message = await connect_json.parse(message, self._kind)  # it lets go of the text
            call.feed(message)
            del message
            self._keep(exchange, left)  # the batch counts it: were it not counted for a moment, others would come first
            assert call.batch is not None
            self._opened.set()
            await call.batch.session.wait_input()
        self._keep(exchange, self._unpack.unfinished_bytes)

    def _keep(self, exchange: Any, size: int) -> None:
        """Counts bytes that have been read and not fed towards those of the connection, too. Raises EnvelopeError."""
        self._kept = size
        longest = self._servicer.max_message
        if not exchange.store(size, longest):
            exchange.store(0, longest)  # or those that come in this turn would be refused for its sake
            raise EnvelopeError(413, "TooMuchUnfinished", "too many long messages are unfinished on the connection")


def _client_is_gone(call: RpcBatch, exchange: Any, tasks: tuple[asyncio.Task[Any] | None, ...]) -> None:
    if call.batch is not None:
        if exchange.stalled:
            call.batch.session.client_stalled()
        else:
            call.batch.session.cancel()
        call.close("ok")  # which its session knows better
    for task in tasks:
        assert task is not None
        task.cancel()
