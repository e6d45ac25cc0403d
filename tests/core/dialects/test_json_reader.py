"""The JSON batch reader: the envelope, request objects, any split of the bytes (JB-01..JB-28)."""

import json
import tracemalloc
from typing import Any

import pytest
from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.errors import ConfigError, EnvelopeError
from hypothesis import given, settings
from hypothesis import strategies as st
from json_batches import batch, one, one_raw, read, verdict


def refused(call: dict[str, Any]) -> tuple[int, str] | None:
    return call["refusal"]  # type: ignore[no-any-return]


def envelope_error(data: bytes, **limits: Any) -> EnvelopeError:
    """The error of a document, which must be the same byte by byte."""
    with pytest.raises(EnvelopeError) as raised:
        read(data, **limits)
    error = raised.value
    assert verdict(data, range(len(data)), **limits) == (
        error.status,
        error.code,
        error.message,
        error.target,
    )
    return error


# ---------------------------------------------------------------- the envelope


def test_calls_come_in_document_order_with_their_fields() -> None:
    calls = read(
        batch(
            {"id": "1", "method": "GET", "url": "/svc/Customers(1)"},
            {
                "id": "2",
                "method": "Patch",
                "url": "A?$select=Ü",
                "headers": {"If-Match": 'W/"1"'},
                "body": {"a": [1]},
            },
            {"id": "~x.y-_", "method": "delete", "url": "", "dependsOn": ["1", "g"], "atomicityGroup": "g"},
            {"id": "3", "method": "put", "url": "x", "if": "$1/$succeeded", "body": "text"},
        )
    )
    assert [call["id"] for call in calls] == [b"1", b"2", b"~x.y-_", b"3"]
    assert [call["method"] for call in calls] == [b"GET", b"PATCH", b"DELETE", b"PUT"]
    assert calls[0]["url"] == b"/svc/Customers(1)"
    assert calls[0]["headers"] == []
    assert calls[0]["body"] is None
    assert calls[1]["url"] == "A?$select=Ü".encode()
    assert calls[1]["headers"] == [(b"If-Match", b'W/"1"'), (b"content-type", b"application/json")]
    assert calls[1]["body"] == b'{"a": [1]}'
    assert calls[2]["depends_on"] == [b"1", b"g"]
    assert calls[2]["group"] == b"g"
    assert calls[3]["condition"] == b"$1/$succeeded"
    assert calls[3]["body"] == b'"text"'
    assert all(call["refusal"] is None for call in calls)


@pytest.mark.parametrize(
    "document",
    [
        b'{"requests":[]}',
        b'\xef\xbb\xbf{"requests":[]}',
        b' \r\n\t{ "requests" : [ ] } \n',
        b'{"@my.note":1,"requests":[]}',
        b'{"requests":[],"@x":{"requests":[1,{"id":2}]},"":null,"a":-1.5e3}',
        b'{"a":1,"a":2,"\\u0072equests":[]}',
        b'{"\\u0072\\u0065\\u0071\\u0075\\u0065\\u0073\\u0074\\u0073":[]}',
        b'{"Requests":[1],"requests":[]}',
        b'{"' + b"x" * 300 + b'":"requests","requests":[]}',
    ],
)
def test_documents_without_calls_are_accepted(document: bytes) -> None:
    assert read(document) == []
    assert read(document, range(len(document))) == []


