"""The protobuf dialect against the generated classes of batchwire.v1, and against broken bytes."""

import gc
import tracemalloc
from typing import Any

import pytest
from batchwire.core import EnvelopeError
from batchwire.core.dialects.proto_options import read_options
from batchwire.core.dialects.proto_reader import ProtoReader
from batchwire.core.dialects.proto_writer import ProtoWriter
from batchwire.core.headers import HeaderBlock
from batchwire.core.model import Call, Result
from batchwire.v1 import batch_pb2 as pb
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

ids = st.text(UNRESERVED, min_size=1, max_size=40)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).map(lambda s: s.strip(" \t"))
# Names of the client's own: what screening does with known ones is test_headers.py's business.
names = st.text("abcdefghijklmnopqrstuvwxyzABC-", min_size=1, max_size=20).map(lambda s: "q-" + s)


@st.composite
def calls(draw: st.DrawFn) -> pb.Call:
    method = draw(st.sampled_from(["GET", "get", "PUT", "Post", "PATCH", "delete"]))
    made = pb.Call(id=draw(ids), method=method, url=draw(texts))
    for name, value in draw(st.lists(st.tuples(names, values), max_size=4)):
        made.headers.add(name=name, value=value)
    if method.upper() not in ("GET", "DELETE") and draw(st.booleans()):
        made.body = draw(st.binary(max_size=300))
    made.depends_on.extend(draw(st.lists(texts, max_size=3)))
    made.atomicity_group = draw(st.one_of(st.just(""), ids))
    if draw(st.booleans()):
        made.condition = draw(texts)
    if draw(st.booleans()):
        made.timeout.seconds = draw(st.integers(0, 10**9))
        made.timeout.nanos = draw(st.integers(1, 999_999_999))
    return made


batches = st.lists(calls(), max_size=5).map(lambda made: pb.BatchRequest(calls=made))


def reader(max_call_bytes: int = 1 << 20, max_calls: int = 16384) -> ProtoReader:
    return ProtoReader(HeaderBlock(False), max_call_bytes, max_calls)


def read(*messages: bytes, into: ProtoReader | None = None) -> list[dict[str, Any]]:
    made = into or reader()
    for message in messages:
        made.feed_bytes(message)
    made.end()
    found = []
    while (call := made.next()) is not None:
        found.append(call.describe())
    assert made.ended
    return found


def check(error: EnvelopeError) -> None:
    assert error.status in (400, 413)
    assert error.code
    assert error.message


def expected(call: pb.Call) -> dict[str, Any]:
    headers = [(h.name.encode(), h.value.encode()) for h in call.headers]
    if call.HasField("body"):
        headers.append((b"Content-Type", b"application/json"))
    return {
        "id": call.id.encode(),
        "method": call.method.upper().encode(),
        "url": call.url.encode(),
        "headers": headers,
        "body": call.body if call.HasField("body") else None,
        "depends_on": [name.encode() for name in call.depends_on] or None,
        "group": call.atomicity_group.encode() or None,
        "condition": call.condition.encode() if call.HasField("condition") else None,
        "timeout": pytest.approx(call.timeout.seconds + call.timeout.nanos / 1e9),
        "refusal": None,
    }


# --- reading


@given(st.lists(batches, min_size=1, max_size=4))
@settings(max_examples=200)
def test_reads_what_the_generated_classes_write(messages: list[pb.BatchRequest]) -> None:
    for message in messages:
        for call in message.calls:
            call.url = call.url or "x"  # which only some methods can do without
    found = read(*[message.SerializeToString() for message in messages])
    assert found == [expected(call) for message in messages for call in message.calls]


def field(number: int, type_: int, payload: bytes) -> bytes:
    def varint(n: int) -> bytes:
        out = bytearray()
        while n >= 0x80:
            out.append(n & 0x7F | 0x80)
            n >>= 7
        return bytes([*out, n])

    key = varint(number << 3 | type_)
    return key + (varint(len(payload)) if type_ == 2 else b"") + payload


