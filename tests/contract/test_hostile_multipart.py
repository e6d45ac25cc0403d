"""Multipart documents that mean harm: each is refused or answered, nothing of it runs that must not, and the gateway
goes on (GB-04, GW-01, GW-02, GW-06, GW-07, GW-13; MB-12 to MB-21).

What is broken beyond telling calls apart is 400 or 413 for the whole batch and starts nothing; what is broken in one
part is 400 or 501 there.
"""

from __future__ import annotations

import grpc
import pytest
from harness import rest
from harness.documents import MULTIPART, REST, Refused, parts, read, send
from harness.gateway import Gateway
from harness.multiparts import HTTP_TYPE, change_set, document, part
from harness.scripted import ScriptedUpstream

GET = b"GET A HTTP/1.1\r\n\r\n"
GOOD = part(GET)
CONTINUE = {"Prefer": "continue-on-error"}
BAD_REQUEST = (400, grpc.StatusCode.INVALID_ARGUMENT)
TOO_LARGE = (413, grpc.StatusCode.RESOURCE_EXHAUSTED)


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    upstream.on("PUT", "/A")


@pytest.fixture(autouse=True)
def _goes_on(gateway: Gateway, _script: None) -> object:
    """After each test the gateway is idle and takes a batch."""
    yield
    gateway.wait_idle()
    (found,) = parts(REST, gateway, GOOD)
    assert found.status == 200


def refusal(way: str, gateway: Gateway, body: bytes, content_type: str = MULTIPART, **more: object) -> object:
    """How the whole batch was refused."""
    with pytest.raises(Refused) as caught:
        send(way, gateway, body, content_type, **more)  # type: ignore[arg-type]
    assert "Traceback" not in caught.value.details
    return caught.value.status


def with_id(value: bytes, message: bytes = GET) -> bytes:
    return part(message, HTTP_TYPE + b"Content-ID: " + value + b"\r\n")


# --- documents that are cut off