@pytest.mark.parametrize(
    ("document", "code", "target"),
    [
        (b"", "BatchTruncated", ""),
        (b"  ", "BatchTruncated", ""),
        (b"\xef\xbb", "BatchTruncated", ""),
        (b"\xef\xbb{}", "BadJson", ""),
        (b"[]", "BadJson", ""),
        (b"null", "BadJson", ""),
        (b"{}", "BadEnvelope", "requests"),
        (b'{"request":[]}', "BadEnvelope", "requests"),
        (b'{"requests":{}}', "BadEnvelope", "requests"),
        (b'{"requests":null}', "BadEnvelope", "requests"),
        (b'{"requests":[],"requests":[]}', "DuplicateMember", "requests"),
        (b'{"requests":[],"reque\\u0073ts":1}', "DuplicateMember", "requests"),
        (b'{"requests":[1]}', "BadEnvelope", "requests[0]"),
        (b'{"requests":[null]}', "BadEnvelope", "requests[0]"),
        (b'{"requests":[,]}', "BadEnvelope", "requests[0]"),
        (b'{"requests":[[]]}', "BadEnvelope", "requests[0]"),
        (b'{"requests":[]', "BatchTruncated", ""),
        (b'{"requests":[', "BatchTruncated", "requests[0]"),
        (b'{"requests":[{"id":"1"', "BatchTruncated", "requests[0]"),
        (b'{"requests":[]}x', "BadJson", ""),
        (b'{"requests":[]}{}', "BadJson", ""),
        (b'{"requests":[]}\x00', "BadJson", ""),
        (b'{"requests":[],}', "BadJson", ""),
        (b'{"requests" []}', "BadJson", ""),
        (b"{requests:[]}", "BadJson", ""),
        (b'{"requests":[] "a":1}', "BadJson", ""),
        (b'{"a":01,"requests":[]}', "BadJson", ""),
        (b'{"a\xff":1}', "BadJson", ""),
        (b'{"a":[1}', "BadJson", ""),
        (b'{"requests":[{"id":"1","method":"get","url":"x"},]}', "BadJson", "requests[1]"),
        (b'{"requests":[{"id":"1","method":"get","url":"x"}{}]}', "BadJson", ""),
        (b'{"requests":[{"id":"1","method":"get","url":"x","body":tru}]}', "BadJson", "requests[0]"),
        (b'{"requests":[{"method":"get","url":"x"}]}', "BadId", "requests[0].id"),
        (b'{"requests":[{}]}', "BadId", "requests[0].id"),
        (b'{"requests":[{"id":"","method":"get","url":"x"}]}', "BadId", "requests[0].id"),
        (b'{"requests":[{"id":"a b","method":"get","url":"x"}]}', "BadId", "requests[0].id"),
        (b'{"requests":[{"id":"\xc3\xbc","method":"get","url":"x"}]}', "BadId", "requests[0].id"),
        (b'{"requests":[{"id":null,"method":"get","url":"x"}]}', "BadId", "requests[0].id"),
        (b'{"requests":[{"id":1.0,"method":"get","url":"x"}]}', "BadId", "requests[0].id"),
        (b'{"requests":[{"id":1e2,"method":"get","url":"x"}]}', "BadId", "requests[0].id"),
        (b'{"requests":[{"id":["1"],"method":"get","url":"x"}]}', "BadId", "requests[0].id"),
        (
            b'{"requests":[{"id":"1","\\u0069d":"1","method":"get","url":"x"}]}',
            "DuplicateMember",
            "requests[0].id",
        ),
    ],
)
def test_a_broken_envelope_breaks_the_batch(document: bytes, code: str, target: str) -> None:
    error = envelope_error(document)
    assert (error.status, error.code, error.target) == (400, code, target)


@pytest.mark.parametrize(
    ("document", "expected", "at"),
    [
        (b'{"requests":[{"id":"1","url":x}]}', "a value is expected, which begins with one of", 29),
        (b'{"requests":[{"id":"1",}]}', "a value or member is expected behind the comma", 23),
        (b'{"requests":[{"id":"1","body":[1, ]}]}', "a value or member is expected behind the comma", 34),
        (b'{"requests":[{"id":"1","body":]}]}', "a value is expected, which begins with one of", 30),
        (b'{"requests":[{"id":"1" "url":1}]}', "a comma is expected, or the end of the object or array", 23),
        (b'{"requests":[{"id":"1",url:1}]}', "a member name in double quotes is expected", 23),
        (b'{"requests":[{"id" "1"}]}', "a colon is expected behind the member name", 19),
        (b'{"requests":[{"id":"1","method":"get","url":"x"},]}', "a request object is expected behind the comma", 49),
        (b'{"requests":[],}', "a member is expected behind the comma", 15),
        (b"{requests:[]}", "a member name in double quotes is expected", 1),
        (b"[]", "the batch must be a JSON object with the member requests", 0),
        (b'{"requests":[{"id":"1"', "the batch ends inside the document", 22),
        (b'{"requests":[1]}', "each element of requests must be an object", 13),
    ],
)
def test_gw_01_syntax_errors_say_what_is_expected_and_name_the_byte(document: bytes, expected: str, at: int) -> None:
    error = envelope_error(document)
    assert error.message.startswith(expected)
    assert error.message.endswith(f", at byte {at}")


