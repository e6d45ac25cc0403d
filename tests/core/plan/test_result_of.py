"""`resultOf(<id>)`: whole results as bodies and as parts of form data."""

import gzip
import re
import tracemalloc

import pytest
from batchwire.core.model import Result
from batchwire.core.plan.result_of import filled, ids_in
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_driving import driven, make_call, result_of

FORM = 'multipart/form-data; boundary="b+1"'


def form(*parts: bytes, line: bytes = b"\r\n") -> bytes:
    head = b'Content-Disposition: form-data; name="f"' + line + b"Content-Type: application/octet-stream"
    pieces = [b"--b+1" + line + head + line + line + part + line for part in parts]
    return b"".join(pieces) + b"--b+1--" + line


@pytest.mark.parametrize("media", ["application/octet-stream", FORM, "image/png"])
def test_a_whole_body(media: str) -> None:
    call = make_call("2", content=b"resultOf(7d0a0f9b-ab6e.x~_)", media=media)
    assert ids_in(call) == [b"7d0a0f9b-ab6e.x~_"]
    assert filled(call, {b"7d0a0f9b-ab6e.x~_": b"\0bytes\xff"}) == b"\0bytes\xff"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"resultOf()",
        b"resultOf(a b)",
        b"resultOf(a",
        b" resultOf(a)",
        b"resultOf(a)\n",
        b"x resultOf(a)",
        b"resultOf(a)resultOf(b)",
        b"ResultOf(a)",
        b"resultOf(" + b"x" * 257 + b")",
    ],
)
def test_bytes_that_ask_for_nothing(content: bytes) -> None:
    assert ids_in(make_call("2", content=content)) == []
    assert filled(make_call("2", content=content), {b"a": b"X", b"b": b"Y"}) == content


@pytest.mark.parametrize("line", [b"\r\n", b"\n"])
def test_parts_of_form_data(line: bytes) -> None:
    call = make_call("2", content=form(b"resultOf(a)", b'{"Text":"x"}', b"resultOf(b)", line=line), media=FORM)
    assert ids_in(call) == [b"a", b"b"]
    put_in = filled(call, {b"a": b"resultOf(b)", b"b": line + b"--b+1"})
    assert put_in == form(b"resultOf(b)", b'{"Text":"x"}', line + b"--b+1", line=line)


def test_a_part_without_headers_and_an_end_without_delimiter() -> None:
    call = make_call("2", content=b"--b+1\r\n\r\nresultOf(a)\r\n--b+1\r\nX: y\r\n\r\nresultOf(a)", media=FORM)
    assert ids_in(call) == [b"a"]
    assert filled(call, {b"a": b"A"}) == b"--b+1\r\n\r\nA\r\n--b+1\r\nX: y\r\n\r\nA"


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (form(b"resultOf(a) "), FORM),
        (form(b"x resultOf(a)"), FORM),
        (form(b"x\r\nresultOf(a)"), FORM),
        (form(b"resultOf(a)"), "multipart/form-data; boundary=other"),
        (form(b"resultOf(a)"), "multipart/form-data"),
        (form(b"resultOf(a)"), "application/octet-stream"),
    ],
)
def test_parts_that_ask_for_nothing(content: bytes, media: str) -> None:
    assert ids_in(make_call("2", content=content, media=media)) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=30).filter(lambda b: b"resultOf" not in b and b"b+1" not in b) | st.none()))
def test_any_form(parts: list[bytes | None]) -> None:
    asking = form(*[b"resultOf(id)" if part is None else part for part in parts])
    given_out = form(*[b"\r\n\r\nresultOf(id)\r\n--b+1" if part is None else part for part in parts])
    call = make_call("2", content=asking, media=FORM)
    assert ids_in(call) == ([b"id"] if None in parts else [])
    assert filled(call, {b"id": b"\r\n\r\nresultOf(id)\r\n--b+1"}) == given_out


