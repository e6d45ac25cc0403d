"""How a gRPC call becomes a batch, and an error its status: the same for every gRPC front.

Reads the first message and the metadata only. Must never know how messages travel.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from batchwire.core import BatchHead, EnvelopeError, Route
from batchwire.core.errors import quoted
from batchwire.core.front.deadlines import early, proxy_seconds
from batchwire.core.front.forwarded_names import ForwardedNames
from batchwire.core.front.route_entry import RouteEntry
from batchwire.core.front.rpc_opener import RpcOpener
from batchwire.core.ledger import Batch
from batchwire.core.peers import peer_name
from batchwire.v1 import batch_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from ...config import RouteSettings
from ..batches.endpoints import BY_NAME, Endpoint
from ..batches.inheritance import forwarding, is_http
from ..batches.negotiation import Accepted, OuterRequest, Policy, Refusal
from ..http.forwarded import Proxies

if TYPE_CHECKING:
    from ...state import Service

Parsed = TypeVar("Parsed", bound=Message)

SERVICE = batch_pb2.DESCRIPTOR.services_by_name["BatchService"].full_name
MAX_MESSAGE = 250
"""Status and details travel as metadata, which clients bound by 8 KiB: a longer message would end the RPC with another
status. An id in it may have any length."""
Metadata = Sequence[tuple[bytes, bytes]]
"""Names in lower case; binary values (names that end in "-bin") are of no use to a batch."""

_CODES = {
    404: code_pb2.NOT_FOUND,
    408: code_pb2.DEADLINE_EXCEEDED,
    413: code_pb2.RESOURCE_EXHAUSTED,
    429: code_pb2.RESOURCE_EXHAUSTED,
    500: code_pb2.INTERNAL,
    501: code_pb2.UNIMPLEMENTED,
    503: code_pb2.UNAVAILABLE,
    508: code_pb2.FAILED_PRECONDITION,
}


def parsed(message: bytes, kind: type[Parsed]) -> Parsed:
    """Here and not by a front's library, which would tell the client nothing of what is wrong. Raises EnvelopeError."""
    try:
        return kind.FromString(message)
    except DecodeError:
        raise EnvelopeError(400, "BadMessage", "the message is not a valid protobuf message") from None


def status_of(error: EnvelopeError) -> status_pb2.Status:
    """The google.rpc.Status of an error, with its details."""
    message = error.message if len(error.message) <= MAX_MESSAGE else error.message[: MAX_MESSAGE - 1] + "…"
    status = status_pb2.Status(code=_CODES.get(error.status, code_pb2.INVALID_ARGUMENT), message=message)
    started = {"calls_started": str(error.started)} if error.started else {}
    details = [error_details_pb2.ErrorInfo(reason=error.code, domain="batchwire", metadata=started)]
    if error.target:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.target, description=message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


