"""What heads of batches led to before: most clients send the same head with each batch.

A head is known again by all of it but for fields that every request has another of, which decide nothing but go to the
calls or nowhere. A multipart answer is negotiated each time: its boundary must be one that nobody knows.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from batchwire.core import BatchHead

from .endpoints import Endpoint
from .negotiation import Accepted, OuterRequest, Policy, Probe, Refusal

KEPT = 256
KEPT_REFUSALS = 64
LONGEST = 4096
"""Bytes of a head that is remembered, its target included."""
_PASSING = frozenset(
    (b"authorization", b"b3", b"baggage", b"content-length", b"traceparent", b"tracestate", b"user-agent",
     b"x-b3-parentspanid", b"x-b3-spanid", b"x-b3-traceid", b"x-request-id")
)  # fmt: skip
_USUAL = frozenset((b"close", b"keep-alive"))
Outcome = tuple[Accepted, BatchHead] | Refusal | Probe
"""The head that comes with Accepted is the caller's own."""


class NegotiationCache:
    """The last KEPT heads that were accepted and, apart from them, the last KEPT_REFUSALS that were not."""

    def __init__(self) -> None:
        self._refused: OrderedDict[Any, Refusal] = OrderedDict()
        self._known: OrderedDict[Any, tuple[Accepted, BatchHead]] = OrderedDict()

    def negotiate(self, endpoint: Endpoint, root: str, request: OuterRequest, policy: Policy) -> Outcome:
        """endpoint.negotiate(); policy: that of the route at this root."""
        passing: dict[bytes, bytes] = {}
        lasting: list[tuple[bytes, bytes]] = []
        for field in request.headers:
            name = field[0]
            if name == b"connection" and field[1].lower() not in _USUAL:
                return _afresh(endpoint, request, policy)  # it names fields that go no further
            if name not in _PASSING:
                lasting.append(field)
            elif name in passing:
                return _afresh(endpoint, request, policy)
            else:
                passing[name] = field[1]
        length = passing.get(b"content-length", b"0")
        if policy.max_request_bytes and not (length.isdigit() and int(length) <= policy.max_request_bytes):
            return _afresh(endpoint, request, policy)
        key = endpoint.name, root, request.method, request.scheme, request.authority, request.query, tuple(lasting)
        known = self._known.get(key)
        if known is None:
            refused = self._refused.get(key)
            if refused is not None:
                self._refused.move_to_end(key)
                return refused
            outcome = endpoint.negotiate(replace(request, headers=lasting), policy)
            size = len(request.query) + len(request.authority) + sum(len(name) + len(value) for name, value in lasting)
            short = size < LONGEST
            if isinstance(outcome, Refusal) and short:
                _keep(self._refused, key, outcome, KEPT_REFUSALS)
            if not isinstance(outcome, Accepted):
                return outcome
            known = outcome, outcome.batch_head()
            if outcome.answer_boundary is None and short:
                _keep(self._known, key, known, KEPT)
        else:
            self._known.move_to_end(key)
        accepted, head = known[0], known[1].copy()
        if passing:
            head.headers = [*(head.headers or ()), *_forwarded(passing, policy)]
            if b"authorization" in passing:
                head.authorization = passing[b"authorization"].strip()
        return accepted, head


def _keep(known: OrderedDict[Any, Any], key: Any, outcome: Any, most: int) -> None:
    known[key] = outcome
    if len(known) > most:
        known.popitem(last=False)


def _forwarded(passing: dict[bytes, bytes], policy: Policy) -> list[tuple[bytes, bytes]]:
    wants = policy.forward.wants_field
    return [(name, value) for name, raw in passing.items() if wants(name) and (value := raw.strip())]


def _afresh(endpoint: Endpoint, request: OuterRequest, policy: Policy) -> Outcome:
    outcome = endpoint.negotiate(request, policy)
    return (outcome, outcome.batch_head()) if isinstance(outcome, Accepted) else outcome