def test_no_result_to_give() -> None:
    with pytest.raises(ValueError, match=r"resultOf\(a\)"):
        filled(make_call("2", content=b"resultOf(a)"), {})


def test_more_than_a_body_may_hold() -> None:
    call = make_call("2", content=form(*[b"resultOf(a)"] * 5), media=FORM)
    with pytest.raises(ValueError, match="too large"):
        filled(call, {b"a": b"x" * (16 << 20)})


# --- in the plan


def body_of(call: object) -> bytes | None:
    return call.describe()["body"]  # type: ignore[attr-defined]


def test_the_plan_must_be_told() -> None:
    plan = driven()
    first, second = make_call("1"), make_call("2", content=b"resultOf(1)")
    plan.enter(first)
    plan.enter(second)
    assert plan.take() == [first, second]
    assert body_of(second) == b"resultOf(1)"


@pytest.mark.parametrize("media", ["application/octet-stream", "application/json", "text/plain"])
def test_a_result_of_any_type_and_size(media: str) -> None:
    plan = driven(result_of=True)
    first, second = make_call("1"), make_call("2", content=b"resultOf(1)")
    plan.enter(first)
    plan.enter(second)
    assert plan.take() == [first]
    content = bytes(range(256)) * 40_000
    plan.end(first, result_of(content, media))
    assert len(content) <= plan.holding[1] < len(content) + 1000
    assert plan.take() == [second]
    assert second.refusal is None
    assert body_of(second) == content
    assert plan.holding[1] == 0


def test_a_result_that_is_there_already() -> None:
    plan = driven(result_of=True)
    first, second = make_call("1"), make_call("2", content=b"resultOf(1)")
    plan.enter(first)
    plan.take()
    plan.end(first, result_of(b"x" * 1_000_000))
    plan.enter(second)
    assert plan.take() == [second]
    assert body_of(second) == b"x" * 1_000_000


def test_a_result_that_had_to_go() -> None:
    plan = driven(reference_bytes=100_000, result_of=True)
    for name in ("1", "2"):
        call = make_call(name)
        plan.enter(call)
        plan.take()
        plan.end(call, result_of(b"x" * 60_000))
        assert plan.holding[0] <= 100_000
    late = make_call("3", content=b"resultOf(1)")
    plan.enter(late)
    assert plan.take() == [late]
    assert late.refusal.code == "UnresolvedReference"


def test_content_codings_are_undone() -> None:
    plan = driven(result_of=True)
    first, second = make_call("1"), make_call("2", content=b"resultOf(1)")
    plan.enter(first)
    plan.enter(second)
    plan.take()
    result = Result()
    result.fill(200, [(b"Content-Encoding", b"gzip")], gzip.compress(b"plain"))
    plan.end(first, result)
    plan.take()
    assert body_of(second) == b"plain"


@pytest.mark.parametrize("name", ["3", "nobody"])
def test_no_earlier_call(name: str) -> None:
    plan = driven(result_of=True)
    call = make_call("3", content=f"resultOf({name})".encode())
    plan.enter(call)
    assert call.refusal.status == 400
    assert call.refusal.code == "UnresolvedReference"


def test_a_failed_call_has_no_result() -> None:
    plan = driven(result_of=True)
    first, second = make_call("1"), make_call("2", content=b"resultOf(1)")
    plan.enter(first)
    plan.enter(second)
    plan.take()
    plan.end(first, result_of(b"no", status=404))
    assert plan.take() == [second]
    assert second.refusal.status == 424


def test_boundaries_of_clients_leave_nothing_behind() -> None:
    """PL-02: they were compiled into patterns, which re keeps."""
    re.purge()
    tracemalloc.start()
    try:
        for n in range(100):
            media = f"multipart/form-data; boundary={n}{'x' * 5_000}"
            assert ids_in(make_call("2", content=b"--x\r\n\r\nresultOf(a)\r\n--x--", media=media)) == []
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 300_000
