"""What proxies before the gateway say of a request: scheme, host and client address (CL-13).

Only a proxy that `listen.trusted_proxies` names is believed; what anybody else says stays a header like any other. The
same over HTTP/1.1 and HTTP/2, for batches, gRPC-Web, Connect and served apps. Must never believe more of a list than
what trusted proxies have added to it: what stands before that is the client's own.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import zip_longest

from batchwire.core.peers import peer_name

from .head import Head

# Possessive, so that no input makes them backtrack.
_ELEMENT = re.compile(r'(?:[^",]++|"(?:[^"\\]|\\.?)*+"?+)++')
_PARAMETER = re.compile(r'(?:[^";]++|"(?:[^"\\]|\\.?)*+"?+)++')
MOST_HOPS = 32
"""Entries that are looked at, the last of a list: a client may write thousands before the first proxy's."""
_HOST = re.compile(r"(?:[A-Za-z0-9.\-_]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?\Z")
_PORT = re.compile(r":\d{1,5}\Z")


class Proxies:
    """trusted: addresses and networks, or "unix" for what comes over a UNIX socket."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._unix = "unix" in trusted
        self._networks = [ip_network(text) for text in trusted if text != "unix"]

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def believe(self, head: Head) -> None:
        """Puts what is believed of a request in the place of what its connection says."""
        if not self:
            return
        found = self.believed(head.client[0] if head.client is not None else None, head.headers)
        head.scheme = found.get("proto", head.scheme)
        if "host" in found:
            fields = [(name, value) for name, value in head.headers if name != b"host"]
            head.told_host = found["host"].encode("latin-1")
            head.headers = [(b"host", head.told_host), *fields]
        if "for" in found:
            head.client, head.peer = (found["for"], 0), peer_name(found["for"], 0)

    def believed(self, client: str | None, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
        """{"proto", "host", "for"} of a request, as far as it says them and they are believed.

        client: the address that the request comes from; None: a UNIX socket.
        """
        if not (self._unix if client is None else self._trusts(client)):
            return {}
        said: dict[bytes, list[str]] = {}
        for name, value in headers:
            if name == b"forwarded" or name.startswith(b"x-forwarded-"):
                said.setdefault(name, []).append(value.decode("latin-1"))
        if not said:
            return {}
        told = [
            self._told([_pairs(element) for element in _elements(said.get(b"forwarded", []))]),
            self._told(_side_by_side([_list(said.get(b"x-forwarded-" + name.encode(), [])) for name in _NAMES])),
        ]
        if all(told):
            # A proxy that writes one form lets the other pass as the client wrote it: both must say so.
            return {name: value for name, value in told[0].items() if told[1].get(name) == value}
        return told[0] or told[1]

    def _trusts(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)

    def _told(self, hops: list[dict[str, str]]) -> dict[str, str]:
        """What the entries of trusted proxies say together. The last entry is of the one that the request came from."""
        found: dict[str, str] = {}
        for hop in reversed(hops):
            if hop.get("proto", "").lower() in ("http", "https"):
                found["proto"] = hop["proto"].lower()
            if _HOST.match(hop.get("host", "")):
                found["host"] = hop["host"].lower()
            address = _address(hop.get("for", ""))
            if address is None:
                break
            found["for"] = str(address)
            if not self._trusts(found["for"]):
                break
        return found


_NAMES = ("for", "proto", "host")


def _side_by_side(lists: list[list[str]]) -> list[dict[str, str]]:
    """The lists of X-Forwarded-*, told apart by proxies. Most proxies overwrite what is not the list of addresses."""
    backwards = zip_longest(*map(reversed, lists), fillvalue="")
    return [dict(zip(_NAMES, values, strict=True)) for values in backwards][::-1]


def _list(values: list[str]) -> list[str]:
    return [item.strip() for item in ",".join(values).split(",")[-MOST_HOPS:]] if values else []


def _elements(values: list[str]) -> list[str]:
    return _ELEMENT.findall(", ".join(values))[-MOST_HOPS:]


def _pairs(element: str) -> dict[str, str]:
    """One element of Forwarded (RFC 7239)."""
    parted = (pair.partition("=") for pair in _PARAMETER.findall(element))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in parted}


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
