"""The protocol entry under fuzz: any bytes, and any mutation and any split of a valid exchange.

The front runs in this process, in a thread of its own: after each connection nothing of it may be open, nothing may
have reached the loop's exception handler or the log as an error, and the next connection is served.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import uvloop
from batchwire.v1 import batch_pb2
from harness import grpc_client, http2, rest
from harness.http2 import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD,
    HAS_PRIORITY,
    PADDED,
    PREFACE,
    Kind,
    Raw,
    Setting,
    block,
    data,
    frame,
    goaway,
    grpc_request,
    headers,
    literal,
    message,
    ping,
    priority,
    request,
    rst_stream,
    settings,
    window_update,
)
from harness.scripted import ScriptedUpstream
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from in_process import NOTHING, open_now, whole_front

PATIENCE = 10.0
FUZZ = examples(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
pytestmark = pytest.mark.timeout(180)


@dataclass
class Front:
    """The running front. `errors`: what must not have happened."""

    port: int = 0
    errors: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Nothing is open, and nothing has gone wrong."""
        end = time.monotonic() + PATIENCE
        while open_now() != NOTHING:
            assert time.monotonic() < end, f"{open_now()} are still open"
            time.sleep(0.0005)
        assert not self.errors, self.errors

    def converse(self, pieces: list[bytes]) -> bytes:
        """Sends the pieces, ends its side, and reads to the end of the connection, which must come."""
        said = bytearray()
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in pieces:
                    sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
                while more := sock.recv(65536):
                    said += more
            except TimeoutError:
                raise
            except OSError:
                # Reset, or closed before this side was: either is an end.
                pass
        return bytes(said)


class _Errors(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(self.format(record))


async def _serve(things: str, front: Front, ready: threading.Event, over: threading.Event) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: front.errors.append(str(context)))
    async with whole_front(things) as (port, _):
        front.port = port
        ready.set()
        await asyncio.to_thread(over.wait)


@pytest.fixture(scope="module")
def front(_things: ScriptedUpstream) -> Iterator[Front]:
    _things.reset()
    _things.on("GET", "/things/0")
    running, ready, over = Front(), threading.Event(), threading.Event()
    handler = _Errors(running.errors)
    logging.getLogger().addHandler(handler)
    thread = threading.Thread(target=lambda: uvloop.run(_serve(_things.origin, running, ready, over)), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE), "the front did not start"
    yield running
    over.set()
    thread.join(PATIENCE)
    logging.getLogger().removeHandler(handler)
    assert not thread.is_alive(), "the front did not stop"
    running.check()


# --- a valid exchange: three streams over every kind of frame

BATCH = batch_pb2.BatchRequest(
    options=grpc_client.options(), calls=[grpc_client.call("1", "things/0")]
).SerializeToString()
LATER = batch_pb2.BatchRequest(calls=[grpc_client.call("2", "things/0")]).SerializeToString()
EXECUTE = batch_pb2.ExecuteRequest(
    options=grpc_client.options(), calls=[grpc_client.call("1", "things/0")]
).SerializeToString()
DOCUMENT = rest.encode({"requests": [rest.get_call("1", "things/0")]})
JSON = request("POST", "/svc/$batch", ("content-type", "application/json"))
FRAMES = [
    settings({Setting.INITIAL_WINDOW_SIZE: 100_000, Setting.ENABLE_PUSH: 0}),
    window_update(0, 1 << 20),
    priority(9, 0),
    frame(Kind.HEADERS, 0, 1, block(grpc_request("Batch"))[:40]),
    frame(Kind.CONTINUATION, END_HEADERS, 1, block(grpc_request("Batch", ("grpc-timeout", "9S")))[40:]),
    data(1, message(BATCH)[:7]),
    headers(3, grpc_request("Execute", ("x-bin", "AAA=")), end=False),
    data(1, message(BATCH)[7:] + message(LATER)[:3]),
    frame(Kind.DATA, PADDED | END_STREAM, 3, b"\x04" + message(EXECUTE) + bytes(4)),
    frame(Kind.HEADERS, END_HEADERS | HAS_PRIORITY, 5, b"\0\0\0\0\x10" + block(JSON)),
    data(1, message(LATER)[3:], end=True),
    window_update(1, 1000),
    data(5, DOCUMENT[:10]),
    data(5, DOCUMENT[10:]),
    frame(0x63, 0x7F, 5, b"unknown"),
    frame(Kind.HEADERS, END_HEADERS | END_STREAM, 5, literal("trailer", "x")),
    frame(Kind.HEADERS, END_HEADERS, 7, block(grpc_request("Batch"))),
    rst_stream(7),
    ping(),
    settings(flags=ACK),
]
EXCHANGE = PREFACE + b"".join(FRAMES)


