"""Frames that cost the gateway work and bring their sender nothing: the connection is ended, nobody else notices.

Each attack would go on for much longer than it is let. The fixture `target` sees to memory, file descriptors, the log
and another client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client, http2
from harness.gateway import Gateway
from harness.http2 import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PADDED,
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
    in_pieces,
    indexed,
    literal,
    ping,
    priority,
    request,
    rst_stream,
    settings,
    window_update,
)
from harness.scripted import ScriptedUpstream, json_reply

GET = request()
POST = request("POST", "/svc/$batch", ("content-type", "application/json"))
BATCH = grpc_request("Batch")
STREAMS = range(1, 40_000, 2)
MANY = 20_000
CALM = {Code.ENHANCE_YOUR_CALM}
# Of resets, nghttp2 keeps an account of its own, since 1.57 and in the distributions' security updates.
RESETS = {Code.ENHANCE_YOUR_CALM, Code.INTERNAL_ERROR}


def each(*makers: Callable[[int], bytes]) -> Iterator[bytes]:
    """What the makers give for each stream."""
    for stream in STREAMS:
        for make in makers:
            yield make(stream)


def opened(fields: Iterable[http2.Field], end: bool = False) -> Callable[[int], bytes]:
    given = list(fields)
    return lambda stream: headers(stream, given, end)


def after(first: bytes, then: bytes) -> Iterator[bytes]:
    return chain([first], repeat(then, MANY))


def broken_length(size: int) -> list[http2.Field]:
    return [*POST, ("content-length", str(size))]


Frames = Callable[[], Iterable[bytes]]
RESET_FLOODS: dict[str, Frames] = {
    "rapid reset": lambda: each(opened(GET, end=True), rst_stream),
    "rapid reset of unfinished requests": lambda: each(opened(POST), rst_stream),
    "rapid reset of gRPC calls": lambda: each(opened(BATCH), rst_stream),
    "rapid reset that says no error": lambda: each(opened(POST), lambda s: rst_stream(s, Code.NO_ERROR)),
    # The server is made to reset (CVE-2025-8671).
    "windows made too large": lambda: each(opened(POST), lambda s: window_update(s, 2**31 - 1)),
    "no body where one was promised": lambda: each(opened(broken_length(5), end=True)),
    "a body that is too long": lambda: each(opened(broken_length(5)), lambda s: data(s, b"123456")),
    "a body that is too short": lambda: each(opened(broken_length(5)), lambda s: data(s, b"1234", end=True)),
    "field names in capitals": lambda: each(opened([*GET, ("Upper", "x")], end=True)),
    "fields of connections": lambda: each(opened([*GET, ("connection", "close")], end=True)),
    "two paths": lambda: each(opened([*GET, (":path", "/")], end=True)),
    "trailers with pseudo fields": lambda: each(opened(POST), opened([(":path", "/")], end=True)),
}


@pytest.mark.parametrize("name", RESET_FLOODS)
def test_streams_that_are_broken_off_end_the_connection(target: Gateway, name: str) -> None:
    with Raw(target.http_port) as raw:
        raw.attack(in_pieces(RESET_FLOODS[name]()))
        assert raw.ending() in RESETS, raw.said()


FLOODS: dict[str, tuple[set[int | None], Frames]] = {
    "pings": (CALM, lambda: repeat(ping(), MANY)),
    "answers to pings that nobody sent": (CALM, lambda: repeat(ping(flags=ACK), MANY)),
    "settings": (CALM, lambda: repeat(settings(), MANY)),
    "settings of the header table": (
        CALM,
        lambda: (settings({Setting.HEADER_TABLE_SIZE: n % 2 * 4096}) for n in range(MANY)),
    ),
    "settings of the window": (
        CALM,
        lambda: (settings({Setting.INITIAL_WINDOW_SIZE: n % 2 * 65535}) for n in range(MANY)),
    ),
    "settings in one frame": (CALM, lambda: repeat(frame(Kind.SETTINGS, 0, 0, b"\0\4\0\0\xff\xff" * 2000), MANY)),
    "settings acknowledged": ({Code.PROTOCOL_ERROR}, lambda: repeat(settings(flags=ACK), MANY)),
    "empty data": (CALM, lambda: after(headers(1, BATCH, end=False), data(1))),
    "window updates of the connection": (CALM, lambda: repeat(window_update(0, 1), MANY)),
    "window updates of a stream": (CALM, lambda: after(headers(1, BATCH, end=False), window_update(1, 1))),
    "window updates of streams that are over": (CALM, lambda: after(headers(1, GET), window_update(1, 1))),
    "priorities of one stream": (CALM, lambda: repeat(priority(1, 3), MANY)),
    "priorities of all streams": (CALM, lambda: each(priority)),
    "priorities in circles": (CALM, lambda: each(lambda s: priority(s, s + 2), lambda s: priority(s + 2, s))),
    "empty continuations": (
        CALM,
        lambda: after(frame(Kind.HEADERS, 0, 1, block(GET)), frame(Kind.CONTINUATION, 0, 1)),
    ),
    "small continuations": (
        CALM,
        lambda: after(frame(Kind.HEADERS, 0, 1, block(GET)), frame(Kind.CONTINUATION, 0, 1, literal("a", "b"))),
    ),
    "header sections that are refused": (CALM, lambda: each(opened(BATCH))),
}


@pytest.mark.parametrize("name", FLOODS)
def test_frames_that_bring_nothing_end_the_connection(target: Gateway, name: str) -> None:
    codes, frames = FLOODS[name]
    with Raw(target.http_port) as raw:
        raw.attack(in_pieces(frames()))
        assert raw.ending() in codes, raw.said()


def test_a_client_that_does_not_read_what_it_causes(target: Gateway) -> None:
    """Nothing that must be sent back piles up: streams beyond the bound, a million times."""
    start, finish = headers(1, GET)[:5], headers(1, GET)[9:]
    ids = range(1, 2_000_000, 2)
    with Raw(target.http_port, receive_buffer=4096) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 0}))
        with contextlib.suppress(ConnectionError):
            for piece in in_pieces((start + number.to_bytes(4, "big") + finish for number in ids), 1000):
                raw.send(piece)
        # A connection that is closed while its client does not read may take the last word along.
        assert raw.ending() in (Code.ENHANCE_YOUR_CALM, None), raw.said()


def test_frames_in_one_piece(target: Gateway) -> None:
    """So many at once that nghttp2 sees the flood before the gateway counts it."""
    with Raw(target.http_port, greet=False) as raw:
        raw.send(PREFACE + settings() * 400)
        assert raw.ending() == Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("size", [100, 4000, 16_000])
def test_large_header_sections_in_continuations(target: Gateway, size: int) -> None:
    more = frame(Kind.CONTINUATION, 0, 1, literal("a", "b" * size))
    with Raw(target.http_port) as raw:
        raw.attack(chain([frame(Kind.HEADERS, 0, 1, block(GET))], repeat(more, MANY)))
        assert raw.ending() in CALM, raw.said()


def bomb(stream: int, times: int, entry: bytes = b"") -> bytes:
    """A header section of 4 KB for each byte on the wire (after the entry is in the dynamic table)."""
    return frame(Kind.HEADERS, END_HEADERS | END_STREAM, stream, block(GET) + entry + indexed(62) * times)


ENTRY = literal("a", "b" * 4000, first=0x40)


def test_a_header_bomb_ends_the_connection(target: Gateway) -> None:
    frames = chain([bomb(1, 10_000, ENTRY)], (bomb(stream, 16_000) for stream in range(3, 2000, 2)))
    with Raw(target.http_port) as raw:
        raw.attack(frames)
        assert raw.ending() == Code.ENHANCE_YOUR_CALM, raw.said()


def test_a_small_header_bomb_costs_its_request(target: Gateway) -> None:
    with Raw(target.http_port) as raw:
        raw.send(bomb(1, 20, ENTRY))
        assert raw.answer(1).status == 431
        for stream in range(3, 200, 2):
            raw.send(bomb(stream, 20))
            assert raw.answer(stream).status == 431
        assert raw.exchange(201, GET).status == 200


def test_a_trailer_bomb_costs_its_request(target: Gateway) -> None:
    with Raw(target.http_port) as raw:
        raw.send(headers(1, BATCH, end=False))
        raw.send(frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, ENTRY + indexed(62) * 40))
        assert raw.answer(1).reset is not None
        assert raw.exchange(3, GET).status == 200


def test_crumbs_of_cookies_are_counted(target: Gateway) -> None:
    """Each costs two bytes on the wire and 38 by RFC 9113 6.5.2."""
    crumb = literal("cookie", "", first=0x40)
    with Raw(target.http_port) as raw:
        raw.send(frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, block(GET) + crumb + indexed(62) * 1000))
        assert raw.answer(1).status == 431
        assert raw.exchange(3, GET).status == 200


IGNORED: dict[str, Callable[[], Iterator[bytes]]] = {
    "frames of unknown kinds": lambda: repeat(frame(0x63, 0xFF, 0, b"x"), 300_000),
    "frames of unknown kinds on streams": lambda: repeat(frame(0x63, 0xFF, 1, b"x"), 300_000),
    "data that is padding only": lambda: after(headers(1, BATCH, end=False), frame(Kind.DATA, PADDED, 1, b"\0")),
}


@pytest.mark.parametrize("name", IGNORED)
def test_what_must_be_ignored_is_ignored_for_ever(target: Gateway, name: str) -> None:
    with Raw(target.http_port) as raw:
        raw.attack(in_pieces(IGNORED[name](), 1000))
        assert raw.exchange(3, GET).status == 200


def test_rapid_reset_starts_few_calls(target: Gateway, upstream: ScriptedUpstream) -> None:
    """A call that was told to start is stopped with its stream; what was started is bounded by what resets may cost."""
    gate = upstream.gate()
    for number in range(64):
        upstream.on("GET", f"/held/{number}", json_reply({}, gate=gate))
    calls = [grpc_client.call(str(n), f"held/{n}") for n in range(64)]
    first = http2.message(batch_pb2.BatchRequest(options=grpc_client.options(), calls=calls).SerializeToString())
    with Raw(target.http_port) as raw:
        raw.attack(in_pieces(each(opened(BATCH), lambda s: data(s, first), rst_stream), 3))
        assert raw.ending() in RESETS, raw.said()
    target.wait_idle()
    assert upstream.wait_until(lambda: upstream.current == 0), "calls of batches that were reset still run"
    gate.open()
