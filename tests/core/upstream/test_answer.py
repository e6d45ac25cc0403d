"""The reader of HTTP/1.1 answers: RFC 9112 by table, every split, random bytes, and beside h11."""

import sys
from typing import Any

import h11
import pytest
from batchwire.core.upstream.http1_answer import Answer
from hypothesis import given, settings
from hypothesis import strategies as st

OK = b"HTTP/1.1 200 OK\r\n"


def read(*chunks: bytes, close: bool = False, no_body: bool = False, head: int = 32768, body: int = 1 << 20) -> Any:
    return Answer(head, body).read(list(chunks), close, no_body)


# --- answers that are taken: bytes, close, status, body, keep_alive

TAKEN: dict[str, tuple[bytes, bool, int, bytes | None, bool]] = {
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", False, 200, b"hello", True),
    "length 0": (OK + b"Content-Length: 0\r\n\r\n", False, 200, b"", True),
    "length with white space": (OK + b"content-length:\t 5 \t\r\n\r\nhello", False, 200, b"hello", True),
    "length with leading zeros": (OK + b"Content-Length: 0005\r\n\r\nhello", False, 200, b"hello", True),
    "length twice the same": (OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", False, 200, b"hello", True),
    "no reason": (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", False, 200, b"", True),
    "no reason, no space": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", False, 200, b"", True),
    "reason of bytes": (b"HTTP/1.1 200 \xc3\xa4\xff\r\nContent-Length: 0\r\n\r\n", False, 200, b"", True),
    "empty lines in front": (b"\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", False, 200, b"", True),
    "bare LF": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", False, 200, b"hi", True),
    "empty header value": (OK + b"X-A:\r\nContent-Length: 0\r\n\r\n", False, 200, b"", True),
    "until close": (OK + b"\r\nhello", True, 200, b"hello", False),
    "until close, empty": (OK + b"\r\n", True, 200, b"", False),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", False, 200, b"hello", True),
    "chunked, any case": (OK + b"transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", False, 200, b"", True),
    "chunked, hex in both cases": (
        OK + b"Transfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n",
        False,
        200,
        b"01234567890123456789a",
        True,
    ),
    "chunk extensions": (
        OK + b'Transfer-Encoding: chunked\r\n\r\n2;a=b;c="d;e"\r\nhi\r\n1 ;x\r\n!\r\n0;last\r\n\r\n',
        False,
        200,
        b"hi!",
        True,
    ),
    "white space behind a chunk size": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n2 \t\r\nhi\r\n0\r\n\r\n",
        False,
        200,
        b"hi",
        True,
    ),
    "zeros in front of a chunk size": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n0002\r\nhi\r\n000\r\n\r\n",
        False,
        200,
        b"hi",
        True,
    ),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n", False, 200, b"", True),
    "chunked with bare LF": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\nhi\n0\n\n", False, 200, b"hi", True),
    "chunked beside a length": (
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        False,
        200,
        b"hi",
        False,
    ),
    "chunked of HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        False,
        200,
        b"hi",
        False,
    ),
    "Connection: close": (OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", False, 200, b"", False),
    "close in a list": (OK + b"Connection: x, Close ,y\r\nContent-Length: 0\r\n\r\n", False, 200, b"", False),
    "not quite close": (OK + b"Connection: closed, xclose\r\nContent-Length: 0\r\n\r\n", False, 200, b"", True),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", False, 200, b"hi", False),
    "HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
        False,
        200,
        b"",
        True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", False, 204, None, True),
    # GW-15: who speaks of a body may send it, where the next answer is expected.
    "204 with a length": (b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", False, 204, None, False),
    "204 with a body": (b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\nhello", False, 204, None, False),
    "304": (b'HTTP/1.1 304 X\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n', False, 304, None, False),
    "304 chunked": (b"HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", False, 304, None, False),
    "205 has a body of none": (b"HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n", False, 205, b"", True),
    "404": (b"HTTP/1.1 404 X\r\nContent-Length: 2\r\n\r\nno", False, 404, b"no", True),
    "599": (b"HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", False, 599, b"", True),
    "100 in front": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", False, 200, b"hi", True),
    "103 with headers, 102": (
        b"HTTP/1.1 103 Early\r\nLink: </a>\r\nContent-Length: 9\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
        + OK
        + b"Content-Length: 0\r\n\r\n",
        False,
        200,
        b"",
        True,
    ),
    "many interim answers": (
        b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" * 300 + OK + b"Content-Length: 2\r\n\r\nhi",
        False,
        200,
        b"hi",
        True,
    ),
    "white space around chunk extensions": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n2 ;\ta = b ; c\r\nhi\r\n1\t \r\n!\r\n0 \r\n\r\n",
        False,
        200,
        b"hi!",
        True,
    ),
    "more than asked for": (OK + b"Content-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n", False, 200, b"hi", False),
    "more behind chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", False, 200, b"", False),
}