@pytest.mark.parametrize("document", [b"", b" \r\n", b"\xef\xbb\xbf "])
def test_gw_01_an_empty_body_is_said_to_be_empty(document: bytes) -> None:
    message = "the body is empty: a JSON object with the member requests is expected"
    assert envelope_error(document).message == message


def test_the_error_of_a_later_call_names_it_and_comes_after_the_calls_before() -> None:
    reader = JsonReader()
    reader.feed_bytes(batch({"id": "1", "method": "get", "url": "x"}, {"method": "get"}))
    assert reader.next().describe()["id"] == b"1"
    for _ in range(2):
        with pytest.raises(EnvelopeError) as raised:
            reader.next()
        assert raised.value.target == "requests[1].id"


def test_a_call_is_given_out_when_its_object_closes() -> None:
    reader = JsonReader()
    reader.feed_bytes(b'{"requests":[{"id":"1","method":"get","url":"x"')
    assert reader.next() is None
    reader.feed_bytes(b"}")
    assert reader.next().describe()["id"] == b"1"
    assert reader.next() is None
    assert not reader.ended
    assert reader.calls == 1


def test_the_document_has_not_ended_before_the_input_ends() -> None:
    reader = JsonReader()
    reader.feed_bytes(b'{"requests":[]}')
    assert reader.next() is None
    assert not reader.ended
    reader.feed_bytes(b"  ")
    reader.end()
    assert reader.next() is None
    assert reader.ended


# ---------------------------------------------------------------- limits


def test_a_request_object_above_the_limit_is_413_in_every_split() -> None:
    call = {"id": "1", "method": "post", "url": "x", "body": "x" * 100}
    size = len(json.dumps(call))
    assert len(read(batch(call), max_call_bytes=size)) == 1
    error = envelope_error(batch(call), max_call_bytes=size - 1)
    assert (error.status, error.code, error.target) == (413, "CallTooLarge", "requests[0]")
    # What lies beyond the limit is not looked at, so the split cannot change the verdict.
    assert envelope_error(batch(call)[:-20] + b"\xff", max_call_bytes=50).status == 413
    assert len(read(batch(call), max_call_bytes=0)) == 1


def test_nesting_is_counted_from_the_document() -> None:
    body: Any = []
    for _ in range(3):
        body = [body]
    data = batch({"id": "1", "method": "post", "url": "x", "body": body}, note=[[[[[]]]]])
    assert len(read(data, max_depth=7)) == 1
    error = envelope_error(data, max_depth=6)
    assert (error.status, error.code, error.target) == (400, "TooDeep", "requests[0]")
    deep = b'{"a":' + b"[" * 64 + b"]" * 64 + b',"requests":[]}'
    assert envelope_error(deep, max_depth=64).code == "TooDeep"
    assert read(deep, max_depth=65) == []


@pytest.mark.parametrize("depth", [2, 1025])
def test_the_depth_limit_itself_is_limited(depth: int) -> None:
    with pytest.raises(ConfigError):
        JsonReader(1000, depth)


def test_members_of_a_request_object_are_limited() -> None:
    members = {f"m{number}": number for number in range(61)}
    assert one(**members)["refusal"] is None
    error = envelope_error(batch({"id": "1", "method": "get", "url": "x", **members, "one more": 0}))
    assert (error.status, error.code, error.target) == (400, "TooManyMembers", "requests[0]")


def test_what_is_passed_over_is_not_kept() -> None:
    reader = JsonReader(1000, 64)
    tracemalloc.start()
    for piece in (
        b'{"',
        b"n" * 200_000,
        b'":[',
        b'"' + b"x" * 200_000 + b'",[',
        b"[1]," * 50_000,
        b'0]],"requests":[',
    ):
        reader.feed_bytes(piece)
        assert reader.next() is None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 10_000
    reader.feed_bytes(b'{"id":"1","method":"get","url":"x"}]}')
    assert reader.next() is not None


def test_byte_by_byte_reading_is_linear() -> None:
    body = "x" * 300_000
    data = batch({"id": "1", "method": "post", "url": "x", "body": body})
    (call,) = read(data, range(len(data)))
    assert call["body"] == b'"' + body.encode() + b'"'


def test_a_million_pieces_may_wait() -> None:
    reader = JsonReader()
    data = batch({"id": "1", "method": "post", "url": "x", "body": "x" * 1_000_000})
    for at in range(len(data)):
        reader.feed_bytes(data[at : at + 1])
    assert reader.next() is not None


