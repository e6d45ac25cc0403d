"""grpc.health.v1 on the native front: the status of each service, and who watches it.

grpc_health's own servicer takes time in the square of those that watch one service, when they leave (FR-15). Must never
know why a status is as it is.
"""

from typing import Any

from batchwire.core import EnvelopeError
from grpc_health.v1 import health_pb2

from .rpc_servicer import parsed

_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """names: of the services, which do not serve yet."""

    def __init__(self, *names: str) -> None:
        self._statuses: dict[str, int] = dict.fromkeys(names, _NOT_SERVING)
        self._watchers: dict[str, set[Any]] = {}  # no name without one
        self._over = False

    def serve(self) -> None:
        """All of them do, unless end() came first."""
        if not self._over:
            self._set(health_pb2.HealthCheckResponse.SERVING)

    def end(self) -> None:
        """None of them does any more, for good."""
        self._over = True
        self._set(_NOT_SERVING)

    def _set(self, status: int) -> None:
        for name in self._statuses:
            self._statuses[name] = status
            for rpc in self._watchers.get(name, ()):
                rpc.resume()

    async def check(self, rpc: Any) -> None:
        """Health.Check."""
        status = self._statuses.get(await _asked(rpc))
        if status is None:
            raise EnvelopeError(404, "UnknownService", "there is no such service")
        await rpc.write(_answer(status))

    async def watch(self, rpc: Any) -> None:
        """Health.Watch: the status, and each change; who takes them slowly gets the latest."""
        name = await _asked(rpc)
        watchers = self._watchers.setdefault(name, set())
        watchers.add(rpc)
        told: int | None = None
        try:
            while True:
                await rpc.sent()
                status = self._statuses.get(name, _UNKNOWN)
                if status == told:
                    await rpc.wait()
                else:
                    told = status
                    await rpc.write(_answer(status))
        finally:
            watchers.discard(rpc)
            if not watchers:
                self._watchers.pop(name, None)


def _answer(status: int) -> bytes:
    return bytes(health_pb2.HealthCheckResponse(status=status).SerializeToString())


async def _asked(rpc: Any) -> str:
    """The name of the service. Raises EnvelopeError."""
    message = await rpc.read()
    if message is None:
        raise EnvelopeError(501, "NoMessage", "the method takes one message")
    return str(parsed(message, health_pb2.HealthCheckRequest).service)
