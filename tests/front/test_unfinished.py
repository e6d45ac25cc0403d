"""Messages that have begun and not ended are kept: a connection of HTTP/2 has 64 MiB of them (docs/fronts.md)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.gateway import Gateway
from harness.http2 import ACK, Kind, Raw, data, headers, request, rst_stream, settings

SERVICE = "/batchwire.v1.BatchService"
STREAMS, KEPT = 140, 512_000
FIRST = 65_535
"""Bytes of a stream's first window; it is widened behind half of it."""
TOO_MANY = STREAMS - (1 << 26) // KEPT
ENVELOPE = b"\0" + (4_000_000).to_bytes(4, "big")
WAYS = {
    "connect": ("Execute", "application/json", b"{"),
    "connect streaming": ("Batch", "application/connect+proto", ENVELOPE),
    "grpc-web": ("Batch", "application/grpc-web+proto", ENVELOPE),
    "grpc": ("Batch", "application/grpc", ENVELOPE),
}
EXHAUSTED = {
    "connect": b'"resource_exhausted"',
    "connect streaming": b'"resource_exhausted"',
    "grpc-web": b"grpc-status:8\r\n",
}


def begin(raw: Raw, stream: int, way: str) -> None:
    """Sends the head of a call, and the beginning of its message as the window lets it go; reads meanwhile."""
    method, kind, lead = WAYS[way]
    message = lead + b" " * (KEPT - len(lead))
    raw.send(headers(stream, request("POST", f"{SERVICE}/{method}", ("content-type", kind)), end=False))
    room = FIRST
    at = 0
    while at < KEPT and not raw.over(stream):
        piece = message[at : at + min(16_384, room)]
        if piece:
            raw.send(data(stream, piece))
            at += len(piece)
            room -= len(piece)
            continue
        found = raw.read()
        assert found is not None
        if found.kind == Kind.WINDOW_UPDATE and found.stream == stream:
            room += int.from_bytes(found.payload, "big")


@pytest.fixture
def raw(gateway: Gateway) -> Iterator[Raw]:
    """A connection that has the gateway's settings."""
    with Raw(gateway.http_port) as connection:
        connection.until(lambda found: found.kind == Kind.SETTINGS)
        connection.send(settings(flags=ACK))
        yield connection


@pytest.mark.parametrize("way", WAYS)
def test_unfinished_messages_of_a_connection_have_a_bound(way: str, raw: Raw) -> None:
    for stream in range(1, 2 * STREAMS, 2):
        begin(raw, stream, way)
    while len(refused := [stream for stream in range(1, 2 * STREAMS, 2) if raw.over(stream)]) < TOO_MANY:
        assert raw.read() is not None
    for stream in refused:
        if way == "grpc":
            assert raw.answers[stream].grpc_status == 8
        else:
            assert EXHAUSTED[way] in raw.answers[stream].body
    assert raw.exchange(2 * STREAMS + 1, request()).status == 200
    assert not raw.over(1), "those before it are not refused for its sake"


@pytest.mark.parametrize("way", WAYS)
def test_unfinished_messages_that_are_given_up_do_not_count(way: str, raw: Raw) -> None:
    last = 2 * STREAMS - 1
    for stream in range(1, last, 2):
        begin(raw, stream, way)
        raw.send(rst_stream(stream))
    begin(raw, last, way)
    assert raw.exchange(last + 2, request()).status == 200
    assert not raw.over(last)
