"""Large bodies that are written in pieces are the bytes that are written in one go (PL-01)."""

from __future__ import annotations

import pytest
from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.dialects.json_writer import JsonWriter
from batchwire.core.dialects.multipart.writer import MultipartWriter
from batchwire.core.model import Call, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from json_batches import batch

CHUNK = 1_047_552
WRITERS = {"json": JsonWriter, "multipart": lambda: MultipartWriter(b"b")}
EDGES = [1, 2, 3, 16, 131_071, 131_072, 131_073, 393_215, 393_216, 393_217, 786_433, 1_000_001]


def call(method: str = "get") -> Call:
    reader = JsonReader()
    reader.feed_bytes(batch({"id": "1", "method": method, "url": "x"}))
    made = reader.next()
    assert made is not None
    return made


def result(media: bytes | None, body: bytes, status: int = 200) -> Result:
    made = Result()
    made.fill(status, [] if media is None else [(b"content-type", media)], body)
    return made


@settings(deadline=None, max_examples=150)
@given(
    dialect=st.sampled_from(sorted(WRITERS)),
    media=st.sampled_from([None, b"text/plain", b"text/plain;charset=utf-16", b"image/png", b"application/json"]),
    unit=st.sampled_from([b"a", b"\x01", b'a"', b"\\\r\n", "é€😀".encode(), b"\xff\x00", b"[1,\r2],"]),
    size=st.sampled_from(EDGES),
    lead=st.sampled_from([b"", b"[", b" ", b"\xef\xbb\xbf"]),
    tail=st.sampled_from([b"", b"]", b"[1]]", b"\r"]),
    status=st.sampled_from([200, 404, 204]),
)
def test_PL_01_pieces_are_what_is_written_in_one_go(
    dialect: str, media: bytes | None, unit: bytes, size: int, lead: bytes, tail: bytes, status: int
) -> None:
    body = lead + (unit * (size // len(unit) + 1))[:size] + tail
    writer = WRITERS[dialect]()
    whole = writer.write_bytes(call(), result(media, body, status))
    pieces = writer.write_pieces(call(), result(media, body, status))
    if pieces is None:
        assert status == 204 or not body.strip()
        return
    assert b"".join(pieces) == whole
    assert all(len(piece) <= CHUNK for piece in pieces)
    # And nothing of it stays for the next one.
    assert writer.write_bytes(call(), result(media, body, status)) == whole


@pytest.mark.parametrize("dialect", sorted(WRITERS))
def test_PL_01_no_piece_is_much_work(dialect: str) -> None:
    body = b"\x01" * 3_000_000
    writer = WRITERS[dialect]()
    pieces = writer.write_pieces(call(), result(b"text/plain", body))
    assert len(pieces) >= 8


def test_PR_07_carriage_returns_of_json_become_spaces_in_pieces_alone_where_it_is_json() -> None:
    good, bad = b"[" + b"1,\r\n" * 300_000 + b"1]", b"[" + b"1,\r\n" * 300_000 + b"1"
    writer = MultipartWriter(b"b")
    assert b"\r\n1,\r\n" not in b"".join(writer.write_pieces(call(), result(b"application/json", good)))
    assert bad in b"".join(writer.write_pieces(call(), result(b"application/json", bad)))
