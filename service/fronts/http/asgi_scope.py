"""What a request brings along to the ASGI applications of the gateway, besides what ASGI says."""

from typing import Any

from batchwire.core.peers import peer_name

EXTENSION = "batchwire.connection"
"""`scope["extensions"][EXTENSION]`: the core.front.http_exchange.HttpExchange that carries the request."""


def peer_of(scope: Any) -> str:
    """host:port or [v6]:port of the client of a request, port 0 where a proxy has told it; "unix" behind a socket."""
    client = scope.get("client")
    return peer_name(client[0], client[1]) if client else "unix"
