"""The multipart writer against the rules of the contract (MP-05..MP-15, PR-07, GW-19, HD-19)."""

import email
import email.policy
import gzip
from email.message import Message

import pytest
from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.dialects.multipart.writer import MultipartWriter
from batchwire.core.errors import BadUpstreamBody, ConfigError
from batchwire.core.model import Call, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from multipart_batches import HTTP, POST, batch, change_set, part, with_id

Headers = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")


def calls(*ids: bytes, group: bool = False) -> list[Call]:
    """Calls with these ids (b"": none), all in one change set or none of them."""
    heads = [with_id(name) if name else HTTP for name in ids]
    boundary = b"c" if group else b"b"
    parts = [part(POST, head, boundary) for head in heads]
    reader = MultipartReader(b"b")
    reader.feed_bytes(batch(change_set(*parts)) if group else batch(*parts))
    found = []
    while (call := reader.next()) is not None:
        found.append(call)
    assert len(found) == len(ids)
    return found


def result(status: int = 200, headers: Headers | None = None, body: bytes | None = None) -> Result:
    made = Result()
    made.fill(status, headers or [], body)
    return made


def one(made: Result, name: bytes = b"1", **options: object) -> bytes:
    """The part of one result, without the delimiter line."""
    (call,) = calls(name)
    text = bytes(MultipartWriter(b"r", **options).write_bytes(call, made))
    assert text.startswith(b"--r\r\n")
    return text.removeprefix(b"--r\r\n")


def inner(made: Result) -> tuple[bytes, list[bytes], bytes]:
    """Status line, header lines and body of the message in the part of a result."""
    message = one(made).split(b"\r\n\r\n", 1)[1]
    head, _, body = message.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert body.endswith(b"\r\n")
    return status, lines, body[:-2]


def parsed(text: bytes, boundary: bytes = b"r") -> list[Message]:
    """The parts of an answer, by the standard library."""
    head = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n"
    message = email.message_from_bytes(head + text, policy=email.policy.HTTP)
    assert message.is_multipart()
    assert not message.defects
    assert not message.preamble
    assert not (message.epilogue or "").strip()
    return message.get_payload()  # type: ignore[return-value]


def test_pr_07_a_part_is_exactly_this() -> None:
    made = result(201, [JSON, (b"etag", b'W/"1"'), (b"odata-version", b"4.01")], b'{"a":1}')
    assert one(made) == (
        b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\n"
        b'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nETag: W/"1"\r\nOData-Version: 4.01\r\n'
        b'Content-Length: 7\r\n\r\n{"a":1}\r\n'
    )


def test_pr_07_an_answer_has_no_preamble_and_a_line_end_after_its_close() -> None:
    writer = MultipartWriter(b"r")
    text = b"".join(writer.write_bytes(call, result()) for call in calls(b"1", b"2")) + writer.end_bytes()
    assert text.startswith(b"--r\r\n")
    assert text.endswith(b"\r\n--r--\r\n")
    assert len(parsed(text)) == 2
    assert writer.separator is None


def test_pr_07_no_results_are_a_valid_answer_too() -> None:
    assert MultipartWriter(b"r").end_bytes() == b"--r--\r\n"


def test_pr_07_every_status_has_a_reason() -> None:
    for status in range(100, 1000):
        version, code, reason = inner(result(status))[0].split(b" ", 2)
        assert (version, code) == (b"HTTP/1.1", b"%d" % status)
        assert reason.strip()


def test_pr_07_reasons_clients_look_for() -> None:
    for status, line in ((200, b"200 OK"), (204, b"204 No Content"), (424, b"424 Failed Dependency")):
        assert inner(result(status))[0] == b"HTTP/1.1 " + line


def test_pr_07_hop_by_hop_headers_never_show() -> None:
    names = [b"Transfer-Encoding", b"Connection", b"Keep-Alive", b"Set-Cookie", b"Trailer", b"TE", b"Content-Length"]
    assert inner(result(200, [(name, b"x") for name in names]))[1] == [b"Content-Length: 0"]


