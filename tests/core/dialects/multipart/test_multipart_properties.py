"""The multipart reader under any split, any body and any bytes, and its bounds."""

import tracemalloc
from typing import Any

import pytest
from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.errors import EnvelopeError
from hypothesis import given, settings
from hypothesis import strategies as st
from multipart_batches import HTTP, POST, batch, change_set, envelope_error, one, part, pieces, read, verdict, with_id

TYPE = b"Content-Type: application/octet-stream\r\n"
SLACK = 340  # what a delimiter line may add to what is held

NEAR = [b"\r\n", b"\n", b"\r", b"--", b"--b", b"--c", b"--b1", b"\r\n--", b"\n--b", b"-", b" ", b"b", b"c--", b"\x00"]
BODIES = st.lists(st.sampled_from(NEAR) | st.binary(max_size=20), max_size=8).map(b"".join)


def holds_delimiter(body: bytes) -> bool:
    """Whether a line of the body would be a delimiter: no sender may make such a part."""
    lines = (b"\r\n" + body + b"\r\n").split(b"\n")
    plain = [line.rstrip(b"\r").rstrip(b" \t") for line in lines]
    return any(line in (b"--b", b"--b--", b"--c", b"--c--") for line in plain)


CALLS = st.lists(
    st.tuples(
        st.sampled_from([b"POST", b"PUT", b"PATCH"]), BODIES.filter(lambda b: not holds_delimiter(b)), st.booleans()
    ),
    max_size=6,
)


def document(calls: list[tuple[bytes, bytes, bool]]) -> bytes:
    """Calls in a row that are marked make up a change set."""
    parts: list[bytes] = []
    members: list[bytes] = []
    for number, (method, body, grouped) in enumerate(calls):
        message = method + b" A(%d) HTTP/1.1\r\n" % number + TYPE + b"\r\n" + body
        if grouped:
            members.append(part(message, with_id(b"%d" % number), b"c"))
            continue
        if members:
            parts.append(change_set(*members))
            members = []
        parts.append(part(message, with_id(b"%d" % number)))
    if members:
        parts.append(change_set(*members))
    return batch(*parts)


@settings(max_examples=300, deadline=None)
@given(CALLS, st.lists(st.integers(0, 2000), max_size=12))
def test_calls_come_out_as_they_were_put_in(calls: list[tuple[bytes, bytes, bool]], cuts: list[int]) -> None:
    found = read(document(calls), cuts)
    assert [(call["method"], call["body"] or b"", call["group"] is not None) for call in found] == calls
    assert [call["id"] for call in found] == [b"%d" % number for number in range(len(calls))]
    assert all(call["refusal"] is None for call in found)


PIECES = [
    b"--b\r\n", b"--b--\r\n", b"--c\r\n", b"--c--\r\n", b"\r\n", b"\n", HTTP, POST, b"GET A\r\n",
    b"Content-ID: 1\r\n", b"Content-Type: multipart/mixed; boundary=c\r\n", b"Content-Length: 3\r\n",
    b"Host: x\r\n", b" ", b"\r", b"--", b":",
]  # fmt: skip
DOCUMENTS = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=30).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(0, 600), max_size=20), st.sampled_from([0, 40]))
def test_any_bytes_give_calls_or_one_clear_error_however_they_are_cut(data: bytes, cuts: list[int], limit: int) -> None:
    whole = verdict(data, max_call_bytes=limit, max_header_bytes=60)
    assert verdict(data, cuts, max_call_bytes=limit, max_header_bytes=60) == whole
    assert verdict(data, range(len(data)), max_call_bytes=limit, max_header_bytes=60) == whole


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(0, 600), max_size=20), st.sampled_from(["odata", "document", "google"]))
def test_no_more_is_held_than_the_bounds(data: bytes, cuts: list[int], flavour: str) -> None:
    reader = MultipartReader(b"b", flavour=flavour, max_call_bytes=50, max_header_bytes=40)
    for piece in pieces(data * 4, cuts):
        reader.feed_bytes(piece)
        try:
            while reader.next() is not None:
                pass
        except EnvelopeError:
            with pytest.raises(EnvelopeError):  # and so for ever
                reader.next()
            return
        assert reader.held_bytes() <= 50 + SLACK


# ---------------------------------------------------------------- bounds


def test_a_part_above_the_limit_breaks_the_batch() -> None:
    size = len(HTTP) + 2 + len(POST)
    assert len(read(batch(part(POST)), max_call_bytes=size + 2)) == 1
    data = batch(part(), part(POST + b" " * 500))
    assert verdict(data, max_call_bytes=size + 2)[:2] == (413, "CallTooLarge")
    assert verdict(data, max_call_bytes=size + 2)[3] == "requests[1]"
    assert envelope_error(data, max_call_bytes=size + 2) == "CallTooLarge"
    assert len(read(data, max_call_bytes=0)) == 2


def test_an_endless_part_is_noticed_before_it_ends() -> None:
    reader = MultipartReader(b"b", max_call_bytes=10_000)
    reader.feed_bytes(b"--b\r\n" + HTTP + b"\r\n" + POST)
    for _ in range(10):
        reader.feed_bytes(b"x" * 1000)
        assert reader.next() is None
    reader.feed_bytes(b"x" * 1000)
    with pytest.raises(EnvelopeError) as raised:
        reader.next()
    assert raised.value.status == 413


@pytest.mark.parametrize("flood", [b"X: y\r\n" * 20_000, b"X: " + b"y" * 100_000, b" " * 100_000, b"\x00" * 100_000])
def test_header_floods_break_the_batch_or_the_call(flood: bytes) -> None:
    assert envelope_error(b"--b\r\n" + flood + b"\r\n" + batch()) == "HeadersTooLarge"
    found = one(b"GET A HTTP/1.1\r\n" + flood + b"\r\n\r\n")
    assert found["refusal"] == (400, "HeadersTooLarge")
    assert found["headers"] == []


def test_a_long_line_outside_of_parts_is_not_held() -> None:
    line = b"--b" + b" " * 65536
    tracemalloc.start()
    reader = MultipartReader(b"b")
    for _ in range(400):
        reader.feed_bytes(line)
        assert reader.next() is None
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 1_000_000
    reader.feed_bytes(b"\r\n" + batch(part(POST)))
    assert reader.next() is not None


def test_a_padding_too_long_makes_no_delimiter() -> None:
    assert read(b"--b" + b" " * 256 + b"\r\n\r\n--b--") != []
    assert read(b"--b" + b" " * 257 + b"\r\n\r\n--b--") == []


def test_a_call_is_there_as_soon_as_its_delimiter_has_come() -> None:
    reader = MultipartReader(b"b")
    reader.feed_bytes(part(POST))
    assert reader.next() is None
    reader.feed_bytes(b"--b\r")
    assert reader.next() is None
    reader.feed_bytes(b"\n")
    assert reader.next().describe()["body"] == b"{}"
    assert reader.next() is None
    assert not reader.ended


def test_a_body_in_one_chunk_is_not_copied() -> None:
    reader = MultipartReader(b"b")
    data = batch(part(POST))
    reader.feed_bytes(data)
    assert reader.next().body_owner is data


def test_lines_of_a_body_cost_no_more_than_their_bytes() -> None:
    body = b"-\n" * 200_000
    message = b"POST A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n" + body
    found: list[dict[str, Any]] = read(batch(part(message)), range(0, len(message), 1000))
    assert found[0]["body"] == body