def joined(found: Any) -> tuple[Any, ...]:
    return found["state"], found["status"], found["body"], found["keep_alive"]


@pytest.mark.parametrize(("data", "close", "status", "body", "keep"), TAKEN.values(), ids=TAKEN.keys())
def test_taken(data: bytes, close: bool, status: int, body: bytes | None, keep: bool) -> None:
    assert joined(read(data, close=close)) == ("done", status, body, keep)


@pytest.mark.parametrize(("data", "close", "status", "body", "keep"), TAKEN.values(), ids=TAKEN.keys())
def test_taken_byte_by_byte(data: bytes, close: bool, status: int, body: bytes | None, keep: bool) -> None:
    whole = read(data, close=close)
    assert read(*[data[i : i + 1] for i in range(len(data))], close=close) == whole


def test_an_answer_to_head_has_no_body() -> None:
    for length in (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""):
        assert joined(read(OK + length + b"\r\n", no_body=True)) == ("done", 200, None, not length)


def test_headers_are_kept_as_sent() -> None:
    found = read(OK + b'ETag: W/"a"\r\nx-b:  1 , 2  \r\nX-B: \xe9\r\nContent-Length: 0\r\n\r\n')
    assert found["headers"] == [
        (b"ETag", b'W/"a"'),
        (b"x-b", b"1 , 2"),
        (b"X-B", b"\xe9"),
        (b"Content-Length", b"0"),
    ]


def test_headers_of_an_interim_answer_are_not_those_of_the_answer() -> None:
    found = read(b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n")
    assert found["headers"] == [(b"Content-Length", b"0")]


def test_interim_answers_have_the_room_of_a_head_together() -> None:
    answer, interim = Answer(1000, 1000), b"HTTP/1.1 103 E\r\n\r\n"
    fits = interim * (1000 // len(interim))
    ok = OK + b"Content-Length: 0\r\n\r\n"
    assert answer.read([fits + ok])["state"] == "done"
    assert (
        answer.read([fits, interim, ok])["why"] == "its interim answers (1xx) are too large together (max_header_bytes)"
    )
    assert answer.read([fits + ok])["state"] == "done"  # each answer anew
    assert "switched protocols" in answer.read([b"HTTP/1.1 101 S\r\n\r\n"])["why"]


# --- answers that are refused

BROKEN: dict[str, bytes] = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version without a digit": b"HTTP/1.x 200 OK\r\nContent-Length: 0\r\n\r\n",
    "version of two digits": b"HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9": b"<html>nothing but text</html>",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status with a letter": b"HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n",
    "negative status": b"HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n",
    "more interim answers than a head has room": b"HTTP/1.1 100 C\r\n\r\n" * 2000 + OK + b"Content-Length: 0\r\n\r\n",
    "folded header": OK + b"X-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "folded first header": OK + b" X-A: 1\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": OK + b"X-A : 1\r\nContent-Length: 0\r\n\r\n",
    "space before the colon of the length": OK + b"Content-Length : 0\r\n\r\n",
    "no colon": OK + b"X-A\r\nContent-Length: 0\r\n\r\n",
    "empty name": OK + b": 1\r\nContent-Length: 0\r\n\r\n",
    "NUL in a name": OK + b"X\0A: 1\r\nContent-Length: 0\r\n\r\n",
    "byte above 127 in a name": OK + b"X\xe9: 1\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + b"X-A: 1\x002\r\nContent-Length: 0\r\n\r\n",
    "bare CR in a value": OK + b"X-A: 1\rContent-Length: 9\r\nContent-Length: 0\r\n\r\n",
    "DEL in a value": OK + b"X-A: \x7f\r\nContent-Length: 0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "list of lengths": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "negative length": OK + b"Content-Length: -5\r\n\r\n",
    "signed length": OK + b"Content-Length: +5\r\n\r\nhello",
    "hex length": OK + b"Content-Length: 0x5\r\n\r\nhello",
    "empty length": OK + b"Content-Length: \r\n\r\n",
    "length with a fraction": OK + b"Content-Length: 5.0\r\n\r\nhello",
    "length of 2**64": OK + b"Content-Length: 18446744073709551616\r\n\r\n",
    "length of 2**64 + 5": OK + b"Content-Length: 18446744073709551621\r\n\r\nhello",
    "length above the bound": OK + b"Content-Length: 1048577\r\n\r\n",
    "unknown coding": OK + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding before chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding in two lines": OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and identity": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "disguised chunked": OK + b"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n",
    "empty coding": OK + b"Transfer-Encoding:\r\nContent-Length: 0\r\n\r\n",
    "vertical tab before chunked": OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunk size is no number": OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "empty chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
    "negative chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "chunk size with 0x": OK + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n",
    "white space before a chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n",
    "text behind a chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\n5 5\r\nhello\r\n",
    "chunk size of 2**64": OK + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
    "chunk size of 2**64 + 5": OK + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n",
    "chunk of 2**60 - 1": OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n" + b"x" * (1 << 20) + b"x",
    "chunk longer than it says": OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n",
    "endless chunk extension": OK + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"a" * 5000,
    "too many headers that mean something": OK + b"ETag: 1\r\n" * 128 + b"Content-Length: 1\r\n\r\nx",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_refused(data: bytes) -> None:
    found = read(data)
    assert found["state"] == "broken"
    assert found["keep_alive"] is False
    assert found["why"]


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_refused_in_two_reads(data: bytes) -> None:
    data = data[:4096]
    if read(data)["state"] != "broken":
        return  # what is refused for its size alone
    for at in range(1, len(data)):
        assert read(data[:at], data[at:])["state"] == "broken", at


def test_AN_03_headers_that_are_too_many_are_left_out_and_those_that_count_are_kept() -> None:
    many = b"".join(b"X-%d: 1\r\n" % i for i in range(200))
    found = read(OK + many + b'ETag: "1"\r\nLocation: /A\r\nContent-Length: 2\r\n\r\nhi')
    assert (found["state"], found["status"], found["body"], found["keep_alive"]) == ("done", 200, b"hi", True)
    names = [name for name, _ in found["headers"]]
    assert len(names) == 128
    assert {b"ETag", b"Location", b"Content-Length", b"batchwire-note"} <= set(names)


# --- the end of the connection


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 2",
        OK,
        OK + b"Content-Length: 5\r\n",
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
    ],
)
def test_a_close_in_the_middle_breaks_the_answer(data: bytes) -> None:
    assert read(data)["state"] == "waiting"
    found = read(data, close=True)
    assert found["state"] == "broken"
    assert "closed the connection" in found["why"]


