"""Health and reflection of gRPC on the native front: which methods they are, by their paths (FR-15).

They are not hot. Must never be used for a batch.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from grpc_reflection.v1alpha import reflection_pb2

from .health import Health
from .reflection import HEALTH, VERSIONS, Reflection
from .rpc_servicer import parsed


class Method(NamedTuple):
    """run: takes a core.front.python_rpc.PythonRpc. long: whether a call lasts as long as its client likes."""

    run: Callable[[Any], Awaitable[None]]
    long: bool


def health_methods(health: Health) -> dict[str, Method]:
    """grpc.health.v1: path → method."""
    return {f"/{HEALTH}/Check": Method(health.check, long=False), f"/{HEALTH}/Watch": Method(health.watch, long=True)}


def reflection_methods() -> dict[str, Method]:
    """grpc.reflection, v1alpha and v1: path → method."""
    reflection = Reflection()

    async def info(rpc: Any) -> None:
        while (message := await rpc.read()) is not None:
            await rpc.write(await reflection.pieces(parsed(message, reflection_pb2.ServerReflectionRequest)))

    return {f"/{name}/ServerReflectionInfo": Method(info, long=True) for name in VERSIONS}
