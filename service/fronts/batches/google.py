"""The head of a batch in the Google dialect: `POST {root}batch`, or anything below it, with multipart/mixed.

Pure, as negotiation.py. Calls run concurrently and a failing one stops nothing.
"""

import re

from .concurrent import accepted, fields_of
from .media import parse_media_type
from .negotiation import Accepted, OuterRequest, Policy, Refusal, RefusedError, request_boundary

_BATCH = re.compile(r"(/(?:[^/]+/)*?)batch(?:/|\Z)")


def root_of(method: str, path: str, media_type: str) -> str | None:
    """The service root, when the request is a batch of this dialect."""
    if method != "POST" or parse_media_type(media_type)[0] != "multipart/mixed":
        return None
    found = _BATCH.match(path)
    return found[1] if found else None


def negotiate(request: OuterRequest, policy: Policy) -> Accepted | Refusal:
    """Decides on the head of a batch whose path has already led to a route."""
    try:
        fields = fields_of(request, policy)
        return accepted("google", request, policy, fields, request_boundary(fields))
    except RefusedError as error:
        return error.refusal()
