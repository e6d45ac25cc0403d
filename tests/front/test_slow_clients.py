"""Clients that take their time on purpose, and tricks with windows: each is given up, and holds little until then."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client, rest
from harness.gateway import Gateway
from harness.http2 import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PREFACE,
    Code,
    Kind,
    Raw,
    Setting,
    block,
    data,
    frame,
    grpc_request,
    headers,
    message,
    priority,
    request,
    settings,
    window_update,
)
from harness.native import IDLE_SECONDS
from harness.scripted import Received, Reply, ScriptedUpstream

GET = request()
BATCH = grpc_request("Batch")
JSON = request(
    "POST", "/svc/$batch", ("content-type", "application/json"), *((k.lower(), v) for k, v in rest.STRICT.items())
)
DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 4, 8
PATIENCE = 10 * IDLE_SECONDS
CALLS = 400


@pytest.fixture
def large(upstream: ScriptedUpstream, target: Gateway) -> bytes:
    """A batch of 40 MB of answers."""

    def reply(call: Received) -> Reply:
        return Reply(200, [("Content-Type", "text/plain")], b"z" * 100_000)

    upstream.fallback = reply
    calls = [grpc_client.call(str(n), f"large/{n}") for n in range(CALLS)]
    return message(batch_pb2.BatchRequest(options=grpc_client.options(), calls=calls).SerializeToString())


def drip(raw: Raw, frames: bytes, pause: float) -> int:
    """Sends byte by byte until the connection is ended; how many were sent."""
    for at in range(len(frames)):
        try:
            raw.send(frames[at : at + 1])
        except ConnectionError:
            return at
        time.sleep(pause)
        if not raw.drain():
            return at
    return len(frames)


# --- connections that are never finished with something


def test_a_client_that_says_nothing(target: Gateway) -> None:
    with Raw(target.http_port, greet=False) as raw:
        assert raw.ending() is None


def test_a_client_that_says_its_preface_only(target: Gateway) -> None:
    with Raw(target.http_port, greet=False) as raw:
        raw.send(PREFACE)
        raw.ending()


DRIPS = {
    "preface": (PREFACE, 0.25, False),
    "settings": (PREFACE + settings({Setting.ENABLE_PUSH: 0, Setting.INITIAL_WINDOW_SIZE: 1}), 0.12, False),
    "header section": (headers(1, request(path="/" + "x" * 300)), 0.05, True),
    "header section with priority": (
        frame(
            Kind.HEADERS,
            END_HEADERS | END_STREAM | 0x20,
            1,
            priority(1)[9:] + block(request(path="/" + "x" * 300)),
        ),
        0.05,
        True,
    ),
    "continuations": (
        frame(Kind.HEADERS, END_STREAM, 1, block(GET))
        + frame(Kind.CONTINUATION, 0, 1, b"")
        + frame(Kind.CONTINUATION, END_HEADERS, 1, block([("x-long", "x" * 300)])),
        0.02,
        True,
    ),
    "trailers": (
        headers(1, BATCH, end=False) + headers(1, [("x-long", "x" * 300)]),
        0.02,
        True,
    ),
}


@pytest.mark.parametrize("name", DRIPS)
def test_bytes_that_come_one_by_one(target: Gateway, name: str) -> None:
    frames, pause, greet = DRIPS[name]
    with Raw(target.http_port, greet=greet) as raw:
        assert drip(raw, frames, pause) < len(frames), "the client was let go on for ever"


def test_many_unfinished_header_sections(target: Gateway) -> None:
    """One at a time is all that a connection can have, so there are many connections."""
    raws = [Raw(target.http_port, timeout=PATIENCE) for _ in range(300)]
    try:
        for raw in raws:
            raw.send(frame(Kind.HEADERS, 0, 1, block(GET)))
        for raw in raws:
            raw.ending()
    finally:
        for raw in raws:
            raw.close()


# --- streams that get nowhere

UNFINISHED = {
    "Batch": BATCH,
    "Execute": grpc_request("Execute"),
    "BatchJson": grpc_request("BatchJson"),
    "BatchHttp": grpc_request("BatchHttp"),
    "health": request("POST", "/grpc.health.v1.Health/Check", ("content-type", "application/grpc"), ("te", "trailers")),
    "reflection": request(
        "POST",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ),
}


def begin(raw: Raw, fields: list[tuple[str, str]], beginnings: list[bytes], stream: int) -> list[int]:
    """Fifty streams for each beginning of a body; their numbers."""
    numbers = [stream + 2 * n for n in range(50 * len(beginnings))]
    for n, number in enumerate(numbers):
        begun = beginnings[n % len(beginnings)]
        raw.send(headers(number, fields, end=False), data(number, begun) if begun else b"")
    return numbers


def test_calls_that_never_get_a_message(target: Gateway) -> None:
    """Of every method, with nothing, half a prefix or half a message; of reflection few may be open at all (FR-15)."""
    refused = 150 - 16
    with Raw(target.http_port, timeout=PATIENCE) as raw:
        streams: list[int] = []
        for fields in UNFINISHED.values():
            streams += begin(raw, fields, [b"", b"\0", b"\0\0\0\1\0half"], 2 * len(streams) + 1)
        ended = Counter(raw.answer(stream).grpc_status for stream in streams)
        assert ended == {DEADLINE_EXCEEDED: len(streams) - refused, RESOURCE_EXHAUSTED: refused}
        assert raw.exchange(streams[-1] + 2, GET).status == 200


def test_requests_that_never_get_their_body(target: Gateway) -> None:
    with Raw(target.http_port, timeout=PATIENCE) as raw:
        streams = begin(raw, JSON, [b"", b'{"requests":[{"id":"1"'], 1)
        assert {raw.answer(stream).status for stream in streams} == {408}
        assert raw.exchange(streams[-1] + 2, GET).status == 200


# --- windows


def put(raw: Raw, stream: int, fields: list[tuple[str, str]], body: bytes) -> None:
    """Sends a request whose body fits the windows that a connection begins with."""
    assert len(body) < 16384
    raw.send(headers(stream, fields, end=False), data(stream, body, end=True))


def test_a_window_that_is_never_opened(target: Gateway, large: bytes) -> None:
    with Raw(target.http_port, timeout=PATIENCE) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 0}))
        put(raw, 1, BATCH, large)
        put(raw, 3, JSON, json_batch(200))
        put(raw, 5, request(path="/metrics"), b"")
        for stream in (1, 3, 5):
            answer = raw.answer(stream)
            assert (answer.reset, answer.body) == (Code.CANCEL, b"")
        assert raw.exchange(7, request("HEAD")).status == 200


def json_batch(calls: int) -> bytes:
    return rest.encode({"requests": [rest.get_call(str(n), f"large/{n}") for n in range(calls)]})


def test_a_window_of_the_connection_that_is_never_opened(target: Gateway, large: bytes) -> None:
    """The streams' own windows are wide open."""
    with Raw(target.http_port, timeout=PATIENCE) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}))
        put(raw, 1, BATCH, large)
        assert raw.answer(1).reset == Code.CANCEL
        assert len(raw.answers[1].body) <= 65535


