"""How an HTTP request becomes a batch: the same over HTTP/1.1 and HTTP/2.

Finds endpoint and route, negotiates, opens the batch, or says what is answered in its place. Reads heads only. Must
never know how bytes travel.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchwire.core import EnvelopeError, Route
from batchwire.core.ledger import Account, Batch, TooManyBatchesError
from batchwire.core.peers import peer_name

from ..state import Ending, stopped
from .deadlines import early, proxy_seconds
from .decoding import BodyDecoder
from .endpoints import Endpoint, find
from .forwarded import Proxies
from .negotiation import Accepted, OuterRequest, Policy, Probe, Refusal, refuse, version_field, version_within
from .negotiation_cache import NegotiationCache

if TYPE_CHECKING:
    from ..state import Service

Fields = tuple[tuple[bytes, bytes], ...]


@dataclass(slots=True)
class Head:
    """Of a request. headers: names in lower case, with one Host; client, server: (host, port) or None."""

    method: str
    scheme: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    client: tuple[str, int] | None
    server: tuple[str, int] | None

    @classmethod
    def of(cls, scope: Any) -> "Head":
        """That of an ASGI scope."""
        path = scope["raw_path"].decode("latin-1")
        return cls(
            scope["method"],
            scope["scheme"],
            path,
            scope["query_string"],
            scope["headers"],
            scope.get("client"),
            scope.get("server"),
        )

    @property
    def peer(self) -> str:
        """host:port of the client, port 0 where a proxy has told it; "unix" behind a socket."""
        return peer_name(self.client[0], self.client[1]) if self.client else "unix"

    @property
    def authority(self) -> str:
        """What stands in for a Host field."""
        return peer_name(self.server[0], self.server[1]) if self.server and self.server[1] else "localhost"


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
        if self._accepted.version:
            head.append(version_field(self._accepted.version))
        return Answer(failure.status, tuple(head), body)


class RestDesk:
    """Opens the batches of one service. Their connections look after idle clients."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._proxies = Proxies(service.config.listen.trusted_proxies)
        self._proxied = bool(self._proxies)
        self._negotiated = NegotiationCache()
        self._routes: dict[str, tuple[Policy, Account]] = {}

    def believe(self, head: Head) -> None:
        """Puts what trusted proxies say in the place of what the connection says (CL-13)."""
        if not self._proxied:
            return
        found = self._proxies.believed(head.client[0] if head.client else None, head.headers)
        head.scheme = found.get("proto", head.scheme)
        if "host" in found:
            fields = [(name, value) for name, value in head.headers if name != b"host"]
            head.headers = [(b"host", found["host"].encode("latin-1")), *fields]
        if "for" in found:
            head.client = (found["for"], 0)

    def endpoint(self, head: Head) -> tuple[Endpoint | None, Route | None]:
        """The dialect that a request is in and the route that it is for; no route: it is no batch that is taken."""
        media_type = ""
        for name, value in head.headers:
            if name == b"content-type":
                media_type = value.decode("latin-1")
        found = find(head.method, head.path, media_type)
        if found is None:
            return None, None
        endpoint, root = found
        route = self._service.table.by_root(root) if root else None
        if route is not None and endpoint.name not in self._service.table.settings[route.root.decode()].dialects:
            return None, None
        return endpoint, route

    def open(self, head: Head, endpoint: Endpoint, route: Route) -> Opened | Answer:
        """The batch of a request, or what is answered in its place."""
        root = route.root.decode()
        known = self._routes.get(root)
        if known is None:
            policy = Policy.of(self._service.table.settings[root], route.limits)
            known = self._routes[root] = policy, self._service.account("rest", root)
        policy, account = known
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
        trace = ""
        for name, value in head.headers:
            if name == b"traceparent":
                trace = value.decode("latin-1")
        if (seconds := proxy_seconds(head.headers)) is not None:
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