# ---------------------------------------------------------------- members of a request object


@pytest.mark.parametrize("method", ["get", "GET", "Get", "gEt"])
def test_the_method_may_be_in_any_case(method: str) -> None:
    assert one(method=method)["method"] == b"GET"


@pytest.mark.parametrize("method", ["trace", "CONNECT", "merges", "", "GETT", "ge", " get", 1, None, ["get"]])
def test_other_methods_are_refused(method: Any) -> None:
    assert refused(one(method=method)) == (400, "BadMethod")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"id":"1","url":"x"}', "BadMethod"),
        ('{"id":"1","method":"get"}', "BadUrl"),
        ('{"id":"1","method":"get","url":null}', "BadUrl"),
        ('{"id":"1","method":"get","url":1}', "BadUrl"),
        ('{"id":"1","method":"get","url":"a\\r\\nb"}', "BadUrl"),
        ('{"id":"1","method":"get","url":"a\\u0000"}', "BadUrl"),
        ('{"id":"1","method":"get","url":"x","url":"x"}', "DuplicateMember"),
        ('{"id":"1","method":"get","url":"x","\\u0075rl":"y"}', "DuplicateMember"),
        ('{"id":"1","method":"get","url":"x","@n":1,"@n":1}', "DuplicateMember"),
        ('{"id":"1","method":"get","url":"x","@n":1,"\\u0040n":1}', "DuplicateMember"),
        ('{"id":"1","method":"get","url":"x","dependsOn":"a"}', "BadDependsOn"),
        ('{"id":"1","method":"get","url":"x","dependsOn":{"a":1}}', "BadDependsOn"),
        ('{"id":"1","method":"get","url":"x","dependsOn":[null]}', "BadDependsOn"),
        ('{"id":"1","method":"get","url":"x","dependsOn":["a",["b"]]}', "BadDependsOn"),
        ('{"id":"1","method":"get","url":"x","dependsOn":[1.5]}', "BadDependsOn"),
        ('{"id":"1","method":"get","url":"x","dependsOn":["a"],"depends_on":["b"]}', "BadDependsOn"),
        ('{"id":"1","method":"get","url":"x","dependsOn":["a"],"depends_on":[]}', "BadDependsOn"),
        ('{"id":"1","method":"get","url":"x","atomicityGroup":"a b"}', "BadAtomicityGroup"),
        ('{"id":"1","method":"get","url":"x","atomicityGroup":""}', "BadAtomicityGroup"),
        ('{"id":"1","method":"get","url":"x","atomicityGroup":1}', "BadAtomicityGroup"),
        ('{"id":"1","method":"get","url":"x","if":true}', "BadCondition"),
        ('{"id":"1","method":"get","url":"x","headers":[]}', "BadHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"a":1}}', "BadHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"a":null}}', "BadHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"a":"1","b":["x"]}}', "BadHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"a":"x\\ny"}}', "BadHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"a b":"x"}}', "BadHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"":"x"}}', "BadHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"Accept":"x","accept":"y"}}', "DuplicateHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"a":"x","\\u0041":"y"}}', "DuplicateHeader"),
        ('{"id":"1","method":"get","url":"x","headers":{"Authorization":"x"}}', "HeaderNotAllowed"),
        ('{"id":"1","method":"get","url":"x","body":{}}', "BodyNotAllowed"),
        ('{"id":"1","method":"delete","url":"x","body":""}', "BodyNotAllowed"),
    ],
)
def test_a_broken_request_object_is_refused_alone(text: str, code: str) -> None:
    assert refused(one_raw(text)) == (400, code)
    after = read(b'{"requests":[' + text.encode() + b',{"id":"2","method":"get","url":"y"}]}')
    assert after[1]["refusal"] is None


def test_a_refused_call_keeps_its_place_in_groups_and_dependencies() -> None:
    call = one(method="head", dependsOn=["a"], atomicityGroup="g", **{"if": "true"})
    assert (call["id"], call["depends_on"], call["group"], call["condition"]) == (b"1", [b"a"], b"g", b"true")


