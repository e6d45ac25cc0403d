"""What the calls of a batch inherit from its outer head (HD-02…HD-05, HD-08, HD-09, GW-08).

It is a list of what may pass, so that nothing else can: no Host, no Content-*, no If-*, no connection
fields, no identity, no other preference ever reaches a call from here.
"""

from .media import parse_accept
from .preferences import Preference

_AS_THEY_ARE = (
    "accept-charset",
    "accept-language",
    "content-language",
    "odata-version",
    "odata-maxversion",
    "traceparent",
    "tracestate",
)
_PREFERENCES = ("include-annotations", "allow-entityreferences")


def inherited_headers(fields: dict[str, str], preferences: dict[str, Preference]) -> list[tuple[bytes, bytes]]:
    """Header fields, names in lower case, for every call that has none of the same name."""
    found = [(name, fields[name]) for name in _AS_THEY_ARE if fields.get(name)]
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
