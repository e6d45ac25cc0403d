"""Streams and connections of the native front: cancellation, bounds on streams, flow control, pings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_messages import batch, document, execute, executed, streamed
from h2.settings import SettingCodes
from harness import config, grpc_client, grpc_wire, rest
from harness.gateway import Gateway
from harness.grpc_wire import answer_of, call, head, prefixed
from harness.http2_wire import CALM, CANCEL, REFUSED_STREAM, Http2Wire, request
from harness.scripted import Gate, Reply, ScriptedUpstream, json_reply
from hyperframe.frame import HeadersFrame, PingFrame

STREAM_WINDOW = 524288  # of the gateway, for the data of a request that nobody has taken
GROWTH = 24 << 20


@pytest.fixture
def wire(gateway: Gateway, upstream: ScriptedUpstream) -> Iterator[Http2Wire]:
    upstream.on("GET", "/A")
    with Http2Wire(gateway.grpc_address) as connection:
        yield connection


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    """/held does not answer before the gate opens."""
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    yield gate
    gate.open()


# --- the client gives up


STREAMING = [("batchwire-route", "/stream/")]  # where a document need not end before its calls start
HELD = {
    "Execute": execute("1", url="held"),
    "Batch": batch("1", url="held"),
    "BatchJson": document("1", url="held"),
    "BatchHttp": document("1", url="held"),
}


@pytest.mark.parametrize("code", [CANCEL, 0, 2])
@pytest.mark.parametrize(
    ("method", "end"), [("Execute", True), *((m, end) for m in list(HELD)[1:] for end in (True, False))]
)
def test_a_reset_stops_the_calls_at_the_upstream(
    method: str,
    code: int,
    end: bool,
    wire: Http2Wire,
    gateway: Gateway,
    upstream: ScriptedUpstream,
    gate: Gate,
) -> None:
    """Whatever its code; other streams of the connection go on."""
    other = wire.open(head("Batch"))
    wire.send(other, prefixed(batch("a")))
    stream = wire.open(head(method, STREAMING))
    wire.send(stream, prefixed(HELD[method]), end=end)
    assert upstream.wait_until(lambda: "GET /held" in upstream.lines)
    wire.reset(stream, code)
    assert upstream.wait_until(lambda: upstream.call("GET /held").aborted)
    wire.send(other, prefixed(batch("b", first=False)), end=True)
    assert streamed(answer_of(wire.answer(other))) == {"a": 200, "b": 200}
    gateway.wait_idle()


def test_a_connection_that_ends_stops_all_its_calls(
    wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    for _ in range(10):
        stream = wire.open(head("Batch"))
        wire.send(stream, prefixed(batch("1", url="held")))
    assert upstream.wait_until(lambda: upstream.current == 10)
    wire.socket.close()
    assert upstream.wait_until(lambda: upstream.current == 0)
    assert all(received.aborted for received in upstream.log)
    gateway.wait_idle()


def test_nothing_starts_after_a_reset(
    wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    upstream.on("GET", "/never")
    stream = wire.open(head("Batch"))
    wire.send(stream, prefixed(batch(*(str(n) for n in range(200)), url="held")))
    assert upstream.wait_until(lambda: upstream.current >= 60)
    wire.reset(stream)
    gateway.wait_idle()
    started = len(upstream.log)
    gate.open()
    assert executed(call(wire, head(), execute("1"))) == {"1": 200}
    assert len(upstream.log) == started + 1


def test_data_behind_a_reset_does_no_harm(wire: Http2Wire, upstream: ScriptedUpstream, gate: Gate) -> None:
    """Frames that were on their way when the call had ended."""
    stream = wire.open(head("Batch"))
    wire.send(stream, prefixed(batch("1", route="/nowhere/")))
    for _ in range(5):
        wire.send(stream, b"\0" * 1000)
    assert answer_of(wire.answer(stream)).code == grpc_wire.NOT_FOUND
    assert executed(call(wire, head(), execute("1"))) == {"1": 200}


# --- bounds on streams


@pytest.fixture
def narrow_gateway(_things: ScriptedUpstream, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that takes three streams at once of a connection, and looks after connections often."""
    routes = [{"root": "/svc/", "upstream": "things", "default": True}]
    limits = {"client_idle_seconds": 2}
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, limits, listen={"max_streams": 3})
    with Gateway(settings, tmp_path) as running:
        yield running


