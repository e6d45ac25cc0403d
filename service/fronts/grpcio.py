"""The gRPC front on grpc.aio, with raw bytes in and out: the core reads and writes the messages itself.

Maps flow control, cancellation, deadlines and status, and takes documents out of their HttpBody. A message costs as
much here as ten inner calls, so nothing is read or written that need not be. Must never create a task or future for a
call, nor look into a result.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
from batchwire.core import EnvelopeError
from batchwire.core.ledger import Batch
from batchwire.core.peers import peer_name
from google.api.httpbody_pb2 import HttpBody
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status

from ..state import Ending, stopped
from .reflection import VERSIONS, Reflection
from .rpc_desk import SERVICE, RpcDesk, parsed, status_of
from .sockets import UNIX, listening_socket

FLUSH_SECONDS = 0.1

if TYPE_CHECKING:
    from ..state import Service

Context = Any  # grpc.aio.ServicerContext; grpcio has no types
_FOREVER = 2**31 - 1
"""Milliseconds, as grpcio says that there is no bound."""


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
                ("grpc.max_connection_age_ms", int(service.config.listen.max_connection_seconds * 1000) or _FOREVER),
                ("grpc.http2.min_ping_interval_without_data_ms", int(service.config.listen.min_ping_seconds * 1000)),
                ("grpc.keepalive_permit_without_calls", 1),
            ]
        )
        self._health = HealthServicer()
        self._server.add_generic_rpc_handlers((_Handlers(service),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers(tuple(_reflection()))

    async def start(self) -> str:
        """Listens; the bound address. Raises OSError."""
        if not self._address.startswith(UNIX):
            # grpc's own error does not say why an address cannot be had.
            listening_socket(self._address, shared=self._service.config.listen.workers > 1).close()
        try:
            port = self._server.add_insecure_port(self._address)
        except RuntimeError:
            raise OSError(f"{self._address} cannot be listened on") from None
        await self._server.start()
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        if self._address.startswith(UNIX):
            return self._address
        return f"{self._address.rpartition(':')[0]}:{port}"

    async def stop(self, grace: float) -> None:
        """Takes no more RPCs; those that run may go on for `grace` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)
        # grpc's core calls an RPC ended when it has taken the answer, which may not have left the process yet.
        await asyncio.sleep(FLUSH_SECONDS)


def _reflection() -> Iterator[Any]:
    method = grpc.stream_stream_rpc_method_handler(
        Reflection().ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in VERSIONS:
        yield grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The methods of BatchService."""

    def __init__(self, service: "Service") -> None:
        self._desk = RpcDesk(service)
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

    async def _open(self, first: bytes, context: Context, execute: bool = False) -> Batch:
        try:
            return self._desk.open(first, _metadata(context), _peer(context), context.time_remaining(), execute)
        except EnvelopeError as error:
            await self._refuse(context, error)
            raise

    async def _refuse(self, context: Context, error: EnvelopeError) -> None:
        self._desk.refused(error, _peer(context))
        await _abort(context, error)

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
            body = parsed(b"" if ended else first, HttpBody)
            batch, answer_type, initial = self._desk.open_document(
                body.content_type, _metadata(context), _peer(context), context.time_remaining(), json_only
            )
        except EnvelopeError as error:
            await self._refuse(context, error)
        await context.send_initial_metadata(tuple((key.decode(), value.decode()) for key, value in initial))
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
            handler = asyncio.current_task()
            assert handler is not None
            reader = self._loop.create_task(_read(session, context, unwrap, handler))
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


async def _is_cancelled(context: Context, handler: "asyncio.Task[Any]") -> bool:
    """Whether requests have ended because the RPC was cancelled.

    grpc says the end first and the cancellation, which cancels the task of the handler, behind it; one more read
    comes back after both.
    """
    await context.read()
    return handler.cancelling() > 0


async def _read(session: Any, context: Context, unwrap: Any, handler: "asyncio.Task[Any]") -> None:
    """Feeds the request as fast as the session takes it."""
    while True:
        message = await context.read()
        if message is grpc.aio.EOF:
            if session.holds_group and await _is_cancelled(context, handler):
                return
            session.feed_end()
            return
        try:
            data = unwrap(message)
        except EnvelopeError as error:
            session.fail(error)
            return
        session.feed(data)
        await session.wait_input()


def _same(message: bytes) -> bytes:
    return message


def _data_of(message: bytes) -> bytes:
    return bytes(parsed(message, HttpBody).data)


def _peer(context: Context) -> str:
    """The client in the form of the other fronts; grpc says `ipv6:%5B::1%5D:80`."""
    family, _, name = unquote(context.peer()).partition(":")
    host, _, port = name.rpartition(":")
    return peer_name(host.strip("[]"), int(port)) if family in ("ipv4", "ipv6") else "unix"


def _metadata(context: Context) -> list[tuple[bytes, bytes]]:
    """As bytes, without binary values."""
    return [
        (key.encode(), value.encode("latin-1", "replace").strip(b" \t"))
        for key, value in context.invocation_metadata() or ()
        if isinstance(value, str)
    ]


def _close(batch: Batch, ended: str) -> None:
    last: Ending = "ok" if ended == "ok" else "cancelled"
    batch.close(last)


async def _abort_if_failed(context: Context, session: Any) -> None:
    """Ends the RPC of a finished batch that broke off. A client that is gone has ended its handler long before."""
    if session.failure is not None:
        await _abort(context, session.failure)
    if session.cancelled:
        await _abort(context, stopped(session))


async def _abort(context: Context, error: EnvelopeError) -> None:
    """Ends the RPC with google.rpc.Status details. Raises."""
    raw = rpc_status.to_status(status_of(error))
    await context.abort(raw.code, raw.details, raw.trailing_metadata)
    raise asyncio.CancelledError
