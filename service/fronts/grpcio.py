"""The gRPC front on grpc.aio, with raw bytes in and out: the core reads and writes the messages itself.

Maps flow control, cancellation, deadlines and status, and takes documents out of their HttpBody. A message costs as
much here as ten inner calls, so nothing is read or written that need not be. Must never create a task or future for a
call, nor look into a result.
"""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from batchwire.core import EnvelopeError, Route, peek_options
from batchwire.v1 import batch_pb2
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from ..state import Batch, Ending, TooManyBatchesError, stopped
from .endpoints import BY_NAME, Endpoint
from .negotiation import HOP_HEADER, Accepted, OuterRequest, Policy, Refusal

if TYPE_CHECKING:
    from ..state import Service

SERVICE = batch_pb2.DESCRIPTOR.services_by_name["BatchService"].full_name
# Status and details travel as metadata, which clients bound by 8 KiB: a longer message would end the RPC with another
# status. An id in it may have any length.
MAX_MESSAGE = 250
# What a deadline leaves for sending the 504s of the late calls before the client gives up.
DEADLINE_MARGIN = 0.05
_CODES = {
    404: code_pb2.NOT_FOUND,
    408: code_pb2.DEADLINE_EXCEEDED,
    413: code_pb2.RESOURCE_EXHAUSTED,
    429: code_pb2.RESOURCE_EXHAUSTED,
    503: code_pb2.UNAVAILABLE,
    508: code_pb2.FAILED_PRECONDITION,
}
_PASSED_ON = ("traceparent", "tracestate")
Context = Any  # grpc.aio.ServicerContext; grpcio has no types


