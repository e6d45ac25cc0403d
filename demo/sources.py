"""Documents as clients send them and want them back.

What comes in is a .docx, or plain text, which becomes one paragraph a line; what goes out is .docx, text or HTML.
Must never take more text than a document should be made of. CPU-heavy: call from a worker thread.
"""

import re

from . import words
from .convert import CONVERTERS
from .errors import ApiError
from .package import save, with_document
from .storage_api import DOCX

MAX_TEXT_BYTES = 1024 * 1024
MAX_LINES = 10_000

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\ufffe\uffff]")


def as_docx(data: bytes) -> bytes:
    """The document as .docx; 400 InvalidDocument if it is neither .docx nor UTF-8 text."""
    if data.startswith(b"PK\x03\x04"):
        return data
    if not data:
        raise ApiError(400, "InvalidDocument", "the call holds no document")
    if len(data) > MAX_TEXT_BYTES:
        raise ApiError(413, "DocumentTooLarge", f"a text may have {MAX_TEXT_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if _CONTROL.search(text):
        raise ApiError(400, "InvalidDocument", "the document is neither .docx nor UTF-8 text")
    lines = re.split(r"\r\n|[\r\n\f]", text)
    if lines[-1] == "":
        lines.pop()
    if len(lines) > MAX_LINES:
        raise ApiError(413, "DocumentTooLarge", f"a text may have {MAX_LINES} lines")
    return words.create(lines)


def as_format(data: bytes, format_name: str) -> tuple[str, bytes]:
    """Media type and bytes of a document in another format; 400 UnsupportedFormat if it is none of ours."""
    if format_name == "docx":
        return DOCX, with_document(as_docx(data), save)
    if format_name not in CONVERTERS:
        raise ApiError(400, "UnsupportedFormat", f"format must be one of docx, {', '.join(sorted(CONVERTERS))}")
    kind, converter = CONVERTERS[format_name]
    return kind, with_document(as_docx(data), converter).encode("utf-8", "replace")