UNKNOWN = [
    field(100, 0, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    field(101, 1, b"12345678"),
    field(102, 2, b"anything"),
    field(103, 5, b"1234"),
    field(536870911, 0, b"\x00"),
    # A field of ours with another type is unknown too.
    field(1, 0, b"\x07"),
    field(2, 5, b"1234"),
]


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_unknown_fields_are_skipped(unknown: bytes) -> None:
    inner = pb.Call(id="a", method="GET", url="x").SerializeToString()
    header = field(1, 2, b"q-a") + unknown + field(2, 2, b"v")
    call = unknown + inner + field(4, 2, header) + unknown
    found = read(unknown + field(2, 2, call) + unknown)
    assert [(c["id"], c["url"], c["headers"]) for c in found] == [(b"a", b"x", [(b"q-a", b"v")])]


def test_the_last_of_a_repeated_single_field_counts() -> None:
    first, second = pb.Call(id="a", method="GET", url="x"), pb.Call(id="b", method="PUT", url="y")
    message = field(2, 2, first.SerializeToString() + second.SerializeToString())
    assert [(c["id"], c["method"], c["url"]) for c in read(message)] == [(b"b", b"PUT", b"y")]


BROKEN = {
    "cut varint": b"\x80",
    "varint of eleven bytes": b"\x08" + b"\x80" * 10 + b"\x01",
    "field number 0": b"\x02\x00",
    "length behind the end": b"\x12\x05ab",
    "length of 2**63": b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "length of 2**64-1": b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    "group": b"\x13\x14",
    "type 6": b"\x16\x00",
    "type 7": b"\x17\x00",
    "cut fixed64": b"\x191234567",
    "cut fixed32": b"\x1d123",
    "call that is no message": field(2, 2, b"\x0a\x05ab"),
    "options that are no message": field(1, 2, b"\x80"),
    "options header that is no message": field(1, 2, field(5, 2, b"\x80")),
}


@pytest.mark.parametrize("message", BROKEN.values(), ids=BROKEN.keys())
def test_broken_framing_is_an_envelope_error(message: bytes) -> None:
    with pytest.raises(EnvelopeError) as found:
        read(message)
    assert (found.value.status, found.value.code) == (400, "BadMessage")


@given(batches, st.data())
@settings(max_examples=300)
def test_any_cut_or_change_gives_calls_or_an_envelope_error(message: pb.BatchRequest, data: st.DataObject) -> None:
    wire = bytearray(message.SerializeToString())
    cut = data.draw(st.integers(0, len(wire)))
    wire = wire[:cut]
    for _ in range(data.draw(st.integers(0, 4))):
        if wire:
            wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(wire))
    except EnvelopeError as error:
        check(error)
        return
    for call in found:
        assert call["id"]
        assert set(call["id"]) <= set(UNRESERVED.encode())
        assert all(b"\r" not in v and b"\n" not in v and b"\0" not in v for pair in call["headers"] for v in pair)
    # What the reader takes, it takes as the generated classes do (they check UTF-8 besides).
    try:
        parsed = pb.BatchRequest.FromString(bytes(wire))
    except DecodeError:
        return
    assert [call["id"].decode() for call in found] == [call.id for call in parsed.calls]
    assert [call["url"].decode() for call in found] == [call.url for call in parsed.calls]


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_random_bytes_never_raise_anything_else(wire: bytes) -> None:
    for work in (read, read_options):
        try:
            work(wire)
        except EnvelopeError as error:
            check(error)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "a\n", "$1", "a" * 10 + "\x00"])
