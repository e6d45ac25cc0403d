"""The HTTP/1.1 connection on the wire: bounds of the head, offers to upgrade, clients that speak HTTP/1.0."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
from harness import config, rest
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply

BATCH = rest.encode({"requests": [rest.get_call("1", "A")]})
HEAD = b"POST /svc/$batch HTTP/%s\r\nHost: gw.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"


@pytest.fixture(scope="module")
def hasty(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose clients must not be idle for long."""
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "streaming_threshold": 0}]
    limits = {"client_idle_seconds": 0.5, "max_header_bytes": 8192}
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, limits)
    with Gateway(settings, tmp_path_factory.mktemp("hasty")) as running:
        yield running


def head(fields: bytes = b"", version: bytes = b"1.1", length: int = len(BATCH)) -> bytes:
    return HEAD % (version, length) + fields + b"\r\n"


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_an_offer_to_upgrade_is_passed_over(method: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    with rest.Wire(gateway.http_port) as wire:
        for _ in range(2):
            wire.expect(method)
            if method == "POST":
                wire.send(head(UPGRADE) + BATCH)
                assert wire.answer().by_id()["1"]["status"] == 200
            else:
                wire.send(b"GET /healthz HTTP/1.1\r\nHost: gw.example\r\n" + UPGRADE + b"\r\n")
                assert wire.answer().status == 200


def test_an_offer_to_upgrade_in_pieces_and_with_chunks(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    fields = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", {**fields, "Connection": "upgrade", "Upgrade": "h2c, websocket"})
        for at in range(0, len(BATCH), 10):
            wire.chunk(BATCH[at : at + 10])
            time.sleep(0.002)
        wire.chunk(b"")
        assert wire.answer().by_id()["1"]["status"] == 200


def test_pipelined_offers_to_upgrade(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    with rest.Wire(gateway.http_port) as wire:
        wire.send((head(UPGRADE) + BATCH) * 3)
        for _ in range(3):
            wire.expect("POST")
            assert wire.answer().by_id()["1"]["status"] == 200


def test_connect_is_no_upgrade(gateway: Gateway) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.send(b"CONNECT gw.example:443 HTTP/1.1\r\nHost: gw.example:443\r\n\r\n")
        assert wire.socket.recv(65536).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    "fields",
    [b"X-Large: " + b"a" * 150_000 + b"\r\n", b"".join(b"X-%d: %s\r\n" % (n, b"a" * 990) for n in range(100))],
    ids=["one", "many"],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_head_that_is_too_large_is_431(
    fields: bytes, whole: bool, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Whether it ends in what one read gives, or never."""
    upstream.on("GET", "/A")
    with rest.Wire(gateway.http_port) as wire:
        wire.send(head(fields) + BATCH if whole else HEAD % (b"1.1", 1) + fields)
        wire.expect("POST")
        assert wire.head().status == 431
    assert upstream.lines == []


def test_a_large_body_before_the_next_head_is_no_large_head(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    large = BATCH + b" " * 100_000
    with rest.Wire(gateway.http_port) as wire:
        wire.send(head(length=len(large)) + large + head()[:20])
        wire.expect("POST")
        assert wire.answer().status == 200
        wire.send(head()[20:] + BATCH)
        wire.expect("POST")
        assert wire.answer().status == 200


@pytest.mark.parametrize("pieces", [[head()[:40]], [head()[:1]], [head()[:40], head()[40:60]]])
def test_half_a_head_and_silence_is_408(pieces: list[bytes], hasty: Gateway) -> None:
    with rest.Wire(hasty.http_port) as wire:
        for piece in pieces:
            wire.send(piece)
            time.sleep(0.05)
        wire.expect("POST")
        answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (408, "close")
        assert wire.closed()


def test_no_head_at_all_is_cut_without_an_answer(hasty: Gateway) -> None:
    with rest.Wire(hasty.http_port) as wire:
        assert wire.closed()


@pytest.mark.parametrize("fields", [b"", b"Connection: keep-alive\r\n", UPGRADE])
def test_http_1_0_gets_an_answer_without_chunks(fields: bytes, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({"text": "x" * 300_000}))
    with rest.Wire(gateway.http_port) as wire:
        wire.send(head(fields, version=b"1.0") + BATCH)
        top, _, body = read_all(wire.socket).partition(b"\r\n\r\n")
    lines = top.lower().split(b"\r\n")
    assert lines[0].split()[1] == b"200"
    assert b"connection: close" in lines
    assert not any(line.startswith((b"transfer-encoding", b"content-length")) for line in lines)
    assert len(json.loads(body)["responses"][0]["body"]["text"]) == 300_000


def test_http_1_0_keeps_a_length_that_is_known(gateway: Gateway) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        top, _, body = read_all(wire.socket).partition(b"\r\n\r\n")
    assert b"content-length: 3" in top
    assert body == b"ok\n"


def test_http_1_0_a_batch_that_breaks_off_has_no_end(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    broken = BATCH[:-2] + b",nonsense]}"
    with rest.Wire(gateway.http_port) as wire:
        text = head(version=b"1.0", length=len(broken)).replace(b"/svc/", b"/stream/")
        wire.send(text + broken[: len(BATCH) - 2])
        assert upstream.wait_until(lambda: bool(upstream.log))
        time.sleep(0.1)
        wire.send(broken[len(BATCH) - 2 :])
        body = read_all(wire.socket).partition(b"\r\n\r\n")[2]
    assert body.startswith(b'{"responses":[{"id":"1"')
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(body)
