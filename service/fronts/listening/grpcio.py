"""The gRPC front on grpc.aio, with raw bytes in and out: a thin shell over rpc_batch.py.

Maps flow control, cancellation, deadlines and status. A message costs as much here as ten inner calls, so nothing is
read or written that need not be.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
from batchwire.core import EnvelopeError
from batchwire.core.peers import peer_name
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status

from ...state import Ending
from ..rpc.pieces import joined
from ..rpc.reflection import VERSIONS, Reflection
from ..rpc.rpc_batch import METHODS, RpcBatch
from ..rpc.rpc_servicer import SERVICE, RpcServicer, status_of
from .sockets import UNIX, listening_socket

FLUSH_SECONDS = 0.1

if TYPE_CHECKING:
    from ...state import Service

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
        self._health = health.aio.HealthServicer()
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

    async def retire(self) -> None:
        """Fails health checks; grpcio has no way to ask clients to go before stop()."""
        await self._health.enter_graceful_shutdown()

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
        self._servicer = RpcServicer(service)
        self._loop = service.loop
        self._idle_seconds = service.config.limits.client_idle_seconds
        self._methods = {f"/{SERVICE}/Execute": grpc.unary_unary_rpc_method_handler(self._execute)}
        for name in METHODS:
            if name != "Execute":
                handler = grpc.stream_stream_rpc_method_handler(partial(self._stream, name))
                self._methods[f"/{SERVICE}/{name}"] = handler

    def service(self, details: Any) -> Any:
        """The handler of a method; called by grpc."""
        return self._methods.get(details.method)

    def _call(self, method: str, context: Context) -> RpcBatch:
        return RpcBatch(self._servicer, method, _metadata(context), _peer(context), context.time_remaining())

    async def _execute(self, request: bytes, context: Context) -> bytes:
        call, answer = self._call("Execute", context), b""
        ended: Ending = "cancelled"
        try:
            call.feed(request)
            call.feed_end()
            async for pieces in call.answer():
                answer = await joined(pieces)
            ended = "ok"
        except EnvelopeError as error:
            await _end(call, context, error)
        finally:
            call.close(ended)
        return answer

    async def _stream(self, method: str, _requests: Any, context: Context) -> None:
        """Moves messages both ways until the session has finished."""
        first = await context.read()
        call, reader = self._call(method, context), None
        ended: Ending = "cancelled"
        try:
            if first is grpc.aio.EOF:
                call.feed_end()
            else:
                call.feed(first)
                handler = asyncio.current_task()
                assert handler is not None
                reader = self._loop.create_task(_read(call, context, handler))
            if call.initial:
                await context.send_initial_metadata([(key.decode(), value.decode()) for key, value in call.initial])
            async for pieces in call.answer():
                message = await joined(pieces)
                # grpc does not let go of a write: the batch ends beside it, the call when the client takes or goes.
                stuck = self._loop.call_later(self._idle_seconds, call.stalled)
                try:
                    await context.write(message)
                finally:
                    stuck.cancel()
            ended = "ok"
        except EnvelopeError as error:
            await _end(call, context, error)
        except grpc.aio.InternalError:
            # The client went while a message was on its way to it, and grpc says that before it cancels the handler.
            raise asyncio.CancelledError from None
        finally:
            if reader is not None:
                reader.cancel()
            call.close(ended)


async def _is_cancelled(context: Context, handler: "asyncio.Task[Any]") -> bool:
    """Whether requests have ended because the RPC was cancelled.

    grpc says the end first and the cancellation, which cancels the task of the handler, behind it; one more read
    comes back after both.
    """
    await context.read()
    return handler.cancelling() > 0


async def _read(call: RpcBatch, context: Context, handler: "asyncio.Task[Any]") -> None:
    """Feeds the request behind its first message as fast as the session takes it."""
    assert call.batch is not None
    session = call.batch.session
    while True:
        await session.wait_input()
        message = await context.read()
        try:
            if message is not grpc.aio.EOF:
                call.feed(message)
                continue
            if not (session.holds_group and await _is_cancelled(context, handler)):
                call.feed_end()
        except EnvelopeError as error:
            call.failed(error)
        return


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


async def _end(call: RpcBatch, context: Context, error: EnvelopeError) -> None:
    """Ends the RPC with google.rpc.Status details. A client that is gone has ended its handler long before. Raises."""
    if call.batch is None:
        call.failed(error)
    call.close("ok")  # which its session knows better
    raw = rpc_status.to_status(status_of(error))
    await context.abort(raw.code, raw.details, raw.trailing_metadata)
    raise asyncio.CancelledError
