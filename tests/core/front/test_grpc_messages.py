"""Length-prefixed messages: any split of the bytes gives the same, and what is no message is refused."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from batchwire.core import EnvelopeError
from batchwire.core.front.grpc_messages import MessageReader
from hypothesis import example, given
from hypothesis import strategies as st

LIMIT = 1000


def prefixed(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


def fed(pieces: list[bytes], limit: int = LIMIT) -> list[tuple[bool, bytes]]:
    reader = MessageReader(limit)
    return [message for piece in pieces for message in reader.feed(piece)]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places, some of which may be the same."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


MESSAGES = st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=6)
CUTS = st.lists(st.integers(min_value=0, max_value=1000), max_size=12)


@given(messages=MESSAGES, cuts=CUTS)
@example(messages=[(False, b""), (True, b"")], cuts=[])
def test_any_split_gives_the_same_messages(messages: list[tuple[bool, bytes]], cuts: list[int]) -> None:
    data = b"".join(prefixed(message, compressed) for compressed, message in messages)
    assert fed(split(data, cuts)) == messages


@given(messages=MESSAGES)
def test_byte_by_byte(messages: list[tuple[bool, bytes]]) -> None:
    data = b"".join(prefixed(message, compressed) for compressed, message in messages)
    assert fed([data[at : at + 1] for at in range(len(data))]) == messages


@given(messages=MESSAGES, half=st.binary(min_size=1, max_size=60), missing=st.integers(min_value=1, max_value=64))
def test_what_is_unfinished_gives_nothing(messages: list[tuple[bool, bytes]], half: bytes, missing: int) -> None:
    data = b"".join(prefixed(message, compressed) for compressed, message in messages)
    last = prefixed(half)
    assert fed([data + last[: -min(missing, len(last))]]) == messages


@given(data=st.binary(max_size=300), cuts=CUTS)
def test_any_bytes_are_messages_or_refused_the_same_in_every_split(data: bytes, cuts: list[int]) -> None:
    def outcome(pieces: list[bytes]) -> tuple[list[tuple[bool, bytes]], str]:
        reader = MessageReader(LIMIT)
        found: list[tuple[bool, bytes]] = []
        try:
            for piece in pieces:
                found += reader.feed(piece)
        except EnvelopeError as error:
            return [], error.code
        return found, ""

    whole, cut = outcome([data]), outcome(split(data, cuts))
    assert whole[1] == cut[1]
    assert whole[1] or whole[0] == cut[0]


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_messages_up_to_the_limit_are_taken(size: int) -> None:
    assert fed([prefixed(b"x" * size)]) == [(False, b"x" * size)]


@pytest.mark.parametrize("size", [LIMIT + 1, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_message_above_the_limit_is_refused_by_its_prefix(size: int) -> None:
    with pytest.raises(EnvelopeError) as caught:
        fed([struct.pack(">BI", 0, size)])
    assert (caught.value.status, caught.value.code) == (413, "MessageTooLarge")


@pytest.mark.parametrize("flag", [2, 3, 128, 255])
def test_an_unknown_flag_is_refused(flag: int) -> None:
    with pytest.raises(EnvelopeError) as caught:
        fed([prefixed(b"x", flag)])
    assert (caught.value.status, caught.value.code) == (400, "BadMessage")
