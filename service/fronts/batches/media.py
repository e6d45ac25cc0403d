"""The formats a batch may come and be answered in, and the choice between them (GB-04…GB-12).

FORMATS is the one place that knows the media types of this version. Nothing here may look at a body.
"""

import re
from dataclasses import dataclass

# Possessive, so that no input makes them backtrack.
_LIST_ELEMENT = re.compile(r'(?:[^",]++|"(?:[^"\\]|\\.?)*+"?+)++')
_PARAMETER = re.compile(r'(?:[^";]++|"(?:[^"\\]|\\.?)*+"?+)++')
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
# CL-01: RFC 9110 12.4.2, and what clients make of it: no digit before the point, or many behind it.
_QUALITY = re.compile(r"(?:0{0,3}(?:\.[0-9]{0,20})?|1(?:\.0{0,20})?)\Z")


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table of formats.

    dialect: the core's name of it.
    short: its name as a value of `$format`, or "".
    continue_by_default: what holds without the preference continue-on-error (HD-16).
    """

    media_type: str
    dialect: str
    short: str
    continue_by_default: bool

    @property
    def multipart(self) -> bool:
        """It has boundaries, and runs in sequence (MP-01)."""
        return self.media_type.startswith("multipart/")


FORMATS: tuple[Format, ...] = (
    Format("application/json", dialect="json", short="json", continue_by_default=True),
    Format("multipart/mixed", dialect="multipart", short="", continue_by_default=False),
)
_BY_MEDIA_TYPE = {row.media_type: row for row in FORMATS}
_BY_SHORT_NAME = {row.short: row for row in FORMATS if row.short}


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of an Accept list: the type in lower case, its parameters but for q, the quality 0-1."""

    media_type: str
    parameters: tuple[str, ...]
    quality: float
    text: str

    @property
    def bare(self) -> bool:
        """It negotiates the batch's own format and says nothing more (GW-08)."""
        if self.parameters:
            return False
        return self.media_type in ("*/*", "application/*", "application/json")


def parse_media_type(field: str) -> tuple[str, dict[str, str]]:
    """Lower-case type and parameters (lower-case names, unquoted values); ("", {}) when malformed."""
    head, *rest = _PARAMETER.findall(field) or [""]
    media_type = head.strip().lower()
    if not _MEDIA_TYPE.match(media_type):
        return "", {}
    parameters: dict[str, str] = {}
    for item in rest:
        name, equals, value = item.partition("=")
        if equals:
            parameters.setdefault(name.strip().lower(), value.strip().strip('"'))
        elif name.strip():
            return "", {}
    return media_type, parameters


def parse_accept(field: str) -> list[MediaRange]:
    """The media ranges of an Accept field; malformed elements are left out."""
    ranges = []
    for element in _LIST_ELEMENT.findall(field):
        text = element.strip()
        if not text:
            continue
        head, *rest = _PARAMETER.findall(text) or [""]
        media_type = head.strip().lower()
        if media_type == "*":  # what an old Java client sends
            media_type = "*/*"
        if not _MEDIA_TYPE.match(media_type):
            continue
        quality, parameters = 1.0, []
        for item in rest:
            name, _, value = item.partition("=")
            if name.strip().lower() == "q":
                quality = _quality_of(value.strip())
                break  # what follows q are extensions of Accept, not parameters of the type
            if item.strip():
                parameters.append(item.strip())
        ranges.append(MediaRange(media_type, tuple(parameters), quality, text))
    return ranges


def _quality_of(value: str) -> float:
    """0 to 1; what cannot be read allows nothing."""
    return float(value) if _QUALITY.match(value) and value not in ("", ".") else 0.0


def request_format(media_type: str) -> Format | None:
    """The row of a request's media type; None: it is no batch format."""
    return _BY_MEDIA_TYPE.get(media_type)


def format_option(value: str) -> Format | None:
    """The row that a `$format` value names (GB-12), by short name or media type."""
    short = _BY_SHORT_NAME.get(value.strip().lower())
    return short or _BY_MEDIA_TYPE.get(parse_media_type(value)[0])


def choose_answer(ranges: list[MediaRange], request: Format) -> Format | None:
    """The spoken format of highest quality, that of the request among equals (GB-09, GB-11).

    None: not one of them is acceptable (GB-10).
    """
    best, best_quality = None, 0.0
    for row in (request, *FORMATS):
        quality = _quality(ranges, row.media_type)
        if quality > best_quality:
            best, best_quality = row, quality
    return best


def _quality(ranges: list[MediaRange], media_type: str) -> float:
    """Quality of a type by its most specific range. A range with parameters counts as the type itself."""
    found: dict[str, float] = {}
    for item in ranges:
        found[item.media_type] = max(found.get(item.media_type, 0.0), item.quality)
    for candidate in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        if candidate in found:
            return found[candidate]
    return 0.0
