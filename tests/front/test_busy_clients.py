"""What proper clients do a lot of: none of it may be taken for an attack."""

from __future__ import annotations

import time

import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client, http2
from harness.gateway import Gateway
from harness.http2 import (
    END_HEADERS,
    END_STREAM,
    Code,
    Kind,
    Raw,
    Setting,
    data,
    frame,
    goaway,
    grpc_request,
    headers,
    indexed,
    literal,
    request,
    rst_stream,
    settings,
    window_update,
)
from harness.native import IDLE_SECONDS
from harness.scripted import Reply, ScriptedUpstream

GET = request()
LARGE = 60
"""Calls of a batch whose answer is some 6 MB."""


def batch_of(*urls: str) -> bytes:
    calls = [grpc_client.call(str(n), url) for n, url in enumerate(urls)]
    return http2.message(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=calls).SerializeToString())


def answer_large(upstream: ScriptedUpstream) -> bytes:
    """A batch with a large answer."""
    upstream.on("GET", "/large", Reply(200, [("Content-Type", "text/plain")], b"z" * 100_000))
    return batch_of(*["large"] * LARGE)


def test_a_reader_may_open_its_windows_often(target: Gateway, upstream: ScriptedUpstream) -> None:
    """As Go's client does: windows of 4 MB and 1 GB, and an update of both for each 4 KB that are read."""
    batch = answer_large(upstream)
    window, unread = 4 << 20, 0
    with Raw(target.http_port) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: window}), window_update(0, (1 << 30) - http2.WINDOW))
        raw.send(headers(1, grpc_request("Batch"), end=False), data(1, batch, end=True))
        while not raw.over(1):
            found = raw.read()
            assert found is not None, raw.said()
            unread += len(found.payload) if found.kind == Kind.DATA else 0
            if unread == window or raw.over(1):
                # It has slept until its window was used up.
                updates = unread // 4096
                raw.send(*[window_update(0, 4096), window_update(1, 4096)] * updates)
                unread -= updates * 4096
        assert raw.answers[1].grpc_status == 0
        assert len(raw.answers[1].body) > LARGE * 100_000
        assert raw.exchange(3, GET).status == 200


def test_a_reader_with_small_windows_gets_all(target: Gateway, upstream: ScriptedUpstream) -> None:
    """A frame of a hundred bytes at a time, each asked for."""
    upstream.on("GET", "/large", Reply(200, [("Content-Type", "text/plain")], b"z" * 100_000))
    with Raw(target.http_port) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 100}))
        raw.send(headers(1, grpc_request("Execute"), end=False), data(1, batch_of("large"), end=True))
        while not raw.over(1):
            found = raw.read()
            assert found is not None, raw.said()
            if found.kind == Kind.DATA and found.payload:
                raw.send(window_update(1, len(found.payload)), window_update(0, len(found.payload)))
        assert raw.answers[1].grpc_status == 0


def test_pings_beside_answers_without_a_body(target: Gateway) -> None:
    """gRFC A8: pings are counted while nothing is sent to the client; trailers alone are something."""
    with Raw(target.http_port) as raw:
        for stream in range(1, 40, 2):
            assert raw.exchange(stream, grpc_request("NoSuchMethod")).grpc_status == 12
            raw.ping_pong()


def test_pings_beside_messages(target: Gateway) -> None:
    with Raw(target.http_port) as raw:
        for stream in range(1, 40, 2):
            assert raw.exchange(stream, grpc_request("Execute"), batch_of("canary")).grpc_status == 0
            raw.ping_pong()


def lives_on(raw: Raw, stream: int) -> None:
    """The connection serves requests longer than an unfinished header section would be let wait."""
    time.sleep(IDLE_SECONDS * 1.6)
    assert raw.exchange(stream, GET).status == 200


def test_a_connection_outlives_a_malformed_request(target: Gateway) -> None:
    with Raw(target.http_port) as raw:
        assert raw.exchange(1, [*GET, ("Upper", "x")]).reset == Code.PROTOCOL_ERROR
        lives_on(raw, 3)


def test_a_connection_outlives_a_refused_stream(target: Gateway) -> None:
    with Raw(target.http_port) as raw:
        # A client that opens streams before it has read how many it may.
        raw.send(*(headers(stream, grpc_request("Batch"), end=False) for stream in range(1, 2 * 1002, 2)))
        assert raw.answer(2003).reset == Code.REFUSED_STREAM
        raw.send(*(rst_stream(stream) for stream in range(1, 101, 2)))
        lives_on(raw, 2005)


def test_a_connection_outlives_trailers_that_are_too_large(target: Gateway) -> None:
    with Raw(target.http_port) as raw:
        entry = literal("a", "b" * 4000, first=0x40)
        raw.send(headers(1, grpc_request("Batch"), end=False))
        raw.send(frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, entry + indexed(62) * 40))
        assert raw.answer(1).reset is not None
        lives_on(raw, 3)


def test_a_connection_outlives_trailers_that_come_too_late(target: Gateway) -> None:
    """The answer was complete before the request was (RFC 9113 8.1)."""
    with Raw(target.http_port) as raw:
        raw.send(headers(1, request("POST", "/nowhere"), end=False))
        raw.until(lambda found: found.kind == Kind.RST_STREAM and found.stream == 1)
        assert raw.answers[1].status == 404
        raw.send(data(1, b"late"), headers(1, [("late", "trailer")]))
        lives_on(raw, 3)


@pytest.mark.parametrize("at_once", [1, 900])
def test_thousands_of_streams(target: Gateway, at_once: int) -> None:
    total = 5_000
    with Raw(target.http_port) as raw:
        raw.send(window_update(0, 1 << 20))
        ids = list(range(1, 2 * total, 2))
        for at in range(0, total, at_once):
            some = ids[at : at + at_once]
            raw.send(*(headers(stream, GET) for stream in some))
            assert all(raw.answer(stream).status == 200 for stream in some)


def test_a_client_that_says_goaway_gets_what_it_has_asked_for(target: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", Reply(204, gate=gate))
    with Raw(target.http_port) as raw:
        raw.send(headers(1, grpc_request("Execute"), end=False), data(1, batch_of("held"), end=True))
        upstream.wait_for_calls(1)
        raw.send(goaway())
        gate.open()
        assert raw.answer(1).grpc_status == 0
        assert raw.ending() in (None, Code.NO_ERROR)