def test_pr_07_names_are_canonical_whatever_the_profile() -> None:
    writer = MultipartWriter(b"r")
    writer.lowercase = True
    (call,) = calls(b"1")
    text = writer.write_bytes(call, result(200, [(b"content-TYPE", b"text/plain"), (b"x-ms-error-code", b"E")], b"x"))
    assert b"\r\nContent-Type: text/plain\r\nX-Ms-Error-Code: E\r\n" in text


def test_pr_07_json_has_no_crlf_and_other_bodies_stay() -> None:
    text = b'{\r\n  "a": "\\r\\n",\r "b": 1\r\n}\r\n'
    for media in (b"application/json; charset=utf-8", b"application/problem+json"):
        assert inner(result(200, [(b"content-type", media)], text))[2] == text.replace(b"\r", b" ")
    for headers in ([(b"content-type", b"text/plain")], []):
        assert inner(result(200, headers, text))[2] == text


def test_pr_07_what_could_break_a_part_apart_does_not_show() -> None:
    headers = [(b"a", b"1\r\nb: 2"), (b"c\r\nd", b"3"), (b"e", b"4\x00"), (b"", b"5"), (b"f", b"6")]
    assert inner(result(200, headers))[1] == [b"F: 6", b"Content-Length: 0"]


def test_pr_07_values_are_utf8() -> None:
    headers = [(b"a", "ü".encode()), (b"b", b"gr\xfc\xdf")]
    assert inner(result(200, headers))[1][:2] == ["A: ü".encode(), "B: grüß".encode()]


def test_repeated_fields_stay_apart_but_content_type_is_one() -> None:
    headers = [JSON, (b"vary", b"a"), (b"Vary", b"b"), (b"Content-Type", b"text/plain")]
    assert inner(result(200, headers))[1][:-1] == [b"Content-Type: application/json", b"Vary: a", b"Vary: b"]


def test_hd_19_content_codings_are_undone() -> None:
    coded = [JSON, (b"content-encoding", b"gzip")]
    _, lines, body = inner(result(200, coded, gzip.compress(b'{"a":1}')))
    assert (lines, body) == ([b"Content-Type: application/json", b"Content-Length: 7"], b'{"a":1}')


@pytest.mark.parametrize(("data", "limit"), [(b"{\r\n}", 100), (gzip.compress(b"x" * 101, mtime=0), 100)])
def test_AN_01_content_codings_that_cannot_be_undone_stay(data: bytes, limit: int) -> None:
    (call,) = calls(b"1")
    writer = MultipartWriter(b"r", max_body_bytes=limit)
    text = writer.write_bytes(call, result(201, [JSON, (b"content-encoding", b"gzip")], data)) + writer.end_bytes()
    assert text.startswith(b"--r\r\n")
    assert b"HTTP/1.1 201 " in text
    assert b"\r\nContent-Encoding: gzip\r\n" in text
    assert b"\r\nBatchwire-Note: " in text
    assert b"Content-Length: %d\r\n\r\n%b\r\n" % (len(data), data) in text


def test_AN_03_a_get_whose_body_inflates_beyond_the_bound_fails() -> None:
    reader = MultipartReader(b"b")
    reader.feed_bytes(batch(part(b"GET A HTTP/1.1\r\n\r\n", with_id(b"1"))))
    call = reader.next()
    with pytest.raises(BadUpstreamBody):
        MultipartWriter(b"r", max_body_bytes=100).write_bytes(
            call, result(200, [JSON, (b"content-encoding", b"gzip")], gzip.compress(b"x" * 101))
        )


def test_AN_01_what_is_no_json_is_not_altered() -> None:
    for body in (b"OK\r\n\r\nfine", '{"a":\r\n1}'.encode("utf-16")):
        assert inner(result(201, [JSON], body))[2] == body


