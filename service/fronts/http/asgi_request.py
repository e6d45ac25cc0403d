"""One HTTP request that is no batch, put before the ASGI application of the REST front.

Moves bytes between ASGI and core.front.http_exchange. Must never know a batch.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote_to_bytes

from batchwire.core.front.stream import http_date

from .asgi_scope import EXTENSION

App = Callable[[Any, Any, Any], Awaitable[None]]
Message = MutableMapping[str, Any]

# RFC 9113 8.2.2: what is of a connection has no place in HTTP/2.
_OF_CONNECTIONS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_log = logging.getLogger("batchwire.rest")


class AsgiRequest:
    """exchange: core.front.http_exchange.HttpExchange."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange
        self._request = exchange.request
        self._head: Message | None = None
        self._answered = False
        self._ended = False
        self._whole = False
        self._expects = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self._request.headers
        )

    async def run(self, app: App) -> None:
        """Until the application has answered. An application that fails costs its answer, nothing else."""
        if self._request.too_large:
            self._exchange.start(431, [(b"content-length", b"0")], False)
            return
        if not self._request.path.startswith(b"/"):
            self._exchange.start(400, [(b"content-length", b"0")], False)
            return
        try:
            await app(self._scope(), self._receive, self._send)
        except BaseException as error:
            # Whatever it raises is its own, but for the gateway's cancellation (OP-05).
            running = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and running is not None and running.cancelling():
                raise
            _log.error("a request failed", exc_info=error)
        if self._ended or self._exchange.lost:
            return
        if self._answered:
            self._exchange.end_broken()
        elif not self._exchange.broken:
            self._exchange.start(500, [(b"content-length", b"0")], False)

    def _scope(self) -> Message:
        request = self._request
        raw_path, _, query = request.path.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version,
            "method": request.method.decode("latin-1"),
            "scheme": request.ends.scheme,
            "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": header_fields(request),
            "client": request.ends.client,
            "server": request.ends.server,
            "state": {},
            "extensions": {EXTENSION: self._exchange},
        }

    async def _receive(self) -> Message:
        if self._expects:
            self._expects = False
            self._exchange.go_ahead()
        if self._whole:
            # OP-23: an application that asks on behind the end of the body waits for this.
            await self._exchange.gone()
            return {"type": "http.disconnect"}
        data = await self._exchange.read()
        if data is None:
            return {"type": "http.disconnect"}
        self._whole = not data
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
            if self._request.http_version != "2":
                # The head is said even where nothing else will be: how the answer breaks off shows (OP-05).
                self._start(message["status"] not in (204, 304))
            return
        body, more = bytes(message.get("body", b"")), message.get("more_body", False)
        if not self._answered:
            self._start(bool(body) or more)
        if self._request.method != b"HEAD":
            self._exchange.write(body)
        if more:
            await self._exchange.drain()
        else:
            self._ended = True
            self._exchange.end()

    def _start(self, has_body: bool) -> None:
        assert self._head is not None, "a body without a head"
        dropped = _OF_CONNECTIONS if self._request.http_version == "2" else ()
        fields = [(b"date", http_date())]
        for name, value in self._head.get("headers", ()):
            lower = name.lower()
            if lower not in dropped:
                fields.append((lower, bytes(value)))
        self._exchange.start(self._head["status"], fields, has_body and self._request.method != b"HEAD")
        self._answered = True


def header_fields(request: Any) -> list[tuple[bytes, bytes]]:
    """Those of a core.front.stream.Stream as HTTP/1.1 has them: one Host, one Cookie (RFC 9113 8.2.3, 8.3.1)."""
    said: list[tuple[bytes, bytes]] = request.headers
    if request.http_version != "2":
        return said
    for name, _ in said:
        if name == b"cookie" or name == b"host":
            break
    else:
        return [(b"host", request.authority), *said] if request.authority else said
    fields = [(name, value) for name, value in said if name not in (b"cookie", b"host")]
    host = request.authority or dict(said).get(b"host", b"")
    if host:
        fields.insert(0, (b"host", host))
    cookies = [value for name, value in said if name == b"cookie"]
    if cookies:
        fields.append((b"cookie", b"; ".join(cookies)))
    return fields
