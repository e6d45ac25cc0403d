"""Fixtures of the attacks on the native front: a gateway with short times, and what must be true after each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from harness import config, http2
from harness.canary import Canary
from harness.gateway import Gateway
from harness.native import attackable, nothing_is_left, room_for_files
from harness.scripted import Gate, ScriptedUpstream, json_reply

MEMORY = 48 << 20
"""How much a gateway may grow by under an attack that, if it were not bounded, would cost it far more."""


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def end() -> Iterator[threading.Event]:
    """The end of the slow clients, whatever becomes of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(scope="session")
def attacked(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway under attack, see harness.native."""
    room_for_files()
    with Gateway(attackable(_things.origin), tmp_path_factory.mktemp("attacked")) as running:
        # The first requests load what later ones need.
        with http2.Raw(running.http_port) as raw:
            assert raw.exchange(1, http2.request()).status == 200
        yield running


@pytest.fixture(scope="module")
def nothing_left(attacked: Gateway) -> Iterator[None]:
    """After the tests of a file, the gateway has nothing open that it had not before, and no traceback in its log."""
    attacked.wait_idle()
    descriptors = attacked.fds()
    yield
    nothing_is_left(attacked, descriptors)


@pytest.fixture
def target(attacked: Gateway, nothing_left: None, upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """The gateway, with another client beside, who is served; nothing is left of it afterwards."""
    upstream.on("GET", "/canary")
    attacked.wait_idle()
    memory = attacked.rss()
    with Canary(attacked) as other:
        # The other client's connections are in it, which go or stay a while: `nothing_left` is exact, at the end.
        descriptors = attacked.fds()
        yield attacked
        grown = attacked.rss() - memory
    assert other.served > 1
    assert grown < MEMORY, f"the gateway has grown by {grown >> 20} MiB"
    nothing_is_left(attacked, descriptors)


@pytest.fixture
def new_gateway(_things: ScriptedUpstream, tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Makes a gateway that a test may end. listen: keys of its listener."""
    made: list[Gateway] = []

    def new(**listen: Any) -> Gateway:
        routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
        settings = config.make(
            {"things": {"url": _things.origin + "/"}}, routes, listen={"grace_seconds": 15, **listen}
        )
        made.append(Gateway(settings, tmp_path))
        made[-1].start()
        return made[-1]

    yield new
    for gateway in made:
        gateway.kill()


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    """Until it opens, /held is not answered."""
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    yield gate
    gate.open()
