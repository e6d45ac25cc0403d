"""Text in other charsets and behind escapes is worked on in steps, and comes out as in one go (PL-01, JB-24, AN-02)."""

from __future__ import annotations

import codecs
import json

import pytest
from batchwire.core.dialects.charsets import Decoding, unescaped_in
from batchwire.core.dialects.media import CODECS
from hypothesis import given
from hypothesis import strategies as st

STEP = 65536
SIGNED = sorted([*CODECS, "utf-8-sig"])
MARKS = [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\0\0\xfe\xff"]
# What codecs treat in ways of their own: escape sequences, combining letters, half-width forms, four-byte characters.
ODD = "aé\x1b\x0e\x0f~\\ÊÊ̄ê̌ゝ゛か゚あｱ中한ก\ufffd\ufeff\U00020000\U0001f600"


def decoded(body: bytes, codec: str) -> tuple[bytes | None, int]:
    decoding = Decoding(body, codec)
    count = 1
    while not decoding.go_on():
        count += 1
    return decoding.data, count


def decoded_whole(body: bytes, codec: str) -> bytes | None:
    try:
        text = body.decode(codec).encode()
    except UnicodeError:
        return None
    return text.removeprefix(codecs.BOM_UTF8) if codec.startswith("utf-") and codec != "utf-8" else text


def encoded_whole(text: str, codec: str) -> bytes | None:
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        return None


@pytest.mark.parametrize("codec", SIGNED)
@given(st.data())
def test_AN_02_decoded_in_steps_is_decoded_whole(codec: str, data: st.DataObject) -> None:
    """Whatever stands where the first step ends, valid or not, and whatever mark it begins with."""
    mark = data.draw(st.sampled_from(MARKS))
    text = "".join(c for c in data.draw(st.text(st.sampled_from(ODD))) if encoded_whole(c, codec) is not None)
    tail = text.encode(codec) + data.draw(st.binary(max_size=3))
    fill = "a".encode(codec.removesuffix("-sig") + ("-le" if codec in ("utf-16", "utf-32") else ""))
    fill *= (STEP - len(mark) - data.draw(st.integers(0, len(tail) + 4))) // len(fill)
    body = mark * data.draw(st.integers(0, 2)) + fill + tail
    assert decoded(body, codec)[0] == decoded_whole(body, codec)


@pytest.mark.parametrize("codec", SIGNED)
@given(st.binary(max_size=40))
def test_AN_02_any_short_bytes_are_decoded_alike(codec: str, body: bytes) -> None:
    assert decoded(body, codec)[0] == decoded_whole(body, codec)


@pytest.mark.parametrize("codec", sorted(CODECS))
@given(st.text(st.sampled_from(ODD), max_size=60), st.integers(0, 60), st.booleans())
def test_JB_24_encoded_in_steps_is_encoded_whole(codec: str, tail: str, before: int, escaped: bool) -> None:
    text = "a" * (STEP - before) + tail
    inside = json.dumps(text, ensure_ascii=escaped)[1:-1].encode()
    assert unescaped_in(inside, codec)[:2] == (encoded_whole(text, codec), False)


@pytest.mark.parametrize("codec", sorted(CODECS))
@given(st.text(st.sampled_from(ODD), max_size=20))
def test_JB_24_what_the_charset_has_is_encoded_alike(codec: str, said: str) -> None:
    tail = "".join(c for c in said if encoded_whole(c, codec) is not None)
    for before in (*range(24), STEP):
        text = "a" * (STEP - before) + tail
        assert unescaped_in(json.dumps(text, ensure_ascii=False)[1:-1].encode(), codec)[0] == encoded_whole(text, codec)


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83d\n", r"\ude00\ud83d"])
@pytest.mark.parametrize("codec", ["utf-8", "ascii", "gb18030"])
def test_AN_04_half_of_a_pair_is_found_wherever_it_is(codec: str, half: str) -> None:
    for before in range(STEP - 14, STEP + 2):
        inside = ("é" + "a" * before + half + "a" * STEP).encode()
        assert unescaped_in(inside, codec)[:2] == (None, True)
        whole = ("a" * before + r"\ud83d\ude00" + "a" * STEP).encode()
        assert not unescaped_in(whole, codec)[1]


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_PL_01_a_long_text_takes_steps(codec: str) -> None:
    text = "a" * 1_000_000
    assert unescaped_in(text.encode(), codec)[3] >= 4
    assert decoded(text.encode(codec), codec)[1] >= 4
