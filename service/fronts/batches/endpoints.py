"""Which requests are batches, in which dialect, and under which service root: by method, path and media type.

A new dialect on the REST front is one more row of ENDPOINTS. Nothing here may look at a body.
"""

from collections.abc import Callable
from dataclasses import dataclass

from . import document, google, negotiation
from .negotiation import Accepted, ErrorForm, OuterRequest, Policy, Probe, Refusal
from .odata_errors import error_body


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One dialect on the REST front.

    root_of: method, path, Content-Type → the service root, or None. form: of the errors of whole batches.
    """

    name: str
    root_of: Callable[[str, str, str], str | None]
    negotiate: Callable[[OuterRequest, Policy], Accepted | Refusal | Probe]
    form: ErrorForm = error_body


ENDPOINTS = (
    Endpoint("odata", negotiation.root_of, negotiation.negotiate),
    Endpoint("document", document.root_of, document.negotiate, document.error_body),
    Endpoint("google", google.root_of, google.negotiate),
)
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}


def find(method: str, path: str, media_type: str) -> tuple[Endpoint, str] | None:
    """The endpoint that a request is for, with its service root; None: it is no batch."""
    for endpoint in ENDPOINTS:
        root = endpoint.root_of(method, path, media_type)
        if root is not None:
            return endpoint, root
    return None
