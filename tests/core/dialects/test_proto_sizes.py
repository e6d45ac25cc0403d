"""Results of any size in messages of a bounded size: rule AN-07."""

from __future__ import annotations

from typing import Any

import pytest
from batchwire.core.dialects.proto_reader import ProtoReader
from batchwire.core.dialects.proto_writer import ProtoWriter
from batchwire.core.headers import HeaderBlock
from batchwire.core.model import Call, Result
from batchwire.v1 import batch_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

LEAST = 65_536
SUMMARY = 128
IDS = st.one_of(st.integers(1, 130), st.integers(1, 1024))
# Around the bound, where a field more or less decides, and anywhere.
SIZES = st.one_of(st.integers(0, 300), st.integers(LEAST - 400, LEAST + 50), st.integers(0, 200_000))
RESULTS = st.fixed_dictionaries(
    {
        "name": IDS,
        "group": st.one_of(st.just(0), IDS),
        "heads": st.lists(SIZES, max_size=4),
        "latin": st.booleans(),
        "body": st.one_of(st.none(), SIZES),
        "etag": st.booleans(),
    }
)


def call_of(name: str, group: str = "") -> Call:
    reader = ProtoReader(HeaderBlock(False))
    call = pb.Call(id=name, method="GET", url="x", atomicity_group=group)
    reader.feed_bytes(pb.BatchRequest(calls=[call]).SerializeToString())
    found = reader.next()
    assert isinstance(found, Call)
    return found


def asked(shape: dict[str, Any], number: int) -> tuple[Call, Result, pb.Result]:
    """A call, what its upstream answered, and how a message without a bound would say so."""
    name = f"{number}." + "i" * shape["name"]
    group = "g" * shape["group"]
    headers = [(b"x-%d" % n, b"\xe9" * (size // 2) if shape["latin"] else b"v" * size)
               for n, size in enumerate(shape["heads"])]  # fmt: skip
    if shape["etag"]:
        headers.append((b"etag", b'"7"'))
    body = None if shape["body"] is None else bytes(range(256)) * (shape["body"] // 256) + b"b" * (shape["body"] % 256)
    result = Result()
    result.fill(200, headers, body)
    whole = pb.Result(id=name, status=200, atomicity_group=group, outcome=1, body=body)
    for key, value in headers:
        whole.headers.add(name=key.decode(), value=value.decode("latin-1"))
    return call_of(name, group), result, whole


def check(found: pb.Result, whole: pb.Result, body: bytes | None) -> None:
    """What a client gets of a result is what it was, and says what is missing."""
    note = next((h.value for h in found.headers if h.name == "batchwire-note"), "")
    assert (found.id, found.status, found.outcome) == (whole.id, whole.status, whole.outcome)
    assert found.atomicity_group == whole.atomicity_group
    kept = [(h.name, h.value) for h in found.headers if h.name != "batchwire-note"]
    sent = [(h.name, h.value) for h in whole.headers]
    assert set(kept) <= set(sent)
    assert (len(kept) < len(sent)) == ("headers left out" in note)
    assert found.body_left_out == note.startswith("body")
    if found.body_left_out:
        assert (found.HasField("body"), found.body_bytes) == (False, len(whole.body))
    else:
        assert body == (whole.body if whole.HasField("body") else None)


@settings(max_examples=300)
@given(RESULTS, st.booleans(), st.integers(0, 3 * LEAST))
def test_AN_07_any_result_is_read_back_from_messages_within_the_bound(
    shape: dict[str, Any], parts: bool, bound: int
) -> None:
    call, result, whole = asked(shape, 0)
    writer = ProtoWriter()
    most = writer.bound_to(bound, parts)
    assert writer.expect_all([call])
    found = pb.BatchResponse.FromString(writer.write_bytes(call, result)).results
    assert max(pb.BatchResponse(results=[one]).ByteSize() for one in found) <= most
    assert {one.id for one in found} == {whole.id}
    assert [one.body_continues for one in found] == [True] * (len(found) - 1) + [False]
    body = b"".join(one.body for one in found) if any(one.HasField("body") for one in found) else None
    assert parts or len(found) == 1
    check(found[0], whole, body)
    assert not (parts and found[0].body_left_out)


@pytest.mark.parametrize("name", [1, 40, 80, 127, 128, 1024])
def test_AN_07_a_head_of_every_size_next_to_the_bound_leaves_its_body_whole(name: int) -> None:
    """Byte by byte over the sizes at which the head just fits, and does not."""
    call = call_of("i" * name)
    for size in range(LEAST - name - 150, LEAST - name + 5):
        result = Result()
        result.fill(200, [(b"x", b"v" * size)], b"0123456789" * 20_000)
        writer = ProtoWriter()
        writer.bound_to(LEAST, True)
        found = pb.BatchResponse.FromString(writer.write_bytes(call, result)).results
        assert b"".join(one.body for one in found) == b"0123456789" * 20_000, size
        assert max(pb.BatchResponse(results=[one]).ByteSize() for one in found) <= LEAST, size


@settings(max_examples=200)
@given(st.lists(RESULTS, min_size=1, max_size=60), st.integers(0, 4 * LEAST))
def test_AN_07_all_results_of_execute_are_in_one_message_within_the_bound(
    shapes: list[dict[str, Any]], bound: int
) -> None:
    made = [asked(shape, number) for number, shape in enumerate(shapes)]
    writer = ProtoWriter()
    most = writer.bound_to(bound, True, True)
    if not writer.expect_all([call for call, _, _ in made]):
        assert sum(110 + len(whole.id) + len(whole.atomicity_group) for _, _, whole in made) > most - SUMMARY
        return
    wire = b"".join(writer.write_bytes(call, result) for call, result, _ in made)
    assert len(wire) <= most - SUMMARY
    found = pb.ExecuteResponse.FromString(wire).results
    assert len(found) == len(made)
    for one, (_, _, whole) in zip(found, made, strict=True):
        assert not one.body_continues
        check(one, whole, one.body if one.HasField("body") else None)


def test_AN_07_execute_knows_before_it_begins_whether_the_least_of_all_results_fits() -> None:
    big = Result()
    big.fill(200, [(b"x", b"v" * 50_000)], b"b" * 50_000)
    fits = [count for count in range(100, 1_000, 20) if _execute(count, big)]
    assert fits == list(range(100, fits[-1] + 20, 20))  # up to a count, and none beyond it
    assert 500 < fits[-1] < 700


def _execute(count: int, result: Result) -> bool:
    calls = [call_of(str(n)) for n in range(count)]
    writer = ProtoWriter()
    writer.bound_to(LEAST, False, True)
    if not writer.expect_all(calls):
        return False
    wire = b"".join(writer.write_bytes(call, result) for call in calls)
    assert len(wire) <= LEAST - SUMMARY
    assert len(pb.ExecuteResponse.FromString(wire).results) == count
    return True


def test_AN_07_what_means_something_is_kept_before_other_headers() -> None:
    result = Result()
    others = [(b"x-1", b"v" * 60_000), (b"x-2", b"v" * 60_000)]
    result.fill(201, [*others, (b"location", b"/a" * 2_000), (b"etag", b'"7"')])
    writer = ProtoWriter()
    writer.bound_to(LEAST)
    [found] = pb.BatchResponse.FromString(writer.write_bytes(call_of("a"), result)).results
    assert [h.name for h in found.headers] == ["location", "etag", "x-1", "batchwire-note"]