def test_a_window_of_one_byte(target: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/small")
    with Raw(target.http_port) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 1}))
        raw.send(headers(1, JSON, end=False), data(1, rest.encode({"requests": [rest.get_call("1", "small")]}), True))
        while not raw.over(1):
            found = raw.read()
            assert found is not None, raw.said()
            if found.kind == Kind.DATA and not found.ends_stream:
                assert len(found.payload) == 1
                raw.send(window_update(1, 1))
        assert raw.answers[1].body.startswith(b'{"responses":[{"id":"1","status":200')


def test_a_window_that_becomes_negative(target: Gateway) -> None:
    """RFC 9113 6.9.2: what was sent stays sent; nothing more until the window is above zero."""
    with Raw(target.http_port) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 100}))
        raw.send(headers(1, request(path="/metrics")))
        raw.until(lambda found: found.kind == Kind.DATA)
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 0}), window_update(1, 100))
        raw.ping_pong()
        assert len(raw.answers[1].body) == 100
        raw.send(window_update(1, 1))
        raw.until(lambda found: found.kind == Kind.DATA)
        assert len(raw.answers[1].body) == 101
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 60_000}))
        assert raw.answer(1).body.startswith(b"# HELP")


@pytest.mark.parametrize("stream", [0, 1])
def test_a_window_that_is_opened_too_far(target: Gateway, stream: int) -> None:
    with Raw(target.http_port) as raw:
        raw.send(headers(1, BATCH, end=False), window_update(stream, 2**31 - 1))
        if stream:
            assert raw.answer(1).reset == Code.FLOW_CONTROL_ERROR
            assert raw.exchange(3, GET).status == 200
        else:
            assert raw.ending() == Code.FLOW_CONTROL_ERROR


