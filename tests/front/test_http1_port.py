"""HTTP/1.1 on the ports of the native front: told from HTTP/2 by its first bytes, and never to be smuggled through."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path

import pytest
from batch_messages import execute, executed
from harness import config, rest
from harness.gateway import Gateway
from harness.grpc_wire import call, head
from harness.http2_wire import Http2Wire, request
from harness.scripted import Gate, ScriptedUpstream

BATCH = rest.encode({"requests": [rest.get_call("1", "A")]})
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LINES = [b"POST /svc/$batch HTTP/1.1", b"Host: gw.example", b"Content-Type: application/json", b"OData-Version: 4.01"]
SMUGGLED = (
    b"POST /svc/$batch HTTP/1.1\r\nHost: gw.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")


@pytest.fixture(params=["http", "grpc"])
def port(request: pytest.FixtureRequest, gateway: Gateway) -> int:
    """Each listener speaks all protocols."""
    return gateway.http_port if request.param == "http" else int(gateway.grpc_address.rpartition(":")[2])


def post(*fields: bytes, lines: list[bytes] = LINES) -> bytes:
    return b"\r\n".join([*lines, *fields, b"", b""])


def read_all(port: int, sent: bytes) -> bytes:
    """Everything that comes until the gateway closes, or has been silent for a while."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(sent)
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while piece := connection.recv(65536):
                found += piece
    return found


