"""Codings of a body: what is undone, in which bounds, and in how many steps (PL-01, JB-27, HD-19)."""

import gzip
import zlib

import pytest
from batchwire.core.dialects.codings import (
    FREE_BYTES,
    MAX_CODINGS,
    MAX_RATIO,
    BrokenCoding,
    TooDense,
    TooLong,
    TooManyCodings,
    UnknownCoding,
    decode,
    steps_of,
)
from hypothesis import given
from hypothesis import strategies as st

NOISE = b"".join(n.to_bytes(4, "little") for n in range(0, 1 << 32, 4099))  # 4 MiB that do not compress to nothing


def chunked(data: bytes, size: int) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%X ; a=b\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nA: b\r\n\r\n"


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


CODERS = {
    b"gzip": gzip.compress,
    b"x-gzip": lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]),
    b"deflate": zlib.compress,
    b"Deflate": raw_deflate,
    b"chunked": lambda data: chunked(data, 7),
    b"identity": bytes,
}


@given(st.lists(st.sampled_from(sorted(CODERS)), max_size=MAX_CODINGS), st.binary(max_size=300))
def test_codings_are_undone_in_reverse(names: list[bytes], data: bytes) -> None:
    coded = data
    for name in names:
        coded = CODERS[name](coded)
    assert decode(b" , ".join(names), coded, 0, transfer=True) == data


@pytest.mark.parametrize("coder", [gzip.compress, zlib.compress, raw_deflate])
def test_large_bodies_are_undone(coder: object) -> None:
    coded = coder(NOISE)  # type: ignore[operator]
    name = b"gzip" if coder is gzip.compress else b"deflate"
    assert decode(name, coded, len(NOISE)) == NOISE
    with pytest.raises(TooLong):
        decode(name, coded, len(NOISE) - 1)
    for broken in (coded[: len(coded) - 3], coded[: len(coded) // 2], coded + b"x"):
        with pytest.raises(BrokenCoding):
            decode(name, broken, 0)


@given(st.sampled_from([b"gzip", b"deflate", b"chunked"]), st.binary(max_size=60), st.integers(1, 20))
def test_what_is_cut_is_broken(name: bytes, data: bytes, left_out: int) -> None:
    coded = CODERS[name](data)
    if left_out < len(coded):
        with pytest.raises(BrokenCoding):
            decode(name, coded[: len(coded) - left_out], 0, transfer=True)


@pytest.mark.parametrize("name", [b"deflate", b"gzip", b"chunked"])
def test_PL_01_the_number_of_codings_is_bounded(name: bytes) -> None:
    with pytest.raises(TooManyCodings):
        decode(b",".join([name] * (MAX_CODINGS + 1)), b"x", 0, transfer=True)
    with pytest.raises(UnknownCoding):
        decode(b",".join([name] * MAX_CODINGS + [b"br"]), b"x", 0, transfer=True)


def test_PL_01_what_comes_out_is_in_proportion_to_what_came() -> None:
    zeros = gzip.compress(b"\0" * FREE_BYTES)
    assert decode(b"gzip", zeros, 0) == b"\0" * FREE_BYTES
    with pytest.raises(TooDense):
        decode(b"gzip", gzip.compress(b"\0" * (FREE_BYTES * 4)), 0)
    with pytest.raises(TooDense):  # of both together
        decode(b"gzip, gzip", gzip.compress(gzip.compress(b"\0" * (64 << 20))), 0)
    padded = gzip.compress(b"\0" * (FREE_BYTES * 2) + NOISE[: 2 * FREE_BYTES // MAX_RATIO])
    assert len(decode(b"gzip", padded, 0)) > 2 * FREE_BYTES


@pytest.mark.parametrize(
    ("name", "coded", "least"),
    [
        (b"gzip", gzip.compress(NOISE), 4),
        (b"deflate", zlib.compress(NOISE), 4),
        (b"deflate", b"\0\0\0\xff\xff" * 200_000 + raw_deflate(b"x"), 10),  # empty blocks: nothing comes out of them
        (b"chunked", chunked(NOISE[: 1 << 20], 1), 8),
        (b"gzip, chunked", chunked(gzip.compress(NOISE), 1000), 8),
    ],
)
def test_PL_01_a_body_is_undone_in_steps(name: bytes, coded: bytes, least: int) -> None:
    assert steps_of(name, coded) >= least


@pytest.mark.parametrize(
    "coded",
    [
        b"1\nx\r\n0\r\n\r\n",
        b"1\r\nxy\r\n0\r\n\r\n",
        b"g\r\n\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"1000000000000000\r\nx\r\n0\r\n\r\n",
        b"fffffffffffffff\r\nx\r\n0\r\n\r\n",
        b"1 1\r\nx\r\n0\r\n\r\n",
        b"0\r\n",
        b"0\r\n\r\n\r\n",
        b"0\r\na: b\r\n",
        b"0\r\na: b\n\r\n",
        b"",
    ],
)
def test_JB_27_broken_chunks(coded: bytes) -> None:
    with pytest.raises(BrokenCoding):
        decode(b"chunked", coded, 0, transfer=True)