class RpcServicer:
    """Opens the batches of one service.

    max_message: bytes of the longest message taken; request_bound: PL-13; idle_seconds: that one may wait for others.
    """

    def __init__(self, service: "Service", *, watched: bool = True) -> None:
        """watched: of the sessions."""
        self._service = service
        self._watched = watched
        self.max_message = service.config.limits.grpc_max_message_bytes
        self._proxies = Proxies(service.config.listen.trusted_proxies)
        self._proxied = bool(self._proxies)
        self.request_bound = service.config.limits.max_request_bytes_in_process
        self.idle_seconds = service.config.limits.client_idle_seconds
        self.opener = RpcOpener(service.ledger, self._named, self._client if self._proxied else None)
        self._routes: dict[Route, RouteEntry] = {}

    def open(self, first: bytes, metadata: Metadata, peer: str, remaining: float | None, execute: bool) -> Batch:
        """A batch of the protobuf dialect. remaining: seconds to the call's deadline. Raises EnvelopeError."""
        return self.opener.open(first, metadata, peer, -1 if remaining is None else remaining, execute)

    def open_document(
        self, content_type: str, metadata: Metadata, peer: str, remaining: float | None, json_only: bool
    ) -> tuple[Batch, str, list[tuple[bytes, bytes]]]:
        """A batch given as a document (batch.proto, BatchJson and BatchHttp): metadata stands for the HTTP headers.

        Gives the batch, the content type of its answer and the initial metadata. Raises EnvelopeError.
        """
        fields = [(name, value) for name, value in metadata if is_http(name)]
        fields.append((b"content-type", (content_type or "application/json").encode("latin-1", "replace")))
        names = dict(fields)
        route = self._route(names.get(b"batchwire-route", b"").decode("latin-1"))
        root = route.root.decode()
        settings = self._service.table.settings[root]
        if names.get(b"content-encoding", b"").strip().lower() not in (b"", b"identity"):
            message = "a document in messages must not have a content-encoding: gRPC compresses messages itself"
            raise EnvelopeError(415, "UnsupportedContentEncoding", message, "content-encoding", root)
        endpoint = _endpoint(names.get(b"batchwire-dialect", b"odata").decode("latin-1"), settings)
        outcome = endpoint.negotiate(OuterRequest("POST", "http", b"", fields), Policy.of(settings, route.limits))
        if isinstance(outcome, Refusal):
            raise EnvelopeError(outcome.status, outcome.code, outcome.message, route=root)
        assert isinstance(outcome, Accepted)
        if json_only and (outcome.dialect, outcome.answer) != ("json", "json"):
            raise EnvelopeError(415, "UnsupportedMediaType", "BatchJson takes and gives JSON only", route=root)
        trace = names.get(b"traceparent", b"").decode("latin-1")
        batch_head = outcome.batch_head()
        batch_head.watched = self._watched
        if (seconds := proxy_seconds(metadata)) is not None:
            batch_head.answer_deadline = early(seconds)
        batch = self.opener.begin(
            self._entry(route),
            batch_head,
            self._client(peer, metadata),
            trace,
            -1 if remaining is None else remaining,
        )
        answer = dict(outcome.answer_headers)
        initial = [(name, value) for name, value in answer.items() if name != b"content-type"]
        return batch, answer.get(b"content-type", b"application/json").decode(), initial

    def _client(self, peer: str, metadata: Metadata) -> str:
        """Who is behind the proxy that calls, where that is a trusted one (CL-13)."""
        if not self._proxied:
            return peer
        found = self._proxies.believed(None if peer == "unix" else peer.rpartition(":")[0].strip("[]"), metadata)
        return peer_name(found["for"], 0) if "for" in found else peer

    def _named(self, name: str) -> RouteEntry:
        return self._entry(self._route(name))

    def _entry(self, route: Route) -> RouteEntry:
        found = self._routes.get(route)
        if found is None:
            root = route.root.decode()
            settings = self._service.table.settings[root]
            head = BatchHead(dialect="proto", authority=settings.public_origins(), watched=self._watched)
            wanted = forwarding(settings.forward_headers, settings.drop_headers, settings.keep_headers)
            forwarded = ForwardedNames(wanted.wants_metadata)
            found = self._routes[route] = RouteEntry(route, self._service.account("grpc", root), head, forwarded)
        return found

    def refused(self, error: EnvelopeError, peer: str) -> None:
        """A call ends with this error before its batch was opened; said by the front, once (OP-14)."""
        self._service.refused("grpc", error.route, error.status, error.code, peer)

    @contextlib.contextmanager
    def at_the_door(self, peer: str) -> Iterator[None]:
        """What is raised in here refuses the call of an HTTP request."""
        try:
            yield
        except EnvelopeError as error:
            self.refused(error, peer)
            raise

    def _route(self, root: str) -> Route:
        route = self._service.table.by_root(root)
        if route is None:
            message = f"there is no route {quoted(root)!r}" if root else "the batch must name a route"
            raise EnvelopeError(404, "UnknownRoute", message, "options.route")
        return route


def _endpoint(name: str, settings: RouteSettings) -> Endpoint:
    found = BY_NAME.get(name)
    if found is None or name not in settings.dialects:
        message = f"the dialects are {', '.join(settings.dialects)}"
        raise EnvelopeError(400, "UnknownDialect", message, "batchwire-dialect", settings.root)
    return found
