"""grpc-timeout, grpc-message and compressed messages, as grpc/doc/PROTOCOL-HTTP2.md has them."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from urllib.parse import unquote_to_bytes

import pytest
from batchwire.core import EnvelopeError
from batchwire.core.front.grpc_protocol import CODINGS, percent_encoded, timeout_seconds
from batchwire.core.front.unpacking import Inflating
from hypothesis import example, given
from hypothesis import strategies as st

UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
MESSAGE_BYTES = 4096
GZIP, DEFLATE = CODINGS[b"gzip"], CODINGS[b"deflate"]
LIMIT = 100_000


def decompressed(packed: bytes, bits: int, limit: int) -> bytes:
    """All steps of it."""
    inflating = Inflating(packed, bits, limit)
    while not inflating.step():
        pass
    return inflating.message


# --- time-outs


@given(number=st.integers(min_value=0, max_value=99_999_999), unit=st.sampled_from(sorted(UNITS)))
def test_timeouts(number: int, unit: str) -> None:
    assert timeout_seconds(f"{number}{unit}".encode()) == pytest.approx(number * UNITS[unit])


@pytest.mark.parametrize(
    "value",
    [b"", b"S", b"1", b"123456789S", b"-1S", b"+1S", b" 1S", b"1 S", b"1S ", b"1.5S", b"1s", b"1h", b"1\xb5", b"0x1S",
     b"1SS", b"\xd9\xa1S"],
)  # fmt: skip
def test_malformed_timeouts(value: bytes) -> None:
    with pytest.raises(EnvelopeError) as caught:
        timeout_seconds(value)
    assert (caught.value.status, caught.value.code) == (400, "BadTimeout")


@given(st.binary(max_size=12))
def test_any_timeout_is_taken_or_refused(value: bytes) -> None:
    digits, unit = value[:-1], value[-1:].decode("latin-1")
    good = 1 <= len(digits) <= 8 and all(0x30 <= c <= 0x39 for c in digits) and unit in UNITS
    if good:
        assert timeout_seconds(value) >= 0
    else:
        with pytest.raises(EnvelopeError):
            timeout_seconds(value)


# --- messages of a status


@given(st.text(max_size=200))
@example("100 % größer\t– \r\n\0 ok ~")
def test_messages_come_back_by_percent_decoding(message: str) -> None:
    encoded = percent_encoded(message)
    assert unquote_to_bytes(encoded) == message.encode("utf-8", "replace")
    assert all(0x20 <= c <= 0x7E for c in encoded)


def test_what_is_printable_stays() -> None:
    printable = "".join(chr(c) for c in range(0x20, 0x7F) if c != 0x25)
    assert percent_encoded(printable) == printable.encode()
    assert percent_encoded("%") == b"%25"


@pytest.mark.parametrize("letter", ["a", "ü", "𝄞", "%"])
def test_long_messages_are_cut(letter: str) -> None:
    encoded = percent_encoded(letter * 10_000)
    assert len(unquote_to_bytes(encoded)) == MESSAGE_BYTES
    assert len(encoded) <= 3 * MESSAGE_BYTES


# --- compressed messages


@given(st.binary(max_size=2000))
@example(b"")
def test_both_codings(message: bytes) -> None:
    assert decompressed(gzip.compress(message), GZIP, LIMIT) == message
    assert decompressed(zlib.compress(message), DEFLATE, LIMIT) == message


@pytest.mark.parametrize("bits", [GZIP, DEFLATE])
def test_a_bomb_is_refused_and_not_unpacked(bits: int) -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, bits)
    zeros = bytes(1 << 20)
    bomb = b"".join(packed.compress(zeros) for _ in range(200)) + packed.flush()
    with pytest.raises(EnvelopeError) as caught:
        decompressed(bomb, bits, LIMIT)
    assert (caught.value.status, caught.value.code) == (413, "MessageTooLarge")


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1])
def test_the_limit_is_of_the_message_in_plain(size: int) -> None:
    packed = gzip.compress(b"x" * size)
    if size <= LIMIT:
        assert len(decompressed(packed, GZIP, LIMIT)) == size
    else:
        with pytest.raises(EnvelopeError):
            decompressed(packed, GZIP, LIMIT)


def refused(packed: bytes, bits: int) -> str:
    with pytest.raises(EnvelopeError) as caught:
        decompressed(packed, bits, LIMIT)
    return caught.value.code


def test_what_is_damaged_is_refused() -> None:
    packed = gzip.compress(b"message" * 100)
    assert refused(b"", GZIP) == "BadMessage"
    assert refused(b"plain", GZIP) == "BadMessage"
    assert refused(packed[:-1], GZIP) == "BadMessage"
    assert refused(packed + b"x", GZIP) == "BadMessage"
    assert refused(packed[:-8] + bytes(8), GZIP) == "BadMessage"
    assert refused(packed, DEFLATE) == "BadMessage"
    assert refused(zlib.compress(b"x"), GZIP) == "BadMessage"


def test_a_compressed_message_without_its_coding_is_refused() -> None:
    assert refused(gzip.compress(b"x"), CODINGS[b"identity"]) == "BadMessage"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(packed: bytes) -> None:
    for bits in (GZIP, DEFLATE):
        with contextlib.suppress(EnvelopeError):
            assert len(decompressed(packed, bits, LIMIT)) <= LIMIT


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=60))
@example([b"", b""])
def test_several_members_of_gzip_are_one_message(members: list[bytes]) -> None:
    """RFC 1952 2.2."""
    assert decompressed(b"".join(map(gzip.compress, members)), GZIP, LIMIT) == b"".join(members)


def test_members_of_any_size_and_number() -> None:
    large, small = bytes(LIMIT // 2), gzip.compress(b"")
    assert decompressed(gzip.compress(large) + small * 5000 + gzip.compress(large), GZIP, LIMIT) == bytes(LIMIT)


def test_members_are_bounded_together_and_each_is_whole() -> None:
    half, small = gzip.compress(b"x" * (LIMIT // 2)), gzip.compress(b"x")
    assert refused(half + half + small, GZIP) == "MessageTooLarge"
    assert refused(small + small[:-1], GZIP) == "BadMessage"
    assert refused(small + small + b"x", GZIP) == "BadMessage"
    assert refused(small + zlib.compress(b"x"), GZIP) == "BadMessage"
    assert refused(zlib.compress(b"x") * 2, DEFLATE) == "BadMessage"