# --- bounds


@pytest.mark.parametrize("tail", [b"", b"\r\n"])
def test_the_header_block_is_bounded(tail: bytes) -> None:
    fits = OK + b"X: " + b"a" * (200 - len(OK) - 3 - 4 - 19) + b"\r\nContent-Length: 0\r\n\r\n"
    assert len(fits) == 200
    assert read(fits, head=200)["state"] == "done"
    assert read(fits, head=199)["state"] == "broken"
    endless = OK + b"X: " + b"a" * 300 + tail
    assert read(endless, head=200)["state"] == "broken"
    assert read(*[endless[i : i + 1] for i in range(len(endless))], head=200)["state"] == "broken"


def test_empty_lines_in_front_are_bounded() -> None:
    assert read(*[b"\r\n" * 50] * 10, head=200)["state"] == "broken"


def test_trailers_are_bounded() -> None:
    start = OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    assert read(start, *[b"X-A: 0123456789\r\n"] * 100, head=200)["state"] == "broken"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1001\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n", b"\r\n"]
)
def test_the_body_is_bounded(framing: bytes) -> None:
    found = read(OK + framing, *[b"x" * 143] * 7, close=True, body=1000)
    assert (found["state"], found["why"]) == ("broken", "its answer is larger than allowed (max_response_bytes)")


def test_a_body_of_just_the_bound_fits() -> None:
    assert len(read(OK + b"\r\n", *[b"x" * 100] * 10, close=True, body=1000)["body"]) == 1000
    assert len(read(OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000, body=1000)["body"]) == 1000