def test_mp_05_a_change_set_is_answered_nested_with_its_last_member() -> None:
    writer = MultipartWriter(b"r")
    first, second = calls(b"1", b"2", group=True)
    (alone,) = calls(b"3")
    text = writer.write_bytes(alone, result())
    assert writer.write_member_bytes(first, result(201, [JSON], b"{}"), 2) == b""
    nested = writer.write_member_bytes(second, result(204), 2)
    assert nested.startswith(b"--r\r\nContent-Type: multipart/mixed; boundary=changesetresponse_")
    plain, members = parsed(text + nested + writer.end_bytes())
    assert plain["Content-ID"] == "3"
    assert members.get_content_type() == "multipart/mixed"
    assert [member["Content-ID"] for member in members.get_payload()] == ["1", "2"]
    assert [member.get_content_type() for member in members.get_payload()] == ["application/http"] * 2
    for member, line in zip(members.get_payload(), ("HTTP/1.1 201 Created", "HTTP/1.1 204 No Content"), strict=True):
        assert member.get_payload(decode=True).decode().startswith(line + "\r\n")


def test_mp_05_a_set_of_one_is_nested_too_and_sets_have_boundaries_of_their_own() -> None:
    writer = MultipartWriter(b"r")
    boundaries = set()
    for _ in range(2):
        (call,) = calls(b"1", group=True)
        text = writer.write_member_bytes(call, result(204), 1)
        boundaries.add(text.split(b"\r\n")[1])
        assert text.endswith(b"--\r\n")
    assert len(boundaries) == 2


def test_mp_05_flat_answers_show_each_member() -> None:
    writer = MultipartWriter(b"r", flat=True)
    text = b"".join(writer.write_member_bytes(call, result(204), 2) for call in calls(b"1", b"2", group=True))
    assert [found["Content-ID"] for found in parsed(text + writer.end_bytes())] == ["1", "2"]


def test_mp_06_content_id_is_there_where_the_request_had_one() -> None:
    assert b"Content-ID" not in one(result(), b"")
    assert b"\r\nContent-ID: 0.0\r\n\r\n" in one(result(), b"0.0")


@pytest.mark.parametrize(
    "statuses", [(201, 409, 204), (409, 201, 204), (201, 204, 409), (424, 409, 424), (409, 424, 500)]
)
def test_mp_08_a_failed_set_is_one_part_of_the_member_that_failed(statuses: tuple[int, ...]) -> None:
    writer = MultipartWriter(b"r")
    members = calls(b"1", b"2", b"3", group=True)
    written = [
        writer.write_member_bytes(call, result(status, [JSON], b'{"error":{}}'), 3)
        for call, status in zip(members, statuses, strict=True)
    ]
    assert written[:2] == [b"", b""]
    (found,) = parsed(written[2] + writer.end_bytes())
    assert found.get_content_type() == "application/http"
    assert found["Content-ID"] == str(statuses.index(409) + 1)  # GW-19
    assert found.get_payload(decode=True).startswith(b"HTTP/1.1 409 Conflict\r\n")


def test_mp_08_when_all_only_depended_on_others_the_first_speaks() -> None:
    writer = MultipartWriter(b"r")
    written = b"".join(writer.write_member_bytes(call, result(424), 2) for call in calls(b"1", b"2", group=True))
    (found,) = parsed(written + writer.end_bytes())
    assert found["Content-ID"] == "1"


def test_mp_08_a_set_that_the_gateway_refused_is_answered_by_its_first_member() -> None:
    writer = MultipartWriter(b"r")
    members = calls(b"1", b"2", b"3", group=True)
    others = calls(b"4", b"5", group=True)
    written = [writer.write_bytes(call, result(501)) for call in members + others]
    assert [bool(text) for text in written] == [True, False, False, True, False]
    assert writer.write_member_bytes(others[0], result(501), 2) == b""
    found = parsed(b"".join(written) + writer.end_bytes())
    assert [each["Content-ID"] for each in found] == ["1", "4"]


