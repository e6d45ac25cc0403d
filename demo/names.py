"""Paths of stored documents: what a safe one is, and the URL it has.

A document path is one to eight names joined by "/", such as `a.docx` or `in box/a.docx`. Nothing
that could mean another place on a disk (dot segments, backslashes, drive letters, control
characters) may ever get through `document_path`; the store relies on it.
"""

import re
import unicodedata
from urllib.parse import quote, urlencode

from .errors import ApiError

MAX_DEPTH = 8
MAX_NAME_BYTES = 200

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069]')
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def document_path(text: str) -> str:
    """Normalise (NFC) and check a document path; refuse an unsafe one with 400 InvalidName."""
    path = unicodedata.normalize("NFC", text).removeprefix("/")
    names = path.split("/")
    if len(names) > MAX_DEPTH or not all(map(_is_safe, names)):
        raise ApiError(400, "InvalidName", "the document name or path is not allowed")
    return path


def new_document_path(text: str) -> str:
    """Like `document_path`, for a document the API is to write: the name must end in `.docx`."""
    path = document_path(text)
    if not path.lower().endswith(".docx") or path.lower().endswith("/.docx"):
        raise ApiError(400, "InvalidName", "the name of a new document must end in .docx")
    return path


def document_url(prefix: str, path: str, *rest: str | int) -> str:
    """Absolute-path URL of a document, or of something below it given as further segments."""
    folder, _, name = path.rpartition("/")
    url = "/".join([prefix, quote(name, safe=""), *map(str, rest)])
    return f"{url}?{urlencode({'folder': folder}, quote_via=quote)}" if folder else url


def file_url(prefix: str, path: str) -> str:
    """Absolute-path URL of a document's bytes in the storage."""
    return f"{prefix}/storage/file/{quote(path)}"


def _is_safe(name: str) -> bool:
    return (
        name != ""
        and not name.startswith((".", " ", "~"))
        and not name.endswith((".", " "))
        and len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
        and _UNSAFE.search(name) is None
        and _DEVICES.match(name) is None
    )
