"""REST over HTTP/2: the same answers as over HTTP/1.1, in every format; what HTTP/2 says in its own way."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from harness import config, rest
from harness.gateway import Gateway
from harness.http2_wire import CANCEL, INTERNAL_ERROR, Heard, Http2Wire, request
from harness.scripted import Gate, ScriptedUpstream, json_reply

STRICT = [("content-type", "application/json"), ("odata-version", "4.01"), ("odata-maxversion", "4.01")]
DOCUMENT = rest.encode({"requests": [rest.get_call("1", "A"), rest.get_call("2", "B")]})
MIXED = [("content-type", "multipart/mixed; boundary=b")]
PARTS = (
    b"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nGET A HTTP/1.1\r\n\r\n\r\n"
    b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: application/http\r\n"
    b"Content-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\nPOST B HTTP/1.1\r\n"
    b'Content-Type: application/json\r\n\r\n{"x":"\xc3\xa4"}\r\n--c--\r\n--b--\r\n'
)
GOOGLE = (
    b"--b\nContent-Type: application/http\nContent-ID: <1>\n\nGET /svc/A HTTP/1.1\n\n\n"
    b"--b\nContent-Type: application/http\nContent-ID: <2>\n\nGET /svc/B HTTP/1.1\n\n\n--b--"
)
SDK = (
    b"--b\r\nContent-Disposition: form-data; \r\nContent-Type: application/http; msgtype=request\r\n\r\n"
    b"GET A \r\nRequestId: r1\r\n\r\n\r\n--b\r\nContent-Disposition: form-data; \r\n"
    b"Content-Type: application/http; msgtype=request\r\n\r\nGET B \r\nRequestId: r2\r\n\r\n\r\n--b--"
)


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    upstream.on("GET", "/B", json_reply({"b": "ä" * 100}, headers=[("ETag", 'W/"1"')]))
    upstream.on("POST", "/B", json_reply({"made": True}, 201, [("Location", "/svc/B(1)")]))


@pytest.fixture
def wire(gateway: Gateway) -> Iterator[Http2Wire]:
    with Http2Wire(gateway.http_port) as connection:
        yield connection


# --- the same as over HTTP/1.1


class Case(NamedTuple):
    name: str
    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes | None
    status: int


CASES = [
    Case("json", "POST", "/svc/$batch", STRICT, DOCUMENT, 200),
    Case("json, compatible", "POST", "/svc/$batch", STRICT[:1], DOCUMENT, 200),
    Case("json to multipart", "POST", "/svc/$batch", [*STRICT, ("accept", "multipart/mixed")], DOCUMENT, 200),
    Case("multipart", "POST", "/svc/$batch", MIXED, PARTS, 200),
    Case("multipart, strict", "POST", "/svc/$batch", [*MIXED, ("odata-maxversion", "4.01")], PARTS, 200),
    Case("multipart to json", "POST", "/svc/$batch?$format=json", MIXED, PARTS, 200),
    Case("google", "POST", "/svc/batch", MIXED, GOOGLE, 200),
    Case("document", "PUT", "/svc/batch", [("content-type", "multipart/form-data; boundary=b")], SDK, 200),
    Case("gzip", "POST", "/svc/$batch", [*STRICT, ("content-encoding", "gzip")], gzip.compress(DOCUMENT), 200),
    Case("streamed", "POST", "/stream/$batch", STRICT, DOCUMENT, 200),
    Case("nothing", "POST", "/svc/$batch", STRICT, b'{"requests":[]}', 200),
    Case("202", "POST", "/old/$batch", MIXED, PARTS, 202),
    Case("probe", "HEAD", "/svc/$batch", [], None, 200),
    Case("head of health", "HEAD", "/healthz", [], None, 200),
    Case("health", "GET", "/healthz", [], None, 200),
    Case("ready", "GET", "/readyz", [], None, 200),
    Case("nowhere", "GET", "/nowhere", [], None, 404),
    Case("no batch", "POST", "/svc/$Batch", STRICT, DOCUMENT, 404),
    Case("head of nowhere", "HEAD", "/nowhere", [], None, 404),
    Case("get", "GET", "/svc/$batch", [], None, 405),
    Case("options", "OPTIONS", "/svc/$batch", [], None, 405),
    Case("no json", "POST", "/svc/$batch", STRICT, b"{", 400),
    Case("no type", "POST", "/svc/$batch", [], DOCUMENT, 415),
    Case("unacceptable", "POST", "/svc/$batch", [*STRICT, ("accept", "text/csv")], DOCUMENT, 406),
    Case("if-match", "POST", "/svc/$batch", [*STRICT, ("if-match", "*")], DOCUMENT, 400),
    Case("isolation", "POST", "/svc/$batch", [*STRICT, ("isolation", "snapshot")], DOCUMENT, 412),
    Case("unknown coding", "POST", "/svc/$batch", [*STRICT, ("content-encoding", "br")], DOCUMENT, 415),
    Case("top", "POST", "/svc/$batch?$top=1", STRICT, DOCUMENT, 400),
]
RANDOM = re.compile(r"[0-9a-f]{32}|~[0-9a-f]{16}|[0-9a-f-]{36}|\d{4}-\d\d-\d\dT[0-9:.]+Z")
OF_HTTP_1 = {"connection", "transfer-encoding", "date", "keep-alive"}


def comparable(status: int, headers: list[tuple[str, str]], body: bytes) -> Any:
    """An answer without what is of a connection or at random."""
    kept = [(name, value) for name, value in headers if name not in OF_HTTP_1 and not name.startswith(":")]
    text = RANDOM.sub("R", body.decode())
    fields = sorted((name, RANDOM.sub("R", value)) for name, value in kept)
    return status, fields, text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_answer_as_over_http_1(
    case: Case, wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    heard = wire.ask(request(case.method, case.target, case.fields), case.body)
    assert heard.ended
    first = list(upstream.log)
    with rest.Wire(gateway.http_port) as older:
        sent = [*case.fields, *([("content-length", str(len(case.body)))] if case.body is not None else [])]
        older.begin(case.method, case.target, sent)
        older.send(case.body or b"")
        answer = older.answer()
    assert heard.status == case.status
    ours = comparable(heard.status, heard.headers, bytes(heard.data))
    assert ours == comparable(answer.status, answer.headers, answer.body)
    assert heard.header("date")
    assert not OF_HTTP_1 - {"date"} & {name for name, _ in heard.headers}
    second = upstream.log[len(first) :]
    # What the upstream sees is the same too.
    assert sorted((call.line, call.headers, call.body) for call in first) == sorted(
        (call.line, call.headers, call.body) for call in second
    )


def test_a_target_that_is_no_path(wire: Http2Wire) -> None:
    assert wire.ask(request("OPTIONS", "*")).status == 400
    assert wire.ask([(":method", "CONNECT"), (":authority", "gw.example:443")]).status == 400
    # RFC 9113 8.3.1: malformed.
    assert wire.ask(request("GET", "http://gw.example/healthz")).reset == 1
    assert wire.ask(request("GET", "/healthz")).status == 200


def test_metrics_count_what_came_over_http_2(wire: Http2Wire, gateway: Gateway) -> None:
    name = 'batchwire_batches_total{ended="ok",front="rest",route="/svc/"}'
    before = gateway.metrics().get(name, 0)
    assert wire.ask(request("POST", "/svc/$batch", STRICT), DOCUMENT).status == 200
    gateway.wait_idle()
    assert gateway.metrics()[name] == before + 1


def test_many_batches_at_once_on_one_connection(wire: Http2Wire) -> None:
    streams = [wire.open(request("POST", "/svc/$batch", STRICT)) for _ in range(100)]
    for stream in streams:
        wire.send(stream, DOCUMENT, end=True)
    for stream in streams:
        heard = wire.answer(stream)
        assert (heard.status, heard.data.count(b'"status":200')) == (200, 2)


# --- bodies and heads


def test_a_body_in_any_pieces_with_trailers(wire: Http2Wire) -> None:
    """Trailers of a request are passed over."""
    stream = wire.open(request("POST", "/svc/$batch", STRICT))
    for at in range(len(DOCUMENT)):
        wire.h2.send_data(stream, DOCUMENT[at : at + 1], pad_length=at % 5 or None)
    wire.end(stream, [("x-checksum", "0"), ("content-type", "text/plain")])
    heard = wire.answer(stream)
    assert (heard.status, heard.data.count(b'"status":200')) == (200, 2)


@pytest.mark.parametrize("length", [len(DOCUMENT) - 1, len(DOCUMENT) + 1])
def test_a_length_that_is_wrong_is_a_stream_error(
    length: int, wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """RFC 9113 8.1.1: the request is malformed; nothing of it runs."""
    stream = wire.open(request("POST", "/svc/$batch", [*STRICT, ("content-length", str(length))]))
    wire.send(stream, DOCUMENT, end=True)
    assert wire.answer(stream).reset == 1
    assert upstream.lines == []
    assert wire.ask(request("GET", "/healthz")).status == 200
    gateway.wait_idle()


def test_too_large_a_body_is_413_at_once(small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Whether its length is said or not; the rest need not be sent."""
    with Http2Wire(small_gateway.http_port) as wire:
        for fields in (STRICT, [*STRICT, ("content-length", "1000000")]):
            stream = wire.open(request("POST", "/svc/$batch", fields))
            wire.send(stream, rest.encode({"@x.pad": "p" * 30_000, "requests": []})[:-5])
            heard = wire.answer(stream)
            assert heard.status == 413
            assert rest.is_odata_error(json.loads(heard.data))
            wire.wait(lambda heard=heard: heard.reset is not None, "the rest is not wanted")
            assert heard.reset == 0
        assert wire.ask(request("GET", "/healthz")).status == 200
    assert upstream.lines == []
    small_gateway.wait_idle()