class GrpcFront:
    """A gRPC listener. address: "host:port", port 0 for any; or "unix:/path"."""

    def __init__(self, service: "Service", address: str) -> None:
        self._service = service
        self._address = address
        largest = service.config.limits.grpc_max_message_bytes
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 1 if service.config.listen.workers > 1 else 0),
                ("grpc.max_receive_message_length", largest),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", service.config.limits.max_header_bytes),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ]
        )
        self._health = HealthServicer()
        self._server.add_generic_rpc_handlers((_Handlers(service),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self) -> str:
        """Listens; the bound address. Raises OSError."""
        try:
            port = self._server.add_insecure_port(self._address)
        except RuntimeError:
            raise OSError(f"{self._address} cannot be listened on") from None
        await self._server.start()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if self._address.startswith("unix:"):
            return self._address
        return f"{self._address.rpartition(':')[0]}:{port}"

    async def stop(self, grace: float) -> None:
        """Takes no more RPCs; those that run may go on for `grace` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The methods of BatchService."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._loop = service.loop
        self._methods = {
            f"/{SERVICE}/Batch": grpc.stream_stream_rpc_method_handler(self._batch),
            f"/{SERVICE}/Execute": grpc.unary_unary_rpc_method_handler(self._execute),
            f"/{SERVICE}/BatchJson": grpc.stream_stream_rpc_method_handler(
                partial(self._batch_document, json_only=True)
            ),
            f"/{SERVICE}/BatchHttp": grpc.stream_stream_rpc_method_handler(
                partial(self._batch_document, json_only=False)
            ),
        }

    def service(self, details: Any) -> Any:
        """The handler of a method; called by grpc."""
        return self._methods.get(details.method)

    # --- methods

    async def _execute(self, request: bytes, context: Context) -> bytes:
        batch = await self._open(request, context, execute=True)
        session, ended = batch.session, "cancelled"
        try:
            session.feed(request)
            session.feed_end()
            await session.wait_output()
            answer: list[bytes] = []
            while (chunk := session.take()) is not None:
                answer.append(chunk)
            ended = "ok"
            await _abort_if_failed(context, session)
            return answer[0] if len(answer) == 1 else b"".join(answer)
        finally:
            _close(batch, ended)

    async def _batch(self, _requests: Any, context: Context) -> None:
        first = await context.read()
        message = b"" if first is grpc.aio.EOF else first
        batch = await self._open(message, context)
        batch.session.feed(message)
        await self._stream(batch, context, first is grpc.aio.EOF, _same, _same)

    async def _batch_document(self, _requests: Any, context: Context, json_only: bool) -> None:
        first = await context.read()
        ended = first is grpc.aio.EOF
        try:
            body = _document(b"" if ended else first)
        except EnvelopeError as error:
            await _abort(context, error)
        batch, answer_type = await self._open_document(body, context, json_only)
        if not ended:
            batch.session.feed(body.data)

        def wrapped(chunk: bytes) -> bytes:
            return bytes(HttpBody(content_type=answer_type, data=chunk).SerializeToString())

        await self._stream(batch, context, ended, _data_of, wrapped)

    async def _stream(self, batch: Batch, context: Context, input_ended: bool, unwrap: Any, wrap: Any) -> None:
        """Moves bytes both ways until the session has finished."""
        session, ended = batch.session, "cancelled"
        reader = None
        if input_ended:
            session.feed_end()
        else:
            reader = self._loop.create_task(_read(session, context, unwrap))
        try:
            while True:
                await session.wait_output()
                # One at a time: what comes in while a message is written need not be worth one yet.
                if (chunk := session.take()) is not None:
                    await context.write(wrap(chunk))
                elif session.finished:
                    break
            ended = "ok"
            await _abort_if_failed(context, session)
        finally:
            if reader is not None:
                reader.cancel()
            _close(batch, ended)

    # --- opening

    async def _open(self, first: bytes, context: Context, execute: bool = False) -> Batch:
        try:
            options = peek_options(first)
            route = self._route(options["route"])
        except EnvelopeError as error:
            await _abort(context, error)
        headers, authorization, hops = _metadata(context)
        if hops > route.limits.max_hops:
            await _abort(context, EnvelopeError(508, "LoopDetected", "the batch has passed through too many gateways"))
        return await self._begin(
            context,
            route,
            dict(headers).get(b"traceparent", b"").decode("latin-1"),
            dialect="proto",
            strict=True,
            authority=self._service.table.settings[route.root.decode()].public_origin(),
            headers=headers,
            authorization=authorization,
            hops=hops,
            execute=execute,
        )

    async def _open_document(self, first: HttpBody, context: Context, json_only: bool) -> tuple[Batch, str]:
        """Metadata stands for the HTTP headers (batch.proto, BatchJson and BatchHttp)."""
        fields = [
            (key.encode(), value.encode("latin-1", "replace"))
            for key, value in context.invocation_metadata() or ()
            if isinstance(value, str) and key not in ("content-type", "user-agent", "host")
        ]
        fields.append((b"content-type", (first.content_type or "application/json").encode("latin-1", "replace")))
        names = dict(fields)
        try:
            route = self._route(names.get(b"batchwire-route", b"").decode("latin-1"))
            endpoint = _endpoint(names.get(b"batchwire-dialect", b"odata").decode("latin-1"))
        except EnvelopeError as error:
            await _abort(context, error)
        settings = self._service.table.settings[route.root.decode()]
        outcome = endpoint.negotiate(OuterRequest("POST", "http", b"", fields), Policy.of(settings, route.limits))
        if isinstance(outcome, Refusal):
            await _abort(context, EnvelopeError(outcome.status, outcome.code, outcome.message))
        assert isinstance(outcome, Accepted)
        if json_only and (outcome.dialect, outcome.answer) != ("json", "json"):
            await _abort(context, EnvelopeError(415, "UnsupportedMediaType", "BatchJson takes and gives JSON only"))
        batch = await self._begin(
            context, route, names.get(b"traceparent", b"").decode("latin-1"), **outcome.session_arguments()
        )
        answer = dict(outcome.answer_headers)
        await context.send_initial_metadata(
            tuple((key.decode(), value.decode()) for key, value in answer.items() if key != b"content-type")
        )
        return batch, answer.get(b"content-type", b"application/json").decode()

    async def _begin(self, context: Context, route: Route, trace: str, **arguments: Any) -> Batch:
        remaining = context.time_remaining()
        if remaining is not None:
            arguments["deadline"] = max(remaining - min(DEADLINE_MARGIN, remaining / 4), 0.001)
        if self._service.draining:
            await _abort(context, EnvelopeError(503, "Draining", "the gateway is stopping"))
        try:
            batch = self._service.open_batch("grpc", route, context.peer(), trace, **arguments)
        except TooManyBatchesError as error:
            await _abort(context, EnvelopeError(429, "TooManyBatches", str(error)))
        return batch

    def _route(self, root: str) -> Route:
        route = self._service.table.by_root(root)
        if route is None:
            message = f"there is no route {root!r}" if root else "the batch must name a route"
            raise EnvelopeError(404, "UnknownRoute", message, "options.route")
        return route


async def _read(session: Any, context: Context, unwrap: Any) -> None:
    """Feeds the request as fast as the session takes it."""
    while True:
        message = await context.read()
        if message is grpc.aio.EOF:
            session.feed_end()
            return
        try:
            data = unwrap(message)
        except EnvelopeError as error:
            session.fail(error)
            return
        session.feed(data)
        await session.wait_input()


def _endpoint(name: str) -> Endpoint:
    found = BY_NAME.get(name)
    if found is None:
        raise EnvelopeError(400, "UnknownDialect", f"the dialects are {', '.join(BY_NAME)}", "batchwire-dialect")
    return found


def _same(message: bytes) -> bytes:
    return message


def _document(message: bytes) -> HttpBody:
    """Parsed here and not by grpc, which would tell the client nothing of what is wrong."""
    try:
        return HttpBody.FromString(message)
    except DecodeError:
        raise EnvelopeError(400, "BadMessage", "the message is not a valid protobuf message") from None


def _data_of(message: bytes) -> bytes:
    return bytes(_document(message).data)


def _metadata(context: Context) -> tuple[list[tuple[bytes, bytes]], bytes | None, int]:
    """Inherited headers, authorization and the number of the next hop."""
    headers, authorization, hops = [], None, 0
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, bytes):
            continue
        if key in _PASSED_ON:
            headers.append((key.encode(), value.encode("latin-1", "replace")))
        elif key == "authorization":
            authorization = value.encode("latin-1", "replace")
        elif key == HOP_HEADER and value.isdigit():
            hops = int(value[:6])
    return headers, authorization, hops + 1


def _close(batch: Batch, ended: str) -> None:
    last: Ending = "ok" if ended == "ok" else "cancelled"
    batch.close(last)


async def _abort_if_failed(context: Context, session: Any) -> None:
    """Ends the RPC of a finished batch that broke off. A client that is gone has ended its handler long before."""
    if session.failure is not None:
        await _abort(context, session.failure)
    if session.cancelled:
        await _abort(context, stopped())


async def _abort(context: Context, error: EnvelopeError) -> None:
    """Ends the RPC with google.rpc.Status details. Raises."""
    message = error.message if len(error.message) <= MAX_MESSAGE else error.message[: MAX_MESSAGE - 1] + "…"
    status = status_pb2.Status(code=_CODES.get(error.status, code_pb2.INVALID_ARGUMENT), message=message)
    details = [error_details_pb2.ErrorInfo(reason=error.code, domain="batchwire")]
    if error.target:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.target, description=message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    raw = rpc_status.to_status(status)
    await context.abort(raw.code, raw.details, raw.trailing_metadata)
    raise asyncio.CancelledError
