"""Which listeners the configuration asks for, and the front behind each.

The native front where it was built, else the two others. Must never start anything.
"""

import importlib.util
from typing import TYPE_CHECKING, Protocol

import structlog

from ..config import ConfigurationError
from .tls import ListenerTls

if TYPE_CHECKING:
    from ..state import Service

_log = structlog.get_logger("batchwire")


class Front(Protocol):
    """A listener and the batches that come through it."""

    async def start(self) -> str:
        """Listens; the address that is really bound."""

    async def stop(self, grace: float) -> None:
        """Takes no more batches; returns when those that run have ended, or have been cut after `grace` seconds."""


def native_is_built() -> bool:
    """Whether libnghttp2 was there when the core was compiled."""
    return importlib.util.find_spec("batchwire.core.front.http2") is not None


def make(service: "Service") -> list[tuple[str, Front]]:
    """(name, front) of each listener. Raises ConfigurationError."""
    listen = service.config.listen
    if listen.front == "native" and native_is_built():
        return _native(service)
    if listen.tls.cert_file:
        raise ConfigurationError("listen.tls: needs the native front, which was not built (libnghttp2 was missing)")
    if listen.front == "native":
        _log.warning("the native front was not built (libnghttp2 was missing); going on with grpcio's")
    return _separate(service)


def _native(service: "Service") -> list[tuple[str, Front]]:
    from .native import NativeFront

    listen = service.config.listen
    tls = ListenerTls(listen.tls, service.loop) if listen.tls.cert_file else None
    if listen.grpc == listen.http and not listen.http.endswith(":0"):
        return [("all", NativeFront(service, listen.http, tls))]
    addresses = {"grpc": listen.grpc, "http": listen.http}
    return [(name, NativeFront(service, address, tls)) for name, address in addresses.items() if address]


def _separate(service: "Service") -> list[tuple[str, Front]]:
    from .grpcio import GrpcFront
    from .rest import RestFront

    listen = service.config.listen
    fronts: list[tuple[str, Front]] = []
    if listen.grpc:
        fronts.append(("grpc", GrpcFront(service, listen.grpc)))
    if listen.http:
        fronts.append(("http", RestFront(service, listen.http)))
    return fronts