def statuses(answers: bytes) -> list[int]:
    """Status codes of the answers, by their status lines."""
    return [int(line.split(b" ")[1]) for line in answers.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


# --- which protocol it is


def test_every_protocol_on_each_port(port: int) -> None:
    assert rest.request(port, "GET", "/healthz").body == b"ok\n"
    with Http2Wire(port) as wire:
        assert executed(call(wire, head(), execute("1"))) == {"1": 200}
        assert wire.ask(request("GET", "/healthz")).data == b"ok\n"


def test_a_preface_in_pieces(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for at in range(len(PREFACE)):
            connection.sendall(PREFACE[at : at + 1])
            time.sleep(0.002)
        connection.sendall(b"\0\0\0\4\0\0\0\0\0")
        assert connection.recv(9)[3] == 4, "no SETTINGS"


@pytest.mark.parametrize("first", [b"P", b"PR", b"PRI", b"P" * 5])
def test_heads_that_begin_like_the_preface(first: bytes, port: int) -> None:
    """PRI is no method of HTTP/1.1 (RFC 9113 11.6); PUT and POST are."""
    with rest.Wire(port) as wire:
        wire.send(post(b"Content-Length: %d" % len(BATCH))[:2])
        time.sleep(0.05)
        wire.send(post(b"Content-Length: %d" % len(BATCH))[2:] + BATCH)
        wire.expect("POST")
        assert wire.answer().by_id()["1"]["status"] == 200
    answer = read_all(port, first + b"X / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert statuses(answer) == [400]


@pytest.mark.parametrize(
    "broken", [PREFACE[:14] + b"X", PREFACE[:-1] + b"X", b"PRI * HTTP/1.1\r\n\r\nXX", b"PRI / HTTP/2.0\r\n\r\nXX"]
)
def test_a_broken_preface_is_answered_and_closed(broken: bytes, port: int) -> None:
    assert statuses(read_all(port, broken)) == [400]


def test_a_preface_inside_a_connection_is_no_change_of_protocol(port: int) -> None:
    with rest.Wire(port) as wire:
        wire.begin("GET", "/healthz")
        assert wire.answer().status == 200
        wire.send(PREFACE + b"\0\0\0\4\0\0\0\0\0")
        assert wire.socket.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert wire.closed()


# --- what HTTP/1.1 is used for


def test_keep_alive_and_pipelining(port: int) -> None:
    with rest.Wire(port) as wire:
        for _ in range(3):
            wire.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Content-Length": str(len(BATCH))})
            wire.send(BATCH)
            assert wire.answer().by_id()["1"]["status"] == 200
        wire.send((post(b"Content-Length: %d" % len(BATCH)) + BATCH) * 3)
        for _ in range(3):
            wire.expect("POST")
            assert wire.answer().by_id()["1"]["status"] == 200
        wire.begin("GET", "/healthz", {"Connection": "close"})
        assert wire.answer().header("connection") == "close"
        assert wire.closed()


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_chunks_both_ways(size: int, port: int) -> None:
    with rest.Wire(port) as wire:
        for extension in (b"", b";name=value", b';name="quoted; value"'):
            fields = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
            wire.begin("POST", "/svc/$batch", fields)
            for at in range(0, len(BATCH), size):
                piece = BATCH[at : at + size]
                wire.send(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece))
            wire.send(b"0\r\nX-Checksum: 1\r\n\r\n")
            answer = wire.answer()
            assert answer.header("transfer-encoding") == "chunked"
            assert answer.by_id()["1"]["status"] == 200


def test_expect_100_continue(port: int, upstream: ScriptedUpstream) -> None:
    with rest.Wire(port) as wire:
        wire.send(post(b"Content-Length: %d" % len(BATCH), b"Expect: 100-continue"))
        wire.socket.settimeout(10)
        assert wire.socket.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert upstream.lines == []
        wire.send(BATCH)
        wire.expect("POST")
        assert wire.answer().status == 200


def test_expect_100_continue_of_a_body_that_has_come(port: int) -> None:
    """RFC 9110 10.1.1: 100 Continue may be left out, and a proxy that has passed the body on may not wait for it."""
    with rest.Wire(port) as wire:
        wire.send(post(b"Content-Length: %d" % len(BATCH), b"Expect: 100-continue") + BATCH)
        wire.socket.settimeout(10)
        assert wire.socket.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_a_batch_that_streams_both_ways(port: int, gate: Gate) -> None:
    with rest.Wire(port) as wire:
        wire.begin("POST", "/stream/$batch", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        wire.chunk(b'{"requests":[{"id":"1","method":"get","url":"A"},')
        assert wire.head().status == 200
        assert b'"id":"1"' in wire.data()
        wire.chunk(b'{"id":"2","method":"get","url":"held"}]}')
        wire.chunk(b"")
        gate.open()
        text, whole = wire.remainder()
    assert whole
    assert b'"id":"2"' in text


def test_a_client_that_goes_stops_its_calls(
    port: int, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    wire = rest.Wire(port)
    body = rest.encode({"requests": [rest.get_call("1", "held")]})
    wire.send(post(b"Content-Length: %d" % len(body)) + body)
    upstream.wait_for_calls(1)
    wire.socket.close()
    assert upstream.wait_until(lambda: upstream.call("GET /held").aborted)
    gateway.wait_idle()


# --- framing that two readers could see differently


SMUGGLING = {
    "length and chunked": [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
    "chunked and length": [b"Transfer-Encoding: chunked", b"Content-Length: 4"],
    "two lengths": [b"Content-Length: %d" % len(BATCH), b"Content-Length: 0"],
    "list of lengths": [b"Content-Length: %d, 0" % len(BATCH)],
    "signed length": [b"Content-Length: +%d" % len(BATCH)],
    "negative length": [b"Content-Length: -1"],
    "hexadecimal length": [b"Content-Length: 0x10"],
    "length with a space inside": [b"Content-Length: 1 0"],
    "length beyond all bounds": [b"Content-Length: 99999999999999999999999999"],
    "empty length": [b"Content-Length:"],
    "space before the colon of a length": [b"Content-Length : %d" % len(BATCH)],
    "space before the colon of chunked": [b"Transfer-Encoding : chunked"],
    "another coding last": [b"Transfer-Encoding: chunked, identity"],
    "chunked in other words": [b"Transfer-Encoding: xchunked"],
    "chunked twice": [b"Transfer-Encoding: chunked, chunked"],
    "chunked in two fields": [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
    "vertical tab before chunked": [b"Transfer-Encoding: \x0bchunked"],
    "quoted chunked": [b'Transfer-Encoding: "chunked"'],
    "folded chunked": [b"Transfer-Encoding:\r\n chunked"],
    "folded length": [b"Content-Length: 0\r\n 5"],
    "fold before the first field": [b" Content-Length: 5"],
    "nul in a name": [b"Content\0-Length: 5"],
    "nul in a value": [b"X-A: a\0b", b"Content-Length: %d" % len(BATCH)],
    "lone carriage return in a value": [b"X-A: a\rContent-Length: 0", b"Content-Length: %d" % len(BATCH)],
    "bare line feed between fields": [b"X-A: a\nTransfer-Encoding: chunked", b"Content-Length: %d" % len(BATCH)],
    "no colon": [b"Content-Length 5"],
    "empty name": [b": 5"],
}


UNKNOWN_CODINGS = {"chunked in other words", "quoted chunked"}
"""RFC 9112 6.1: a coding that is not understood."""


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling_by_the_head_is_400(name: str, port: int, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """One answer, and nothing behind the head is taken for another request (RFC 9112 6.3, 11.2)."""
    hidden = SMUGGLED % len(BATCH) + BATCH
    answer = read_all(port, post(*SMUGGLING[name]) + b"0\r\n\r\n" + hidden)
    assert statuses(answer) == [501 if name in UNKNOWN_CODINGS else 400], answer
    assert b"connection: close" in answer.lower()
    assert upstream.lines == []
    gateway.wait_idle()


CHUNKS = {
    "hexadecimal prefix": b"0x5\r\nhello\r\n",
    "sign": b"+5\r\nhello\r\n",
    "minus": b"-5\r\nhello\r\n",
    "space before": b" 5\r\nhello\r\n",
    "tab before": b"\t5\r\nhello\r\n",
    "no size": b"\r\nhello\r\n",
    "no number": b"g\r\nhello\r\n",
    "beyond all bounds": b"FFFFFFFFFFFFFFFFF\r\nhello\r\n",
    "wraps around": b"10000000000000005\r\nhello\r\n",
    "underscore": b"0_5\r\nhello\r\n",
    "bare line feed behind the size": b"5\nhello\r\n",
    "bare line feed in an extension": b"5;a\nb\r\nhello\r\n",
    "lone carriage return behind the size": b"5\rhello\r\n",
    "no line end behind the data": b"5\r\nhello5\r\nhello\r\n",
    "bare line feed behind the data": b"5\r\nhello\n",
    "data longer than said": b"2\r\nhello\r\n",
    "nul behind the size": b"5\0\r\nhello\r\n",
    "broken trailer": b"0\r\nX Y: 1\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_smuggling_by_chunks_is_400(name: str, port: int, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Where the document breaks off in a broken chunk, nothing behind it is a request, and nothing of it runs."""
    hidden = SMUGGLED % len(BATCH) + BATCH
    start = BATCH[:9]
    sent = post(b"Transfer-Encoding: chunked") + b"%X\r\n%b\r\n" % (len(start), start) + CHUNKS[name]
    answer = read_all(port, sent + b"0\r\n\r\n" + hidden)
    assert statuses(answer) == [400], answer
    assert upstream.lines == []
    gateway.wait_idle()


@pytest.mark.parametrize(
    "line",
    [
        b"POST /svc/$batch HTTP/1.1 ",
        b"POST /svc/$batch HTTP/1.2x",
        b"POST /svc/$batch HTTP/3.0",
        b"POST /svc/$batch",
        b"POST /svc/$batch HTTP/0.9",
        b"POST /svc/$batch HTTP/2.0",
        b" POST /svc/$batch HTTP/1.1",
        b"POST\t/svc/$batch\tHTTP/1.1",
        b"POST /svc/$batch http/1.1",
        b"P\0ST /svc/$batch HTTP/1.1",
        b"POST /svc/$batch\0 HTTP/1.1",
        b"POST /svc/ $batch HTTP/1.1",
        b"POST /svc/$batch\tHTTP/1.1",
    ],
)
def test_a_broken_request_line_is_400(line: bytes, port: int, upstream: ScriptedUpstream) -> None:
    answer = read_all(port, post(b"Content-Length: %d" % len(BATCH), lines=[line, *LINES[1:]]) + BATCH)
    assert statuses(answer) in ([400], [505]), answer
    assert upstream.lines == []


@pytest.mark.parametrize("line", [b"POST  /svc/$batch HTTP/1.1", b"POST /svc/$batch   HTTP/1.1"])
def test_FR_12_more_spaces_in_a_request_line_end_the_same_words(
    line: bytes, port: int, upstream: ScriptedUpstream
) -> None:
    """RFC 9112 3 lets a recipient part the line at white space; a target holds none, so that there is one reading."""
    sent = post(b"Content-Length: %d" % len(BATCH), b"Connection: close", lines=[line, *LINES[1:]]) + BATCH
    assert statuses(read_all(port, sent)) == [200]
    assert upstream.lines == ["GET /A"]


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"no HTTP\r\n\r\n", 400, "BadRequest"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "MalformedHost"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "MalformedHost"),
        (b"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505, "VersionNotSupported"),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "UnknownTransferCoding"),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"y" * 100_000), 431, "HeadersTooLarge"),
        (b"GET urn:x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "BadRequest"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "BadRequest"),
    ],
)
def test_ER_01_a_head_that_is_refused_early_has_an_error_object(sent: bytes, status: int, code: str, port: int) -> None:
    answer = read_all(port, sent)
    assert statuses(answer) == [status]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert rest.is_odata_error(json.loads(body))
    assert json.loads(body)["error"]["code"] == code
    lines = head.lower().split(b"\r\n")
    for line in (b"content-type: application/json", b"content-language: en", b"content-length: %d" % len(body)):
        assert line in lines, lines
    assert any(line.startswith(b"odata-version: ") for line in lines)


def test_a_length_that_is_said_twice_alike(port: int) -> None:
    """RFC 9112 6.3: may be refused or taken as one; either way what follows is read right."""
    length = b"Content-Length: %d" % len(BATCH)
    answer = read_all(port, post(length, length) + BATCH + b"GET /healthz HTTP/1.1\r\nHost: gw.example\r\n\r\n")
    assert statuses(answer) in ([400], [200, 200])


# --- the ends of requests


def test_a_trailer_may_say_that_the_connection_closes(port: int) -> None:
    fields = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    with rest.Wire(port) as wire:
        wire.begin("POST", "/svc/$batch", fields)
        wire.chunk(BATCH)
        wire.send(b"0\r\nConnection: close\r\n\r\n")
        assert wire.answer().by_id()["1"]["status"] == 200
        assert wire.closed()


def test_so_it_may_behind_an_early_answer(port: int) -> None:
    with rest.Wire(port) as wire:
        wire.begin("POST", "/nowhere", {"Transfer-Encoding": "chunked"})
        assert wire.answer().status == 404
        wire.send(b"0\r\nConnection: close\r\n\r\n")
        assert wire.closed()


def test_bytes_that_are_no_http_behind_an_early_answer_get_none(port: int) -> None:
    with rest.Wire(port) as wire:
        wire.begin("POST", "/nowhere", {"Transfer-Encoding": "chunked"})
        assert wire.answer().status == 404
        wire.send(b"no length of a chunk\r\n")
        assert wire.closed()


def test_a_client_that_resets_while_requests_wait(
    port: int, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """Nothing is read meanwhile, so that nobody hears of it unless it is looked for."""
    held = rest.encode({"requests": [rest.get_call("1", "held")]})
    with rest.Wire(port) as wire:
        wire.send((post(b"Content-Length: %d" % len(held)) + held) * 2)
        upstream.wait_for_calls(1)
        wire.reset()
    gateway.wait_idle(20)
    assert len(upstream.lines) == 1


def test_a_silent_connection_is_kept_as_long_as_configured(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things"}]
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, listen={"keepalive_seconds": 1})
    with Gateway(settings, tmp_path) as gateway, rest.Wire(gateway.http_port) as wire:
        for _ in range(2):
            wire.begin("GET", "/healthz")
            assert wire.answer().status == 200
        begun = time.monotonic()
        assert wire.closed()
        assert 0.9 < time.monotonic() - begun < 10