def test_every_beginning_of_a_document_is_400_and_starts_nothing(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """GW-01: there is no place where a cut goes unnoticed."""
    body = b"put\r\n--c--\r\n--b-"
    inner = change_set(with_id(b"1", b"PUT A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n" + body))
    whole = document(GOOD, inner, GOOD)
    complete = len(whole) - 2
    for size in range(complete):
        assert refusal(REST, gateway, whole[:size]) == 400, whole[:size]
    assert upstream.lines == []
    for size in (complete, complete + 1, complete + 2):
        assert send(REST, gateway, whole[:size]).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"--b",
        b"b--",
        b"--B--\r\n",
        b"--b1--\r\n",
        b"x--b--\r\n",
        b" --b--\r\n",
        b"--b --\r\n",
        b"--b-\r\n",
        b"--b---\r\n",
        b"--b--x\r\n",
        b"--b\x00--\r\n",
        b"--b--\x00\r\n",
        b"--b--" + b" " * 100_000 + b"\r\n",
        b"\xff\xfe" * 1000,
        b"\x00" * 1000,
        b"--b\r\n" + HTTP_TYPE + b"\r\n" + GET,
        b'{"requests":[]}',
    ],
)
def test_what_has_no_close_delimiter_is_400(
    body: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert refusal(way, gateway, document(GOOD)[:-7] + body) in BAD_REQUEST
    assert refusal(way, gateway, body) in BAD_REQUEST
    assert upstream.lines == []


def test_change_set_without_close_delimiter_is_400(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    inner = change_set(with_id(b"1", b"PUT A HTTP/1.1\r\n\r\n"))
    assert refusal(way, gateway, document(GOOD, inner.replace(b"--c--", b"--c-"), GOOD)) in BAD_REQUEST
    assert upstream.lines == []


# --- boundaries


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/mixed",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary=""',
        'multipart/mixed; boundary="b',
        'multipart/mixed; boundary="b "',
        'multipart/mixed; boundary="b\\',
        "multipart/mixed; boundary=" + "b" * 71,
        "multipart/mixed; boundary=b; boundary=c",
        "multipart/mixed; boundary=bä",
        "multipart/mixed; boundary=b@",
        'multipart/mixed; boundary="a\tb"',
        'multipart/mixed; x="; boundary=b"',
        'multipart/mixed; boundary="' + '\\"' * 5000,
        "multipart/mixed" + ";" * 10_000,
    ],
)
def test_MB_12_boundary_that_is_none_is_400(
    content_type: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    refused = (*BAD_REQUEST, 431) if len(content_type) > 1000 else BAD_REQUEST  # PL-01: too many parameters
    assert refusal(way, gateway, document(GOOD), content_type) in refused
    assert upstream.lines == []


@pytest.mark.parametrize("content_type", ["multipart/mixed" + "; boundary" * 1000, "multipart/mixed; =b", "multipart/"])
def test_GB_04_type_that_is_none_is_refused(
    content_type: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert refusal(way, gateway, document(GOOD), content_type) in (*BAD_REQUEST, 415, 431)
    assert upstream.lines == []


@pytest.mark.parametrize("boundary", [b"b" * 70, b"a=:'()+_,./?-=", b"-", b"--", b"a b"])
def test_MB_12_boundary_of_odd_characters_is_taken(boundary: bytes, way: str, gateway: Gateway) -> None:
    answer = send(way, gateway, document(GOOD, boundary=boundary), f'multipart/mixed; boundary="{boundary.decode()}"')
    assert [found.status for found in read(answer)] == [200]


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_MB_13_lines_that_look_like_delimiters_are_content(
    pieces: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    content = b"\r\n--bb\r\n--b-\r\n --b\r\n--b-- x\r\n--\r\n-\r\n--B\r\nx--b--\r\n--b\r--b\x0b\r\n--c--\r\n\r\n"
    message = b"PUT A HTTP/1.1\r\nContent-Type: application/octet-stream\r\n\r\n" + content
    (found,) = read(send(way, gateway, document(part(message)), pieces=pieces))
    assert found.status == 200
    assert upstream.call("PUT /A").body == content


@pytest.mark.parametrize("inner", [b"b1", b"bb", b"b-", b"b--x", b"a"])
def test_MB_12_boundary_of_a_change_set_that_begins_with_the_outer_one(
    inner: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    message = b"PUT A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n--b2"
    found = parts(way, gateway, change_set(with_id(b"1", message), boundary=inner), GOOD)
    assert [one.status if one.members is None else one.members[0].status for one in found] == [200, 200]
    assert upstream.call("PUT /A").body == b"--b2"


@pytest.mark.parametrize("inner", [b"b", b"", b"c" * 71, b"c c"])
def test_change_set_with_a_boundary_that_cannot_be_is_400(
    inner: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    quoted = part(
        document(with_id(b"1"), boundary=inner), b'Content-Type: multipart/mixed; boundary="%b\x01"\r\n' % inner
    )
    plain = change_set(with_id(b"1", b"PUT A HTTP/1.1\r\n\r\n"), boundary=inner)
    assert refusal(way, gateway, document(GOOD, quoted)) in BAD_REQUEST
    if inner != b"c c":
        assert refusal(way, gateway, document(GOOD, plain)) in BAD_REQUEST
    assert upstream.lines == []


def test_MB_21_multiparts_within_multiparts_run_nothing(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    deep = with_id(b"1", b"PUT A HTTP/1.1\r\n\r\n")
    for level in range(200):
        head = b"Content-Type: multipart/mixed; boundary=n%d\r\nContent-ID: %d\r\n" % (level, level)
        deep = part(document(deep, boundary=b"n%d" % level), head)
    (found,) = parts(way, gateway, deep)
    assert found.status == 400
    assert upstream.lines == []


# --- ids

IDS = {
    "empty": b"",
    "space": b"a b",
    "folded": b"a\r\n b",
    "nul": b"a\x00",
    "control": b"a\x7f",
    "tab": b"a\tb",
    "cr": b"a\rb",
    "utf-8": "ä".encode(),
    "latin-1": b"\xe4",
    "quote": b'"1"',
    "angle": b"<1>",
    "percent": b"%0d%0a",
    "dollar": b"$1",
}


@pytest.mark.parametrize("value", IDS.values(), ids=IDS)
def test_ID_03_content_id_with_characters_that_are_not_allowed_is_400(
    value: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert refusal(way, gateway, document(GOOD, with_id(value))) in BAD_REQUEST
    inside = part(b"GET A HTTP/1.1\r\nContent-ID: " + value + b"\r\n\r\n")
    assert refusal(way, gateway, document(GOOD, inside)) in BAD_REQUEST
    assert upstream.lines == []


def test_ID_02_content_id_given_twice_is_400(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    inside = part(b"GET A HTTP/1.1\r\nContent-ID: 1\r\n\r\n")
    write = with_id(b"1", b"PUT A HTTP/1.1\r\n\r\n")
    for second in (with_id(b"1"), inside, change_set(write)):
        assert refusal(way, gateway, document(with_id(b"1"), second)) in BAD_REQUEST
    assert refusal(way, gateway, document(change_set(write), change_set(write, boundary=b"d"))) in BAD_REQUEST
    assert upstream.lines == []


def test_ids_that_differ_within_a_part_are_400_there(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Section 2.2: conflicts are 400."""
    both = part(b"GET A HTTP/1.1\r\nContent-ID: 2\r\n\r\n", HTTP_TYPE + b"Content-ID: 1\r\n")
    assert [one.status for one in parts(way, gateway, both)] == [400]
    assert upstream.lines == []


# --- messages that are no messages

LINES = {
    "nothing": b"",
    "blank": b"\r\n\r\n\r\n",
    "method alone": b"GET\r\n\r\n",
    "version alone": b"HTTP/1.1\r\n\r\n",
    "answer": b"HTTP/1.1 200 OK\r\n\r\n",
    "unknown method": b"FETCH A HTTP/1.1\r\n\r\n",
    "trace": b"TRACE A HTTP/1.1\r\n\r\n",
    "connect": b"CONNECT gw.example:80 HTTP/1.1\r\n\r\n",
    "control in url": b"GET A\x01 HTTP/1.1\r\n\r\n",
    "tab in url": b"GET A\tB HTTP/1.1\r\n\r\n",
    "nul in url": b"GET A\x00 HTTP/1.1\r\n\r\n",
    "cr in url": b"GET A\rX: y HTTP/1.1\r\n\r\n",
    "encoded line break in url": b"GET A%0d%0aX:%20y HTTP/1.1\r\n\r\n",
    "encoded nul in url": b"GET A%00 HTTP/1.1\r\n\r\n",
    "absolute path with dots": b"GET /svc/../A HTTP/1.1\r\n\r\n",
    "header without name": b"GET A HTTP/1.1\r\n: x\r\n\r\n",
    "header without colon": b"GET A HTTP/1.1\r\nhello\r\n\r\n",
    "space before colon": b"PUT A HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "space in name": b"GET A HTTP/1.1\r\nX Y: z\r\n\r\n",
    "nul in value": b"GET A HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    "cr in value": b"GET A HTTP/1.1\r\nX: a\rY: b\r\n\r\n",
    "nul in name": b"GET A HTTP/1.1\r\nX\x00: a\r\n\r\n",
    "length is larger": b"PUT A HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc",
    "length is huge": b"PUT A HTTP/1.1\r\nContent-Length: 99999999999999999999999999\r\n\r\nabc",
    "length is negative": b"PUT A HTTP/1.1\r\nContent-Length: -1\r\n\r\nabc",
    "length is signed": b"PUT A HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
    "length is hex": b"PUT A HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc",
    "length is empty": b"PUT A HTTP/1.1\r\nContent-Length:\r\n\r\nabc",
    "two lengths": b"PUT A HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nabc",
    "list of lengths": b"PUT A HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc",
    "chunked": b"PUT A HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "identity and chunked": b"PUT A HTTP/1.1\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "two types": b"PUT A HTTP/1.1\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\nabc",
    "body on get": b"GET A HTTP/1.1\r\n\r\nabc",
    "credentials": b"GET A HTTP/1.1\r\nAuthorization: x\r\n\r\n",
    "folded credentials": b"GET A HTTP/1.1\r\nX: a\r\nAuthorization:\r\n x\r\n\r\n",
    "proxy credentials": b"GET A HTTP/1.1\r\nProxy-Authorization: x\r\n\r\n",
    "expect": b"PUT A HTTP/1.1\r\nExpect: 100-continue\r\n\r\nabc",
    "range": b"GET A HTTP/1.1\r\nRange: bytes=0-1\r\n\r\n",
    "te": b"GET A HTTP/1.1\r\nTE: trailers\r\n\r\n",
    "foreign host": b"GET /svc/A HTTP/1.1\r\nHost: other.example\r\n\r\n",
    "userinfo": b"GET http://gw.example@other.example/svc/A HTTP/1.1\r\n\r\n",
    "userinfo on our host": b"GET http://u:p@gw.example/svc/A HTTP/1.1\r\n\r\n",
    "two slashes": b"GET //other.example/A HTTP/1.1\r\n\r\n",
    "dots": b"GET ../A HTTP/1.1\r\n\r\n",
    "encoded dots": b"GET %2e%2e/A HTTP/1.1\r\n\r\n",
    "encoded dots and slash": b"GET B/..%2f..%2fA HTTP/1.1\r\n\r\n",
    "backslash": b"GET \\\\other.example\\A HTTP/1.1\r\n\r\n",
    "other scheme": b"GET file:///etc/passwd HTTP/1.1\r\n\r\n",
    "batch": b"POST $batch HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{}",
    "encoded batch": b"POST /svc/%24batch HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{}",
    "many headers": b"GET A HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
    "long header": b"GET A HTTP/1.1\r\nX: " + b"y" * 500_000 + b"\r\n\r\n",
    "long name": b"GET A HTTP/1.1\r\n" + b"y" * 500_000 + b": x\r\n\r\n",
    "long fold": b"GET A HTTP/1.1\r\nX: a\r\n" + b" y\r\n" * 100_000 + b"\r\n",
}


@pytest.mark.parametrize("message", LINES.values(), ids=LINES)
def test_GW_02_broken_message_fails_alone_and_never_leaves(
    message: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    first, second = parts(way, gateway, part(message), GOOD, headers=CONTINUE)
    assert first.status in (400, 501), first
    assert rest.is_odata_error(first.json())
    assert second.status == 200
    assert upstream.lines == ["GET /A"]


PARTS = {
    "nothing": b"",
    "no type": b"\r\n" + GET,
    "text": b"Content-Type: text/plain\r\n\r\n" + GET,
    "two types": HTTP_TYPE + b"Content-Type: text/plain\r\n\r\n" + GET,
    "type in the name": b"Content-Type: application/httpx\r\n\r\n" + GET,
    "json": b"Content-Type: application/json\r\n\r\n{}",
    "base64": HTTP_TYPE + b"Content-Transfer-Encoding: base64\r\n\r\nR0VUIEE=",
    "header without colon": HTTP_TYPE + b"hello\r\n\r\n" + GET,
    "encoded change set": b"Content-Type: multipart/mixed; boundary=c\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    "form": b"Content-Type: multipart/form-data; boundary=c\r\n\r\n--c\r\n"
    + HTTP_TYPE
    + b"\r\n"
    + GET
    + b"\r\n--c--\r\n",
}


@pytest.mark.parametrize("text", PARTS.values(), ids=PARTS)
def test_MB_02_broken_part_fails_alone_and_never_leaves(
    text: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    first, second = parts(way, gateway, text, GOOD, headers=CONTINUE)
    assert first.status in (400, 501), first
    assert second.status == 200
    assert upstream.lines == ["GET /A"]


def test_url_with_spaces_cannot_end_the_request_line(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Section 2.2 (5): spaces in a URL are its own, and are sent encoded."""
    upstream.on("GET", "/A%20HTTP/1.1")
    upstream.on("GET", "/A%20B")
    found = parts(way, gateway, part(b"GET A HTTP/1.1 HTTP/1.1\r\n\r\n"), part(b"GET A B HTTP/1.1\r\n\r\n"))
    assert [one.status for one in found] == [200, 200]
    assert upstream.lines == ["GET /A%20HTTP/1.1", "GET /A%20B"]


def test_folded_headers_are_one_line_upstream(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    message = b"GET A HTTP/1.1\r\nX-One: a\r\n b:\tc\r\n\tAuthorization: x\r\n\r\n"
    (found,) = parts(way, gateway, part(message))
    assert found.status == 200
    (call,) = upstream.log
    assert call.header("authorization") is None
    assert (call.header("x-one") or "").split() == ["a", "b:", "c", "Authorization:", "x"]


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"y" * 40_000 + b"\r\n",
        b"X: y\r\n" * 20_000,
        b"X: a\r\n" + b" y\r\n" * 20_000,
        b"y" * 900_000,
        b"Content-ID: " + b"y" * 100_000 + b"\r\n",
    ],
    ids=["long", "many", "folded", "one line", "id"],
)
def test_flood_of_part_headers_is_400(head: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert refusal(way, gateway, document(GOOD, HTTP_TYPE + head + b"\r\n" + GET)) in (*BAD_REQUEST, *TOO_LARGE)
    assert upstream.lines == []


# --- lengths of the whole


def test_more_parts_than_allowed_are_refused(way: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert refusal(way, small_gateway, document(*[GOOD] * 6)) in (*BAD_REQUEST, *TOO_LARGE)
    assert upstream.lines == []


def test_part_larger_than_allowed_is_413(way: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    large = part(b"PUT A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n" + b"y" * 4_000)
    assert refusal(way, small_gateway, document(GOOD, large)) in TOO_LARGE
    assert refusal(way, small_gateway, document(GOOD, large), pieces=100) in TOO_LARGE
    assert upstream.lines == []


@pytest.mark.parametrize("chunked", [False, True])
def test_document_larger_than_allowed_is_413(chunked: bool, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = document(GOOD) + b"epilogue" * 3_000
    assert refusal(REST, small_gateway, body, pieces=1_000 if chunked else 0) == 413
    assert upstream.lines == []


def test_outer_length_that_is_too_short_is_a_truncated_document(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The rest is another request on the connection, and no batch."""
    body = document(GOOD)
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", {"Content-Type": MULTIPART, "Content-Length": str(len(body) - 6)})
        wire.send(body)
        assert wire.answer().status == 400
    assert upstream.lines == []


def test_outer_length_that_is_too_long_starts_nothing(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The client goes away with bytes owing, though the document was whole."""
    body = document(GOOD)
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", {"Content-Type": MULTIPART, "Content-Length": str(len(body) + 6)})
        wire.send(body)
    gateway.wait_idle()
    assert upstream.lines == []


@pytest.mark.parametrize(
    "lengths",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: -5"],
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked, identity"],
    ],
)
def test_outer_lengths_that_contradict_are_400(
    lengths: list[str], gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = document(GOOD)
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", [("Content-Type", MULTIPART), *(tuple(one.split(": ")) for one in lengths)])  # type: ignore[misc]
        wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        assert wire.answer().status == 400
    assert upstream.lines == []