NO_BATCH = [("content-type", "text/xml")]


def refused(wire: Http2Wire) -> tuple[int, Heard]:
    """A request that is answered before its body has come."""
    stream = wire.open(request("POST", "/svc/$batch", NO_BATCH))
    heard = wire.heard[stream]
    wire.wait(lambda: heard.ended, "the answer")
    assert (heard.status, heard.reset) == (415, None)
    return stream, heard


def test_the_rest_of_a_refused_request_is_read_away(wire: Http2Wire) -> None:
    """A client that still sends it need not hear of a reset, which some report in the place of the answer."""
    for size in (0, 100, 60_000):
        stream, heard = refused(wire)
        wire.send(stream, b"x" * size, end=True)
        assert wire.ask(request("GET", "/healthz")).status == 200
        assert heard.reset is None
    wire.listen(1.2)
    assert {heard.reset for heard in wire.heard.values()} == {None}


def test_but_not_for_ever_nor_of_any_size(wire: Http2Wire, gateway: Gateway) -> None:
    before = time.monotonic()
    _, silent = refused(wire)
    wire.wait(lambda: silent.reset is not None, "the end of a request that does not end")
    assert silent.reset == 0
    assert 0.5 < time.monotonic() - before < 5
    stream, long = refused(wire)
    before = time.monotonic()
    wire.send(stream, b"x" * 80_000)
    wire.wait(lambda: long.reset is not None, "the end of a request that is too long")
    assert long.reset == 0
    assert time.monotonic() - before < 0.8
    gateway.wait_idle()


