"""What RFC 9113 asks of a server, section by section, by a raw client: the frames that are wrong, and their errors.

h2spec (test_h2spec.py) asks much the same; this needs nothing but Python, and says what the gateway does where the RFC
leaves a choice.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from harness import http2
from harness.gateway import Gateway
from harness.http2 import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    PADDED,
    PREFACE,
    Code,
    Kind,
    Raw,
    Setting,
    block,
    data,
    frame,
    goaway,
    headers,
    indexed,
    literal,
    ping,
    priority,
    request,
    rst_stream,
    settings,
    window_update,
)

pytestmark = pytest.mark.usefixtures("nothing_left")

GET = request()
POST = request("POST", "/svc/$batch", ("content-type", "application/json"))
OPEN = headers(1, POST, end=False)
"""A request whose body is yet to come."""
MAX_FRAME = 16384
WHOLE = END_HEADERS | END_STREAM


def settle(raw: Raw) -> None:
    """Both sides know each other's settings."""
    raw.until(lambda found: found.kind == Kind.SETTINGS and not found.flags & ACK)
    raw.until(lambda found: found.kind == Kind.SETTINGS and bool(found.flags & ACK))
    raw.send(settings(flags=ACK))


def serves(raw: Raw, stream: int) -> None:
    """The connection goes on."""
    assert raw.exchange(stream, GET).status == 200
    assert not raw.goaways


# --- connection errors (5.4.1): GOAWAY with the code, then the end


@dataclass
class Wrong:
    """frames: sent after the settings; code: of the GOAWAY that they must bring."""

    rule: str
    frames: Sequence[bytes]
    code: int = Code.PROTOCOL_ERROR

    def __str__(self) -> str:
        return self.rule.replace(" ", "-")


def of_length(kind: Kind, stream: int, size: int) -> bytes:
    return frame(kind, 0, stream, bytes(size))


