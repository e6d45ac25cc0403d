"""How an HTTP request becomes a batch: the same over HTTP/1.1 and HTTP/2.

Finds endpoint and route, negotiates, opens the batch, or says what is answered in its place. Reads heads only. Must
never know how bytes travel.
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchwire.core import EnvelopeError, Route
from batchwire.core.ledger import Account, Batch, TooManyBatchesError
from batchwire.core.peers import peer_name

from ...state import Ending, stopped
from ..http.deadlines import PROXY_FIELD, early, proxy_seconds
from ..http.forwarded import Proxies
from .decoding import BodyDecoder
from .endpoints import Endpoint, find
from .negotiation import Accepted, OuterRequest, Policy, Probe, Refusal, refuse, version_field, version_within
from .negotiation_cache import NegotiationCache

if TYPE_CHECKING:
    from ...state import Service

MOST_PLACES, LONGEST_PLACE = 256, 1024
"""Paths and media types that led to a route before and are not looked at again; bytes of one."""
Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Head:
    """Of a request.

    headers: names in lower case, with one Host. client: its address, None behind a UNIX socket. peer: host:port of the
    client, port 0 where a proxy has told it. authority: what stands in for a Host field.
    """

    method: str
    scheme: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    client: str | None
    peer: str
    authority: str

    @classmethod
    def of(cls, scope: Any) -> "Head":
        """That of an ASGI scope."""
        client, server = scope.get("client"), scope.get("server")
        return cls(
            scope["method"],
            scope["scheme"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"],
            scope["headers"],
            client[0] if client else None,
            peer_name(client[0], client[1]) if client else "unix",
            peer_name(server[0], server[1]) if server and server[1] else "localhost",
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered at once; headers are whole but for those of the connection."""

    status: int
    headers: Fields
    body: bytes


class Opened:
    """A batch that runs. status, headers: of its answer. decoder: of its body, or None."""

    __slots__ = ("_accepted", "batch", "decoder", "headers", "status")

    def __init__(self, batch: Batch, accepted: Accepted) -> None:
        self.batch = batch
        self.status = accepted.status
        self.headers = accepted.answer_headers
        self.decoder = BodyDecoder(accepted.decoding) if accepted.decoding else None
        self._accepted = accepted

    def close(self, ended: Ending) -> None:
        """Ends the batch."""
        self.batch.close(ended)

    def error(self) -> Answer:
        """What is answered when the batch has broken off before its answer had begun (GW-21)."""
        session = self.batch.session
        failure: EnvelopeError = session.failure or stopped(session)
        body = self._accepted.form(failure.code, failure.message, failure.target)
        head = [
            (b"content-type", b"application/json"),
            (b"content-language", b"en"),
            (b"connection", b"close"),
            (b"content-length", b"%d" % len(body)),
        ]
        if failure.started:
            head.append((b"batchwire-calls-started", b"%d" % failure.started))
        if self._accepted.version:
            head.append(version_field(self._accepted.version))
        return Answer(failure.status, tuple(head), body)

    def trailing_error(self) -> bytes:
        """The same for a client that reads trailers, when its answer is cut: the value of a header."""
        return json.dumps(json.loads(self.error().body), separators=(",", ":")).encode()


class RestDesk:
    """Opens the batches of one service. Their connections look after idle clients."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._proxies = Proxies(service.config.listen.trusted_proxies)
        self._proxied = bool(self._proxies)
        self._negotiated = NegotiationCache()
        self._routes: dict[Route, tuple[str, Policy, Account]] = {}
        self._places: dict[tuple[str, str, bytes], tuple[Endpoint, Route]] = {}

    def believe(self, head: Head) -> None:
        """Puts what trusted proxies say in the place of what the connection says (CL-13)."""
        if not self._proxied:
            return
        found = self._proxies.believed(head.client, head.headers)
        head.scheme = found.get("proto", head.scheme)
        if "host" in found:
            fields = [(name, value) for name, value in head.headers if name != b"host"]
            head.headers = [(b"host", found["host"].encode("latin-1")), *fields]
        if "for" in found:
            head.client, head.peer = found["for"], peer_name(found["for"], 0)

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

    def open(self, head: Head, endpoint: Endpoint, route: Route) -> Opened | Answer:
        """The batch of a request, or what is answered in its place."""
        known = self._routes.get(route)
        if known is None:
            root = route.root.decode()
            policy = Policy.of(self._service.table.settings[root], route.limits)
            known = self._routes[route] = root, policy, self._service.account("rest", root)
        root, policy, account = known
        request = OuterRequest(head.method, head.scheme, head.query, head.headers, head.authority)
        outcome = self._negotiated.negotiate(endpoint, root, request, policy)
        if isinstance(outcome, Probe):
            return Answer(200, (*outcome.headers, (b"content-length", b"0")), b"")
        if isinstance(outcome, Refusal):
            return self._refused(head, root, outcome)
        if self._service.draining:
            closing = (b"connection", b"close")
            return self.turn_away(head, endpoint, root, 503, "Draining", "The gateway is stopping.", closing)
        accepted, arguments = outcome
        trace, told = "", False
        for name, value in head.headers:
            if name == b"traceparent":
                trace = value.decode("latin-1")
            elif name == PROXY_FIELD:
                told = True
        if told and (seconds := proxy_seconds(head.headers)) is not None:
            arguments["answer_deadline"] = early(seconds)
        try:
            batch = self._service.open_batch(account, route, head.peer, trace, watched=False, **arguments)
        except TooManyBatchesError as error:
            retry = (b"retry-after", b"1")
            return self.turn_away(head, endpoint, root, 429, "TooManyBatches", str(error), retry)
        return Opened(batch, accepted)

    def turn_away(
        self,
        head: Head,
        endpoint: Endpoint,
        root: str,
        status: int,
        code: str,
        message: str,
        *fields: tuple[bytes, bytes],
    ) -> Answer:
        """An error of the dialect, which is logged and counted (OP-14)."""
        refusal = refuse(status, code, message, *fields, version=version_within(head.headers))
        return self._refused(head, root, replace(refusal, form=endpoint.form))

    def _refused(self, head: Head, root: str, refusal: Refusal) -> Answer:
        self._service.refused("rest", root, refusal.status, refusal.code, head.peer)
        body = refusal.body()
        return Answer(refusal.status, (*refusal.headers, (b"content-length", b"%d" % len(body))), body)
