"""A gRPC call that comes as an HTTP request: what gRPC-Web and Connect have in common.

Feeds messages to a session and hands its answer on. For browsers and scripts, so plain Python will do. Must never
hold more than one chunk of an answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from batchwire.core import EnvelopeError
from batchwire.core.front.acceptor import KINDS
from batchwire.core.ledger import Batch
from google.api.httpbody_pb2 import HttpBody

from ..state import Ending, stopped
from .asgi_scope import EXTENSION, peer_of
from .rpc_desk import SERVICE, Metadata, RpcDesk, parsed

Receive = Callable[[], Any]


def method_of(path: str) -> str | None:
    """The method of BatchService that a path names, or None."""
    service, _, method = path.removeprefix("/").partition("/")
    return method if service == SERVICE and method in KINDS else None


class Unpacking(Protocol):
    """Takes the messages out of a request's body."""

    def __call__(self, data: bytes, /) -> AsyncIterator[bytes]:
        """The messages that end in these bytes. Raises EnvelopeError."""

    def finish(self) -> None:
        """The body has ended. Raises EnvelopeError where it was cut within a message (FR-01)."""


class HttpCall:
    """One call. unpack: of the request's body."""

    def __init__(self, desk: RpcDesk, method: str, unpack: Unpacking) -> None:
        self._desk = desk
        self._method = method
        self._unpack = unpack
        self._batch: Batch | None = None
        self._opened = asyncio.Event()
        self._failure: EnvelopeError | None = None
        self._content_type = ""

    async def run(
        self, scope: Any, receive: Receive, metadata: Metadata, seconds: float | None
    ) -> AsyncIterator[bytes]:
        """The messages of the answer. Raises EnvelopeError where the call ends with an error."""
        peer, connection = peer_of(scope), scope["extensions"][EXTENSION]
        connection.on_lost = self._client_is_gone
        reader = asyncio.ensure_future(self._read(receive, metadata, peer, seconds))
        ended: Ending = "cancelled"
        try:
            await self._opened.wait()
            if self._failure is not None:
                self._desk.refused(self._failure, peer)
                raise self._failure
            if self._batch is None:
                return
            async for message in self._answer(self._batch.session):
                yield message
            ended = "ok"
        finally:
            reader.cancel()
            if self._batch is not None:
                self._batch.close(ended)

    def _client_is_gone(self) -> None:
        if self._batch is not None:
            self._batch.session.cancel()

    async def _answer(self, session: Any) -> AsyncIterator[bytes]:
        whole: list[bytes] = []
        while True:
            await session.wait_output()
            while (chunk := session.take()) is not None:
                if self._method == "Execute":
                    whole.append(chunk)
                elif self._content_type:
                    yield bytes(HttpBody(content_type=self._content_type, data=chunk).SerializeToString())
                else:
                    yield chunk
            if session.finished:
                break
        if session.failure is not None:
            raise session.failure
        if session.cancelled:
            raise stopped(session)
        if whole:
            yield b"".join(whole)

    async def _read(self, receive: Receive, metadata: Metadata, peer: str, seconds: float | None) -> None:
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self._client_is_gone()
                    return
                more = message.get("more_body", False)
                async for part in self._unpack(message.get("body", b"")):
                    await self._feed(part, metadata, peer, seconds)
            self._unpack.finish()
            if self._batch is None:
                if self._method == "Execute":
                    raise EnvelopeError(501, "NoMessage", "Execute takes one message")
                await self._feed(b"", metadata, peer, seconds)
            assert self._batch is not None
            self._batch.session.feed_end()
        except EnvelopeError as error:
            if self._batch is not None:
                self._batch.session.fail(error)
            else:
                self._failure = error
        finally:
            self._opened.set()

    async def _feed(self, message: bytes, metadata: Metadata, peer: str, seconds: float | None) -> None:
        if self._batch is not None and self._method == "Execute":
            raise EnvelopeError(501, "TooManyMessages", "Execute takes one message")
        document = parsed(message, HttpBody) if KINDS[self._method] > KINDS["Batch"] else None
        if self._batch is None:
            if document is None:
                self._batch = self._desk.open(message, metadata, peer, seconds, self._method == "Execute")
            else:
                json_only = self._method == "BatchJson"
                self._batch, self._content_type, _ = self._desk.open_document(
                    document.content_type, metadata, peer, seconds, json_only
                )
            self._opened.set()
        self._batch.session.feed(message if document is None else document.data)
        await self._batch.session.wait_input()
