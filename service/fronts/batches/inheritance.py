"""What the calls of a batch inherit from its outer head (HD-02…HD-05, HD-08, HD-09, GW-08, CL-10).

It is a list of what may pass, so that nothing else can: no Host, no Content-*, no If-*, no connection
fields, no other preference ever reaches a call from here, and no identity that the route does not name.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from batchwire.core.header_rules import header_rules

from .media import parse_accept
from .preferences import Preference

_AS_THEY_ARE = (
    "accept-charset",
    "accept-language",
    "content-language",
    "odata-version",
    "odata-maxversion",
)
FORWARDED = ("x-request-id", "traceparent", "tracestate", "baggage", "b3", "x-b3-*")
"""What calls get where a route says nothing: what ties logs and traces together (W3C Trace Context and Baggage, B3)."""
_LANGUAGES = frozenset((b"accept-charset", b"accept-language", b"content-language"))
_USUAL = frozenset(("", "close", "keep-alive"))
_NOT_HTTP = frozenset((b"content-type", b"user-agent", b"host", b"te"))
_PREFERENCES = ("include-annotations", "allow-entityreferences")


# Of the batch as a whole, or told to its calls by rules of their own.
_NEVER = re.compile(
    "accept(-.*)?|authorization|batchwire-.*|connection|content-.*|date|expect|host|http2-.*|if-.*|isolation"
    "|keep-alive|max-forwards|mime-version|odata-.*|prefer|proxy-.*|range|te|trailer|transfer-encoding|upgrade|via"
)


def may_forward(name: str) -> bool:
    """Whether a route may name a header, in lower case, to be forwarded."""
    return _NEVER.fullmatch(name) is None


def is_http(name: bytes) -> bool:
    """Whether metadata stands for an HTTP header, and is no part of the protocol or binary."""
    return name not in _NOT_HTTP and not name.startswith(b"grpc-") and not name.endswith(b"-bin")


class Forwarding:
    """Which outer headers the calls get besides: names, or patterns that end in `*` (CL-10).

    A pattern is not for what the route drops inside calls (CL-12, its `drop` and `keep` included), as what proxies say
    of a client: a route that wants such a header names it.
    """

    def __init__(self, wanted: Iterable[str], drop: Iterable[str] = (), keep: Iterable[str] = ()) -> None:
        self._rules = header_rules(drop, keep)
        lower = [text.lower() for text in wanted]
        self._names = frozenset(text for text in lower if not text.endswith("*"))
        self._beginnings = tuple(text[:-1] for text in lower if text.endswith("*"))

    def wants_field(self, name: bytes) -> bool:
        """Whether a header field is forwarded, by its name in lower case."""
        return self.wants(name.decode("latin-1"))

    def wants_metadata(self, name: bytes) -> bool:
        """The same of metadata of gRPC, of which some stand for headers; languages and charsets, too (HD-03, HD-04)."""
        return is_http(name) and (name in _LANGUAGES or self.wants(name.decode("latin-1")))

    def wants(self, name: str) -> bool:
        """Whether a header is forwarded; its name in lower case."""
        if name in self._names:
            return True
        if not self._beginnings or not name.startswith(self._beginnings) or not may_forward(name):
            return False
        return self._rules.verdict_on(name.encode("latin-1")) == "pass"


@lru_cache(maxsize=1024)
def forwarding(wanted: tuple[str, ...], drop: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> Forwarding:
    """The Forwarding of a route."""
    return Forwarding(wanted, drop, keep)


def inherited_headers(
    fields: dict[str, str], preferences: dict[str, Preference], forward: Forwarding
) -> list[tuple[bytes, bytes]]:
    """Header fields, names in lower case, for every call that has none of the same name."""
    # RFC 9110 7.6.1: these are for the gateway alone.
    own = {token.strip().lower() for token in fields.get("connection", "").split(",")}
    fields = {name: value for name, value in fields.items() if name not in own} if own - _USUAL else fields
    found = [(name, fields[name]) for name in _AS_THEY_ARE if fields.get(name)]
    found += [(name, value) for name, value in fields.items() if value and forward.wants(name)]
    accept = _inherited_accept(fields.get("accept", ""))
    if accept:
        found.append(("accept", accept))
    prefer = ", ".join(str(preferences[name]) for name in _PREFERENCES if name in preferences)
    if prefer:
        found.append(("prefer", prefer))
    return [(name.encode(), value.encode("latin-1")) for name, value in found]


def _inherited_accept(field: str) -> str:
    """Accept without the ranges for the batch's own format; "" when no other say is left in it."""
    ranges = [item for item in parse_accept(field) if not item.media_type.startswith("multipart/")]
    if all(item.bare for item in ranges):
        return ""
    return ", ".join(item.text for item in ranges)
