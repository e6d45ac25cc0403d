"""What proxies before the gateway say of a request: scheme, host and client address (CL-13).

Only a proxy that `listen.trusted_proxies` names is believed; what anybody else says stays a header like any other. The
same over HTTP/1.1 and HTTP/2, for batches, gRPC-Web, Connect and served apps. Must never believe more of a list than
what trusted proxies have added to it: what stands before that is the client's own.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]
# Possessive, so that no input makes them backtrack.
_ELEMENT = re.compile(r'(?:[^",]++|"(?:[^"\\]|\\.?)*+"?+)++')
_PAIR = re.compile(r'\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*+"|[^;"]*+)\s*(?:;|\Z)')
_HOST = re.compile(r"(?:[A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\Z")
_PORT = re.compile(r":\d{1,5}\Z")


class TrustedProxies:
    """trusted: addresses and networks, or "unix" for what comes over a UNIX socket."""

    def __init__(self, app: App, trusted: Iterable[str]) -> None:
        self._app = app
        self._unix = "unix" in trusted
        self._networks = [ip_network(text) for text in trusted if text != "unix"]

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            if self._trusts(client[0]) if client else self._unix:
                self._believe(scope)
        await self._app(scope, receive, send)

    def _trusts(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)

    def _believe(self, scope: Scope) -> None:
        said: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            if name == b"forwarded" or name.startswith(b"x-forwarded-"):
                said.setdefault(name, []).append(value.decode("latin-1"))
        if b"forwarded" in said:
            hops = [_pairs(element) for element in _ELEMENT.findall(", ".join(said[b"forwarded"]))]
        else:
            hops = _side_by_side({name: _list(said.get(b"x-forwarded-" + name.encode(), [])) for name in _NAMES})
        for hop in reversed(hops):  # the last one is of the proxy that the request came from
            if hop.get("proto", "").lower() in ("http", "https"):
                scope["scheme"] = hop["proto"].lower()
            if _HOST.match(hop.get("host", "")):
                fields = [(name, value) for name, value in scope["headers"] if name != b"host"]
                scope["headers"] = [(b"host", hop["host"].encode("latin-1")), *fields]
            address = _address(hop.get("for", ""))
            if address is None:
                break
            scope["client"] = (str(address), 0)
            if not self._trusts(str(address)):
                break


_NAMES = ("for", "proto", "host")


def _side_by_side(lists: dict[str, list[str]]) -> list[dict[str, str]]:
    """The lists of X-Forwarded-*, told apart by proxies. Most proxies overwrite what is not the list of addresses."""
    length = max(len(values) for values in lists.values())
    hops: list[dict[str, str]] = []
    for back in range(1, length + 1):
        hops.append({name: values[-back] for name, values in lists.items() if back <= len(values)})
    return hops[::-1]


def _list(values: list[str]) -> list[str]:
    return [item.strip() for item in ",".join(values).split(",")] if values else []


def _pairs(element: str) -> dict[str, str]:
    """One element of Forwarded (RFC 7239)."""
    return {name.lower(): value.strip().strip('"') for name, value in _PAIR.findall(element)}


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80` or `2001:db8::1`."""
    if text.startswith("[") or text.count(":") == 1:
        text = _PORT.sub("", text).strip("[]")
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
