"""What comes behind a request on its connection of HTTP/1.1 does not touch the answer before it: rule FR-13."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from harness import config, rest
from harness.gateway import Gateway
from harness.memory import Peak
from harness.rest import Wire
from harness.scripted import Gate, ScriptedUpstream, json_reply

IDLE = 0.6
FIELDS = {"Content-Type": "application/json"}
BAD = {
    "no HTTP": (b"\x16\x03\x01\r\n\r\n", 400),
    "length and chunked": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "no Host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "large head": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 150_000 + b"\r\n\r\n", 431),
    "another version": (b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "no Host, and more": (b"GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
}


@pytest.fixture(scope="module")
def hasty(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose clients must not be idle for long."""
    settings = config.make(
        {"things": {"url": _things.origin + "/"}},
        [{"root": "/svc/", "upstream": "things"}],
        {"client_idle_seconds": IDLE},
    )
    with Gateway(settings, tmp_path_factory.mktemp("hasty")) as running:
        yield running


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    gate = upstream.gate()
    upstream.on("GET", "/A")
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    yield gate
    gate.open()


def batch(*urls: str) -> bytes:
    return rest.encode({"requests": [rest.get_call(str(n), url) for n, url in enumerate(urls)]})


def begin(wire: Wire, body: bytes, root: str = "/svc/") -> None:
    wire.begin("POST", f"{root}$batch", {**FIELDS, "Content-Length": str(len(body))})
    wire.send(body)


def end_of(wire: Wire, status: int) -> None:
    """The refusal behind the answers, and the end of the connection."""
    wire.expect("GET")
    answer = wire.answer()
    assert (answer.status, answer.header("connection")) == (status, "close")
    assert wire.closed()


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("when", ["at once", "while it runs", "amid the answer"])
def test_FR_13_a_bad_request_behind_a_batch_leaves_its_answer_whole(
    when: str, name: str, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    bad, status = BAD[name]
    with Wire(gateway.http_port) as wire:
        body = batch("A", "held")
        if when == "at once":
            wire.expect("POST")
            wire.send(
                b"POST /svc/$batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(body)
                + body
                + bad
            )
            upstream.wait_for_calls(2)
        else:
            begin(wire, body, "/stream/" if when == "amid the answer" else "/svc/")
            upstream.wait_for_calls(2)
            if when == "amid the answer":
                assert wire.head().status == 200
                assert b'"id":"0"' in wire.data()
            wire.send(bad)
        time.sleep(0.2)
        gate.open()
        if when == "amid the answer":
            text, whole = wire.remainder()
            assert whole
            assert b'"id":"1"' in text
        else:
            assert {call["status"] for call in wire.answer().responses} == {200}
        end_of(wire, status)
    gateway.wait_idle()


def test_FR_13_all_whole_requests_before_it_are_answered(gateway: Gateway, gate: Gate) -> None:
    with Wire(gateway.http_port) as wire:
        begin(wire, batch("held"))
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + b"?" * 100)
        time.sleep(0.2)
        gate.open()
        assert wire.answer().by_id()["0"]["status"] == 200
        wire.expect("GET")
        assert wire.answer().body == b"ok\n"
        end_of(wire, 400)


