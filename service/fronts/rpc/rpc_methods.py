"""Health and reflection of gRPC on the native front, by the servicers that grpcio's packages bring.

They are not hot. Must never be used for a batch.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from batchwire.core import EnvelopeError
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from .reflection import HEALTH, VERSIONS, Reflection
from .rpc_servicer import parsed

Method = Callable[[Any], Awaitable[None]]
"""Takes a core.front.python_rpc.PythonRpc."""


class StatusError(Exception):
    """Ends a call with a status. code: of gRPC."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Context:
    """What the servicers use of grpc's ServicerContext."""

    def __init__(self, rpc: Any) -> None:
        self._rpc = rpc

    async def write(self, message: Message) -> None:
        await self._rpc.write(message.SerializeToString())

    async def abort(self, code: Any, details: str = "") -> None:
        raise StatusError(code.value[0], details or code.value[1])


def health_methods(servicer: health.aio.HealthServicer) -> dict[str, Method]:
    """grpc.health.v1: path → method."""

    async def check(rpc: Any) -> None:
        answer = await servicer.Check(await _only(rpc, health_pb2.HealthCheckRequest), _Context(rpc))
        await rpc.write(answer.SerializeToString())

    async def watch(rpc: Any) -> None:
        await servicer.Watch(await _only(rpc, health_pb2.HealthCheckRequest), _Context(rpc))

    return {f"/{HEALTH}/Check": check, f"/{HEALTH}/Watch": watch}


def reflection_methods() -> dict[str, Method]:
    """grpc.reflection, v1alpha and v1: path → method."""
    servicer = Reflection()

    async def info(rpc: Any) -> None:
        requests = _each(rpc, reflection_pb2.ServerReflectionRequest)
        async for answer in servicer.ServerReflectionInfo(requests, _Context(rpc)):
            await rpc.write(answer.SerializeToString())

    return {f"/{name}/ServerReflectionInfo": info for name in VERSIONS}


async def _only(rpc: Any, kind: Any) -> Any:
    message = await rpc.read()
    if message is None:
        raise EnvelopeError(501, "NoMessage", "the method takes one message")
    return parsed(message, kind)


async def _each(rpc: Any, kind: Any) -> AsyncIterator[Any]:
    while (message := await rpc.read()) is not None:
        yield parsed(message, kind)