def test_an_ill_formed_id_breaks_the_batch(name: str) -> None:
    good = pb.Call(id="ok", method="GET", url="x")
    message = pb.BatchRequest(calls=[good, pb.Call(id=name, method="GET", url="x")])
    with pytest.raises(EnvelopeError) as found:
        read(message.SerializeToString())
    assert (found.value.code, found.value.target) == ("BadId", "requests[1].id")


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (pb.Call(id="a", url="x"), "BadMethod"),
        (pb.Call(id="a", method="TRACE", url="x"), "BadMethod"),
        (pb.Call(id="a", method="GET ", url="x"), "BadMethod"),
        (pb.Call(id="a", method="GET", url="x", body=b""), "BodyNotAllowed"),
        (pb.Call(id="a", method="DELETE", url="x", body=b"{}"), "BodyNotAllowed"),
        (pb.Call(id="a", method="HEAD", url="x", body=b"{}"), "BodyNotAllowed"),
        (pb.Call(id="a", method="GET", url="x", atomicity_group="g h"), "BadGroup"),
        (pb.Call(id="a", method="GET", url="x", headers=[pb.Header(name="a b", value="")]), "BadHeader"),
        (pb.Call(id="a", method="GET", url="x", headers=[pb.Header(name="", value="v")]), "BadHeader"),
        (pb.Call(id="a", method="GET", url="x", headers=[pb.Header(name="q", value="a\r\nb: c")]), "BadHeader"),
    ],
)
def test_what_is_wrong_with_one_call_stays_with_it(call: pb.Call, code: str) -> None:
    good = pb.Call(id="ok", method="GET", url="x")
    found = read(pb.BatchRequest(calls=[good, call, good]).SerializeToString())
    assert [c["refusal"] for c in found] == [None, (400, code), None]


@pytest.mark.parametrize(("seconds", "nanos"), [(0, 0), (-1, 0), (0, -5), (-3, 999_999_999)])
def test_a_timeout_must_be_above_zero(seconds: int, nanos: int) -> None:
    call = pb.Call(id="a", method="GET", url="x")
    call.timeout.seconds = seconds
    call.timeout.nanos = nanos
    assert read(pb.BatchRequest(calls=[call]).SerializeToString())[0]["refusal"] == (400, "BadTimeout")


def test_content_type_of_the_call_is_kept() -> None:
    call = pb.Call(id="a", method="PUT", url="x", body=b"a", headers=[pb.Header(name="content-TYPE", value="text/a")])
    assert read(pb.BatchRequest(calls=[call]).SerializeToString())[0]["headers"] == [(b"content-TYPE", b"text/a")]


def test_a_call_above_its_bound_is_too_large() -> None:
    call = pb.Call(id="a", method="PUT", url="x", body=b"a" * 100)
    size = len(call.SerializeToString())
    wire = pb.BatchRequest(calls=[call]).SerializeToString()
    assert len(read(wire, into=reader(max_call_bytes=size))) == 1
    with pytest.raises(EnvelopeError) as found:
        read(wire, into=reader(max_call_bytes=size - 1))
    assert (found.value.status, found.value.code, found.value.target) == (413, "CallTooLarge", "requests[0]")


def test_a_message_has_a_bound_on_its_calls() -> None:
    wire = pb.BatchRequest(calls=[pb.Call(id=str(i), method="GET") for i in range(5)]).SerializeToString()
    assert len(read(wire, into=reader(max_calls=5))) == 5
    with pytest.raises(EnvelopeError) as found:
        read(wire, into=reader(max_calls=4))
    assert (found.value.status, found.value.code) == (413, "MessageTooLarge")


def test_a_message_is_held_until_its_last_call() -> None:
    made = reader()
    made.feed_bytes(pb.BatchRequest(calls=[pb.Call(id=i, method="GET") for i in "abc"]).SerializeToString())
    seen = []
    while made.next() is not None:
        seen.append(made.holding)
    assert seen == [True, True, False]
    assert not made.ended
    made.end()
    assert made.next() is None
    assert made.ended


def test_nothing_of_a_message_with_a_late_fault_is_returned() -> None:
    wire = pb.BatchRequest(calls=[pb.Call(id="a", method="GET")]).SerializeToString()
    made = reader()
    made.feed_bytes(wire + b"\x80")
    with pytest.raises(EnvelopeError):
        made.next()


# --- options


@given(
    st.builds(
        pb.BatchOptions,
        route=texts,
        continue_on_error=st.one_of(st.none(), st.booleans()),
        result_order=st.integers(0, 2),
        headers=st.lists(st.builds(pb.Header, name=texts, value=texts), max_size=3),
    ),
    st.one_of(st.none(), st.integers(1, 10**9)),
    batches,
)
def test_options_are_read_as_written(options: pb.BatchOptions, millis: int | None, message: pb.BatchRequest) -> None:
    if millis is not None:
        options.deadline.FromMilliseconds(millis)
    message.options.CopyFrom(options)
    found = read_options(message.SerializeToString())
    assert found.said
    assert found.route == options.route
    assert found.deadline == pytest.approx((millis or 0) / 1000)
    assert found.continue_on_error is (options.continue_on_error if options.HasField("continue_on_error") else True)
    assert found.ordered is (options.result_order == pb.RESULT_ORDER_REQUEST)
    assert (found.pairs or []) == [(h.name.encode(), h.value.encode()) for h in options.headers]
    assert found.max_message == min(options.max_message_bytes, 1 << 40)
    assert found.takes_parts is options.takes_parts


