"""Which listeners the configuration asks for, and the front behind each.

The native front where it was built, else the two others. Must never start anything.
"""

import importlib
from typing import TYPE_CHECKING, Protocol

import structlog

from ...config import ConfigurationError, Listen
from .tls import ListenerTls

if TYPE_CHECKING:
    from ...state import Service

_log = structlog.get_logger("batchwire")


class Front(Protocol):
    """A listener and the batches that come through it."""

    async def start(self) -> str:
        """Listens; the address that is really bound."""

    async def retire(self) -> None:
        """Fails health checks and tells clients to go elsewhere, but serves those that come."""

    async def stop(self, grace: float) -> None:
        """Takes no more batches; returns when those that run have ended, or have been cut after `grace` seconds."""


def native_is_built() -> bool:
    """Whether libnghttp2 was there when the core was compiled, and is here now."""
    return _import_error() is None


def why_not_native() -> str:
    """Why the native front cannot be used; "" if it can."""
    if native_is_built():
        return ""
    error = _import_error()
    if error is None or isinstance(error, ModuleNotFoundError):
        return "the native front was not built (libnghttp2 was missing)"
    return f"the native front cannot be loaded ({error})"


def _import_error() -> ImportError | None:
    try:
        importlib.import_module("batchwire.core.front.http2")
    except ImportError as error:
        return error
    return None


def check(listen: Listen) -> None:
    """Raises ConfigurationError for what only the native front can do, where there is none."""
    why = why_not_native() if listen.front == "native" else ""
    if listen.tls.cert_file and why:
        raise ConfigurationError(f"listen.tls: needs the native front; {why}")
    if why and listen.grpc == listen.http and not listen.http.endswith(":0"):
        raise ConfigurationError(f"listen: grpc and http cannot share an address; {why}")


def make(service: "Service") -> list[tuple[str, Front]]:
    """(name, front) of each listener. Raises ConfigurationError."""
    listen = service.config.listen
    check(listen)
    if listen.front == "grpcio":
        return _separate(service)
    if why := why_not_native():
        _log.warning(f"{why}; going on with grpcio's")
        return _separate(service)
    return _native(service)


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
