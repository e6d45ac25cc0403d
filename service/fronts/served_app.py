"""Requests that are no batch and go to a route's app in this process as they are (`serve_app`).

For demonstrations and single-process apps: the app sees the client's own request, with the path that a call of a
batch would have had. A client that neither sends nor takes is cut like that of a batch. Must never let a path out
of the service root, nor let an answer that broke off look complete.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from batchwire.core import AsgiUpstream

from .http_connection import EXTENSION, Connection
from .idle import Exchange, IdleSweep

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger("batchwire.rest")


class ServedApp:
    """The app of one route. root: the route's service root, / at both ends. upstream: has started the app."""

    def __init__(self, root: str, upstream: AsgiUpstream) -> None:
        self.root = root
        self._upstream = upstream

    def takes(self, raw_path: str) -> bool:
        """Whether a path lies under the service root, however it is spelled, and cannot leave it."""
        segments = unquote(raw_path).replace("\\", "/").split("/")
        return self._below(raw_path) is not None and not {".", ".."}.intersection(segments)

    async def answer(self, scope: Scope, receive: Receive, send: Send, idle: IdleSweep) -> bool:
        """Lets the app answer; False if it failed before it answered anything."""
        exchange = _Served(scope["extensions"][EXTENSION], receive, send, self._upstream.max_header_bytes)
        idle.add(exchange)
        try:
            # In a task of its own: what it puts into its context, and what it raises, stays there (OP-04, OP-05).
            await self._upstream.begin(self._run(self._scope(scope), exchange))
        finally:
            idle.discard(exchange)
        return exchange.started

    async def _run(self, scope: Scope, exchange: "_Served") -> None:
        try:
            await self._upstream.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            running = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and running is not None and running.cancelling():
                raise
            _log.error("the app of %s failed", self.root, exc_info=error)
            if exchange.started and not exchange.finished:
                exchange.connection.end_broken()

    def _below(self, raw_path: str) -> str | None:
        """What follows the root in a path, as it is spelled there."""
        wanted = self.root.split("/")
        segments = raw_path.split("/", len(wanted) - 1)
        if len(segments) < len(wanted) or [unquote(part) for part in segments[:-1]] != [*map(unquote, wanted[:-1])]:
            return None
        return segments[-1]

    def _scope(self, scope: Scope) -> Scope:
        below = self._below(scope["raw_path"].decode("latin-1")) or ""
        raw = self._upstream.base_path + below.encode("latin-1")
        path = unquote_to_bytes(raw).decode("utf-8", "replace")
        others = {name: value for name, value in scope["extensions"].items() if name != EXTENSION}
        state = self._upstream.state.copy()
        return {**scope, "path": path, "raw_path": raw, "root_path": "", "extensions": others, "state": state}


class _Served(Exchange):
    """A request, as the idle sweep sees it."""

    def __init__(self, connection: Connection, receive: Receive, send: Send, max_header_bytes: int) -> None:
        self.connection = connection
        self._max_header_bytes = max_header_bytes
        self.started = False
        self.finished = False
        self._receive = receive
        self._send = send
        self._whole = False
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> MutableMapping[str, Any]:
        # What comes after the whole body is only the notice that the client is gone: it may wait for that.
        waits = not self._whole
        self.waiting += waits
        try:
            message = await self._receive()
        finally:
            self.waiting -= waits
        self.moved = self._loop.time()
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": self._bounded(message.get("headers", ()))}
        self.started = True
        self.finished = message["type"] == "http.response.body" and not message.get("more_body", False)
        self.waiting += 1
        try:
            await self._send(message)
        finally:
            self.waiting -= 1
        self.moved = self._loop.time()

    def _bounded(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The headers of an answer. Raises ValueError when there are too many (OP-08)."""
        taken, size = [], 0
        for name, value in headers:
            size += len(name) + len(value) + 4
            if size > self._max_header_bytes:
                raise ValueError("the headers of its answer are larger than max_header_bytes")
            taken.append((name, value))
        return taken

    def unsent_bytes(self) -> int:
        return self.connection.unsent_bytes()

    def expire(self) -> None:
        self.connection.abort()
