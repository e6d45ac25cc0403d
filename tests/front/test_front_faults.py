"""An exception in every callback of the native front in turn: rules BU-04 and BU-05.

Streams of one connection are each other's neighbours, and other connections are there, too. A fault may cost the
stream that it belongs to, never another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from batch_messages import batch, execute, executed, streamed
from batchwire.core.faults import arm
from harness import rest
from harness.grpc_wire import answer_of, head, prefixed
from harness.http2_wire import Heard, Http2Wire, request
from harness.scripted import ScriptedUpstream
from in_process import NOTHING, closed, whole_front

PLACES = [
    "front.request",
    "front.data",
    "front.end",
    "front.settled",
    "front.fill",
    "front.close",
    "front.output_ready",
    "feed",
    "reader",
    "writer",
    "complete",
    "upstream.data",
    "upstream.send",
]
JSON = [("content-type", "application/json"), ("odata-version", "4.01")]


class Injected(Exception):
    """What the tests make the core raise."""


class Hook:
    """Raises at the nth time that a place is passed."""

    def __init__(self, place: str, nth: int) -> None:
        self.place, self.nth = place, nth
        self.passed = 0

    def __call__(self, place: str) -> None:
        if place == self.place:
            self.passed += 1
            if self.passed == self.nth:
                raise Injected(place)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm(None)


def went_well(heard: Heard, kind: str) -> bool:
    """Whether each of the three calls has its result. An answer that is not whole must show it."""
    if heard.reset is not None and heard.reset != 0:
        return False
    if kind == "rest":
        return heard.status == 200 and heard.data.count(b'"status":200') == 3
    told = answer_of(heard)
    if told.code != 0:
        return False
    return list((executed if kind == "execute" else streamed)(told).values()) == [200] * 3


def talk(port: int) -> list[bool]:
    """Three batches on one connection and one on another; which of them went well."""
    kinds = ["execute", "batch", "rest", "execute"]
    with Http2Wire(port) as first, Http2Wire(port) as second:
        wires = [first, first, first, second]
        streams = []
        for kind, wire in zip(kinds, wires, strict=True):
            if kind == "rest":
                stream = wire.open(request("POST", "/svc/$batch", JSON))
                data = rest.encode({"requests": [rest.get_call(name, "A") for name in "abc"]})
            else:
                stream = wire.open(head("Execute" if kind == "execute" else "Batch"))
                data = prefixed((execute if kind == "execute" else batch)("a", "b", "c"))
            wire.send(stream, data, end=True)
            streams.append(stream)
        return [went_well(wire.answer(stream), kind) for kind, wire, stream in zip(kinds, wires, streams, strict=True)]


@pytest.mark.parametrize("place", PLACES)
async def test_BU_04_a_fault_in_the_front_costs_one_stream(place: str, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    async with whole_front(upstream.origin) as (port, _):
        for nth in (1, 2, 3, 4, 8):
            hook = Hook(place, nth)
            arm(hook)
            well = await asyncio.to_thread(talk, port)
            arm(None)
            assert well.count(False) <= (hook.passed >= nth), (nth, well)
            assert hook.passed
            await closed(NOTHING)
            assert all(await asyncio.to_thread(talk, port))