def test_defaults_without_options() -> None:
    found = read_options(b"")
    assert (found.said, found.route, found.deadline, found.continue_on_error) == (False, "", 0.0, True)
    assert (found.ordered, found.pairs) == (False, None)


@pytest.mark.parametrize(("seconds", "nanos"), [(0, 0), (-1, 0), (0, -1)])
def test_a_deadline_must_be_above_zero(seconds: int, nanos: int) -> None:
    message = pb.BatchRequest()
    message.options.deadline.seconds = seconds
    message.options.deadline.nanos = nanos
    message.options.deadline.SetInParent()
    with pytest.raises(EnvelopeError) as found:
        read_options(message.SerializeToString())
    assert found.value.code == "BadDeadline"


CALL = field(1, 2, b"1") + field(2, 2, b"GET") + field(3, 2, b"x")
HEADER = field(1, 2, b"a") + field(2, 2, b"b")


@pytest.mark.parametrize(
    "wire",
    [
        field(1, 2, field(5, 2, b"") * 5000),
        field(1, 2, field(5, 2, HEADER) * 5000),
        field(1, 2, field(5, 2, HEADER * 5000)),
        field(1, 2, field(1, 2, b"") * 5000),
        field(1, 2, field(2, 2, b"\x08\x01") * 5000),
        field(1, 2, field(5, 2, b"") * 100) * 50,
        field(1, 2, b"") * 5000,
    ],
    ids=["empty headers", "headers", "names of a header", "routes", "deadlines", "in pieces", "empty options"],
)
def test_PL_01_options_have_a_bound(wire: bytes) -> None:
    """A field is two bytes, so that a message could hold millions."""
    for work in (read, read_options):
        with pytest.raises(EnvelopeError) as found:
            work(wire + field(2, 2, CALL))
        assert (found.value.status, found.value.code, found.value.target) == (413, "MessageTooLarge", "options")


@pytest.mark.parametrize(
    "more", [field(2, 2, b"NO"), field(4, 2, b""), field(3, 2, b"")], ids=["methods", "headers", "urls"]
)
def test_PL_01_fields_of_a_call_have_a_bound(more: bytes) -> None:
    with pytest.raises(EnvelopeError) as found:
        read(field(2, 2, CALL + more * 5000))
    assert (found.value.status, found.value.code, found.value.target) == (413, "MessageTooLarge", "requests[0]")


def test_PL_03_ids_that_a_call_depends_on_have_a_bound_of_their_own() -> None:
    assert len(read(field(2, 2, CALL + field(6, 2, b"1") * 5000))[0]["depends_on"]) == 5000


def test_only_the_first_message_carries_options() -> None:
    wire = pb.BatchRequest(options=pb.BatchOptions(route="/a/")).SerializeToString()
    assert read(wire) == []
    with pytest.raises(EnvelopeError) as found:
        read(b"", wire)
    assert found.value.code == "LateOptions"


# --- memory


def test_bodies_are_slices_of_the_message() -> None:
    body = b"x" * (4 << 20)
    message = pb.BatchRequest(calls=[pb.Call(id="a", method="PUT", url="x", body=body)])
    wire = message.SerializeToString()
    made = reader(max_call_bytes=16 << 20)
    gc.collect()
    tracemalloc.start()
    try:
        made.feed_bytes(wire)
        made.end()
        call = made.next()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert call is not None
    assert call.body_owner is wire
    assert call.describe()["body"] == body


# --- writing

results = st.fixed_dictionaries(
    {
        "status": st.integers(100, 599),
        "headers": st.lists(st.tuples(names, values), max_size=6),
        "body": st.one_of(st.none(), st.binary(max_size=400)),
        "outcome": st.integers(1, 6),
    }
)