def cut(given: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(given) + 1) for place in cuts), len(given)]
    pieces = [given[start:end] for start, end in pairwise(places)]
    return [piece for piece in pieces if piece]


CUTS = st.lists(st.integers(0, len(EXCHANGE)), max_size=20)


@FUZZ
@given(cuts=CUTS)
def test_any_split_of_a_valid_exchange_is_answered_whole(front: Front, cuts: list[int]) -> None:
    with Raw(front.port, greet=False, timeout=PATIENCE) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in cut(EXCHANGE, cuts):
            raw.send(piece)
        answers = [raw.answer(stream) for stream in (1, 3, 5)]
    results = [result for text in answers[0].messages for result in batch_pb2.BatchResponse.FromString(text).results]
    assert sorted((result.id, result.status) for result in results) == [("1", 200), ("2", 200)]
    assert answers[0].grpc_status == answers[1].grpc_status == 0
    executed = batch_pb2.ExecuteResponse.FromString(answers[1].messages[0])
    assert [result.status for result in executed.results] == [200]
    assert answers[2].status == 200
    assert answers[2].body.startswith(b'{"responses":[{"id":"1","status":200')
    front.check()


@FUZZ
@given(given_bytes=st.binary(max_size=400), cuts=CUTS)
def test_any_bytes_on_a_fresh_connection(front: Front, given_bytes: bytes, cuts: list[int]) -> None:
    front.converse(cut(given_bytes, cuts))
    front.check()


@FUZZ
@given(start=st.integers(0, len(PREFACE)), given_bytes=st.binary(max_size=400), cuts=CUTS)
def test_any_bytes_after_some_of_the_preface(front: Front, start: int, given_bytes: bytes, cuts: list[int]) -> None:
    front.converse(cut(PREFACE[:start] + given_bytes, cuts))
    front.check()


@FUZZ
@given(
    changes=st.lists(st.tuples(st.integers(0, len(EXCHANGE) - 1), st.integers(0, 255)), min_size=1, max_size=12),
    end=st.integers(1, len(EXCHANGE)),
    cuts=CUTS,
)
def test_changed_bytes_of_a_valid_exchange(
    front: Front, changes: list[tuple[int, int]], end: int, cuts: list[int]
) -> None:
    changed = bytearray(EXCHANGE)
    for place, value in changes:
        changed[place] = value
    front.converse(cut(bytes(changed[:end]), cuts))
    front.check()


# --- the same over HTTP/1.1

HTTP1 = [
    b"POST /svc/$batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (len(DOCUMENT), DOCUMENT),
    b"POST /svc/$batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"8;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (DOCUMENT[:8], len(DOCUMENT) - 8, DOCUMENT[8:]),
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    b"POST /batchwire.v1.BatchService/Execute HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc-web\r\n"
    b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%b" % (len(message(EXECUTE)), message(EXECUTE)),
    b"HEAD http://a/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
]
CUTS1 = st.lists(st.integers(0, len(b"".join(HTTP1))), max_size=20)