def test_a_client_that_sends_more_than_the_window(target: Gateway, large: bytes) -> None:
    """The batch takes nothing more while its results wait, so the window stays closed."""
    with Raw(target.http_port, timeout=PATIENCE) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 0}))
        raw.send(headers(1, BATCH, end=False), data(1, large))
        calls = [
            batch_pb2.BatchRequest(
                calls=[grpc_client.call(f"{number}-{n}", "x" * 1000) for n in range(15)]
            ).SerializeToString()
            for number in range(500)
        ]
        raw.attack(data(1, message(some)) for some in calls)
        assert raw.answer(1).reset == Code.FLOW_CONTROL_ERROR
        assert raw.exchange(3, request("HEAD")).status == 200


# --- clients that do not read


def never_reading(large: bytes) -> Iterator[bytes]:
    """What a client with open windows asks for."""
    yield settings({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}) + window_update(0, 2**30)
    for stream in range(1, 20, 2):
        yield headers(stream, BATCH, end=False) + data(stream, large, end=True)


def test_a_client_that_never_reads(target: Gateway, large: bytes) -> None:
    with Raw(target.http_port, receive_buffer=4096, timeout=PATIENCE) as raw:
        for frames in never_reading(large):
            raw.send(frames)
        target.wait(lambda: in_flight(target) > 5, "the batches run")
        # Cut while it still does not read: other clients are counted too, and end theirs.
        target.wait(lambda: in_flight(target) <= 1, "the batches have been given up", PATIENCE)


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_that_takes_little_at_a_time(version: int, target: Gateway, large: bytes) -> None:
    """The kernel holds more for it than it takes in its time; its transport has nothing new to say all the while."""
    calls = [rest.get_call(str(n), f"large/{n}") for n in range(100)]
    body = rest.encode({"requests": calls})
    with Raw(target.http_port, receive_buffer=4096, timeout=PATIENCE, greet=version == 2) as raw:
        if version == 2:
            raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1}) + window_update(0, 2**30))
            raw.send(headers(1, JSON, end=False), data(1, body, end=True))
        else:
            head = "POST /svc/$batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nOData-Version: 4.01\r\n"
            raw.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        end = time.monotonic() + 4 * IDLE_SECONDS
        got = 0
        while time.monotonic() < end:
            time.sleep(IDLE_SECONDS / 8)
            got += len(raw.socket.recv(3000))
        assert got < 200_000
        while got < 10_000_000:
            more = raw.socket.recv(1 << 20)
            assert more, f"cut after {got} bytes"
            got += len(more)


def in_flight(target: Gateway) -> float:
    return target.metrics()['batchwire_batches_in_flight{front="grpc"}']


def test_clients_that_vanish_without_reading(target: Gateway, large: bytes) -> None:
    for _ in range(10):
        with Raw(target.http_port, receive_buffer=4096) as raw:
            for frames in never_reading(large):
                raw.send(frames)


def test_a_connection_without_streams_is_let_live(target: Gateway) -> None:
    """Silence is a matter of keep-alive (test_idle_connections.py), whatever the times for streams are."""
    with Raw(target.http_port) as raw:
        assert raw.exchange(1, GET).status == 200
        time.sleep(IDLE_SECONDS * 1.5)
        raw.send(settings(flags=ACK))
        assert raw.exchange(3, GET).status == 200