@pytest.mark.parametrize("framing", [b"Content-Length: 200000\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_AN_05_what_came_with_the_head_does_not_stay_with_it(framing: bytes) -> None:
    """A read may bring 256 KiB, and the body is put together beside it."""
    start = OK + framing + b"ETag: x\r\nName: some value\r\nEmpty:\r\n\r\n"
    body = b"y" * 200_000
    rest = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if b"chunked" in framing else body
    first = start + rest[:100_000]
    made = Answer()
    counted = sys.getrefcount(first)
    found = made.read([first, rest[100_000:]], True)
    assert sys.getrefcount(first) == counted
    assert (found["status"], found["body"]) == (200, body)
    assert [pair for pair in found["headers"] if pair[0] in (b"ETag", b"Name", b"Empty")] == [
        (b"ETag", b"x"),
        (b"Name", b"some value"),
        (b"Empty", b""),
    ]


def test_an_answer_object_is_fresh_each_time() -> None:
    made = Answer(32768, 1000)
    for _ in range(3):
        for data, close, status, body, keep in TAKEN.values():
            assert joined(made.read([data], close, False)) == ("done", status, body, keep)
        for data in BROKEN.values():
            assert made.read([data])["state"] == "broken"


# --- made answers

token = st.text("abcdefgXYZ-_!", min_size=1, max_size=12).map(str.encode)
value = (
    st.binary(max_size=20)
    .filter(lambda b: all(c == 9 or 32 <= c < 127 or c > 127 for c in b))
    .map(lambda b: b.strip(b" \t"))
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bool, int, bytes | None, list[tuple[bytes, bytes]]]:
    """Bytes of a valid answer; whether the server closes behind it; its status, body and headers."""
    status = draw(st.sampled_from([200, 201, 204, 301, 304, 400, 404, 500, 503]))
    body: bytes | None = draw(st.binary(max_size=200))
    assert body is not None
    own = [(b"q" + name, val) for name, val in draw(st.lists(st.tuples(token, value), max_size=4))]
    headers = [*own]
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        headers.insert(draw(st.integers(0, len(headers))), (b"Content-Length", b"%d" % len(body)))
        tail = body
    elif framing == "chunked":
        headers.insert(draw(st.integers(0, len(headers))), (b"Transfer-Encoding", b"chunked"))
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=4)))
        parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if b > a]
        tail = b"".join(
            b"%x%s\r\n%s\r\n" % (len(part), draw(st.sampled_from([b"", b";a", b";a=b"])), part) for part in parts
        )
        tail += b"0\r\n" + draw(st.sampled_from([b"", b"X-T: 1\r\n"])) + b"\r\n"
    else:
        tail = body
    if status in (204, 304):
        body, tail = None, b""
    wire = b"".join(draw(st.lists(st.just(b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n"), max_size=2)))
    wire += b"HTTP/1.1 %d Some Reason\r\n" % status
    wire += b"".join(name + b": " + val + b"\r\n" for name, val in headers) + b"\r\n" + tail
    return wire, framing == "close" and body is not None, status, body, headers


def split(wire: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(cut % (len(wire) + 1) for cut in cuts)
    return [wire[a:b] for a, b in zip([0, *places], [*places, len(wire)], strict=True)]


@given(answers(), st.lists(st.integers(0, 10000), max_size=6))
@settings(max_examples=300)
def test_any_split_gives_the_same(made: tuple[Any, ...], cuts: list[int]) -> None:
    wire, close, status, body, headers = made
    found = read(*split(wire, cuts), close=close)
    assert (found["state"], found["status"], found["body"]) == ("done", status, body)
    assert found["headers"] == headers
    assert found == read(wire, close=close)


PIECES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 ",
    b"204 X\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"Content-Length: ",
    b"Transfer-Encoding: ",
    b"chunked",
    b"5",
    b"0",
    b"hello",
    b";",
    b",",
    b" ",
    b":",
    b"ffff",
    b"\0",
    b"-",
    b"Connection: close\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
]
noise = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join),
    st.lists(st.sampled_from(PIECES), max_size=25).map(lambda parts: OK + b"".join(parts)),
)


@given(noise, st.lists(st.integers(0, 10000), max_size=4), st.booleans(), st.booleans())
@settings(max_examples=500)
def test_random_bytes_never_raise_and_splits_agree(wire: bytes, cuts: list[int], close: bool, no_body: bool) -> None:
    whole = read(wire, close=close, no_body=no_body, head=100, body=50)
    assert whole["state"] in ("done", "broken") or (whole["state"] == "waiting" and not close)
    found = read(*split(wire, cuts), close=close, no_body=no_body, head=100, body=50)
    assert (found["state"], found["body"], found["keep_alive"]) == (whole["state"], whole["body"], whole["keep_alive"])


def beside_h11(wire: bytes, close: bool) -> tuple[int, bytes] | None:
    """Status and body as h11 reads the answer, or None where it refuses or waits."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        connection.receive_data(wire)
        if close:
            connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return None
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, body
    except h11.RemoteProtocolError:
        return None


@given(st.one_of(answers().map(lambda made: made[0]), noise), st.booleans(), st.data())
@settings(max_examples=500)
def test_where_h11_accepts_too_both_read_the_same(wire: bytes, close: bool, data: st.DataObject) -> None:
    if wire and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(wire) - 1))
        wire = wire[:at] + data.draw(st.binary(max_size=2)) + wire[at + 1 :]
    theirs = beside_h11(wire, close)
    ours = read(wire, close=close)
    if theirs is not None and ours["state"] == "done":
        assert (ours["status"], ours["body"] or b"") == theirs
