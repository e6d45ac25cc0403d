"""Which fronts the configuration gives, also where the native one was not built."""

import asyncio
from typing import Any

import pytest
from batchwire.service import config
from batchwire.service.fronts.listening import listeners
from batchwire.service.metrics import Metrics
from batchwire.service.routes import RouteTable
from batchwire.service.state import Service
from structlog.testing import capture_logs


def made(**listen: Any) -> list[tuple[str, str]]:
    """Name and class of each listener."""

    async def make() -> list[tuple[str, str]]:
        route = config.one_route("http://127.0.0.1:9/", "", "/svc/")
        settings = config.load(None, {**route, "listen": listen})
        loop = asyncio.get_running_loop()
        table = RouteTable(settings, loop)
        fronts = listeners.make(Service(settings, table, Metrics(), loop))
        await table.stop()
        return [(name, type(front).__name__) for name, front in fronts]

    return asyncio.run(make())


def test_each_address_has_a_listener_of_everything() -> None:
    assert made() == [("grpc", "NativeFront"), ("http", "NativeFront")]
    assert made(grpc="") == [("http", "NativeFront")]


def test_one_address_for_both_is_one_listener() -> None:
    assert made(grpc="127.0.0.1:8080", http="127.0.0.1:8080") == [("all", "NativeFront")]
    assert len(made(grpc="127.0.0.1:0", http="127.0.0.1:0")) == 2


def test_grpcio_when_it_is_asked_for() -> None:
    assert made(front="grpcio") == [("grpc", "GrpcFront"), ("http", "RestFront")]


def test_grpcio_where_the_native_front_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "native_is_built", lambda: False)
    with capture_logs() as lines:
        assert made() == [("grpc", "GrpcFront"), ("http", "RestFront")]
    [line] = lines
    assert line["log_level"] == "warning"
    assert "libnghttp2" in line["event"]


def test_tls_is_not_dropped_where_the_native_front_was_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "native_is_built", lambda: False)
    with pytest.raises(config.ConfigurationError, match=r"listen\.tls"):
        made(tls={"cert_file": "a.pem", "key_file": "a.key"})
