"""gRPC messages on the wire of the native front: any split, several in a frame, compressed, too large, cut off."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from batch_messages import ROUTE, batch, document, execute, executed, reason, streamed
from google.api.httpbody_pb2 import HttpBody
from harness import grpc_wire, rest
from harness.gateway import Gateway
from harness.grpc_wire import answer_of, call, head, prefixed
from harness.http2_wire import Http2Wire
from harness.scripted import Received, Reply, ScriptedUpstream, json_reply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LIMIT = 4 << 20  # limits.grpc_max_message_bytes
NAMES = [str(n) for n in range(6)]
THREE = prefixed(batch("0", "1")) + prefixed(batch("2", first=False)) + prefixed(batch("3", "4", "5", first=False))
GROWTH = 24 << 20

in_any_way = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.fixture
def wire(gateway: Gateway, upstream: ScriptedUpstream) -> Iterator[Http2Wire]:
    upstream.on("GET", "/A")
    with Http2Wire(gateway.grpc_address) as connection:
        yield connection


def refused(wire: Http2Wire, fields: Any, data: bytes, *, end: bool = True) -> grpc_wire.GrpcAnswer:
    """The answer to bytes that are no good."""
    stream = wire.open(fields)
    wire.send(stream, data, end=end)
    answer = answer_of(wire.answer(stream))
    assert answer.code != grpc_wire.OK
    return answer


# --- splits


@in_any_way
@given(
    cuts=st.lists(st.integers(0, len(THREE)), max_size=12),
    padding=st.one_of(st.none(), st.integers(0, 255)),
    late_end=st.booleans(),
)
def test_any_split_gives_the_same_batch(wire: Http2Wire, cuts: list[int], padding: int | None, late_end: bool) -> None:
    """Frames, padded or not, empty ones too, have nothing to do with messages."""
    stream = wire.open(head("Batch"))
    edges = [0, *sorted(cuts), len(THREE)]
    for start, stop in pairwise(edges):
        last = stop == len(THREE) and start != stop and not late_end
        wire.send(stream, THREE[start:stop], padding=padding, end=last)
        if last:
            break
    else:
        wire.end(stream)
    assert streamed(answer_of(wire.answer(stream))) == dict.fromkeys(NAMES, 200)


def test_each_byte_in_a_frame_of_its_own(wire: Http2Wire) -> None:
    stream = wire.open(head("Batch"))
    for at in range(len(THREE)):
        wire.h2.send_data(stream, THREE[at : at + 1])
    wire.end(stream)
    assert streamed(answer_of(wire.answer(stream))) == dict.fromkeys(NAMES, 200)


@pytest.mark.parametrize("shift", [0, 1, 4])
def test_PL_01_empty_messages_are_passed_over(shift: int, wire: Http2Wire) -> None:
    """However their prefixes fall into frames; what stands between them is not."""
    empty = prefixed(b"")
    data = prefixed(batch("0")) + empty * 3_000 + prefixed(batch("1", first=False)) + empty * 3_000
    data += prefixed(batch("2", first=False))
    stream = wire.open(head("Batch"))
    for at in range(shift - 5, len(data), 5_000):
        wire.send(stream, data[max(at, 0) : at + 5_000], end=False)
    wire.send(stream, b"", end=True)
    assert streamed(answer_of(wire.answer(stream))) == {"0": 200, "1": 200, "2": 200}


def test_PL_01_an_empty_message_comes_first_or_is_too_many_all_the_same(wire: Http2Wire) -> None:
    late = refused(wire, head("Batch"), prefixed(b"") * 3 + prefixed(batch("1")))
    assert reason(late) == "LateOptions"
    two = refused(wire, head("Execute"), prefixed(execute("1")) + prefixed(b""))
    assert reason(two) == "TooManyMessages"


@pytest.mark.parametrize("at", range(1, 6))
def test_a_prefix_split_over_frames(at: int, wire: Http2Wire) -> None:
    message = prefixed(execute("1"))
    stream = wire.open(head())
    wire.send(stream, message[:at])
    wire.ping()
    wire.wait(lambda: bool(wire.pongs), "the first piece has been read")
    wire.send(stream, message[at:], end=True)
    assert executed(answer_of(wire.answer(stream))) == {"1": 200}


def test_messages_of_many_streams_between_each_other(wire: Http2Wire) -> None:
    """Bytes of twenty calls in turn, on one connection."""
    message = prefixed(execute("1"))
    streams = [wire.open(head()) for _ in range(20)]
    for at in range(0, len(message), 3):
        for stream in streams:
            wire.h2.send_data(stream, message[at : at + 3], end_stream=at + 3 >= len(message))
        wire.flush()
    for stream in streams:
        assert executed(answer_of(wire.answer(stream))) == {"1": 200}


@pytest.mark.parametrize("method", ["BatchJson", "BatchHttp"])
def test_a_document_in_any_pieces(method: str, wire: Http2Wire) -> None:
    data = rest.encode({"requests": [rest.get_call("1", "A"), rest.get_call("2", "A")]})
    pieces = [HttpBody(content_type="application/json", data=data[:7]), HttpBody(), HttpBody(data=data[7:])]
    stream = wire.open(head(method, ROUTE))
    for at, piece in enumerate(pieces):
        wire.send(stream, prefixed(piece.SerializeToString()), end=at == 2)
    answer = answer_of(wire.answer(stream))
    bodies = [HttpBody.FromString(message) for message in answer.messages]
    assert {body.content_type.partition(";")[0] for body in bodies} == {"application/json"}
    assert b"".join(body.data for body in bodies).count(b'"status":200') == 2


def test_a_large_message_each_way(wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    """Larger than the windows of both sides, and all but as large as may be."""
    upstream.fallback = lambda received: Reply(200, [("Content-Type", "text/plain")], received.body[::-1])
    body = bytes(range(256)) * 15_000
    made = execute("1", method="POST", body=body, headers={"Content-Type": "text/plain"})
    assert LIMIT * 0.9 < len(made) < LIMIT
    stream = wire.open(head())
    wire.send(stream, prefixed(made), end=True)
    answer = answer_of(wire.answer(stream))
    assert executed(answer) == {"1": 200}
    assert body[::-1] in answer.messages[0]


# --- the number of messages


@pytest.mark.parametrize(
    ("method", "messages", "code"),
    [
        ("Execute", [], grpc_wire.UNIMPLEMENTED),
        ("Execute", [execute("1"), execute("2")], grpc_wire.UNIMPLEMENTED),
        ("Batch", [], grpc_wire.OK),
        ("Batch", [b""], grpc_wire.OK),
        ("Execute", [b""], grpc_wire.OK),
        ("BatchJson", [], grpc_wire.INVALID_ARGUMENT),
    ],
)
@pytest.mark.parametrize("with_head", [True, False])
def test_none_or_too_many(method: str, messages: list[bytes], code: int, with_head: bool, wire: Http2Wire) -> None:
    """END_STREAM on the head or on a frame of its own; an empty message is one without fields."""
    stream = wire.open(head(method, ROUTE if method == "BatchJson" else []), end=with_head and not messages)
    for message in messages:
        wire.send(stream, prefixed(message))
    if messages or not with_head:
        wire.end(stream)
    assert answer_of(wire.answer(stream)).code == code


def test_the_status_comes_before_the_request_ends(wire: Http2Wire) -> None:
    """And RST_STREAM with NO_ERROR behind it, as the client need not send the rest (RFC 9113 8.1)."""
    stream = wire.open(head())
    wire.send(stream, prefixed(execute("1", route="/nowhere/")))
    heard = wire.answer(stream)
    assert answer_of(heard).code == grpc_wire.NOT_FOUND
    wire.wait(lambda: heard.reset is not None, "RST_STREAM")
    assert heard.reset == 0


def test_trailers_of_a_request_end_it(wire: Http2Wire) -> None:
    stream = wire.open(head())
    wire.send(stream, prefixed(execute("1")))
    wire.end(stream, [("x-checksum", "abc"), ("x-more-bin", "AAEC")])
    assert executed(answer_of(wire.answer(stream))) == {"1": 200}


# --- what is no message


@pytest.mark.parametrize("cut", [1, 4, 5, 6, -1])
def test_a_request_that_ends_within_a_message(cut: int, wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    for method, message in (("Execute", execute("1")), ("Batch", batch("1"))):
        answer = refused(wire, head(method), prefixed(message)[:cut])
        assert (answer.code, reason(answer)) == (grpc_wire.INVALID_ARGUMENT, "BadMessage")
    assert upstream.lines == []


def test_half_a_message_after_a_whole_one(wire: Http2Wire) -> None:
    answer = refused(wire, head("Batch"), prefixed(batch("1")) + prefixed(batch("2", first=False))[:9])
    assert (answer.code, reason(answer)) == (grpc_wire.INVALID_ARGUMENT, "BadMessage")


@pytest.mark.parametrize("flag", [2, 0x80, 0xFF])
def test_an_unknown_flag(flag: int, wire: Http2Wire) -> None:
    answer = refused(wire, head(), prefixed(execute("1"), flag))
    assert (answer.code, reason(answer)) == (grpc_wire.INVALID_ARGUMENT, "BadMessage")


@pytest.mark.parametrize("size", [LIMIT + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_message_that_is_too_large_is_refused_by_its_prefix(
    size: int, wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    before = gateway.rss()
    answer = refused(wire, head("Batch"), b"\0" + size.to_bytes(4, "big"), end=False)
    assert (answer.code, reason(answer)) == (grpc_wire.RESOURCE_EXHAUSTED, "MessageTooLarge")
    assert str(LIMIT) in answer.message
    assert gateway.rss() - before < GROWTH
    assert upstream.lines == []


def test_a_length_that_lies_costs_nothing(wire: Http2Wire, gateway: Gateway) -> None:
    """Two hundred calls that say they will send 4 MiB each."""
    before = gateway.rss()
    streams = [wire.open(head("Batch")) for _ in range(200)]
    for stream in streams:
        wire.send(stream, b"\0" + (LIMIT - 1).to_bytes(4, "big") + b"x")
    wire.ping()
    wire.wait(lambda: bool(wire.pongs), "all have been read")
    assert gateway.rss() - before < GROWTH
    for stream in streams:
        wire.reset(stream)
    gateway.wait_idle()


# --- compression


def packed(coding: str, message: bytes) -> bytes:
    return gzip.compress(message) if coding == "gzip" else zlib.compress(message)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_messages(coding: str, wire: Http2Wire) -> None:
    """Each message says for itself whether it is."""
    fields = [("grpc-encoding", coding), ("grpc-accept-encoding", "gzip")]
    stream = wire.open(head("Batch", fields))
    wire.send(stream, prefixed(packed(coding, batch("1")), 1) + prefixed(batch("2", first=False)))
    wire.send(stream, prefixed(packed(coding, batch("3", first=False)), 1), end=True)
    assert streamed(answer_of(wire.answer(stream))) == {"1": 200, "2": 200, "3": 200}


@pytest.mark.parametrize("size", [1, 7, 60])
def test_FR_01_a_message_of_several_members_of_gzip(size: int, wire: Http2Wire) -> None:
    """RFC 1952 2.2; what follows them and is none is damage."""
    message = batch("1")
    members = b"".join(gzip.compress(message[at : at + size]) for at in range(0, len(message), size))
    fields = [("grpc-encoding", "gzip")]
    stream = wire.open(head("Batch", fields))
    wire.send(stream, prefixed(members, 1), end=True)
    assert streamed(answer_of(wire.answer(stream))) == {"1": 200}
    answer = refused(wire, head("Batch", fields), prefixed(members + b"x", 1))
    assert (answer.code, reason(answer)) == (grpc_wire.INVALID_ARGUMENT, "BadMessage")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_plain_messages_under_an_encoding(coding: str, wire: Http2Wire) -> None:
    assert executed(call(wire, head("Execute", [("grpc-encoding", coding)]), execute("1"))) == {"1": 200}


@pytest.mark.parametrize("fields", [[], [("grpc-encoding", "identity")]])
def test_a_compressed_message_without_an_encoding_is_internal(fields: list[tuple[str, str]], wire: Http2Wire) -> None:
    """grpc/doc/compression.md, test case 6."""
    answer = refused(wire, head("Execute", fields), prefixed(gzip.compress(execute("1")), 1))
    assert (answer.code, reason(answer)) == (grpc_wire.INTERNAL, "BadMessage")
    assert "compressed" in answer.message


@pytest.mark.parametrize("coding", ["snappy", "br", "GZIP", "gzip, deflate", ""])
def test_an_unknown_encoding_is_unimplemented(coding: str, wire: Http2Wire) -> None:
    """grpc/doc/compression.md, test case 4: the answer says which there are."""
    answer = refused(wire, head("Execute", [("grpc-encoding", coding)]), prefixed(execute("1"), 1))
    assert (answer.code, reason(answer)) == (grpc_wire.UNIMPLEMENTED, "UnknownEncoding")
    known = (answer.heard.header("grpc-accept-encoding") or "").split(",")
    assert known == ["identity", "gzip", "deflate"]
    assert all(name in answer.message for name in known)


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", b"this is no gzip"),
        ("gzip", gzip.compress(execute("1"), mtime=0)[:-4]),
        ("gzip", gzip.compress(execute("1"), mtime=0) + b"more"),
        ("gzip", zlib.compress(execute("1"))),
        ("gzip", b""),
        ("deflate", gzip.compress(execute("1"), mtime=0)),
        ("deflate", zlib.compress(execute("1"))[:-1] + b"?"),
    ],
)
def test_damaged_compression(coding: str, data: bytes, wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    answer = refused(wire, head("Execute", [("grpc-encoding", coding)]), prefixed(data, 1))
    assert (answer.code, reason(answer)) == (grpc_wire.INVALID_ARGUMENT, "BadMessage")
    assert upstream.lines == []


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_refused_while_it_is_unpacked(coding: str, wire: Http2Wire, gateway: Gateway) -> None:
    """A gigabyte in a megabyte: the same block of zeros again and again."""
    maker = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    start = maker.flush(zlib.Z_FULL_FLUSH)
    block = maker.compress(bytes(1 << 20)) + maker.flush(zlib.Z_FULL_FLUSH)
    bomb = start + block * 1024
    assert len(zlib.decompressobj(31 if coding == "gzip" else 15).decompress(bomb, 20 << 20)) == 20 << 20
    assert len(bomb) < LIMIT
    before = gateway.rss()
    answer = refused(wire, head("Execute", [("grpc-encoding", coding)]), prefixed(bomb, 1))
    assert (answer.code, reason(answer)) == (grpc_wire.RESOURCE_EXHAUSTED, "MessageTooLarge")
    assert gateway.rss() - before < GROWTH


def test_what_unpacks_to_the_limit_is_taken(wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    seen: list[int] = []

    def note(received: Received) -> Reply:
        seen.append(len(received.body))
        return json_reply({})

    upstream.fallback = note
    frame = len(execute("1", method="POST", body=b"z" * 1_000_000))
    body = b"z" * (LIMIT - (frame - 1_000_000) - 4)
    message = execute("1", method="POST", body=body)
    assert LIMIT - 8 <= len(message) <= LIMIT
    stream = wire.open(head("Execute", [("grpc-encoding", "gzip")]))
    wire.send(stream, prefixed(gzip.compress(message), 1), end=True)
    assert executed(answer_of(wire.answer(stream))) == {"1": 200}
    assert seen == [len(body)]


def test_documents_may_be_compressed(wire: Http2Wire) -> None:
    stream = wire.open(head("BatchJson", [*ROUTE, ("grpc-encoding", "gzip")]))
    wire.send(stream, prefixed(gzip.compress(document("1", "2")), 1), end=True)
    answer = answer_of(wire.answer(stream))
    assert answer.code == grpc_wire.OK
    assert b"".join(HttpBody.FromString(message).data for message in answer.messages).count(b'"status":200') == 2
