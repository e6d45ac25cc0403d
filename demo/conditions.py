"""Conditional requests (RFC 9110 section 13) on the entity tags of documents.

`If-Match` compares strongly, `If-None-Match` weakly; both take lists and `*`. A condition that is
absent always holds: the demo must never ask for one (no 428).
"""

import re

from starlette.requests import Request

from .errors import ApiError
from .store import Stored

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


def require_conditions(request: Request, current: Stored | None) -> None:
    """Raise 412 PreconditionFailed if a write may not go ahead on the version that is there."""
    wanted = _header(request, "if-match")
    if wanted is not None and not _names(wanted, current, weak=False):
        raise ApiError(412, "PreconditionFailed", "the document is not the version named by If-Match")
    unwanted = _header(request, "if-none-match")
    if unwanted is not None and _names(unwanted, current, weak=True):
        raise ApiError(412, "PreconditionFailed", "the document is a version named by If-None-Match")


def is_not_modified(request: Request, current: Stored) -> bool:
    """True if a GET is to be answered 304; a failed `If-Match` raises 412."""
    wanted = _header(request, "if-match")
    if wanted is not None and not _names(wanted, current, weak=False):
        raise ApiError(412, "PreconditionFailed", "the document is not the version named by If-Match")
    known = _header(request, "if-none-match")
    return known is not None and _names(known, current, weak=True)


def _header(request: Request, name: str) -> str | None:
    values = request.headers.getlist(name)
    return ", ".join(values) if values else None


def _names(condition: str, current: Stored | None, *, weak: bool) -> bool:
    if current is None:
        return False
    if condition.strip() == "*":
        return True
    tags: list[str] = _TAG.findall(condition)
    return current.etag in ([tag.removeprefix("W/") for tag in tags] if weak else tags)