def call_of(name: str, group: str = "") -> Call:
    made = reader()
    call = pb.Call(id=name, method="GET", url="x", atomicity_group=group)
    made.feed_bytes(pb.BatchRequest(calls=[call]).SerializeToString())
    found = made.next()
    assert isinstance(found, Call)
    return found


def write(call: Call, **parts: Any) -> bytes:
    result = Result()
    headers = [(n.encode(), v if isinstance(v, bytes) else v.encode()) for n, v in parts["headers"]]
    result.fill(parts["status"], headers, parts["body"], parts["outcome"])
    return ProtoWriter().write_bytes(call, result)


@given(ids, st.one_of(st.just(""), ids), results)
@settings(max_examples=200)
def test_writes_exactly_what_the_generated_classes_write(name: str, group: str, parts: dict[str, Any]) -> None:
    wire = write(call_of(name, group), **parts)
    wanted = pb.Result(id=name, status=parts["status"], atomicity_group=group, outcome=parts["outcome"])
    for key, value in parts["headers"]:
        wanted.headers.add(name=key.lower(), value=value)
    if parts["body"] is not None:
        wanted.body = parts["body"]
    found = pb.BatchResponse.FromString(wire)
    assert list(found.results) == [wanted]
    assert pb.ExecuteResponse.FromString(wire).results == found.results
    if all(value for _, value in parts["headers"]):
        # An empty header value is written out, which is valid; all else is canonical.
        assert wire == found.SerializeToString(deterministic=True)


def test_several_writes_are_one_message() -> None:
    parts: dict[str, Any] = {"status": 200, "headers": [], "body": b"", "outcome": 1}
    wire = b"".join(write(call_of(str(i)), **parts) for i in range(50))
    found = pb.BatchResponse.FromString(wire)
    assert [result.id for result in found.results] == [str(i) for i in range(50)]
    assert all(result.HasField("body") for result in found.results)


def test_values_that_are_not_utf8_are_read_as_latin1() -> None:
    headers: list[tuple[str, str | bytes]] = [
        ("q-latin", b"caf\xe9"),
        ("q-utf8", "café"),
        ("q-ascii", "cafe"),
        ("Q-B", b"\xff" * 200),
    ]
    wire = write(call_of("a"), status=200, headers=headers, body=None, outcome=1)
    found = pb.BatchResponse.FromString(wire).results[0]
    assert [(h.name, h.value) for h in found.headers] == [
        ("q-latin", "café"),
        ("q-utf8", "café"),
        ("q-ascii", "cafe"),
        ("q-b", "ÿ" * 200),
    ]


def test_recoding_leaves_the_result_as_it_was() -> None:
    result = Result()
    result.fill(200, [(b"etag", b'"\xe9"'), (b"location", b"/\xe8")], None)
    first = ProtoWriter().write_bytes(call_of("a"), result)
    for _ in range(100):
        assert ProtoWriter().write_bytes(call_of("a"), result) == first


HOP = ["connection", "Content-Length", "keep-alive", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade"]


@pytest.mark.parametrize("name", HOP)
def test_hop_by_hop_headers_and_cookies_stay_here(name: str) -> None:
    wire = write(call_of("a"), status=200, headers=[(name, "x"), ("q", "y")], body=b"", outcome=1)
    assert [h.name for h in pb.BatchResponse.FromString(wire).results[0].headers] == ["q"]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, (1 << 21) - 1, 1 << 21, (4 << 20) - 100])
def test_bodies_of_every_size(size: int) -> None:
    body = bytes(size)
    wire = write(call_of("a"), status=200, headers=[], body=body, outcome=1)
    assert pb.BatchResponse.FromString(wire).results[0].body == body


@given(st.binary(min_size=1, max_size=100).filter(lambda b: not b.isascii()))
@settings(suppress_health_check=[HealthCheck.filter_too_much])
def test_any_header_bytes_give_a_message_that_parses(value: bytes) -> None:
    wire = write(call_of("a"), status=200, headers=[("q", value)], body=None, outcome=1)
    found = pb.BatchResponse.FromString(wire).results[0].headers[0].value
    assert found in (value.decode("latin-1"), value.decode("utf-8", "replace"))
