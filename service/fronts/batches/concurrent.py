"""The heads that the document and the Google dialect have in common: multipart, concurrent, never stopped by an error.

Pure, as negotiation.py.
"""

from typing import Any

from batchwire.core import content_type_of, new_boundary
from batchwire.core.front.deadlines import early

from .inheritance import inherited_headers
from .negotiation import (
    Accepted,
    OuterRequest,
    Policy,
    applied,
    authorities_of,
    decoding_of,
    hops_of,
    join_fields,
    refuse_large,
    wait_of,
)
from .preferences import parse_preferences


def fields_of(request: OuterRequest, policy: Policy) -> dict[str, str]:
    """The header fields of a head that says no more than it may. Raises RefusedError."""
    fields = join_fields(request.headers)
    refuse_large(fields, policy)
    return fields


def accepted(
    dialect: str, request: OuterRequest, policy: Policy, fields: dict[str, str], boundary: bytes | None, **more: Any
) -> Accepted:
    """The batch may run; `more` goes to Accepted. Results come in request order: some clients go by nothing else.

    Of the preferences, `wait` alone means something here (HD-13).
    """
    answer_boundary = new_boundary(dialect)
    preferences = parse_preferences(fields.get("prefer", ""))
    wait = wait_of(preferences)
    return Accepted(
        dialect=dialect,
        answer=dialect,
        strict=False,
        ordered=True,
        continue_on_error=True,
        authority=authorities_of(request, fields, policy),
        inherited=inherited_headers(fields, {}, policy.forward),
        authorization=fields["authorization"].encode("latin-1") if "authorization" in fields else None,
        hops=hops_of(fields, policy) + 1,
        decoding=decoding_of(fields),
        status=200,
        version="",
        answer_headers=(
            (b"content-type", content_type_of(dialect, answer_boundary).encode()),
            *applied(preferences, None, None, wait),
        ),
        boundary=boundary,
        answer_boundary=answer_boundary,
        deadline=early(wait) if wait else 0.0,
        **more,
    )
