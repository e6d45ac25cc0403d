"""HD-19: outer bodies that come encoded."""

import gzip
import zlib

import pytest
from batchwire.core.errors import EnvelopeError
from batchwire.service.fronts.batches.decoding import PIECE_BYTES, STEP_BYTES, STEP_MEMBERS, BodyDecoder

TEXT = b'{"requests":[' + b",".join(b'{"id":"%d","method":"GET","url":"a"}' % n for n in range(5000)) + b"]}"


@pytest.mark.parametrize(
    ("coding", "encoded"), [("gzip", gzip.compress(TEXT, mtime=0)), ("deflate", zlib.compress(TEXT))]
)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_hd19_decodes_in_any_split(coding: str, encoded: bytes, step: int) -> None:
    decoder = BodyDecoder(coding)
    pieces = [piece for at in range(0, len(encoded), step) for piece in decoder.decode(encoded[at : at + step])]
    decoder.finish()
    assert b"".join(pieces) == TEXT
    assert max(map(len, pieces)) <= PIECE_BYTES


def test_hd19_gzip_members_in_a_row_are_one_body() -> None:
    decoder = BodyDecoder("gzip")
    assert b"".join(decoder.decode(gzip.compress(b"ab") + gzip.compress(b"cd"))) == b"abcd"
    decoder.finish()


def test_hd19_an_empty_body_is_no_error() -> None:
    decoder = BodyDecoder("gzip")
    assert list(decoder.decode(b"")) == []
    decoder.finish()


@pytest.mark.parametrize("data", [b"not gzip at all", gzip.compress(b"a", mtime=0) + b"rubbish"])
def test_hd19_malformed_is_400(data: bytes) -> None:
    with pytest.raises(EnvelopeError) as error:
        list(BodyDecoder("gzip").decode(data))
    assert error.value.status == 400


def test_hd19_data_after_the_end_of_deflate_is_400() -> None:
    with pytest.raises(EnvelopeError):
        list(BodyDecoder("deflate").decode(zlib.compress(b"a") + b"x"))


def test_hd19_a_body_that_was_cut_off_is_400() -> None:
    decoder = BodyDecoder("gzip")
    list(decoder.decode(gzip.compress(TEXT)[:-9]))
    with pytest.raises(EnvelopeError) as error:
        decoder.finish()
    assert error.value.status == 400


def test_hd19_a_bomb_is_413() -> None:
    with pytest.raises(EnvelopeError) as error:
        for _ in BodyDecoder("gzip").decode(gzip.compress(bytes(50_000_000))):
            pass
    assert error.value.status == 413


@pytest.mark.parametrize(
    "encoded",
    [
        gzip.compress(b"", mtime=0) * 20_000,
        b"\x1f\x8b\x08" + bytes(7) + b"\x00\x00\x00\xff\xff" * 80_000 + b"\x03\x00" + bytes(8),
    ],
    ids=["members", "blocks"],
)
def test_PL_01_what_gives_nothing_is_decoded_in_steps(encoded: bytes) -> None:
    decoder = BodyDecoder("gzip")
    steps = list(decoder.decode(encoded))
    decoder.finish()
    assert b"".join(steps) == b""
    assert len(steps) >= len(encoded) // STEP_BYTES
    assert len(steps) >= encoded.count(b"\x1f\x8b\x08") // STEP_MEMBERS - len(encoded) // STEP_BYTES
