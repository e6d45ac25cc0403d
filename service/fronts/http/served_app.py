"""Requests that are no batch and go to a route's app in this process as they are (`serve_app`).

For demonstrations and single-process apps: the app sees the client's own request, with the path that a call of a
batch would have had. A client that neither sends nor takes is cut like that of a batch. Must never let a path out
of the service root, let an answer that broke off look complete, nor pass on what is no answer of HTTP.
"""

import asyncio
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from batchwire.core import AsgiUpstream

from .asgi_request import AsgiRequest
from .idle import IdleSweep, IdleTracked

Scope = MutableMapping[str, Any]

AT_ONCE = 16
"""Times that an app is told at once that its client is gone before others get a turn of the loop (OP-23). Not each
time: an app that only looks, and cancels what does not come at once, would never learn of it."""


class ServedApp:
    """The app of one route. root: the route's service root, / at both ends. upstream: has started the app."""

    def __init__(self, root: str, upstream: AsgiUpstream) -> None:
        self.root = root
        self._upstream = upstream

    def takes(self, raw_path: str) -> bool:
        """Whether a path lies under the service root, however it is spelled, and cannot leave it."""
        segments = unquote(raw_path).replace("\\", "/").split("/")
        return self._below(raw_path) is not None and not {".", ".."}.intersection(segments)

    async def answer(self, request: AsgiRequest, idle: IdleSweep) -> bool:
        """Lets the app answer; False if it failed before it answered anything."""
        exchange = _Served(request, self._upstream)
        idle.add(exchange)
        try:
            # In a task of its own: what it puts into its context, and what it raises, stays there (OP-04, OP-05).
            await self._upstream.begin(self._run(self._scope(request), exchange))
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
            self._upstream.complaints.tell(f"the app of {self.root} failed", error)
        if exchange.started and not exchange.finished:
            exchange.request.exchange.end_broken()

    def _below(self, raw_path: str) -> str | None:
        """What follows the root in a path, as it is spelled there."""
        wanted = self.root.split("/")
        segments = raw_path.split("/", len(wanted) - 1)
        if len(segments) < len(wanted) or [unquote(part) for part in segments[:-1]] != [*map(unquote, wanted[:-1])]:
            return None
        return segments[-1]

    def _scope(self, request: AsgiRequest) -> Scope:
        below = self._below(request.head.path) or ""
        raw = self._upstream.base_path + below.encode("latin-1")
        path = unquote_to_bytes(raw).decode("utf-8", "replace")
        state = self._upstream.state.copy()
        return {**request.scope(), "path": path, "raw_path": raw, "root_path": "", "state": state}


class _Served(IdleTracked):
    """A request, as the idle sweep sees it."""

    def __init__(self, request: AsgiRequest, upstream: AsgiUpstream) -> None:
        self.request = request
        self._bodiless = request.head.method == "HEAD"
        self._empty = False
        self._left: int | None = None  # of the length that the app has said
        self._upstream = upstream
        self.started = False
        self.finished = False
        self._whole = False
        self._told_gone = 0
        self._loop = asyncio.get_running_loop()

    async def receive(self) -> MutableMapping[str, Any]:
        if self._told_gone and self._told_gone % AT_ONCE == 0:
            await asyncio.sleep(0)
        # What comes after the whole body is only the notice that the client is gone: it may wait for that.
        waits = not self._whole
        self.waiting += waits
        try:
            message = await self.request.receive()
        finally:
            self.waiting -= waits
        self.last_activity = self._loop.time()
        self._whole = not message.get("more_body", False)
        self._told_gone += message["type"] == "http.disconnect"
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        ended = self.finished
        try:
            await self._pass_on(message)
        finally:
            # OP-23. Not with the end: an app that is cancelled as soon as its answer is whole has sent it.
            if ended or not self.finished:
                await asyncio.sleep(0)

    async def _pass_on(self, message: MutableMapping[str, Any]) -> None:
        message = self._checked(message)
        self.started = True
        self.waiting += 1
        try:
            await self.request.send(message)
        finally:
            self.waiting -= 1
        self.finished = message["type"] == "http.response.body" and not message["more_body"]
        self.last_activity = self._loop.time()

    def _checked(self, message: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """What is passed on of a message. Raises what the app is told of one that cannot be: nothing was sent of it."""
        kind = message["type"]
        if kind == "http.response.start":
            if self.started:
                raise RuntimeError("the answer was started twice")
            status, said = self._upstream.head(message)
            # The ASGI specification: how the answer is framed is the server's to say.
            headers = [(name, value) for name, value in said if name.lower() != b"transfer-encoding"]
            lengths = [value for name, value in headers if name.lower() == b"content-length"]
            if len(lengths) > 1 or not all(map(bytes.isdigit, lengths)):
                raise ValueError("the content-length of its answer is no length")
            if status in (204, 304):
                # They have no body, whatever the app sends: it would stand where the next answer begins.
                self._empty = True
                headers = [(name, value) for name, value in headers if name.lower() != b"content-length"]
            elif lengths and not self._bodiless:
                self._left = int(lengths[0])
            return {"type": kind, "status": status, "headers": headers}
        if kind != "http.response.body":
            raise RuntimeError(f"the message {kind!r} is not part of an HTTP answer")
        if not self.started or self.finished:
            raise RuntimeError("a body came before the answer was started, or after its end")
        body = message.get("body", b"")
        if not isinstance(body, bytes | bytearray | memoryview):
            raise TypeError("a body is bytes")
        body, more = b"" if self._empty else bytes(body), bool(message.get("more_body", False))
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise ValueError("the body of its answer has not the length that it said")
        return {"type": kind, "body": body, "more_body": more}

    def unsent_bytes(self) -> int:
        return int(self.request.exchange.unsent_bytes())

    def expire(self) -> None:
        self.request.exchange.abort()