ERRORS = [
    Wrong("4.1 a frame of the largest length", [frame(0x63, 0, 0, b"", length=2**24 - 1)], Code.FRAME_SIZE_ERROR),
    Wrong("4.2 data above the frame size", [OPEN, data(1, bytes(MAX_FRAME + 1))], Code.FRAME_SIZE_ERROR),
    Wrong(
        "4.2 headers above the frame size",
        [headers(1, [*GET, ("x-long", "x" * MAX_FRAME)])],
        Code.FRAME_SIZE_ERROR,
    ),
    Wrong("4.3 an index beyond the tables", [frame(Kind.HEADERS, WHOLE, 1, indexed(200))], Code.COMPRESSION_ERROR),
    Wrong("4.3 half a field", [frame(Kind.HEADERS, WHOLE, 1, literal("a", "bcd")[:-1])], Code.COMPRESSION_ERROR),
    Wrong(
        "4.3 a table larger than allowed",
        [frame(Kind.HEADERS, WHOLE, 1, http2.integer(65536, 5, 0x20) + block(GET))],
        Code.COMPRESSION_ERROR,
    ),
    Wrong(
        "4.3 another stream within a header section", [frame(Kind.HEADERS, END_STREAM, 1, block(GET)), headers(3, GET)]
    ),
    Wrong("4.3 a ping within a header section", [frame(Kind.HEADERS, END_STREAM, 1, block(GET)), ping()]),
    Wrong(
        "4.3 an unknown frame within a header section",
        [frame(Kind.HEADERS, END_STREAM, 1, block(GET)), frame(0x63, 0, 1)],
    ),
    Wrong("5.1 data on an idle stream", [data(1, b"x")]),
    Wrong("5.1 a reset of an idle stream", [rst_stream(1)]),
    Wrong("5.1 a window for an idle stream", [window_update(1, 1)]),
    Wrong("5.1 a continuation of an idle stream", [frame(Kind.CONTINUATION, END_HEADERS, 1, block(GET))]),
    Wrong("5.1 data after the end of the request", [headers(1, POST), data(1, b"x")], Code.STREAM_CLOSED),
    Wrong("5.1 headers after the end of the request", [headers(1, POST), headers(1, GET)], Code.STREAM_CLOSED),
    Wrong(
        "5.1 a continuation after the end of the request",
        [headers(1, POST), frame(Kind.CONTINUATION, END_HEADERS, 1, block(GET))],
    ),
    Wrong("5.1.1 an even stream", [headers(2, GET)]),
    Wrong("6.1 data on stream 0", [data(0, b"x")]),
    Wrong("6.1 padding longer than the data", [OPEN, frame(Kind.DATA, PADDED, 1, b"\x05abc")]),
    Wrong("6.2 headers on stream 0", [headers(0, GET)]),
    Wrong("6.2 padding longer than the headers", [frame(Kind.HEADERS, WHOLE | PADDED, 1, b"\xff" + block(GET)[:20])]),
    Wrong("6.3 a priority on stream 0", [priority(0, 1)]),
    Wrong("6.4 a reset of stream 0", [rst_stream(0)]),
    Wrong("6.4 a reset of three bytes", [OPEN, of_length(Kind.RST_STREAM, 1, 3)], Code.FRAME_SIZE_ERROR),
    Wrong("6.5 settings acknowledged with values", [settings({1: 1}, ACK)], Code.FRAME_SIZE_ERROR),
    Wrong("6.5 settings on a stream", [frame(Kind.SETTINGS, 0, 1)]),
    Wrong("6.5 settings of five bytes", [of_length(Kind.SETTINGS, 0, 5)], Code.FRAME_SIZE_ERROR),
    Wrong("6.5.2 push that is neither on nor off", [settings({Setting.ENABLE_PUSH: 2})]),
    Wrong(
        "6.5.2 a window that is too large", [settings({Setting.INITIAL_WINDOW_SIZE: 2**31})], Code.FLOW_CONTROL_ERROR
    ),
    Wrong("6.5.2 frames that are too small", [settings({Setting.MAX_FRAME_SIZE: MAX_FRAME - 1})]),
    Wrong("6.5.2 frames that are too large", [settings({Setting.MAX_FRAME_SIZE: 2**24})]),
    Wrong("6.6 a push by the client", [OPEN, frame(Kind.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(GET))]),
    Wrong("6.7 a ping on a stream", [frame(Kind.PING, 0, 1, b"01234567")]),
    Wrong("6.7 a ping of seven bytes", [ping(b"0123456")], Code.FRAME_SIZE_ERROR),
    Wrong("6.8 goaway on a stream", [frame(Kind.GOAWAY, 0, 1, bytes(8))]),
    Wrong("6.8 goaway of seven bytes", [of_length(Kind.GOAWAY, 0, 7)], Code.FRAME_SIZE_ERROR),
    Wrong("6.9 a window opened by nothing", [window_update(0, 0)]),
    Wrong("6.9 a window update of three bytes", [of_length(Kind.WINDOW_UPDATE, 0, 3)], Code.FRAME_SIZE_ERROR),
    Wrong("6.9.1 a window opened too far", [window_update(0, 2**31 - 1)], Code.FLOW_CONTROL_ERROR),
    Wrong("6.10 a continuation on stream 0", [frame(Kind.CONTINUATION, END_HEADERS, 0, block(GET))]),
    Wrong("6.10 a continuation of what is complete", [headers(1, POST), frame(Kind.CONTINUATION, END_HEADERS, 1)]),
    Wrong("6.10 a continuation after data", [OPEN, data(1, b"x"), frame(Kind.CONTINUATION, END_HEADERS, 1)]),
]


@pytest.mark.parametrize("wrong", ERRORS, ids=str)
def test_a_connection_error_ends_the_connection_with_its_code(attacked: Gateway, wrong: Wrong) -> None:
    with Raw(attacked.http_port) as raw:
        settle(raw)
        raw.send(*wrong.frames)
        assert raw.ending() == wrong.code, raw.said()


