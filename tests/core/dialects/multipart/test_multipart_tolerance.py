"""What the multipart reader takes beyond the rules, and the two other flavours (GW-07, clients.md)."""

import pytest
from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.errors import ConfigError, EnvelopeError
from multipart_batches import GET, HTTP, POST, batch, change_set, envelope_error, one, part, read, with_id

JSON_POST = b"POST A HTTP/1.1\r\nContent-Type: application/json;charset=utf-8\r\n"


def test_gw_07_line_feeds_alone_end_lines() -> None:
    data = batch(part(), change_set(part(POST, with_id(b"1"), b"c")), part(POST))
    assert read(data.replace(b"\r\n", b"\n")) == read(data)


def test_gw_07_a_body_may_end_in_a_carriage_return_where_line_feeds_end_lines() -> None:
    """The Content-Length says whose it is."""
    head = b"POST A\nContent-Type: text/plain\nContent-Length: %d\n\n"
    data = b"--b\nContent-Type: application/http\n\n%s\r\n--b--\n"
    for length, body in ((0, None), (3, b"abc"), (4, b"abc\r")):
        (call,) = read(data % (head % length + b"abc"))
        assert (call["body"], call["refusal"]) == (body, None)
    (call,) = read(data % (head % 1))
    assert call["body"] == b"\r"
    for refused in (head % 5 + b"abc", head.replace(b"\n", b"\r\n") % 4 + b"abc", head[:-1] % 1):
        (call,) = read(data % refused)
        assert call["refusal"] == (400, "BadLength")


def test_gw_07_no_line_end_after_the_close_delimiter() -> None:
    data = batch(part(POST), change_set(part(POST, boundary=b"c")))
    assert read(data[:-2]) == read(data)
    assert read(data[:-2] + b" ") == read(data)


def test_gw_07_blank_lines_around_delimiters() -> None:
    inner = change_set(part(POST, boundary=b"c"))
    noisy = inner.replace(b"boundary=c\r\n\r\n", b"boundary=c\r\n\r\n\r\n\r\n") + b"\r\n\r\n"
    assert read(b"\r\n\r\n" + batch(noisy)) == read(batch(inner))


def test_gw_07_blank_lines_before_the_request_line() -> None:
    assert one(b"\r\n\n" + POST) == one(POST)


def test_gw_07_blank_lines_before_json_do_not_reach_the_upstream() -> None:
    assert one(JSON_POST + b'\r\n\r\n{"a":1}\r\n')["body"] == b'{"a":1}\r\n'
    assert one(JSON_POST + b"\r\n\r\n \t\n\r\n1")["body"] == b"1"
    assert one(JSON_POST + b"Content-Length: 2\r\n\r\n\r\n{}\r\n")["body"] == b"{}"
    assert one(JSON_POST + b"Content-Length: 4\r\n\r\n\r\n{}")["body"] == b"{}"
    assert one(JSON_POST + b"Content-Length: 5\r\n\r\n\r\n{}")["refusal"] == (400, "BadLength")


def test_gw_07_other_bodies_stay_as_they_are() -> None:
    for head in (b"Content-Type: application/xml\r\n", b"Content-Type: multipart/form-data\r\n", b""):
        assert one(b"PUT A HTTP/1.1\r\n" + head + b"\r\n\r\n x\r\n")["body"] == b"\r\n x\r\n"


@pytest.mark.parametrize("head", [b"", b"Content-Type: application/json\r\n", b"Content-Type: a/b+json\r\n"])
def test_gw_07_white_space_is_no_body_where_it_means_nothing(head: bytes) -> None:
    assert one(b"POST A HTTP/1.1\r\n" + head + b"\r\n\r\n \r\n")["body"] is None
    assert one(b"POST A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n\r\n")["body"] == b"\r\n"


def test_gw_07_a_body_without_content_type_gets_none() -> None:
    call = one(b"POST A HTTP/1.1\r\n\r\n{}")
    assert (call["body"], call["headers"]) == (b"{}", [])


