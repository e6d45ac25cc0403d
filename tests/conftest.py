"""Fixtures of the wire tests: one upstream and one gateway process per configuration and session."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator

import pytest
from harness import config
from harness.batches import FRONTS
from harness.batching import BatchingUpstream
from harness.cap import Cap
from harness.documents import WAYS
from harness.gateway import Gateway, Gateways
from harness.rules import RuleCoverage
from harness.scripted import ScriptedUpstream
from hypothesis import HealthCheck, settings

# A run of the suite repeats the one before it, on a machine of any speed; HYPOTHESIS_PROFILE=search looks for more.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the one that hears of all tests
        config.pluginmanager.register(RuleCoverage(config))


@pytest.fixture
def nothing_collected() -> Iterator[None]:
    """What is let go of only by the garbage collector stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def _things() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def _orders() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def dead_origin() -> Iterator[str]:
    """An origin whose port is taken but refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def served_by(request: pytest.FixtureRequest) -> str:
    """The front of the gateway, as [listen] names it."""
    return str(getattr(request, "param", config.NATIVE))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What runs over several clients' fronts, or is marked so, runs over both fronts of the gateway."""
    if "served_by" in metafunc.fixturenames and (
        "front" in metafunc.fixturenames or metafunc.definition.get_closest_marker("both_fronts")
    ):
        metafunc.parametrize("served_by", config.SERVED_BY, indirect=True)


@pytest.fixture(scope="session")
def _gateways(
    _things: ScriptedUpstream,
    _orders: ScriptedUpstream,
    dead_origin: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateways]:
    contract = config.contract(_things.origin, _orders.origin, dead_origin)
    with Gateways(contract, lambda: tmp_path_factory.mktemp("gateway")) as gateways:
        yield gateways


@pytest.fixture
def gateway(_gateways: Gateways, served_by: str) -> Gateway:
    """The gateway of the contract tests, see harness.config.contract."""
    return _gateways.get(served_by)


@pytest.fixture(scope="session")
def _small_gateways(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    small = config.small_limits(_things.origin)
    with Gateways(small, lambda: tmp_path_factory.mktemp("small")) as gateways:
        yield gateways


@pytest.fixture
def small_gateway(_small_gateways: Gateways, served_by: str) -> Gateway:
    """A gateway with limits that are quickly reached, see harness.config.small_limits."""
    return _small_gateways.get(served_by)


@pytest.fixture
def upstream(_things: ScriptedUpstream) -> ScriptedUpstream:
    """The upstream behind nearly all routes, without scripts and with an empty log."""
    _things.reset()
    return _things


@pytest.fixture
def orders(_orders: ScriptedUpstream) -> ScriptedUpstream:
    """The upstream behind the mount /mounted/orders/."""
    _orders.reset()
    return _orders


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    """Each front in turn."""
    return str(request.param)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way of a batch document in turn: REST, and BatchHttp of gRPC."""
    return str(request.param)


@pytest.fixture(scope="session")
def _batching() -> Iterator[BatchingUpstream]:
    with BatchingUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def _batching_orders() -> Iterator[BatchingUpstream]:
    with BatchingUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session", params=["json", "multipart"])
def batching_gateway(
    request: pytest.FixtureRequest,
    _batching: BatchingUpstream,
    _batching_orders: BatchingUpstream,
    _orders: ScriptedUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """The gateway before upstreams that take batches, for each form of these; see harness.config.batching."""
    settings = config.batching(request.param, _batching.origin, _batching_orders.origin, _orders.origin)
    with Gateway(settings, tmp_path_factory.mktemp("batching")) as running:
        yield running


@pytest.fixture(scope="session")
def json_batching(
    _batching: BatchingUpstream,
    _batching_orders: BatchingUpstream,
    _orders: ScriptedUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """batching_gateway before upstreams that take JSON batches."""
    settings = config.batching("json", _batching.origin, _batching_orders.origin, _orders.origin)
    with Gateway(settings, tmp_path_factory.mktemp("batching-json")) as running:
        yield running


@pytest.fixture(scope="session", params=["json", "multipart"])
def narrow_coalesced(
    request: pytest.FixtureRequest, _batching: BatchingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """20 calls a batch travel together to `things`, and an answer may have 20,000 bytes."""
    upstreams = {"things": {"url": _batching.origin + "/", "batch": request.param, "coalesce": 20}}
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    settings = config.make(upstreams, routes, {"max_response_bytes": 20_000})
    with Gateway(settings, tmp_path_factory.mktemp("narrow-coalesced")) as running:
        yield running


@pytest.fixture
def things(_batching: BatchingUpstream) -> BatchingUpstream:
    """The upstream of batching_gateway, without scripts and with an empty log."""
    _batching.reset()
    return _batching


@pytest.fixture(scope="session")
def ways_gateway(
    _things: ScriptedUpstream, _orders: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with a route for each way of clients, see harness.config.clients."""
    with Gateway(config.clients(_things.origin, _orders.origin), tmp_path_factory.mktemp("ways")) as running:
        yield running


@pytest.fixture(scope="session")
def trusting_gateway(
    _things: ScriptedUpstream, _orders: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """The same, behind proxies that it trusts."""
    settings = config.clients(_things.origin, _orders.origin, trusted_proxies=["127.0.0.0/8", "10.0.0.0/8", "::1"])
    with Gateway(settings, tmp_path_factory.mktemp("trusting")) as running:
        yield running


@pytest.fixture
def batching_orders(_batching_orders: BatchingUpstream) -> BatchingUpstream:
    """The upstream that takes batches behind the mount /svc/orders/ of batching_gateway."""
    _batching_orders.reset()
    return _batching_orders


@pytest.fixture(scope="session")
def _cap() -> Iterator[Cap]:
    with Cap() as server:
        yield server


@pytest.fixture
def cap(_cap: Cap) -> Cap:
    """A real OData server with an empty database; skipped where Node.js is missing, failed there when CI is true."""
    _cap.clear()
    return _cap