def test_3_4_the_first_frame_must_be_settings(attacked: Gateway) -> None:
    with Raw(attacked.http_port, greet=False) as raw:
        raw.send(PREFACE, ping())
        assert raw.ending() == Code.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "preface", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\0" * 24]
)
def test_3_4_what_is_no_preface_is_no_http2(attacked: Gateway, preface: bytes) -> None:
    """The port speaks HTTP/1.1 too, in which it is a bad request; in either the connection ends."""
    with Raw(attacked.http_port, greet=False) as raw:
        raw.send(preface, settings())
        said = bytearray()
        while more := _received(raw):
            said += more
        assert said.startswith(b"HTTP/1.1 400 "), bytes(said[:100])


def _received(raw: Raw) -> bytes:
    try:
        return raw.socket.recv(65536)
    except ConnectionError:
        return b""


def test_3_4_the_settings_of_the_server_come_first(attacked: Gateway) -> None:
    with Raw(attacked.http_port) as raw:
        first = raw.read()
    assert first is not None
    assert (first.kind, first.flags) == (Kind.SETTINGS, 0)
    said = dict(struct.iter_unpack(">HI", first.payload))
    assert said[Setting.MAX_CONCURRENT_STREAMS] == 1000
    assert said[Setting.MAX_HEADER_LIST_SIZE] == 32768


# --- stream errors (5.4.2): RST_STREAM with the code, and the connection goes on