def test_gw_07_folded_headers_are_unfolded() -> None:
    head = b"Content-Type: application/http\r\nContent-ID:\r\n\t1\r\n"
    call = one(b"GET A HTTP/1.1\r\nPrefer: a,\r\n  b\r\n\tc\r\nAccept: x\r\n\r\n", head)
    assert (call["id"], call["refusal"]) == (b"1", None)
    assert call["headers"] == [(b"Prefer", b"a,  b\tc"), (b"Accept", b"x")]


def test_gw_07_a_part_that_ends_in_its_own_headers_has_no_message() -> None:
    assert [call["refusal"] for call in read(b"--b\r\n" + HTTP + b"--b--")] == [(400, "BadRequestLine")]
    assert [call["refusal"] for call in read(b"--b\r\n--b--")] == [(400, "BadPart")]


def test_a_change_set_without_parts_keeps_its_place() -> None:
    calls = read(batch(change_set(), part(), change_set()))
    assert [(call["method"], call["group"]) for call in calls] == [(b"", 0), (b"GET", None), (b"", 1)]


@pytest.mark.parametrize(
    "line", [b"no colon", b": x", b" folded: x", b"a b: c", b"a\x00: b", b"a: b\x00", b"a: b\rc: d"]
)
def test_a_line_that_is_no_header_field_is_refused(line: bytes) -> None:
    assert one(b"GET A HTTP/1.1\r\n" + line + b"\r\n\r\n")["refusal"] == (400, "BadHeader")


@pytest.mark.parametrize("line", [b"no colon", b": x", b"Content-ID : 1", b"Content-ID\t: 1"])
def test_a_line_of_the_part_that_is_no_header_field_is_refused(line: bytes) -> None:
    assert one(GET, HTTP + line + b"\r\n")["refusal"] == (400, "BadHeader")


def test_headers_that_are_ours_do_not_pass() -> None:
    names = [b"Host", b"Content-Length", b"Accept-Encoding", b"Connection", b"X-Forwarded-For", b"Via", b"X-Drop"]
    lines = b"".join(name + b": " + (b"2" if name == b"Content-Length" else b"X-Drop") + b"\r\n" for name in names)
    call = one(b"POST A HTTP/1.1\r\n" + lines + b"X-Keep: 1\r\n\r\n{}")
    assert (call["refusal"], call["headers"]) == (None, [(b"X-Keep", b"1")])


# ---------------------------------------------------------------- google


def google(content_id: bytes, message: bytes = GET) -> bytes:
    return batch(part(message, with_id(content_id)))


def test_google_ids_are_opaque() -> None:
    for name in (b"<05d58fe5-1584 + make/%C3%BC%20%2Bx>", b"plain", b"<" + b"a" * 1000 + b">"):
        assert read(google(name), flavour="google")[0]["id"] == name


@pytest.mark.parametrize("name", [b"", b"\xc3\xbc", b"a\x00", b"a" * 1025])
def test_google_ids_that_cannot_be_echoed_break_the_batch(name: bytes) -> None:
    assert envelope_error(google(name), flavour="google") == "BadId"


def test_google_ids_may_be_missing() -> None:
    assert [call["id"] for call in read(batch(part(), part()), flavour="google")] == [b"", b""]


def test_google_folded_ids_are_unfolded() -> None:
    data = google(b"<abc +\n long>").replace(b"\r\n", b"\n")
    assert read(data, flavour="google")[0]["id"] == b"<abc + long>"


def test_google_authorization_is_dropped_and_length_not_trusted() -> None:
    message = b"POST /a HTTP/1.1\r\nauthorization: Bearer x\r\naccept-encoding: gzip\r\ncontent-length: 3\r\n\r\n"
    (call,) = read(google(b"<1>", message + "grün".encode()), flavour="google")
    assert (call["refusal"], call["headers"], call["body"]) == (None, [], "grün".encode())