def test_max_concurrent_streams(narrow_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    """Announced; held by those who have not read it yet; and free again with each stream that ends."""
    upstream.on("GET", "/A")
    with Http2Wire(narrow_gateway.grpc_address) as wire:
        # All in one go, before the client has seen the settings of the gateway.
        streams = [wire.open(head(), flush=False) for _ in range(5)]
        for stream in streams:
            wire.h2.send_data(stream, prefixed(execute("1", url="held")), end_stream=True)
        wire.flush()
        for stream in streams[3:]:
            assert wire.answer(stream).reset == REFUSED_STREAM
        assert wire.h2.remote_settings.max_concurrent_streams == 3
        assert upstream.wait_until(lambda: upstream.current == 3)
        gate.open()
        for stream in streams[:3]:
            assert executed(answer_of(wire.answer(stream))) == {"1": 200}
        assert len(upstream.log) == 3
        assert executed(call(wire, head(), execute("2"))) == {"2": 200}


def test_a_client_that_knows_the_bound_and_passes_it(
    narrow_gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """Others are served meanwhile and afterwards, and nothing is left of it."""
    upstream.on("GET", "/A")
    with Http2Wire(narrow_gateway.grpc_address) as wire:
        wire.wait(lambda: wire.acknowledged, "the settings of both sides")
        wire.ping()
        wire.wait(lambda: bool(wire.pongs), "the gateway has the acknowledgement")
        streams = [wire.open(head()) for _ in range(3)]
        for stream in streams:
            wire.send(stream, prefixed(execute("1", url="held")), end=True)
        assert upstream.wait_until(lambda: upstream.current == 3)
        fourth = HeadersFrame(7, flags={"END_HEADERS"})
        fourth.data = wire.h2.encoder.encode(head())
        wire.send_frame(fourth)
        wire.listen(0.3)
        with Http2Wire(narrow_gateway.grpc_address) as other:
            assert executed(call(other, head(), execute("1"))) == {"1": 200}
    assert upstream.wait_until(lambda: upstream.current == 0)
    assert upstream.lines.count("GET /held") == 3
    narrow_gateway.wait_idle()


# --- flow control


def test_what_the_session_does_not_take_stays_with_the_client(
    wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """Calls wait, so the batch is not read on, so the window of its stream stays shut; and opens again."""
    before = gateway.rss()
    stream = wire.open(head("Batch"))
    wire.send(stream, prefixed(batch("first")))
    padding = {"X-Padding": "p" * 500}
    piece = [
        prefixed(
            grpc_client.message(
                *(grpc_client.call(f"{n}-{m}", "held", headers=padding) for m in range(100))
            ).SerializeToString()
        )
        for n in range(100)
    ]
    sent = 0
    for data in piece:
        if wire.room(stream) < len(data):
            wire.listen(0.2)
            if wire.room(stream) < len(data):
                break
        wire.send(stream, data)
        sent += 1
    else:
        raise AssertionError("the gateway reads without end")
    assert sent < 60
    assert gateway.rss() - before < GROWTH
    assert executed(call(wire, head(), execute("1"))) == {"1": 200}, "the connection is not free"
    gate.open()
    for data in piece[sent : sent + 5]:
        wire.send(stream, data)
    wire.end(stream)
    assert len(streamed(answer_of(wire.answer(stream, timeout=45)))) == 1 + 100 * (sent + 5)


def test_the_window_of_a_stream_bounds_what_is_sent_ahead(
    wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """A REST batch whose calls are held: the gateway takes what it needs and its window, and no more."""
    fields = [("content-type", "application/json"), ("odata-version", "4.01")]
    stream = wire.open(request("POST", "/stream/$batch", fields))
    calls = [rest.get_call(str(n), "held", headers={"x-padding": "p" * 1000}) for n in range(8 * STREAM_WINDOW // 1000)]
    data = rest.encode({"requests": calls})
    sent = 0
    while sent < len(data):
        if wire.room(stream) == 0:
            wire.listen(0.3)
        piece = data[sent : sent + wire.room(stream)]
        if not piece:
            break
        wire.send(stream, piece)
        sent += len(piece)
    assert upstream.current == 64  # limits.max_in_flight
    assert not wire.heard[stream].ended
    assert STREAM_WINDOW < sent < 5 * STREAM_WINDOW
    wire.reset(stream)
    gateway.wait_idle()


def test_results_wait_for_the_window_of_the_client(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A window of nothing: no data, few calls; all of it when the window opens."""
    upstream.fallback = lambda _: Reply(200, [("Content-Type", "text/plain")], b"z" * 50_000)
    names = [str(n) for n in range(400)]
    before = gateway.rss()
    with Http2Wire(gateway.grpc_address, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0}) as wire:
        stream = wire.open(head("Batch"))
        wire.send(stream, prefixed(batch(*names)), end=True)
        wire.wait(lambda: bool(wire.heard[stream].headers), "the head of the answer")
        wire.listen(0.7)
        assert bytes(wire.heard[stream].data) == b""
        ran = len(upstream.log)
        assert 0 < ran < 200
        assert gateway.rss() - before < GROWTH
        wire.listen(0.3)
        assert len(upstream.log) == ran
        wire.h2.increment_flow_control_window(1 << 26)
        wire.h2.increment_flow_control_window(1 << 26, stream)
        wire.flush()
        assert streamed(answer_of(wire.answer(stream))) == dict.fromkeys(names, 200)
    gateway.wait_idle()


def test_a_window_of_one_byte(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    with Http2Wire(gateway.grpc_address, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1}) as wire:
        assert executed(call(wire, head(), execute("1"))) == {"1": 200}
        largest = max(len(wire.heard[1].data), 1)
        assert largest > 20


def test_one_stuck_stream_does_not_hold_up_the_others(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Its own window is shut, not that of the connection."""
    upstream.on("GET", "/A")
    upstream.on("GET", "/large", Reply(200, [("Content-Type", "text/plain")], b"z" * 3_000_000))
    with Http2Wire(gateway.grpc_address, open_window=False) as wire:
        wire.h2.increment_flow_control_window(1 << 26)
        stuck = wire.open(head())
        wire.send(stuck, prefixed(execute("1", url="large")), end=True)
        wire.wait(lambda: len(wire.heard[stuck].data) == 65535, "the window of the stream is full")
        for _ in range(5):
            assert executed(call(wire, head(), execute("2"))) == {"2": 200}
        assert len(wire.heard[stuck].data) == 65535
        wire.h2.increment_flow_control_window(1 << 24, stuck)
        wire.flush()
        assert executed(answer_of(wire.answer(stuck))) == {"1": 200}


# --- pings


def test_pings_are_answered(wire: Http2Wire) -> None:
    for n in range(2):
        wire.ping(b"%08d" % n)
    wire.wait(lambda: len(wire.pongs) == 2, "both answers")
    assert wire.pongs == [b"00000000", b"00000001"]


def test_too_many_pings_end_the_connection(wire: Http2Wire) -> None:
    """gRFC A8: those that come too soon, again and again, while nothing is sent."""
    for n in range(10):
        wire.send_frame(PingFrame(0, opaque_data=b"%08d" % n))
    wire.wait(lambda: bool(wire.goaways), "GOAWAY")
    assert wire.goaways[0].error_code == CALM
    assert wire.goaways[0].additional_data == b"too_many_pings"
    wire.wait_closed()


def test_a_client_that_does_not_close_is_cut(narrow_gateway: Gateway) -> None:
    """It has been told to go, and goes on sending what nobody reads."""
    before = narrow_gateway.fds()
    with Http2Wire(narrow_gateway.grpc_address) as wire:
        for n in range(10):
            wire.send_frame(PingFrame(0, opaque_data=b"%08d" % n))
        wire.wait_closed()
        assert wire.goaways[0].error_code == CALM
        for n in range(400):
            try:
                wire.socket.sendall(PingFrame(0, opaque_data=b"%08d" % n).serialize())
            except ConnectionError:
                break
            time.sleep(0.05)
        else:
            raise AssertionError("it is still listened to")
        narrow_gateway.wait(lambda: narrow_gateway.fds() <= before, f"no more than {before} descriptors")


def test_pings_beside_answers_are_no_strikes(wire: Http2Wire) -> None:
    """Clients measure the bandwidth with them."""
    for n in range(30):
        wire.ping(b"%08d" % n)
        assert executed(call(wire, head(), execute("1"))) == {"1": 200}
    assert wire.goaways == []
