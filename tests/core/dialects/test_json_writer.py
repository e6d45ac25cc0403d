"""The JSON batch writer: response objects, header names, bodies (JR-01..JR-13, PR-02, GW-11)."""

import base64
import gzip
import json
import zlib
from typing import Any

import pytest
from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.dialects.json_writer import JsonWriter
from batchwire.core.errors import BadUpstreamBody, ConfigError
from batchwire.core.model import Call, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from json_batches import batch

Headers = list[tuple[bytes, bytes]]


def make_call(**members: Any) -> Call:
    reader = JsonReader()
    reader.feed_bytes(batch({"id": "1", "method": "get", "url": "x", **members}))
    call = reader.next()
    assert call is not None
    return call


def make_result(status: int, headers: Headers, body: bytes | None = None) -> Result:
    result = Result()
    result.fill(status, headers, body)
    return result


def write_raw(
    status: int = 200,
    headers: Headers | None = None,
    body: bytes | None = None,
    strict: bool = True,
    **members: Any,
) -> bytes:
    writer = JsonWriter()
    writer.lowercase = strict
    return bytes(writer.write_bytes(make_call(**members), make_result(status, headers or [], body)))


def write(*args: Any, **options: Any) -> dict[str, Any]:
    """The response object, which must have no name twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(write_raw(*args, **options), object_pairs_hook=unique)  # type: ignore[no-any-return]


JSON = (b"content-type", b"application/json")


def test_members_come_in_the_promised_order() -> None:
    raw = write_raw(201, [JSON, (b"ETag", b'"x"')], b'{ "a": 1 }', atomicityGroup="g")
    assert raw == (
        b'{"id":"1","atomicityGroup":"g","status":201,'
        b'"headers":{"content-type":"application/json","etag":"\\"x\\""},"body":{ "a": 1 }}'
    )


def test_headers_are_there_even_when_empty() -> None:
    assert write_raw(204) == b'{"id":"1","status":204,"headers":{}}'


def test_separators_are_left_to_the_session() -> None:
    writer = JsonWriter()
    for _ in range(2):
        assert writer.write_bytes(make_call(), make_result(204, [])).startswith(b"{")


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status: int) -> None:
    assert "body" not in write(status, [JSON], b"{}")


def test_an_empty_body_is_absent_and_keeps_its_type() -> None:
    answer = write(200, [JSON], b"")
    assert "body" not in answer
    assert answer["headers"] == {"content-type": "application/json"}


@pytest.mark.parametrize("media", [b"text/plain", b"text/plain;charset=utf-16", b"image/png"])
@pytest.mark.parametrize("coded", [False, True])
def test_an_empty_text_or_binary_body_is_an_empty_string(media: bytes, coded: bool) -> None:
    headers = [(b"content-type", media), *([(b"content-encoding", b"gzip")] if coded else [])]
    answer = write(200, headers, gzip.compress(b"") if coded else b"")
    assert answer["body"] == ""
    assert answer["headers"] == {"content-type": media.decode()}


@pytest.mark.parametrize("body", [None, b""])
def test_nothing_of_no_type_is_no_body(body: bytes | None) -> None:
    assert "body" not in write(200, [], body)


@pytest.mark.parametrize(("status", "body"), [(204, b""), (304, b""), (200, None)])
def test_what_cannot_have_a_body_has_no_empty_one(status: int, body: bytes | None) -> None:
    """None: the answer to a HEAD."""
    assert "body" not in write(status, [(b"content-type", b"text/plain")], body)


# ---------------------------------------------------------------- headers


def test_names_are_lower_case_in_the_strict_profile() -> None:
    headers = [(b"ETag", b"e"), (b"OData-Version", b"4.01"), (b"X-Custom-NAME", b"x")]
    assert list(write(200, headers)["headers"]) == ["etag", "odata-version", "x-custom-name"]


def test_names_are_canonical_in_the_compatible_profile() -> None:
    names = [
        "Content-Type", "ETag", "OData-Version", "OData-EntityId", "WWW-Authenticate", "Location",
        "Retry-After", "X-Request-Id", "Preference-Applied", "Content-Language", "OData-MaxVersion", "Vary",
    ]  # fmt: skip
    for spelling in (str.lower, str.upper):
        headers = [(spelling(name).encode(), b"v") for name in names]
        assert list(write(200, headers, strict=False)["headers"]) == names


def test_hop_by_hop_headers_and_cookies_are_dropped() -> None:
    names = [
        b"Connection",
        b"Content-Length",
        b"Transfer-Encoding",
        b"Keep-Alive",
        b"Set-Cookie",
        b"Trailer",
        b"TE",
    ]
    assert write(200, [(name, b"x") for name in names] + [(b"a", b"b")])["headers"] == {"a": "b"}


def test_several_fields_of_a_name_are_joined() -> None:
    headers = [(b"Vary", b"a"), (b"x", b"1"), (b"vary", b"b"), (b"X", b"2"), (b"VARY", b"c")]
    assert write(200, headers)["headers"] == {"vary": "a, b, c", "x": "1, 2"}


def test_single_valued_fields_are_not_joined() -> None:
    headers = [
        JSON,
        (b"Content-Type", b"text/plain"),
        (b"location", b"a"),
        (b"Location", b"b"),
        (b"etag", b"1"),
    ]
    assert write(200, headers, b"1")["headers"] == {
        "content-type": "application/json",
        "location": "a",
        "etag": "1",
    }


def test_values_are_escaped_and_bytes_that_are_not_utf8_are_latin1() -> None:
    headers = [
        (b"a", b'W/"1\\'),
        (b"b", "ü€".encode()),
        (b"c", b"gr\xfc\xdf"),
        (b"d", b"x\ty"),
        (b"e", b'\xa0"'),
    ]
    assert write(200, headers)["headers"] == {
        "a": 'W/"1\\',
        "b": "ü€",
        "c": "grüß",
        "d": "x\ty",
        "e": '\xa0"',
    }


def test_what_is_no_field_name_is_dropped() -> None:
    assert write(200, [(b'a"b', b"1"), (b"", b"2"), (b"\xfc", b"3"), (b"ok", b"4")])["headers"] == {"ok": "4"}


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("media", [b"application/json", b"Application/JSON;charset=utf-8", b"application/problem+json"])
@pytest.mark.parametrize("body", [b'{"a":"\xc3\xbc"}', b"[1, 2]\n", b'"x"', b"null", b" 1 "])
def test_json_is_put_in_as_it_is(media: bytes, body: bytes) -> None:
    raw = write_raw(200, [(b"Content-Type", media)], body)
    assert raw.endswith(b'},"body":' + body + b"}")
    assert json.loads(raw)["headers"] == {"content-type": media.decode()}


def test_a_byte_order_mark_before_json_is_dropped() -> None:
    assert write(200, [JSON], b'\xef\xbb\xbf{"a":1}')["body"] == {"a": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"OK",
        b"{",
        b"{}x",
        b"<html>",
        b"NaN",
        b'1},{"id":"2"',
        b'"\n"',
        "{'ü':1}".encode(),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 401, 409, 429, 503])
def test_AN_01_what_is_not_the_json_it_says_is_text(status: int, body: bytes) -> None:
    answer = write(status, [JSON, (b"retry-after", b"7")], body)
    assert (answer["status"], answer["body"]) == (status, body.decode())
    assert answer["headers"] == {
        "content-type": "text/plain",
        "retry-after": "7",
        "batchwire-note": "not the JSON that its content-type says: application/json",
    }


@pytest.mark.parametrize("body", [b'"\xff"', b"\x00\xff\xfe", b"\xc3"])
def test_AN_01_what_is_no_text_either_is_binary(body: bytes) -> None:
    answer = write(201, [JSON], body)
    assert answer["status"] == 201
    assert answer["headers"]["content-type"] == "application/octet-stream"
    assert "batchwire-note" in answer["headers"]
    assert base64.urlsafe_b64decode(answer["body"] + "==") == body


@pytest.mark.parametrize("body", [b" ", b"\r\n\t ", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_AN_01_white_space_alone_is_no_body(body: bytes) -> None:
    answer = write(201, [JSON], body)
    assert "body" not in answer
    assert answer["headers"] == {"content-type": "application/json"}


VALUE = {"a": "grüß", "b": [1, None]}


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("iso-8859-1", "latin-1"), ("Windows-1252", "cp1252"), ("utf-16", "utf-16"), ("UTF-16LE", "utf-16-le"),
     ("utf-32", "utf-32"), ("", "utf-16"), ("", "utf-16-be"), ("utf-8", "utf-16-le"), ("nonsense", "utf-32-le")],
)  # fmt: skip
def test_AN_02_json_in_another_charset_is_transcoded(charset: str, codec: str) -> None:
    said = f"application/json;charset={charset}" if charset else "application/json"
    answer = write(200, [(b"content-type", said.encode())], json.dumps(VALUE, ensure_ascii=False).encode(codec))
    assert answer["body"] == VALUE
    assert answer["headers"] == {"content-type": "application/json;charset=utf-8" if charset else "application/json"}


def test_AN_02_json_in_shift_jis_is_transcoded() -> None:
    said = (b"content-type", b'application/problem+json; charset="Shift_JIS"')
    assert write(409, [said], json.dumps("表ソ", ensure_ascii=False).encode("shift_jis"))["body"] == "表ソ"


@pytest.mark.parametrize("codec", ["latin-1", "shift_jis", "utf-16", "euc_jp", "koi8-r", "gb18030"])
@pytest.mark.parametrize("media", ["application/json", "text/plain", "text/html"])
def test_AN_02_text_in_the_charset_it_says_is_text(media: str, codec: str) -> None:
    text = {"latin-1": "déjà vu", "koi8-r": "занято"}.get(codec, "表示 OK")
    answer = write(503, [(b"content-type", f"{media}; charset={codec}".encode())], text.encode(codec))
    assert (answer["status"], answer["body"]) == (503, text)
    kept = f"{media};charset=utf-8" if media.startswith("text/") else "text/plain"
    assert answer["headers"]["content-type"].replace("; ", ";") == kept


@pytest.mark.parametrize(("status", "method"), [(200, "get"), (201, "post"), (409, "get")])
def test_AN_03_json_that_is_nested_too_deeply_is_text(status: int, method: str) -> None:
    deep = b"[" * 513 + b"]" * 513
    answer = write(status, [JSON], deep, method=method)
    assert (answer["status"], answer["body"]) == (status, deep.decode())
    assert "max_depth" in answer["headers"]["batchwire-note"]


@pytest.mark.parametrize("body", [b'"\\ud800"', b'{"\\udc00":["\\ud83dx"]}'])
def test_AN_04_half_of_a_surrogate_pair_travels_as_it_is(body: bytes) -> None:
    assert write_raw(200, [JSON], body).endswith(b'"body":' + body + b"}")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([200, 201, 400, 503]),
    st.sampled_from(["application/json", "text/plain", "application/x+json"]),
    st.sampled_from(["", "utf-8", "iso-8859-1", "utf-16", "shift_jis", "x-none", "\u00e9", "idna", "zlib", "utf-7"]),
    st.binary(max_size=60) | st.text(max_size=30).map(lambda text: text.encode("utf-16")) | st.just(b'{"a":"\xe9"}'),
)
def test_AN_01_no_body_changes_the_status_or_breaks_the_document(
    status: int, media: str, charset: str, body: bytes
) -> None:
    said = f"{media};charset={charset}" if charset else media
    answer = write(status, [(b"content-type", said.encode("latin-1"))], body, method="post")
    assert answer["status"] == status
    if answer["headers"].get("content-type") == "application/octet-stream":
        assert base64.urlsafe_b64decode(answer["body"] + "==") == body.removeprefix(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    ("media", "body", "text", "said"),
    [
        (b"text/plain", b"12", "12", "text/plain"),
        (b"text/plain", 'ü"\n\x00'.encode(), 'ü"\n\x00', "text/plain"),
        (b"text/html; charset=UTF-8", "ü".encode(), "ü", "text/html; charset=UTF-8"),
        (b"text/plain;charset=iso-8859-1", b"gr\xfc\xdf", "grüß", "text/plain;charset=utf-8"),
        (b'text/plain; format=flowed; Charset="Windows-1252"; x=y', b"\x80", "€",
         "text/plain; format=flowed;charset=utf-8; x=y"),
        (b"text/csv;charset=us-ascii", b"a,b", "a,b", "text/csv;charset=utf-8"),
        (b"text/plain;charset=utf-16", b"\xff\xfea\x00", "a", "text/plain;charset=utf-8"),
    ],
)  # fmt: skip
def test_text_becomes_a_string(media: bytes, body: bytes, text: str, said: str) -> None:
    answer = write(200, [(b"content-type", media)], body)
    assert answer["body"] == text
    assert answer["headers"] == {"content-type": said}


@pytest.mark.parametrize(
    ("media", "body", "text"),
    [
        (b"text/plain", b"\xfc", None),
        (b"text/plain;charset=us-ascii", b"\xfc", None),
        (b"text/plain;charset=us-ascii", "ü".encode(), "ü"),
        (b"text/plain;charset=windows-1252", b"\x81", None),
        (b"text/plain;charset=hex", b"00", "00"),
        (b"text/plain;charset=none", b"\xff\xfea\x00", "a"),
    ],
)
def test_AN_01_text_that_is_not_in_its_charset_is_what_it_is(media: bytes, body: bytes, text: str | None) -> None:
    answer = write(200, [(b"content-type", media)], body)
    assert answer["headers"]["batchwire-note"] == "not the text that its content-type says: " + media.decode()
    if text is None:
        assert answer["headers"]["content-type"] == "application/octet-stream"
        assert base64.urlsafe_b64decode(answer["body"] + "==") == body
    else:
        assert (answer["headers"]["content-type"], answer["body"]) == ("text/plain", text)


@given(st.binary(min_size=1, max_size=100))
def test_everything_else_is_base64url_without_padding(body: bytes) -> None:
    answer = write(200, [(b"content-type", b"image/png")], body)
    assert answer["body"] == base64.urlsafe_b64encode(body).decode().rstrip("=")
    assert answer["headers"] == {"content-type": "image/png"}


@pytest.mark.parametrize("headers", [[], [(b"Content-Type", b"")]])
def test_a_body_without_a_type_is_binary_and_says_so(headers: Headers) -> None:
    answer = write(200, headers, b"\x00\xff")
    assert answer["headers"] == {"content-type": "application/octet-stream"}
    assert answer["body"] == "AP8"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(b'{"a":1}', mtime=0)),
        (b"GZIP", gzip.compress(b'{"a":1}', mtime=0)),
        (b"deflate", zlib.compress(b'{"a":1}')),
        (b"identity", b'{"a":1}'),
        (b"deflate, gzip", gzip.compress(zlib.compress(b'{"a":1}'), mtime=0)),
    ],
)
def test_content_codings_are_undone_and_their_header_dropped(coding: bytes, body: bytes) -> None:
    answer = write(200, [JSON, (b"Content-Encoding", coding)], body)
    assert answer["body"] == {"a": 1}
    assert answer["headers"] == {"content-type": "application/json"}


def test_content_codings_in_several_fields_are_undone_in_reverse() -> None:
    body = gzip.compress(zlib.compress(b"1"))
    assert write(200, [JSON, (b"content-encoding", b"deflate"), (b"Content-Encoding", b"gzip")], body)["body"] == 1


@pytest.mark.parametrize(
    ("coding", "body"),
    [(b"br", b"x"), (b"gzip", b"{}"), (b"gzip", gzip.compress(b"{}", mtime=0)[:-1]), (b"chunked", b"0\r\n\r\n")],
)
def test_AN_01_content_codings_that_cannot_be_undone_stay(coding: bytes, body: bytes) -> None:
    answer = write(200, [JSON, (b"content-encoding", coding)], body)
    assert answer["status"] == 200
    assert answer["headers"] == {
        "content-type": "application/octet-stream",
        "content-encoding": coding.decode(),
        "batchwire-note": "the content-encoding cannot be undone: " + coding.decode(),
    }
    assert base64.urlsafe_b64decode(answer["body"] + "==") == body


def test_inflating_is_bounded() -> None:
    body = gzip.compress(json.dumps("x" * 5000).encode())
    headers = [JSON, (b"content-encoding", b"gzip")]
    assert JsonWriter(5002).write_bytes(make_call(), make_result(200, headers, body))
    with pytest.raises(BadUpstreamBody):
        JsonWriter(5001).write_bytes(make_call(), make_result(200, headers, body))
    # AN-03: what a POST has done is done.
    written = JsonWriter(5001).write_bytes(make_call(method="post"), make_result(200, headers, body))
    assert json.loads(written)["headers"]["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("depth", [0, 1025])
def test_the_depth_limit_itself_is_limited(depth: int) -> None:
    with pytest.raises(ConfigError):
        JsonWriter(1000, depth)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["json", "text", "binary"]), VALUES, st.text(), st.binary(), st.booleans())
def test_what_is_written_reads_as_it_was_sent(kind: str, value: Any, text: str, data: bytes, strict: bool) -> None:
    media = {"json": b"application/json", "text": b"text/plain", "binary": b"image/png"}[kind]
    body = {"json": json.dumps(value, ensure_ascii=False).encode(), "text": text.encode(), "binary": data}[kind]
    answer = write(200, [(b"content-type", media)], body, strict=strict)
    # The same object, given to the reader as a request, yields the same bytes: JR-08 mirrors JB-23..25.
    reader = JsonReader()
    reader.feed_bytes(batch({"id": "1", "method": "post", "url": "x", **answer}))
    found = reader.next().describe()
    assert found["refusal"] is None
    if kind == "json" and value is None:
        assert found["body"] is None
    elif kind == "json":
        assert json.loads(found["body"]) == value
    else:
        assert (found["body"] or b"") == body
