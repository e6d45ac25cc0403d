"""An exception in every callback of the native front in turn: rules BU-04 and BU-05.

Streams of one connection are each other's neighbours, and other connections are there, too. A fault may cost the
stream that it belongs to, never another. Over HTTP/1.1, where the answers share the connection, it costs that.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
from collections.abc import Iterator

import h11
import pytest
from batch_messages import batch, execute, executed, streamed
from batchwire.core.faults import arm
from harness import http2, rest
from harness.grpc_wire import answer_of, head, prefixed
from harness.http2 import Raw
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


def fields_of(length: int) -> dict[str, str]:
    return {"Content-Type": "application/json", "Content-Encoding": "gzip", "Content-Length": str(length)}


def talk_http1(port: int) -> list[bool]:
    """A batch in pieces, a packed one, a request that is none, and two that are pipelined, each on its connection."""
    data = rest.encode({"requests": [rest.get_call(name, "A") for name in "abc"]})
    packed = gzip.compress(data)
    well = []
    with rest.Wire(port) as first, rest.Wire(port) as second, rest.Wire(port) as third, rest.Wire(port) as fourth:
        first.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        second.begin("POST", "/svc/$batch", fields_of(len(packed)))
        third.begin("GET", "/healthz")
        fourth.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Content-Length": str(len(data))})
        with contextlib.suppress(OSError):
            first.chunk(data[:20])
            first.chunk(data[20:])
            first.chunk(b"")
        with contextlib.suppress(OSError):
            second.send(packed)
        with contextlib.suppress(OSError):
            fourth.send(data + b"GET /nothing HTTP/1.1\r\nHost: gw.example\r\n\r\n")
        for wire, count, then in ((first, 3, 0), (second, 3, 0), (third, 0, 0), (fourth, 3, 404)):
            try:
                answer = wire.answer()
                whole = answer.status == 200 and answer.body.count(b'"status":200') == count
                if whole and then:
                    wire.expect("GET")
                    whole = wire.answer().status == then
                well.append(whole)
            except (h11.RemoteProtocolError, ConnectionError):
                well.append(False)
    return well


@pytest.mark.parametrize("place", [*PLACES, "front.input_ready", "front.more"])
async def test_BU_04_a_fault_over_http_1_1_costs_one_connection(place: str, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    async with whole_front(upstream.origin) as (port, _):
        for nth in (1, 2, 3, 4, 8):
            hook = Hook(place, nth)
            arm(hook)
            well = await asyncio.to_thread(talk_http1, port)
            arm(None)
            assert well.count(False) <= (hook.passed >= nth), (nth, well)
            assert hook.passed or place in ("front.input_ready", "front.more")
            await closed(NOTHING)
            assert all(await asyncio.to_thread(talk_http1, port))


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


@pytest.mark.parametrize("version", ["1.1", "2"])
async def test_BU_05_what_fails_at_once_costs_one_answer(
    version: str, upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise Injected("figures")

    def statuses(port: int) -> list[int]:
        paths = ["/metrics", "/healthz", "/metrics"]
        if version == "2":
            with Raw(port) as raw:
                return [raw.exchange(2 * n + 1, http2.request(path=path)).status for n, path in enumerate(paths)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(connection):
            found = []
            for path in paths:
                connection.request("GET", path)
                found.append((answer := connection.getresponse()).status)
                answer.read()
            return found

    async with whole_front(upstream.origin) as (port, service):
        monkeypatch.setattr(service, "figures", fail)
        assert await asyncio.to_thread(statuses, port) == [500, 200, 500]
    assert [record.message for record in caplog.records if record.exc_info] == ["a request failed"] * 2