def test_google_has_no_change_sets() -> None:
    head = b"Content-Type: multipart/mixed; boundary=c\r\nContent-ID: <1>\r\n"
    (call,) = read(batch(part(b"--c--\r\n", head)), flavour="google")
    assert (call["group"], call["refusal"]) == (None, (400, "NestedMultipart"))


# ---------------------------------------------------------------- document

DOCUMENT = b"Content-Disposition: form-data; \r\nContent-Type: application/http; msgtype=request\r\n"


def document(lines: bytes, body: bytes = b"") -> bytes:
    return batch(part(b"PUT convert \r\nContent-Type: text/plain\r\n" + lines + b"\r\n" + body, DOCUMENT))


def test_document_ids_and_parents_are_inner_headers() -> None:
    (call,) = read(document(b"RequestId: 1 a\r\nDependsOn: p\r\nX: y\r\n", b"text"), flavour="document")
    assert (call["id"], call["depends_on"], call["refusal"]) == (b"1 a", [b"p"], None)
    assert call["headers"] == [(b"Content-Type", b"text/plain"), (b"X", b"y")]
    assert (call["method"], call["url"], call["body"]) == (b"PUT", b"convert", b"text")


def test_document_several_parents() -> None:
    (call,) = read(document(b"requestid:1\r\ndependson: p, q,\r\nDependsOn:r\r\n"), flavour="document")
    assert call["depends_on"] == [b"p", b"q", b"r"]


@pytest.mark.parametrize(
    "lines", [b"", b"RequestId: \r\n", b"RequestId: \xfc\r\n", b"RequestId: " + b"a" * 257 + b"\r\n"]
)
def test_document_ids_are_needed(lines: bytes) -> None:
    assert envelope_error(document(lines), flavour="document") == "BadId"


def test_document_two_ids_that_differ_are_refused() -> None:
    (call,) = read(document(b"RequestId: 1\r\nRequestId: 2\r\n"), flavour="document")
    assert (call["id"], call["refusal"]) == (b"1", (400, "ConflictingId"))


def test_document_content_id_is_no_id() -> None:
    assert envelope_error(document(b"Content-ID: 1\r\n"), flavour="document") == "BadId"


def test_document_nested_form_data_is_a_body_like_any_other() -> None:
    body = b'--f\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n--f--\r\n'
    assert read(document(b"RequestId: 1\r\n", body), flavour="document")[0]["body"] == body


def test_document_of_one_bare_message() -> None:
    message = b"PUT convert \r\nRequestId: 1\r\nContent-Type: text/plain\r\n\r\none\r\n--b\r\ntwo\r\n"
    for cuts in ((), range(len(message))):
        (call,) = read(message, cuts, boundary=None, flavour="document")
        assert (call["id"], call["body"]) == (b"1", b"one\r\n--b\r\ntwo\r\n")
    assert envelope_error(message, boundary=None, flavour="document", max_call_bytes=len(message) - 1) == "CallTooLarge"
    assert len(read(message, boundary=None, flavour="document", max_call_bytes=len(message))) == 1
    assert envelope_error(b"", boundary=None, flavour="document") == "BadId"


@pytest.mark.parametrize(
    ("boundary", "flavour"), [(b"", "odata"), (b"x" * 71, "odata"), (b"b", "other"), (None, "odata"), (None, "google")]
)
def test_settings_that_cannot_be_are_refused(boundary: bytes | None, flavour: str) -> None:
    with pytest.raises(ConfigError):
        MultipartReader(boundary, flavour=flavour)


@pytest.mark.parametrize(
    ("data", "flavour", "most"),
    [(document("RequestId: é\r\n".encode()), "document", 256), (google("é".encode()), "google", 1024)],
)
def test_an_id_that_is_refused_is_told_what_it_may_be(data: bytes, flavour: str, most: int) -> None:
    with pytest.raises(EnvelopeError, match=f"1 to {most} printable characters of ASCII"):
        read(data, flavour=flavour)
