"""Bodies that are not what their content-type says, as a JSON answer can say them (AN-01, AN-02).

Off the hot path: a body comes here only after it has failed as what it claims to be. Must never give up a body, and
never change its status: whatever cannot be said as JSON or text is said as bytes.
"""

import codecs
import json

from batchwire.core.dialects.json_scan import validate
from batchwire.core.dialects.media import charset, codec_named, in_utf8

JSON, TEXT, BINARY = "json", "text", "binary"
PLAIN = b"text/plain"
BYTES = b"application/octet-stream"
QUOTED = 100
_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
          (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def said_as_json(body: bytes, media: bytes, max_depth: int) -> tuple[str, bytes, bytes | None, bytes | None]:
    """(kind, bytes in UTF-8 or as they are, content-type or None: as it was, note or None) of what is said to be JSON.

    No bytes: it is white space alone, which is no body.
    """
    if not body.strip(b" \t\r\n"):
        return JSON, b"", None, None
    for codec in (codec_named(charset(media)), json.detect_encoding(body)):
        text = _decoded(body, codec)
        if text is not None and validate(text, max_depth) is None:
            return JSON, text, in_utf8(media), None
    return _odd(body, media, b"not the JSON that its content-type says: ")


def said_as_text(body: bytes, media: bytes) -> tuple[str, bytes, bytes | None, bytes | None]:
    """The same of what is said to be text."""
    codec = codec_named(charset(media))
    text = _decoded(body, codec)
    if text is not None:
        return TEXT, text, None if codec == "utf-8" else in_utf8(media), None
    return _odd(body, media, b"not the text that its content-type says: ")


def _odd(body: bytes, media: bytes, why: bytes) -> tuple[str, bytes, bytes, bytes]:
    note = why + media[:QUOTED]
    marked = next((codec for mark, codec in _MARKS if body.startswith(mark)), "utf-8")
    for codec in (codec_named(charset(media)), marked):
        text = _decoded(body, codec)
        if text is not None:
            return TEXT, text, PLAIN, note
    return BINARY, body, BYTES, note


def _decoded(body: bytes, codec: str | None) -> bytes | None:
    """The text in UTF-8, without a byte order mark; None: the bytes are no text of this codec."""
    if codec is None:
        return None
    try:
        text = body.decode(codec).encode()
    except UnicodeError:
        return None
    return text.removeprefix(codecs.BOM_UTF8) if codec.startswith("utf-") and codec != "utf-8" else text
