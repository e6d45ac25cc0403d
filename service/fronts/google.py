"""The head of a batch in the Google dialect: `POST {root}batch`, or anything below it, with multipart/mixed.

Pure, as negotiation.py. Calls run concurrently and a failing one stops nothing.
"""

import re

from batchwire.core import content_type_of, new_boundary

from .inheritance import inherited_headers
from .media import parse_media_type
from .negotiation import (
    Accepted,
    OuterRequest,
    Policy,
    Refusal,
    RefusedError,
    authority_of,
    decoding_of,
    hops_of,
    join_fields,
    refuse_large,
    request_boundary,
)

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
        return _negotiate(request, policy)
    except RefusedError as error:
        return error.refusal()


def _negotiate(request: OuterRequest, policy: Policy) -> Accepted:
    fields = join_fields(request.headers)
    refuse_large(fields, policy)
    answer_boundary = new_boundary("google")
    return Accepted(
        dialect="google",
        answer="google",
        strict=False,
        ordered=True,
        continue_on_error=True,
        authority=policy.origin or authority_of(request, fields),
        inherited=inherited_headers(fields, {}),
        authorization=fields["authorization"].encode("latin-1") if "authorization" in fields else None,
        hops=hops_of(fields, policy) + 1,
        decoding=decoding_of(fields),
        status=200,
        version="",
        answer_headers=((b"content-type", content_type_of("google", answer_boundary).encode()),),
        boundary=request_boundary(fields),
        answer_boundary=answer_boundary,
    )
