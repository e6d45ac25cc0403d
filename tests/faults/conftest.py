"""Fixtures of the fault tests: the misbehaving upstream and a gateway with short times before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import config
from harness.faulty import FaultyUpstream
from harness.gateway import Gateway, Gateways
from harness.scripted import ScriptedUpstream


@pytest.fixture(scope="session")
def faulty() -> Iterator[FaultyUpstream]:
    with FaultyUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def _fault_gateways(
    faulty: FaultyUpstream,
    _things: ScriptedUpstream,
    dead_origin: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateways]:
    upstreams = {
        "faulty": {"url": faulty.origin + "/", "call_timeout_seconds": 1},
        "good": {"url": _things.origin + "/", "call_timeout_seconds": 20},
        "dead": {"url": dead_origin + "/"},
    }
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "faulty", "default": True},
        {"root": "/good/", "upstream": "good"},
        {"root": "/flow/", "upstream": "good", "streaming_threshold": 0},
        {
            "root": "/mixed/",
            "upstream": "good",
            "mounts": [
                {"prefix": "/mixed/dead/", "upstream": "dead"},
                {"prefix": "/mixed/faulty/", "upstream": "faulty"},
            ],
        },
    ]
    settings = config.make(upstreams, routes, {"max_response_bytes": 200_000})
    with Gateways(settings, lambda: tmp_path_factory.mktemp("faults")) as gateways:
        yield gateways


@pytest.fixture
def fault_gateway(_fault_gateways: Gateways, served_by: str) -> Gateway:
    """/svc/ leads to the misbehaving upstream, /good/ to the scripted one, /mixed/ to both and a dead one.

    A call may take 1 s at /svc/ and 20 s at /good/; an answer may have 200,000 bytes.
    """
    return _fault_gateways.get(served_by)