def test_FR_13_a_body_that_breaks_costs_the_request_that_it_is_of(
    gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """The one that waits for its turn is refused behind the answer of the one that runs."""
    with Wire(gateway.http_port) as wire:
        begin(wire, batch("held"))
        wire.send(
            b"POST /svc/$batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
        )
        time.sleep(0.2)
        gate.open()
        assert wire.answer().by_id()["0"]["status"] == 200
        end_of(wire, 400)
    assert upstream.lines == ["GET /held"]
    gateway.wait_idle()


def test_FR_13_nor_is_a_400_put_into_the_answer_of_a_body_that_breaks(gateway: Gateway, gate: Gate) -> None:
    with Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", {**FIELDS, "Transfer-Encoding": "chunked"})
        wire.chunk(batch("A", "held")[:-2] + b",")
        assert wire.head().status == 200
        assert b'"id":"0"' in wire.data()
        wire.send(b"zz\r\n")
        rest_of_it = b""
        while piece := wire.socket.recv(65536):
            rest_of_it += piece
    assert b"HTTP/1.1" not in rest_of_it
    assert not rest_of_it.endswith(b"0\r\n\r\n")
    gateway.wait_idle()


@pytest.mark.parametrize("piece", [b"G", b"POST /svc/$batch HT"])
def test_FR_13_half_a_head_behind_a_batch_waits_for_its_answer(
    piece: bytes, hasty: Gateway, upstream: ScriptedUpstream
) -> None:
    """Its time begins when the answer before it has ended."""
    upstream.on("GET", "/late", json_reply({}, delay=3 * IDLE))
    with Wire(hasty.http_port) as wire:
        begin(wire, batch("late"))
        wire.send(piece)
        assert wire.answer().by_id()["0"]["status"] == 200
        before = time.monotonic()
        end_of(wire, 408)
        assert IDLE / 2 < time.monotonic() - before < 3 * IDLE
    hasty.wait_idle()


def test_FR_13_and_is_served_when_the_rest_follows(hasty: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/late", json_reply({}, delay=3 * IDLE))
    with Wire(hasty.http_port) as wire:
        begin(wire, batch("late"))
        wire.send(b"GET /healthz HT")
        assert wire.answer().by_id()["0"]["status"] == 200
        time.sleep(IDLE / 3)
        wire.send(b"TP/1.1\r\nHost: a\r\n\r\n")
        wire.expect("GET")
        assert wire.answer().body == b"ok\n"


def test_FR_13_a_client_that_reads_late_gets_the_whole_answer_too(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    text = "x" * 6_000_000
    upstream.on("GET", "/large", json_reply({"text": text}))
    with Wire(gateway.http_port, receive_buffer=4096) as wire:
        begin(wire, batch("large"))
        wire.send(b"?" * 100)
        time.sleep(7)  # longer than a connection lingers on whose client has been sent everything
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        assert wire.answer().by_id()["0"]["body"] == {"text": text}
        end_of(wire, 400)


CHUNKED = {**FIELDS, "Transfer-Encoding": "chunked"}


@pytest.mark.parametrize("apart", [False, True])
def test_FR_13_trailers_are_no_fields_of_the_head(apart: bool, hasty: Gateway, upstream: ScriptedUpstream) -> None:
    """RFC 9110 6.5.1: a proxy has not looked at them, whether they come with the head or later."""
    upstream.on("GET", "/A")
    trailers = b"Accept: text/csv\r\nIf-Match: x\r\nAccept-Language: xx\r\nX-Forwarded-For: 9.9.9.9\r\n"
    body = batch("A")
    pieces = [b"%x\r\n%s\r\n0\r\n" % (len(body), body), trailers + b"\r\n"]
    with Wire(hasty.http_port) as wire:
        for _ in range(1):
            head = b"POST /svc/$batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            head += b"Transfer-Encoding: chunked\r\n\r\n"
            wire.expect("POST")
            for piece in [head, *pieces] if apart else [head + b"".join(pieces)]:
                wire.send(piece)
                time.sleep(0.05 if apart else 0)
            assert [one["status"] for one in wire.answer().responses] == [200]
    assert upstream.call("GET /A").header("accept-language") is None


@pytest.mark.parametrize("piece", [b"x:\r\n" * 10_000, b"x" * 40_000], ids=["many", "one"])
@pytest.mark.parametrize("root", ["/svc/", "/nope/"])
def test_FR_13_trailers_have_a_bound(root: str, piece: bytes, hasty: Gateway) -> None:
    with Peak(hasty) as peak, Wire(hasty.http_port) as wire:
        wire.begin("POST", f"{root}$batch", CHUNKED)
        wire.chunk(b'{"requests":[]} ')
        wire.send(b"0\r\n")
        with contextlib.suppress(OSError):
            for _ in range(1_500):
                wire.send(piece)
            assert wire.socket.recv(100).startswith(b"HTTP/1.1 4")
            while wire.socket.recv(65536):
                pass
    assert peak.grown < 24 << 20


def test_FR_13_requests_that_wait_have_a_bound(hasty: Gateway) -> None:
    """The rest is not even read, and other clients are served meanwhile."""
    count = 40_000
    with Peak(hasty) as peak, Wire(hasty.http_port, timeout=60) as wire:
        sender = threading.Thread(target=lambda: wire.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * count))
        sender.start()
        for number in range(count):
            wire.expect("GET")
            assert wire.answer().status == 200
            if number % 10_000 == 0:
                assert rest.request(hasty.http_port, "GET", "/healthz").status == 200
        sender.join(10)
    assert peak.grown < 24 << 20


def test_FR_13_many_batches_behind_one_that_runs(hasty: Gateway, gate: Gate) -> None:
    with Wire(hasty.http_port) as wire:
        begin(wire, batch("held"))
        body = batch("A")
        head = f"POST /svc/$batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        wire.send((head.encode() + b"\r\n\r\n" + body) * 60)
        time.sleep(0.1)
        gate.open()
        assert [one["status"] for one in wire.answer().responses] == [200]
        for _ in range(60):
            wire.expect("POST")
            assert [one["status"] for one in wire.answer().responses] == [200]


def plain(gateway: Gateway, sent: bytes, half_close: bool = False) -> bytes:
    """What comes until the connection ends."""
    with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=20) as sock:
        sock.sendall(sent)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        got = b""
        while part := sock.recv(65536):
            got += part
        return got


def post(body: bytes, *fields: bytes) -> bytes:
    head = [b"POST /svc/$batch HTTP/1.1", b"Host: gw", b"Content-Type: application/json", *fields]
    return b"\r\n".join([*head, b"Content-Length: %d" % len(body), b"", body])


@pytest.mark.parametrize("half_close", [False, True])
def test_FR_13_a_bad_body_behind_a_batch_leaves_its_answer_whole(
    half_close: bool, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", json_reply({}, delay=0.3))
    bad = b"POST /svc/$batch HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
    got = plain(gateway, post(batch("A")) + bad, half_close)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"status":200' in got
    assert got.count(b"HTTP/1.1 ") == (1 if half_close else 2)


@pytest.mark.parametrize("size", [10_000, 17_000, 100_000])
def test_FR_13_many_requests_and_a_body_in_one_piece_are_all_answered(
    size: int, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """More than may wait, and the last of them goes on in what was not parsed meanwhile."""
    upstream.on("GET", "/A", json_reply({}, delay=0.2))
    many = b"GET /healthz HTTP/1.1\r\nHost: gw\r\n\r\n" * 20
    got = plain(gateway, post(batch("A")) + many + post(batch("A") + b" " * size, b"Connection: close"))
    assert got.count(b"HTTP/1.1 200 OK\r\n") == 22


def test_FR_13_nothing_behind_connect_is_a_request(gateway: Gateway) -> None:
    """The parser passes over what it has read behind it: what comes then would begin in the middle of something."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: gw\r\n\r\n"
    lost = b"POST /svc/$batch HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    with socket.create_connection(("127.0.0.1", gateway.http_port), timeout=20) as sock:
        sock.sendall(b"CONNECT http://gw/svc/$batch HTTP/1.1\r\nHost: gw\r\n\r\n" + lost)
        got = sock.recv(65536)
        with contextlib.suppress(OSError):
            sock.sendall(hidden)
            while part := sock.recv(65536):
                got += part
    assert got.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in got