def test_mp_08_a_redirection_is_no_failure() -> None:
    writer = MultipartWriter(b"r")
    (call,) = calls(b"1", group=True)
    assert b"changesetresponse_" in writer.write_member_bytes(call, result(304), 1)


def test_AN_03_what_is_kept_of_a_set_is_bounded_and_fails_none() -> None:
    writer = MultipartWriter(b"r", max_set_bytes=1000)
    first, second = calls(b"1", b"2", group=True)
    assert writer.write_member_bytes(first, result(200, [], b"x" * 500), 2) == b""
    text = writer.write_member_bytes(second, result(201, [JSON], b"y" * 500), 2) + writer.end_bytes()
    assert b"HTTP/1.1 200 " in text
    assert b"HTTP/1.1 201 " in text
    assert b"Batchwire-Note: headers and body left out" in text
    assert text.count(b"y" * 100) == 0


def test_a_set_that_was_broken_off_shows_before_what_follows() -> None:
    writer = MultipartWriter(b"r")
    first, _ = calls(b"1", b"2", group=True)
    (alone,) = calls(b"3")
    text = writer.write_member_bytes(first, result(409), 2) + writer.write_bytes(alone, result())
    assert [found["Content-ID"] for found in parsed(text + writer.end_bytes())] == ["1", "3"]


def test_mp_12_groups_of_another_request_format_do_not_nest() -> None:
    writer = MultipartWriter(b"r", nested=False)
    text = b"".join(writer.write_member_bytes(call, result(204), 2) for call in calls(b"1", b"2", group=True))
    assert [found["Content-ID"] for found in parsed(text + writer.end_bytes())] == ["1", "2"]


def test_mp_13_each_part_has_the_id_of_its_call() -> None:
    writer = MultipartWriter(b"r", nested=False)
    text = b"".join(writer.write_bytes(call, result(200)) for call in reversed(calls(b"a", b"b", b"c")))
    assert [found["Content-ID"] for found in parsed(text + writer.end_bytes())] == ["c", "b", "a"]


def test_mp_14_locations_are_given_on_as_the_session_left_them() -> None:
    assert inner(result(201, [(b"location", b"http://gw/svc/A(1)")]))[1][0] == b"Location: http://gw/svc/A(1)"


@pytest.mark.parametrize("status", [204, 304])
def test_mp_15_a_part_without_body_ends_in_its_blank_line(status: int) -> None:
    made = result(status, [(b"etag", b'"1"')], b"ignored")
    length = b"Content-Length: 0\r\n" if status == 204 else b""  # AN-10
    assert one(made).endswith(b'\r\nETag: "1"\r\n' + length + b"\r\n\r\n")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(200, 599), st.binary(max_size=60), st.booleans()), max_size=6))
def test_what_is_written_reads_as_it_was(rows: list[tuple[int, bytes, bool]]) -> None:
    """By our own reader: each status line is turned into a request line of the same length of words."""
    writer = MultipartWriter(b"batchresponse_x")
    text = b""
    for status, body, grouped in rows:
        (call,) = calls(b"1", group=grouped)
        text += writer.write_member_bytes(call, result(status, [(b"content-type", b"x/y")], body), 1)
    text += writer.end_bytes()
    reader = MultipartReader(b"batchresponse_x")
    reader.feed_bytes(text.replace(b"\r\n\r\nHTTP/1.1 ", b"\r\n\r\nPOST x-"))
    for status, body, grouped in rows:
        found = reader.next().describe()
        assert found["url"].startswith(b"x-%d " % status)
        assert (found["body"] or b"") == (b"" if status in (204, 304) else body)
        assert (found["group"] is not None) == (grouped and status < 400)
    reader.end()
    assert reader.next() is None
    assert reader.ended


def test_a_flavour_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError):
        MultipartWriter(b"r", flavour="x")
