"""Bodies as a JSON answer can say them, also those that are not what their content-type says (AN-01, AN-02).

Off the hot path: a body comes here when it is large, or has failed as what it claims to be. Must never give up a body,
and never change its status: whatever cannot be said as JSON or text is said as bytes. Everything is done in steps
(PL-01), and a charset is tried once.
"""

import codecs
import json
from collections.abc import Generator
from typing import TypeVar

from batchwire.core.dialects.charsets import Decoding
from batchwire.core.dialects.json_scan import Validator
from batchwire.core.dialects.media import charset, codec_named, in_utf8

JSON, TEXT, BINARY = "json", "text", "binary"
PLAIN = b"text/plain"
BYTES = b"application/octet-stream"
QUOTED = 100
PIECE = 262144
"""Bytes that are looked at in one step."""
_SPACE = b" \t\r\n"
_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip

T = TypeVar("T")
Steps = Generator[None, None, T]
Said = tuple[str, bytes, bytes | None, bytes | None]


def whole(steps: Steps[T]) -> T:
    """All steps in one go: for what is small."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def said_as_json(body: bytes, media: bytes, max_depth: int) -> Steps[Said]:
    """(kind, bytes in UTF-8 or as they are, content-type or None: as it was, note or None) of what is said to be JSON.

    No bytes: it is white space alone, which is no body. JSON that is nested too deeply is text.
    """
    valid, deep = yield from _judged(body, max_depth)
    if valid:
        return JSON, body, None, None
    if (yield from _is_blank(body)):
        return JSON, b"", None, None
    texts = _Texts(body)
    found = yield from _in_other_charset(texts, media, max_depth)
    if found is not None:
        return JSON, found, in_utf8(media), None
    why = b"JSON that is nested deeper than max_depth, %d" % max_depth if deep else None
    return (yield from _odd(texts, media, why or b"not the JSON that its content-type says: " + media[:QUOTED]))


def said_as_text(body: bytes, media: bytes) -> Steps[Said]:
    """The same of what is said to be text."""
    codec = codec_named(charset(media))
    texts = _Texts(body)
    text = yield from texts.of(codec)
    if text is not None:
        return TEXT, text, None if codec == "utf-8" else in_utf8(media), None
    return (yield from _odd(texts, media, b"not the text that its content-type says: " + media[:QUOTED]))


def json_in(body: bytes, media: bytes, max_depth: int) -> bytes | None:
    """In one go: the JSON that a body is in another charset, in UTF-8, or None."""
    return whole(_in_other_charset(_Texts(body), media, max_depth))


class _Texts:
    """A body in UTF-8 by the charset that it was taken to be in, or None: it is no text of that."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.known: dict[str | None, bytes | None] = {None: None}

    def of(self, codec: str | None) -> Steps[bytes | None]:
        if codec not in self.known:
            decoding = Decoding(self.body, codec)
            while not decoding.go_on():
                yield
            self.known[codec] = decoding.data
        return self.known[codec]


def _in_other_charset(texts: _Texts, media: bytes, max_depth: int) -> Steps[bytes | None]:
    for codec in (codec_named(charset(media)), json.detect_encoding(texts.body)):
        text = yield from texts.of(codec)
        if text is not None and (yield from _judged(text, max_depth))[0]:
            return text
    return None


def _odd(texts: _Texts, media: bytes, note: bytes) -> Steps[Said]:
    marked = next((codec for mark, codec in _MARKS if texts.body.startswith(mark)), "utf-8")
    for codec in (codec_named(charset(media)), marked):
        text = yield from texts.of(codec)
        if text is not None:
            return TEXT, text, PLAIN, note
    return BINARY, texts.body, BYTES, note


def _judged(text: bytes, max_depth: int) -> Steps[tuple[bool, bool]]:
    """Whether it is JSON, and whether it is not because it is nested too deeply."""
    validator = Validator(max_depth)
    for at in range(0, len(text), PIECE):
        if validator.feed(text[at : at + PIECE]) is not None:
            return False, validator.too_deep
        yield
    return validator.end(), False


def _is_blank(body: bytes) -> Steps[bool]:
    for at in range(0, len(body), PIECE):
        if body[at : at + PIECE].strip(_SPACE):
            return False
        yield
    return True
