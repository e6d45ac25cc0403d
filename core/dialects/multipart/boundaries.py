"""Boundaries of multipart documents: read from a Content-Type, and made for an answer (MB-12, PR-07).

Must never give out a boundary that could be guessed: what an upstream answers is not searched for it.
"""

import re
import secrets

from batchwire.core.errors import EnvelopeError

# RFC 2045 5.1, with quoted strings taken whole; possessive, so that no input makes it backtrack. A bare value
# may hold what the RFC wants quoted ("=", ":", "("), because clients leave the quotes out.
_PARAMETER = re.compile(r';[ \t]*([^=;\s"]++)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([^;"]*+))')
# RFC 2046 5.1.1: bchars, 1 to 70 of them, the last one no space.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")

_PREFIXES = {"odata": "batchresponse_", "google": "batch_", "document": ""}


def parse_boundary(content_type: str) -> bytes:
    """The boundary that a multipart Content-Type names; EnvelopeError 400 when it names none or a bad one."""
    found: set[str] = set()
    for name, quoted, bare in _PARAMETER.findall(content_type):
        if name.lower() == "boundary":
            found.add(re.sub(r"\\(.)", r"\1", quoted) if quoted else bare.strip(" \t"))
    if not found:
        raise EnvelopeError(400, "BadBoundary", "the multipart content-type names no boundary")
    if len(found) > 1:
        raise EnvelopeError(400, "BadBoundary", "the multipart content-type names two boundaries")
    (boundary,) = found
    if _BOUNDARY.fullmatch(boundary) is None:
        raise EnvelopeError(
            400, "BadBoundary", "a boundary must have 1 to 70 of the characters that RFC 2046 allows in it"
        )
    return boundary.encode()


def new_boundary(flavour: str) -> bytes:
    """A boundary for one answer: 128 random bits, no "=" in it, the prefix that clients of the flavour look for."""
    return (_PREFIXES[flavour] + secrets.token_hex(16)).encode()


def content_type_of(flavour: str, boundary: bytes) -> str:
    """Content-Type of an answer. Clients cut the boundary out by hand: bare and last, or quoted (document)."""
    text = boundary.decode("ascii")
    return f'multipart/mixed; boundary="{text}"' if flavour == "document" else f"multipart/mixed; boundary={text}"
