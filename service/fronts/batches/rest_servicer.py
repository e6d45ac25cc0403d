"""How an HTTP request becomes a batch: the same over HTTP/1.1 and HTTP/2.

Finds endpoint and route, negotiates, opens the batch, or says what is answered in its place. Reads heads only. Must
never know how bytes travel.
"""

import json
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from batchwire.core import EnvelopeError, Route, Session
from batchwire.core.front.forwarded_names import ForwardedNames
from batchwire.core.front.rest_opener import Negotiated, RestOpener, lasting_fields
from batchwire.core.ledger import Account, Batch, TooManyBatchesError

from ...state import stopped
from ..http.head import Answer, Head
from .endpoints import Endpoint, find
from .negotiation import Accepted, OuterRequest, Policy, Probe, Refusal, refuse, version_field, version_within

if TYPE_CHECKING:
    from batchwire.core.front.stream import Stream

    from ...state import Service

KEPT_REFUSALS = 64
"""Heads that were refused and need not be looked at again."""
MOST_PLACES, LONGEST_PLACE = 256, 1024
"""Paths and media types that led to a route before and are not looked at again; bytes of one."""


class RestServicer:
    """Opens the batches of one service. Their connections look after idle clients."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        direct = not service.config.listen.trusted_proxies
        self.opener = RestOpener(service.ledger, service.config.limits.max_request_bytes, direct)
        self._refused: OrderedDict[bytes, Refusal] = OrderedDict()
        self._routes: dict[Route, tuple[str, Policy, Account, ForwardedNames]] = {}
        self._places: dict[tuple[str, str, bytes], tuple[Endpoint, Route]] = {}

    def endpoint(self, head: Head) -> tuple[Endpoint | None, Route | None]:
        """The dialect that a request is in and the route that it is for; no route: it is no batch that is taken."""
        media_type = b""
        for name, value in head.headers:
            if name == b"content-type":
                media_type = value
        key = head.method, head.path, media_type
        if (place := self._places.get(key)) is not None:
            return place
        found = find(head.method, head.path, media_type.decode("latin-1"))
        if found is None:
            return None, None
        endpoint, root = found
        route = self._service.table.by_root(root) if root else None
        if route is not None and endpoint.name not in self._service.table.settings[route.root.decode()].dialects:
            return None, None
        if route is not None and len(head.path) + len(media_type) < LONGEST_PLACE:
            if len(self._places) >= MOST_PLACES:
                self._places.clear()
            self._places[key] = endpoint, route
        return endpoint, route

    def open(self, stream: "Stream", head: Head, endpoint: Endpoint, route: Route) -> tuple[Batch, Negotiated] | Answer:
        """The batch of a request, or what is answered in its place."""
        place = self._routes.get(route)
        if place is None:
            root = route.root.decode()
            policy = Policy.of(self._service.table.settings[root], route.limits)
            forwarded = ForwardedNames(policy.forward.wants_field)
            place = self._routes[route] = root, policy, self._service.account("rest", root), forwarded
        root, policy, account, forwarded = place
        key = self.opener.key_of(stream, head.scheme, head.told_host)
        known = self.opener.known(key)
        if known is None:
            outcome = self._negotiate(key, head, endpoint, policy)
            if isinstance(outcome, Probe):
                return Answer(200, (*outcome.headers, (b"content-length", b"0")))
            if isinstance(outcome, Refusal):
                return self._refuse(head, root, outcome)
            known = Negotiated(
                outcome,
                route,
                account,
                outcome.batch_head(),
                status=outcome.status,
                headers=outcome.answer_headers,
                decoding=outcome.decoding,
                forwarded=forwarded,
                whole=key is None,
            )
            if key is not None and outcome.answer_boundary is None:
                self.opener.keep(key, known)
        if self._service.ledger.draining:
            closing = (b"connection", b"close")
            return self.reject(head, endpoint, root, 503, "Draining", "The gateway is stopping.", closing)
        try:
            return self.opener.begin(known, head.headers, head.peer), known
        except TooManyBatchesError as error:
            retry = (b"retry-after", b"1")
            return self.reject(head, endpoint, root, 429, "TooManyBatches", str(error), retry)

    def _negotiate(
        self, key: bytes | None, head: Head, endpoint: Endpoint, policy: Policy
    ) -> Accepted | Refusal | Probe:
        """key: by which a head is known again, whose passing fields decide nothing; else None."""
        if key is None:
            return endpoint.negotiate(_request(head, head.headers), policy)
        refused = self._refused.get(key)
        if refused is not None:
            self._refused.move_to_end(key)
            return refused
        outcome = endpoint.negotiate(_request(head, lasting_fields(head.headers)), policy)
        if isinstance(outcome, Refusal):
            self._refused[key] = outcome
            if len(self._refused) > KEPT_REFUSALS:
                self._refused.popitem(last=False)
        return outcome

    def reject(
        self,
        head: Head,
        endpoint: Endpoint | None,
        root: str,
        status: int,
        code: str,
        message: str,
        *fields: tuple[bytes, bytes],
    ) -> Answer:
        """An error of the dialect; logged and counted where it may be a batch's, by endpoint or root (OP-14)."""
        refusal = refuse(status, code, message, *fields, version=version_within(head.headers))
        if endpoint is not None:
            refusal = replace(refusal, form=endpoint.form)
        elif not root:
            return answer_of(refusal)
        return self._refuse(head, root, refusal)

    def _refuse(self, head: Head, root: str, refusal: Refusal) -> Answer:
        self._service.refused("rest", root, refusal.status, refusal.code, head.peer)
        return answer_of(refusal)


def answer_of(refusal: Refusal) -> Answer:
    """The whole answer to a request that is refused."""
    body = refusal.body()
    return Answer(refusal.status, (*refusal.headers, (b"content-length", b"%d" % len(body))), body)


def _request(head: Head, fields: list[tuple[bytes, bytes]]) -> OuterRequest:
    return OuterRequest(head.method, head.scheme, head.query, fields, head.authority)


def batch_error(outcome: Accepted, session: Session) -> Answer:
    """What is answered when the batch has broken off before its answer had begun (GW-21)."""
    failure: EnvelopeError = session.failure or stopped(session)
    body = outcome.form(failure.code, failure.message, failure.target)
    head = [
        (b"content-type", b"application/json"),
        (b"content-language", b"en"),
        (b"connection", b"close"),
        (b"content-length", b"%d" % len(body)),
    ]
    if failure.started:
        head.append((b"batchwire-calls-started", b"%d" % failure.started))
    if outcome.version:
        head.append(version_field(outcome.version))
    return Answer(failure.status, tuple(head), body)


def trailing_error(outcome: Accepted, session: Session) -> bytes:
    """The same for a client that reads trailers, when its answer is cut: the value of a header."""
    return json.dumps(json.loads(batch_error(outcome, session).body), separators=(",", ":")).encode()
