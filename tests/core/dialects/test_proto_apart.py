"""Large bodies stand apart from the message around them: the same bytes, and no copy of them (PL-01, AN-05, AN-07)."""

from __future__ import annotations

from typing import Any

from batchwire.core.dialects.proto_writer import ProtoWriter
from batchwire.core.model import Result
from batchwire.v1 import batch_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st
from test_proto_sizes import asked

MIB = 1 << 20
APART = 131_072
BODIES = st.one_of(st.integers(APART, APART + 50), st.integers(MIB - 200, MIB + 200), st.integers(APART, 5 * MIB))
SHAPES = st.fixed_dictionaries(
    {
        "name": st.integers(1, 40),
        "group": st.sampled_from([0, 5]),
        "heads": st.lists(st.integers(0, 70_000), max_size=3),
        "latin": st.booleans(),
        "body": BODIES,
        "etag": st.booleans(),
    }
)


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, bound=st.integers(65_536, 6 * MIB), parts=st.booleans())
def test_AN_07_pieces_are_what_is_written_in_one_go(shape: dict[str, Any], bound: int, parts: bool) -> None:
    call, result, _ = asked(shape, 1)
    writer, plain = ProtoWriter(), ProtoWriter()
    most = writer.bound_to(bound, parts)
    plain.bound_to(bound, parts)
    whole = plain.write_bytes(call, result)
    made = writer.write_apart(call, result)
    messages = made if isinstance(made[0], list) else [made]
    assert b"".join(piece for message in messages for piece in message) == whole
    for message in messages:
        assert sum(map(len, message)) <= most
        assert [result.id for result in pb.BatchResponse.FromString(b"".join(message)).results]


@settings(max_examples=40, deadline=None)
@given(shapes=st.lists(SHAPES, min_size=1, max_size=4), bound=st.integers(65_536, 12 * MIB))
def test_AN_07_one_message_of_pieces_keeps_its_bound(shapes: list[dict[str, Any]], bound: int) -> None:
    given_ = [asked(shape, n) for n, shape in enumerate(shapes)]
    writer, plain = ProtoWriter(), ProtoWriter()
    for one in (writer, plain):
        one.bound_to(bound, False, True)
        if not one.expect_all([call for call, _, _ in given_]):
            return
    for call, result, _ in given_:
        made = writer.write_apart(call, result)
        assert all(type(piece) is bytes for piece in made)
        assert b"".join(made) == plain.write_bytes(call, result)


def test_PL_01_a_body_is_not_copied() -> None:
    shape = {"name": 3, "group": 0, "heads": [], "latin": False, "body": None, "etag": False}
    call, _, _ = asked(shape, 1)
    body = bytes(3 * MIB)
    result = Result()
    result.fill(200, [(b"content-type", b"image/png")], body)
    for one_message in (False, True):
        writer = ProtoWriter()
        writer.bound_to(0, False, one_message)
        writer.expect_all([call])
        made = writer.write_apart(call, result)
        pieces = made if one_message else made[0]
        assert pieces[1] is body
        assert len(pieces[0]) + len(pieces[2]) < 100