def test_nor_of_many_requests_at_once(wire: Http2Wire) -> None:
    streams = [wire.open(request("POST", "/svc/$batch", NO_BATCH)) for _ in range(100)]
    heard = [wire.heard[stream] for stream in streams]
    wire.wait(lambda: all(one.ended for one in heard), "all answers")
    wire.wait(lambda: sum(one.reset == 0 for one in heard) >= 36, "the end of those beyond the bound", 0.8)
    wire.wait(lambda: all(one.reset == 0 for one in heard), "the end of the others")


@pytest.mark.parametrize("size", [40_000, 100_000])
def test_too_large_a_head_is_431(size: int, wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    fields = [*STRICT, *((f"x-{n}", "v" * 1000) for n in range(size // 1000))]
    assert wire.ask(request("POST", "/svc/$batch", fields), DOCUMENT).status == 431
    assert wire.ask(request("GET", "/healthz")).status == 200
    assert upstream.lines == []


def test_far_too_large_a_head_ends_the_connection(wire: Http2Wire, gateway: Gateway) -> None:
    before = gateway.rss()
    fields = [(f"x-{n}", "v" * 4000) for n in range(80)]
    wire.open(request("GET", "/healthz", fields))
    wire.wait_closed()
    assert gateway.rss() - before < 16 << 20
    with Http2Wire(gateway.http_port) as another:
        assert another.ask(request("GET", "/healthz")).status == 200


def test_expect_100_continue(wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    stream = wire.open(request("POST", "/svc/$batch", [*STRICT, ("expect", "100-continue")]))
    heard = wire.heard[stream]
    wire.wait(lambda: bool(heard.informational), "100 Continue")
    assert heard.informational == [[(":status", "100")]]
    assert upstream.lines == []
    wire.send(stream, DOCUMENT, end=True)
    assert wire.answer(stream).status == 200
    assert len(heard.informational) == 1


def test_a_refusal_needs_no_100_continue(wire: Http2Wire) -> None:
    stream = wire.open(request("POST", "/svc/$batch", [("content-type", "text/csv"), ("expect", "100-continue")]))
    heard = wire.answer(stream)
    assert (heard.status, heard.informational) == (415, [])


# --- answers that break off, clients that go


@pytest.mark.parametrize("rest_of_it", [b",nonsense", b""], ids=["error", "truncated"])
def test_ER_07_an_answer_that_breaks_off_is_reset(
    rest_of_it: bytes, wire: Http2Wire, upstream: ScriptedUpstream
) -> None:
    """After the results that there are; other streams go on."""
    stream = wire.open(request("POST", "/stream/$batch", STRICT))
    wire.send(stream, DOCUMENT[: DOCUMENT.index(b",{")])
    heard = wire.heard[stream]
    wire.wait(lambda: b'"status":200' in heard.data, "the first result")
    wire.send(stream, rest_of_it, end=True)
    wire.answer(stream)
    assert (heard.ended, heard.reset) == (False, INTERNAL_ERROR)
    assert heard.data.startswith(b'{"responses":[{"id":"1"')
    assert wire.ask(request("GET", "/healthz")).status == 200
    assert upstream.lines == ["GET /A"]


@pytest.mark.parametrize("began", [True, False])
def test_a_reset_stops_the_calls_at_the_upstream(
    began: bool, wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    stream = wire.open(request("POST", "/stream/$batch", STRICT))
    calls = [rest.get_call("1", "held"), *([rest.get_call("2", "A")] if began else [])]
    wire.send(stream, rest.encode({"requests": calls}), end=True)
    assert upstream.wait_until(lambda: "GET /held" in upstream.lines)
    if began:
        wire.wait(lambda: b'"id":"2"' in wire.heard[stream].data, "the first result")
    wire.reset(stream, CANCEL)
    assert upstream.wait_until(lambda: upstream.call("GET /held").aborted)
    gateway.wait_idle()
    assert wire.ask(request("GET", "/healthz")).status == 200


def test_a_connection_that_ends_stops_the_calls(
    wire: Http2Wire, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    before = gateway.fds()
    streams = [wire.open(request("POST", "/svc/$batch", STRICT)) for _ in range(5)]
    for stream in streams:
        wire.send(stream, rest.encode({"requests": [rest.get_call("1", "held")]}), end=True)
    upstream.wait_for_calls(5)
    wire.socket.close()
    assert upstream.wait_until(lambda: upstream.current == 0)
    gateway.wait_idle()
    gateway.wait(lambda: gateway.fds() < before, "the descriptors are free")


# --- as an app sees it


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that gives what is no batch to an app."""
    upstreams = {"echo": {"app": "echo_app:app", "base": "/"}}
    routes = [{"root": "/app/", "upstream": "echo", "default": True, "serve_app": True}]
    settings = config.make(upstreams, routes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parent)  # where the app's module is found
        running = Gateway(settings, tmp_path_factory.mktemp("echo"))
        running.start()
    yield running
    running.process.terminate()
    assert running.process.wait(20) == 0


def seen_by_app(heard: Heard) -> Any:
    assert heard.status == 200, heard
    return json.loads(heard.data)


@pytest.fixture
def to_app(echo: Gateway) -> Iterator[Http2Wire]:
    with Http2Wire(echo.http_port) as connection:
        yield connection


def test_the_head_as_an_app_sees_it(to_app: Http2Wire) -> None:
    """One Host and one Cookie, as HTTP/1.1 has them (RFC 9113 8.2.3, 8.3.1)."""
    fields = [("cookie", "a=1"), ("x-one", "1"), ("cookie", "b=2; c=3"), ("x-one", "2"), ("cookie", "d=4")]
    heard = to_app.ask(request("PATCH", "/app/gr%C3%BCn%20x?a=b+c", fields, authority="shop.example:81"), b"12345")
    seen = seen_by_app(heard)
    assert seen["headers"] == [
        ["host", "shop.example:81"],
        ["x-one", "1"],
        ["x-one", "2"],
        ["cookie", "a=1; b=2; c=3; d=4"],
    ]
    assert (seen["version"], seen["scheme"], seen["method"]) == ("2", "http", "PATCH")
    assert (seen["path"], seen["query"], seen["body"], seen["client"]) == ("/grün x", "a=b+c", 5, True)


def test_host_stands_in_for_authority(to_app: Http2Wire) -> None:
    head = [field for field in request("GET", "/app/x", [("host", "shop.example")]) if field[0] != ":authority"]
    assert ["host", "shop.example"] in seen_by_app(to_app.ask(head))["headers"]
    both = request("GET", "/app/x", [("host", "evil.example")], authority="shop.example")
    hosts = [value for name, value in seen_by_app(to_app.ask(both))["headers"] if name == "host"]
    assert hosts == ["shop.example"]


def test_fields_of_an_app_that_thinks_of_http_1(to_app: Http2Wire) -> None:
    heard = to_app.ask(request("GET", "/app/x"))
    assert dict(heard.headers).keys() >= {":status", "content-type", "x-seen", "date"}
    assert heard.header("connection") is None
    head = to_app.ask(request("HEAD", "/app/x"))
    assert (head.status, bytes(head.data), head.header("x-seen")) == (200, b"", "yes")


@pytest.mark.parametrize(
    "fields",
    [
        [("connection", "close")],
        [("transfer-encoding", "chunked")],
        [("keep-alive", "timeout=5")],
        [("proxy-connection", "keep-alive")],
        [("upgrade", "h2c")],
        [("X-Upper", "1")],
        [("x-line", "a\r\nx-more: 1")],
        [("x-nul", "a\0b")],
        [(":path", "/again")],
        [("x y", "1")],
        [("te", "gzip")],
    ],
    ids=lambda fields: ascii(fields[0]),
)
def test_fields_that_make_a_request_malformed(fields: list[tuple[str, str]], to_app: Http2Wire) -> None:
    """RFC 9113 8.2: none of them reaches an app, and the connection goes on."""
    stream = to_app.open(request("GET", "/app/x", fields), end=True)
    assert (to_app.answer(stream).reset, to_app.heard[stream].headers) == (1, [])
    assert to_app.ask(request("GET", "/app/x")).status == 200