@FUZZ
@given(order=st.permutations(HTTP1[:-1]), cuts=CUTS1)
def test_any_split_of_pipelined_requests_is_answered_whole(front: Front, order: list[bytes], cuts: list[int]) -> None:
    answers = front.converse(cut(b"".join([*order, HTTP1[-1]]), cuts))
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == len(HTTP1), answers
    assert answers.count(b'{"responses":[{"id":"1","status":200') == 2
    front.check()


@FUZZ
@given(
    requests=st.lists(st.sampled_from(HTTP1), min_size=1, max_size=6),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    end=st.integers(1, 2000),
    cuts=CUTS1,
)
def test_changed_bytes_of_requests(
    front: Front, requests: list[bytes], changes: list[tuple[int, int]], end: int, cuts: list[int]
) -> None:
    changed = bytearray(b"".join(requests)[:end])
    for place, value in changes:
        changed[place % len(changed)] = value
    front.converse(cut(bytes(changed), cuts))
    front.check()


HEADS = st.tuples(
    st.integers(0, 12),
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 9, 13, 32, 37]), st.integers(0, 255)),
    st.one_of(st.integers(0, 9), st.sampled_from([2**31 - 1, 2**31])),
)
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([frame_[FRAME_HEAD:] for frame_ in FRAMES]),
    st.sampled_from([message(EXECUTE), message(b""), DOCUMENT, bytes(4), bytes(5), bytes(8)]),
)
ANY_FRAME = st.builds(lambda head, payload: frame(*head, payload), HEADS, PIECES)
LYING_FRAME = st.builds(
    lambda head, payload, length: frame(*head, payload, length), HEADS, PIECES, st.integers(0, 2**24 - 1)
)
EDGES = st.sampled_from(
    [window_update(0, 2**31 - 1), window_update(3, 0), goaway(), goaway(2**31 - 1, 99), settings({4: 0}),
     settings({1: 0}), settings({5: 2**24 - 1}), headers(2**31 - 1, request()), rst_stream(3, 2**32 - 1)]
)  # fmt: skip


@FUZZ
@given(frames=st.lists(st.one_of(st.sampled_from(FRAMES), ANY_FRAME, EDGES, LYING_FRAME), max_size=25), cuts=CUTS)
def test_any_frames_in_any_order(front: Front, frames: list[bytes], cuts: list[int]) -> None:
    front.converse(cut(PREFACE + settings() + b"".join(frames), cuts))
    front.check()


@FUZZ
@given(fields=st.binary(max_size=120), end=st.booleans(), cuts=CUTS)
def test_any_header_block(front: Front, fields: bytes, end: bool, cuts: list[int]) -> None:
    flags = END_HEADERS | (END_STREAM if end else 0)
    whole = block(request()) + fields
    front.converse(cut(PREFACE + settings() + frame(Kind.HEADERS, flags, 1, whole) + headers(3, request()), cuts))
    front.check()


@FUZZ
@given(
    method=st.sampled_from(["Batch", "Execute", "BatchJson", "BatchHttp", "Nothing"]),
    body=st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([message(BATCH), message(EXECUTE)])), max_size=5),
    metadata=st.lists(
        st.tuples(
            st.sampled_from(["grpc-timeout", "grpc-encoding", "content-type", "te", "x-bin", "batchwire-route"]),
            st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12),
        ),
        max_size=4,
    ),
    cuts=CUTS,
)
def test_any_body_and_metadata_of_a_call(
    front: Front, method: str, body: list[bytes], metadata: list[tuple[str, str]], cuts: list[int]
) -> None:
    frames = [headers(1, grpc_request(method, *metadata), end=False), *(data(1, piece) for piece in body)]
    front.converse(cut(PREFACE + settings() + b"".join(frames) + data(1, b"", end=True) + ping(), cuts))
    front.check()


def test_the_front_serves_after_all_that(front: Front) -> None:
    with Raw(front.port) as raw:
        assert raw.exchange(1, request()).status == 200
        assert raw.exchange(3, grpc_request("Execute"), message(EXECUTE)).grpc_status == 0
        assert raw.exchange(5, http2.request("GET", "/metrics")).status == 200
    front.check()
