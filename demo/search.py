"""Finds text in the paragraphs of a document.

The API that offers it calls its pattern a regular expression. Of those only what stands for itself is taken,
escaped or not: a pattern of a stranger must never be able to keep a thread busy for ever.
"""

import re

from docx.document import Document

from . import words
from .errors import ApiError
from .words import Json

MAX_PATTERN = 4096
MAX_RESULTS = 1000

_PIECE = re.compile(r"\\(\W)|([^\\.^$*+?{}\[\]|()])", re.DOTALL)


def plain_text(pattern: str) -> str:
    """The one text that a pattern stands for; 400 if it stands for more than one."""
    if not 0 < len(pattern) <= MAX_PATTERN:
        raise ApiError(400, "InvalidQuery", f"pattern must have 1 to {MAX_PATTERN} characters")
    text, end = [], 0
    for piece in _PIECE.finditer(pattern):
        if piece.start() != end:
            break
        text.append(piece[1] or piece[2])
        end = piece.end()
    if end != len(pattern):
        raise ApiError(400, "UnsupportedPattern", "pattern must be plain text, special characters escaped with \\")
    return "".join(text)


def search(document: Document, pattern: str) -> Json:
    """The places of the pattern's text in the body's paragraphs, the first thousand of them."""
    wanted = plain_text(pattern)
    found: list[Json] = []
    for item in words.placed(document):
        text = item.paragraph.text
        at = text.find(wanted)
        while at >= 0 and len(found) < MAX_RESULTS:
            found.append({"RangeStart": _position(item, at), "RangeEnd": _position(item, at + len(wanted))})
            at = text.find(wanted, at + len(wanted))
    return {"SearchingPattern": pattern, "SearchResults": {"ResultsList": found}}


def _position(item: words.Placed, offset: int) -> Json:
    return {"Node": {"NodeId": item.node_id}, "Offset": offset}
