"""An HTTP request as ASGI has it, for served apps.

Must never know which app it is for.
"""

from collections.abc import MutableMapping
from typing import Any

from .http_request import HttpRequest

Message = MutableMapping[str, Any]

# RFC 9113 8.2.2: what is of a connection has no place in HTTP/2.
_OF_CONNECTIONS = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))


class AsgiRequest:
    """Moves messages between an app and a request."""

    def __init__(self, request: HttpRequest) -> None:
        self.exchange = request.exchange
        self.head = request.head
        self._request = request
        self._whole = False

    def scope(self) -> Message:
        """The scope without what the app's place decides: path, raw_path, root_path and state."""
        head, stream = self.head, self.exchange.request
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": stream.http_version,
            "method": head.method,
            "scheme": head.scheme,
            "query_string": head.query,
            "headers": head.headers,
            "client": head.client,
            "server": stream.ends.server,
            "extensions": {},
        }

    async def receive(self) -> Message:
        """The next message to the app."""
        if self._whole:
            # OP-23: an application that asks on behind the end of the body waits for this.
            await self.exchange.gone()
            return {"type": "http.disconnect"}
        data = await self._request.read()
        if data is None:
            return {"type": "http.disconnect"}
        self._whole = not data
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    async def send(self, message: Message) -> None:
        """A message of the app, which has been checked."""
        if message["type"] == "http.response.start":
            dropped = _OF_CONNECTIONS if self.exchange.request.http_version == "2" else ()
            fields = [(name.lower(), value) for name, value in message["headers"]]
            self._request.start(message["status"], [field for field in fields if field[0] not in dropped])
            return
        body, more = message["body"], message["more_body"]
        if body or more:
            self._request.write(body)
        if more:
            await self._request.drain()
        else:
            self._request.end()