MALFORMED = {
    "8.2.1 a name in capitals": [*GET, ("X-Upper", "x")],
    "8.2.1 a name with a space": [*GET, ("x y", "x")],
    "8.2.1 a value with a line feed": [*GET, ("x", "a\nb")],
    "8.2.1 a value with NUL": [*GET, ("x", "a\0b")],
    "8.2.2 connection": [*GET, ("connection", "keep-alive")],
    "8.2.2 keep-alive": [*GET, ("keep-alive", "1")],
    "8.2.2 proxy-connection": [*GET, ("proxy-connection", "close")],
    "8.2.2 transfer-encoding": [*GET, ("transfer-encoding", "chunked")],
    "8.2.2 upgrade": [*GET, ("upgrade", "h2c")],
    "8.2.2 te that is not trailers": [*GET, ("te", "trailers, deflate")],
    "8.3 an unknown pseudo field": [*GET, (":unknown", "x")],
    "8.3 a pseudo field of answers": [*GET, (":status", "200")],
    "8.3 a pseudo field after the others": [*GET[:2], ("x", "y"), *GET[2:]],
    "8.3 a pseudo field twice": [*GET, (":path", "/readyz")],
    "8.3.1 no method": GET[1:],
    "8.3.1 no scheme": [GET[0], *GET[2:]],
    "8.3.1 no path": [*GET[:2], *GET[3:]],
    "8.3.1 neither authority nor host": GET[:3],
    "8.3.1 an empty path": request("GET", ""),
    "8.1.1 a length without a body": [*GET, ("content-length", "1")],
    "8.1.1 two lengths": [*GET, ("content-length", "0"), ("content-length", "1")],
    "8.1.1 a length that is none": [*GET, ("content-length", "-1")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_a_stream_error(attacked: Gateway, name: str) -> None:
    with Raw(attacked.http_port) as raw:
        assert raw.exchange(1, MALFORMED[name]).reset == Code.PROTOCOL_ERROR
        serves(raw, 3)


STREAM_ERRORS = {
    "6.9 a window opened by nothing": ([OPEN, window_update(1, 0)], Code.PROTOCOL_ERROR),
    "6.9.1 a window opened too far": ([OPEN, window_update(1, 2**31 - 1)], Code.FLOW_CONTROL_ERROR),
    # A connection error by the RFC; nghttp2 resets the streams that it concerns.
    "6.9.2 settings that open a window too far": (
        [OPEN, window_update(1, 2**31 - 1 - http2.WINDOW), settings({Setting.INITIAL_WINDOW_SIZE: http2.WINDOW + 1})],
        Code.FLOW_CONTROL_ERROR,
    ),
    "8.1 trailers that do not end the request": ([OPEN, headers(1, [("x", "y")], end=False)], Code.PROTOCOL_ERROR),
    "8.1 trailers with a pseudo field": ([OPEN, headers(1, [(":path", "/")])], Code.PROTOCOL_ERROR),
    "8.1.1 a body that is too short": (
        [headers(1, [*POST, ("content-length", "3")], end=False), data(1, b"ab", end=True)],
        Code.PROTOCOL_ERROR,
    ),
    "8.1.1 a body that is too long": (
        [headers(1, [*POST, ("content-length", "3")], end=False), data(1, b"ab"), data(1, b"cd", end=True)],
        Code.PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("name", STREAM_ERRORS)
def test_a_stream_error_costs_the_stream_or_more(attacked: Gateway, name: str) -> None:
    """5.4.1: an endpoint may take any stream error for one of the connection."""
    frames, code = STREAM_ERRORS[name]
    with Raw(attacked.http_port) as raw:
        raw.send(*frames)
        end = raw.until(lambda found: found.kind in (Kind.RST_STREAM, Kind.GOAWAY))
        assert end.code == code, raw.said()
        if end.kind == Kind.RST_STREAM:
            serves(raw, 3)
        else:
            assert raw.ending() == code


# --- what must be taken

TAKEN = {
    "4.1 flags that mean nothing": [frame(Kind.PING, 0x16, 0, b"01234567")],
    "4.1 the reserved bit": [frame(Kind.PING, 0, 2**31, b"01234567")],
    "5.5 a frame of an unknown kind": [frame(0x63, 0xFF, 0, b"x" * 100)],
    "5.5 a frame of an unknown kind on an idle stream": [frame(0x63, 0xFF, 7, b"x")],
    "5.1 a priority of an idle stream": [priority(9, 1)],
    "5.3.2 priorities in a circle": [priority(9, 11), priority(11, 9)],
    "6.5.2 an unknown setting": [settings({0x7777: 2**32 - 1})],
    "6.5.3 the same setting twice": [frame(Kind.SETTINGS, 0, 0, struct.pack(">HIHI", 4, 1, 4, 60_000))],
    "6.7 the answer to a ping that was not sent": [ping(flags=ACK)],
    "5.3.2 an exclusive priority": [frame(Kind.PRIORITY, 0, 9, struct.pack(">IB", 2**31, 255))],
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_must_be_taken(attacked: Gateway, name: str) -> None:
    with Raw(attacked.http_port) as raw:
        raw.send(*TAKEN[name])
        serves(raw, 1)


REQUESTS = {
    "6.2 padding": frame(Kind.HEADERS, WHOLE | PADDED, 1, b"\x08" + block(GET) + bytes(8)),
    "6.2 a priority": frame(Kind.HEADERS, WHOLE | HAS_PRIORITY, 1, struct.pack(">IB", 0, 7) + block(GET)),
    "6.2 both": frame(
        Kind.HEADERS, WHOLE | PADDED | HAS_PRIORITY, 1, b"\x02" + struct.pack(">IB", 2**31, 7) + block(GET) + bytes(2)
    ),
    "6.10 continuations": frame(Kind.HEADERS, END_STREAM, 1, block(GET[:1]))
    + frame(Kind.CONTINUATION, 0, 1, block(GET[1:2]))
    + frame(Kind.CONTINUATION, 0, 1, block(GET[2:3])[:4])
    + frame(Kind.CONTINUATION, END_HEADERS, 1, block(GET[2:3])[4:] + block(GET[3:])),
    "6.10 an empty header frame": frame(Kind.HEADERS, END_STREAM, 1)
    + frame(Kind.CONTINUATION, END_HEADERS, 1, block(GET)),
    "6.1 data that is empty": headers(1, GET, end=False) + data(1, b"", end=True),
    "6.1 data with padding": headers(1, GET, end=False) + frame(Kind.DATA, PADDED | END_STREAM, 1, b"\x03\0\0\0"),
    "8.1 trailers": headers(1, GET, end=False) + data(1, b"x") + headers(1, [("x", "y")]),
    "8.2.2 te: trailers": headers(1, [*GET, ("te", "trailers")]),
    "8.3.1 host in the place of authority": headers(1, [*GET[:3], ("host", "gw.example")]),
    "5.1.1 streams left out": headers(1001, GET),
    "RFC 7541 2.3.3 fields from the tables": frame(
        # :method GET, :scheme http, then :path by a name of the static table
        Kind.HEADERS, WHOLE, 1, indexed(2) + indexed(6) + b"\x44\x08/healthz" + literal(":authority", "gw.example")
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_in_every_form(attacked: Gateway, name: str) -> None:
    stream = int.from_bytes(REQUESTS[name][5:9], "big")
    with Raw(attacked.http_port) as raw:
        raw.send(REQUESTS[name])
        assert raw.answer(stream).status == 200
        serves(raw, stream + 2)


def test_6_5_3_settings_are_acknowledged_in_order(attacked: Gateway) -> None:
    with Raw(attacked.http_port) as raw:
        raw.send(settings({Setting.INITIAL_WINDOW_SIZE: 5}), settings({Setting.INITIAL_WINDOW_SIZE: 7}), ping())
        acknowledged = 0
        while (found := raw.read()) is not None and found.kind != Kind.PING:
            acknowledged += found.kind == Kind.SETTINGS and found.flags == ACK
        assert acknowledged == 3
        raw.send(headers(1, request(path="/metrics")))
        assert len(raw.until(lambda found: found.kind == Kind.DATA).payload) == 7


def test_6_7_pings_are_answered_with_their_payload(attacked: Gateway) -> None:
    with Raw(attacked.http_port) as raw:
        raw.send(ping(b"payload!"))
        assert raw.until(lambda found: found.kind == Kind.PING).payload == b"payload!"


def test_4_2_no_frame_is_larger_than_the_client_takes(attacked: Gateway) -> None:
    with Raw(attacked.http_port) as raw:
        raw.send(headers(1, request(path="/metrics")))
        while not raw.over(1):
            found = raw.read()
            assert found is not None
            assert len(found.payload) <= MAX_FRAME


@pytest.mark.parametrize("code", [Code.NO_ERROR, Code.CANCEL, 0xFFFFFFFF])
def test_7_unknown_codes_are_codes_too(attacked: Gateway, code: int) -> None:
    with Raw(attacked.http_port) as raw:
        raw.send(OPEN, rst_stream(1, code))
        serves(raw, 3)
        raw.send(goaway(0, code))
        assert raw.ending() in (None, Code.NO_ERROR)


# --- where the RFC leaves a choice: frames on streams that are over (5.1)

LATE = {
    "data": data(1, b"late"),
    "headers": headers(1, [("late", "x")]),
    "a reset": rst_stream(1),
    "a window": window_update(1, 1),
    "a priority": priority(1, 3),
}


@pytest.mark.parametrize("name", LATE)
def test_5_1_frames_on_a_stream_that_the_client_has_reset(attacked: Gateway, name: str) -> None:
    with Raw(attacked.http_port) as raw:
        raw.send(OPEN, rst_stream(1))
        raw.ping_pong()
        raw.send(LATE[name])
        serves(raw, 3)


@pytest.mark.parametrize("name", LATE)
def test_5_1_frames_on_a_stream_that_was_answered(attacked: Gateway, name: str) -> None:
    with Raw(attacked.http_port) as raw:
        assert raw.exchange(1, GET).status == 200
        raw.send(LATE[name])
        serves(raw, 3)


@pytest.mark.parametrize("name", LATE)
def test_8_1_frames_on_a_stream_that_was_answered_too_early(attacked: Gateway, name: str) -> None:
    """The server need not read the rest of a request, and the client cannot know yet that it does not."""
    with Raw(attacked.http_port) as raw:
        raw.send(headers(1, request("POST", "/nowhere"), end=False))
        raw.until(lambda found: found.kind == Kind.RST_STREAM and found.code == Code.NO_ERROR)
        assert raw.answers[1].status == 404
        raw.send(LATE[name])
        serves(raw, 3)


def test_5_1_1_streams_that_were_left_out_are_not_opened(attacked: Gateway) -> None:
    """Opening stream 5 closes 1 and 3. nghttp2 passes over what comes for them, and answers nothing."""
    with Raw(attacked.http_port) as raw:
        assert raw.exchange(5, GET).status == 200
        raw.send(headers(3, GET))
        serves(raw, 7)
        assert 3 not in raw.answers