@pytest.mark.parametrize(
    ("said", "id"), [("1", b"1"), ("-7", b"-7"), ("12345678901234567890", b"12345678901234567890")]
)
def test_integer_ids_are_echoed_as_strings(said: str, id: bytes) -> None:
    assert one_raw(f'{{"id":{said},"method":"get","url":"x"}}')["id"] == id


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, None),
        ({"dependsOn": None}, None),
        ({"dependsOn": []}, []),
        ({"dependsOn": ["a", "b"]}, [b"a", b"b"]),
        ({"dependsOn": [1, "b"]}, [b"1", b"b"]),
        ({"depends_on": ["a"]}, [b"a"]),
        ({"depends_on": ["a"], "dependsOn": ["a"]}, [b"a"]),
        ({"depends_on": ["a"], "dependsOn": None}, [b"a"]),
    ],
)
def test_dependencies_under_either_name(members: dict[str, Any], expected: list[bytes] | None) -> None:
    call = one(**members)
    assert call["depends_on"] == expected
    assert call["refusal"] is None


def test_null_is_as_good_as_absent() -> None:
    call = one(headers=None, body=None, atomicityGroup=None, **{"if": None})
    assert call["condition"] is None
    assert call["refusal"] is None
    assert call["headers"] == []
    assert call["group"] is None
    assert call["body"] is None


def test_names_and_values_may_be_escaped() -> None:
    call = one_raw(
        r'{"\u0069d":"\u0031","\u006dethod":"\u0067et","u\u0072l":"\/a\u00fc\ud834\udd1e","dependsOn":["\u0061"],'
        r'"head\u0065rs":{"x-\u0061":"b\u0062","x-b":"\"\\"}}'
    )
    assert call["id"] == b"1"
    assert call["method"] == b"GET"
    assert call["url"] == "/aü𝄞".encode()
    assert call["depends_on"] == [b"a"]
    assert call["headers"] == [(b"x-a", b"bb"), (b"x-b", b'"\\')]


def test_names_are_case_sensitive_and_unknown_members_are_ignored() -> None:
    call = one_raw('{"ID":"x","id":"1","Method":"x","method":"get","url":"x","Headers":1,"Body":[1],"x":{"id":"2"}}')
    assert call["refusal"] is None
    assert call["body"] is None


def test_members_may_be_spaced_and_in_any_order() -> None:
    text = """
      { "body" : "Zm9v" , "headers" : { "content-type" : "image/png" , "x-a" : "b" } ,
        "dependsOn" : [ "a" , 2 , "c" ] , "url" : "x" , "method" : "put" , "id" : "1" }
    """
    call = one_raw(text)
    assert call["body"] == b"foo"
    assert call["headers"] == [(b"content-type", b"image/png"), (b"x-a", b"b")]
    assert call["depends_on"] == [b"a", b"2", b"c"]


# ---------------------------------------------------------------- any split


CALLS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["1", "a.b", 7, "~"]),
        "method": st.sampled_from(["get", "POST", "pAtch", "head"]),
    },
    optional={
        "url": st.text(max_size=8),
        "headers": st.dictionaries(
            st.sampled_from(["accept", "content-type", "x-a", "ü", "te"]),
            st.sampled_from(["a", "text/plain", "image/png", "application/json", "ü", ""]),
            max_size=3,
        ),
        "body": st.none() | st.text(max_size=40) | st.sampled_from(["Zm9v", [1, {"a": None}], {}, 0, False]),
        "dependsOn": st.lists(st.text(max_size=3), max_size=3),
        "depends_on": st.lists(st.sampled_from(["a", "b"]), max_size=2),
        "atomicityGroup": st.sampled_from(["g", "", None]),
        "if": st.text(max_size=5),
        "@note": st.text(max_size=20),
    },
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(CALLS, max_size=4),
    st.booleans(),
    st.lists(st.integers(0, 900), max_size=6),
    st.none() | st.tuples(st.integers(0, 900), st.integers(0, 255)),
)
def test_any_split_gives_the_same_calls_or_the_same_error(
    requests: list[Any], ascii_only: bool, cuts: list[int], damage: tuple[int, int] | None
) -> None:
    document = {"@before": {"requests": []}, "requests": requests, "after": [1, "x"]}
    data = bytearray(json.dumps(document, ensure_ascii=ascii_only).encode())
    if damage is not None:
        data[damage[0] % len(data)] = damage[1]
    whole = verdict(bytes(data))
    assert verdict(bytes(data), cuts) == whole
    assert verdict(bytes(data), range(len(data))) == whole
    assert verdict(bytes(data) + b" ", [len(data)]) == whole or isinstance(whole, tuple)
