"""Requests that are no batch and go to a route's app in this process as they are (`serve_app`).

For demonstrations and single-process apps: the app sees the client's own request, with the path that a call of a
batch would have had. A client that neither sends nor takes is cut like that of a batch. Must never let a path out
of the service root, nor let an answer that broke off look complete.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
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
        """Whether a path lies under the service root and cannot leave it."""
        segments = unquote(raw_path).replace("\\", "/").split("/")
        return raw_path.startswith(self.root) and not {".", ".."}.intersection(segments)

    async def answer(self, scope: Scope, receive: Receive, send: Send, idle: IdleSweep) -> bool:
        """Lets the app answer; False if it failed before it answered anything."""
        exchange = _Served(scope["extensions"][EXTENSION], receive, send)
        idle.add(exchange)
        try:
            await self._upstream.app(self._scope(scope), exchange.receive, exchange.send)
        except Exception:
            _log.exception("the app of %s failed", self.root)
            if exchange.started and not exchange.finished:
                exchange.connection.end_broken()
        finally:
            idle.discard(exchange)
        return exchange.started

    def _scope(self, scope: Scope) -> Scope:
        raw = self._upstream.base_path + scope["raw_path"][len(self.root) :]
        path = unquote_to_bytes(raw).decode("utf-8", "replace")
        others = {name: value for name, value in scope["extensions"].items() if name != EXTENSION}
        state = self._upstream.state.copy()
        return {**scope, "path": path, "raw_path": raw, "root_path": "", "extensions": others, "state": state}


class _Served(Exchange):
    """A request, as the idle sweep sees it."""

    def __init__(self, connection: Connection, receive: Receive, send: Send) -> None:
        self.connection = connection
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
        self.started = True
        self.finished = message["type"] == "http.response.body" and not message.get("more_body", False)
        self.waiting += 1
        try:
            await self._send(message)
        finally:
            self.waiting -= 1
        self.moved = self._loop.time()

    def unsent_bytes(self) -> int:
        return self.connection.unsent_bytes()

    def expire(self) -> None:
        self.connection.abort()
