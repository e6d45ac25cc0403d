"""Streams, limits and outer headers of multipart batches: rules ER-07, GW-13, GW-21, GW-23 and HD, as for JSON."""

from __future__ import annotations

import gzip
import threading

import grpc
import pytest
from google.api import httpbody_pb2
from harness import documents, grpc_client, rest
from harness.batches import Call, Refused
from harness.documents import parts, read, send
from harness.gateway import Gateway
from harness.multiparts import document, document_of, part, part_of
from harness.part_checks import ON, check_error
from harness.scripted import Reply, ScriptedUpstream, json_reply

CHUNKED = {"Content-Type": documents.MULTIPART, "Transfer-Encoding": "chunked", **rest.STRICT}
OPEN = b"--b\r\n"
TOO_MUCH = (400, 413, 429, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    for n in range(10):
        upstream.on("GET", f"/A({n})")


def gets(count: int) -> list[Call]:
    return [Call(str(n), f"A({n})") for n in range(count)]


@pytest.mark.parametrize(
    "bad",
    [
        OPEN + part_of(Call("0", "A(2)")),
        OPEN + part_of(Call("x y", "A(2)")) + b"\r\n--b--",
        OPEN + part_of(Call("1", "A(2)")),
        OPEN + b"Content-Type: multipart/mixed\r\n\r\n",
    ],
)
def test_ER_07_a_batch_that_breaks_off_shows_it(bad: bytes, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The first result has been sent when the error is found: the answer has no close delimiter and no end."""
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", CHUNKED)
        wire.chunk(OPEN + part_of(Call("0", "A(0)")) + b"\r\n" + OPEN)
        head = wire.head()
        assert head.status == 200
        body = wire.data()
        wire.chunk(bad.removeprefix(OPEN) + b"\r\n")
        if b"A(2)" in bad and b"Content-ID: 1" in bad:
            wire.chunk(OPEN + part_of(Call("1", "A(3)")) + b"\r\n--b--\r\n")
        wire.chunk(b"")
        more, whole = wire.remainder()
        boundary = (head.header("content-type") or "").partition("boundary=")[2].encode()
    assert not whole
    assert b"Content-ID: 0\r\n" in body
    assert b"--" + boundary + b"--" not in body + more
    assert upstream.lines[0] == "GET /A(0)"
    assert "GET /A(3)" not in upstream.lines


def test_ER_07_over_grpc_the_status_tells(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    first = OPEN + part_of(Call("0", "A(0)")) + b"\r\n--b"
    feed = grpc_client.Feed()
    feed.put(httpbody_pb2.HttpBody(content_type=documents.MULTIPART, data=first))
    feed.put(httpbody_pb2.HttpBody(data=b"\r\n" + part_of(Call("", "A(1)"))))
    with grpc_client.Client(gateway.grpc_address) as client:
        call = client.stub.BatchHttp(iter(feed), timeout=20, metadata=[("batchwire-route", "/stream/")])
        pieces = [next(call).data]
        feed.close()
        with pytest.raises(grpc.RpcError) as caught:
            pieces.extend(message.data for message in call)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "1 calls had been started" in (caught.value.details() or "")
    assert b"Content-ID: 0\r\n" in b"".join(pieces)
    assert not b"".join(pieces).endswith(b"--\r\n")
    assert upstream.lines == ["GET /A(0)"]


def test_GW_21_a_small_document_is_validated_whole(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", CHUNKED)
        wire.chunk(document_of(gets(2)).removesuffix(b"--b--\r\n"))
        assert not upstream.wait_until(lambda: bool(upstream.log), timeout=0.5)
        wire.chunk(OPEN + part_of(Call("1", "A(2)")) + b"\r\n--b--\r\n")
        wire.chunk(b"")
        answer = wire.answer()
    assert answer.status == 400
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []


def test_GW_21_an_error_before_anything_was_sent_is_400(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", CHUNKED)
        wire.chunk(OPEN + part_of(Call("1", "held")) + b"\r\n" + OPEN)
        upstream.wait_for_calls(1)
        wire.chunk(part_of(Call("1", "A(1)")) + b"\r\n--b--\r\n")
        wire.chunk(b"")
        threading.Timer(0.3, gate.open).start()
        head = wire.head()
        body, whole = wire.remainder()
    if head.status == 400:
        assert rest.is_odata_error(rest.Answer(400, [], body).json())
        assert b"1 calls had been started" in body
    else:
        assert not whole
    assert upstream.lines == ["GET /held"]


def test_GW_21_each_call_starts_when_its_part_is_closed(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", CHUNKED)
        wire.chunk(OPEN)
        for n in range(3):
            wire.chunk(part_of(Call(str(n), f"A({n})")) + b"\r\n--b")
            assert not upstream.wait_until(lambda n=n: len(upstream.log) > n, timeout=0.1)
            wire.chunk(b"\r\n" if n < 2 else b"--\r\n")
            upstream.wait_for_calls(n + 1)
        wire.chunk(b"")
        found = read(wire.answer())
    assert [one.content_id for one in found] == ["0", "1", "2"]


@pytest.mark.parametrize("kind", ["multipart", "json"])
def test_GW_23_each_part_is_sent_when_it_is_known(kind: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Section 2.3: part by part, whatever the format of the request."""
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    calls = [*gets(2), Call("2", "held"), Call("3", "A(3)")]
    if kind == "json":
        body = rest.encode({"requests": [rest.get_call(call.id, call.url) for call in calls]})
    else:
        body = document_of(calls)
    fields = {**CHUNKED, "Content-Type": documents.FORMATS[kind], "Accept": "multipart/mixed"}
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", fields)
        wire.chunk(body)
        wire.send(b"0\r\n\r\n")
        head = wire.head()
        early = b""
        while b"Content-ID: 1\r\n" not in early:
            early += wire.data()
        assert b"Content-ID: 2\r\n" not in early
        assert b"Content-ID: 3\r\n" not in early
        gate.open()
        late, whole = wire.remainder()
    assert whole
    found = read(rest.Answer(head.status, head.headers, early + late))
    assert [one.content_id for one in found] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("answer_type", ["multipart/mixed", "application/json"])
@pytest.mark.parametrize("order", ["request", "completion"])
def test_GW_23_a_multipart_batch_is_answered_in_its_order(
    order: str, answer_type: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Whatever is preferred (MP-01, MP-05, JR-04); and what is not applied is not said to be (HD-12)."""
    upstream.on("GET", "/slow", json_reply({}, delay=0.2))
    fields = {"Prefer": f"order={order}", "Accept": answer_type}
    answer = send(way, gateway, document_of([Call("1", "slow"), Call("2", "A(2)")]), headers=fields)
    if answer_type == "multipart/mixed":
        ids = [one.content_id for one in read(answer)]
    else:
        ids = [response["id"] for response in answer.json()["responses"]]
    assert ids == ["1", "2"]
    assert answer.header("preference-applied") == ("order=request" if order == "request" else None)


@pytest.mark.parametrize("route", ["/svc/", "/stream/"])
def test_GW_13_count_of_parts(route: str, way: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert len(parts(way, small_gateway, *gets(5), route=route)) == 5
    upstream.reset()
    if route == "/svc/":
        with pytest.raises(Refused) as caught:
            parts(way, small_gateway, *gets(6))
        assert caught.value.status in TOO_MUCH
        assert upstream.lines == []


def test_GW_13_bytes_of_one_part(way: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    big = Call("big", "A", "PUT", {"Content-Type": "text/plain"}, b"y" * 5_000)
    with pytest.raises(Refused) as caught:
        parts(way, small_gateway, *gets(1), big)
    assert caught.value.status in TOO_MUCH
    assert upstream.lines == []


def test_GW_13_bytes_of_the_document(way: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for pieces in (0, 5_000):
        with pytest.raises(Refused) as caught:
            send(way, small_gateway, b"p" * 30_000 + b"\r\n" + document_of(gets(1)), pieces=pieces)
        assert caught.value.status in (413, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert upstream.lines == []


def test_GW_13_bytes_of_an_answer(way: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for chunked in (False, True):
        upstream.on("GET", "/big", Reply(200, [("Content-Type", "text/plain")], b"z" * 6_000, chunked=chunked))
        found = parts(way, small_gateway, Call("1", "big"), Call("2", "A(1)"), headers=ON)
        check_error(found[0], 502)
        assert found[1].status == 200


BIG = b"X-Big: " + b"v" * 3_900 + b"\r\nX-More: " + b"v" * 400 + b"\r\n"


@pytest.mark.parametrize(
    "bad",
    [
        part(b"GET A HTTP/1.1\r\n" + BIG + b"\r\n"),
        part(b"GET A HTTP/1.1\r\n\r\n", b"Content-Type: application/http\r\n" + BIG),
    ],
)
def test_GW_13_header_bytes(bad: bytes, way: str, small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """These limits are so near to that of a part that the batch is refused for either."""
    with pytest.raises(Refused) as caught:
        parts(way, small_gateway, bad, Call("2", "A(1)"))
    assert caught.value.status in TOO_MUCH
    assert upstream.lines == []


def test_GW_13_header_bytes_of_a_call_alone(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    bad = part(b"GET A HTTP/1.1\r\n" + (b"X-Big: " + b"v" * 1_000 + b"\r\n") * 33 + b"\r\n")
    found = parts(way, gateway, bad, Call("2", "A(1)"), headers=ON)
    check_error(found[0], 400)
    assert found[1].status == 200
    assert upstream.lines == ["GET /A(1)"]


OUTER = {
    "Accept-Language": "de",
    "Content-Language": "fr",
    "OData-Version": "4.0",
    "OData-MaxVersion": "4.01",
    "Prefer": 'include-annotations="display.*", continue-on-error, maxpagesize=3',
    "Accept": "multipart/mixed, application/json;odata.metadata=none;q=0.9",
    "If-None-Match": "null",
    "X-Forwarded-For": "1.2.3.4",
    "Cookie": "s=1",
}


def test_HD_02_to_05_what_parts_inherit(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    own = Call("1", "A(1)", headers={"Accept-Language": "en", "Prefer": "return=minimal"})
    found = parts(way, gateway, Call("0", "A(0)"), own, headers=OUTER)
    assert [one.status for one in found] == [200, 200]
    first, second = upstream.call("GET /A(0)"), upstream.call("GET /A(1)")
    assert first.header("accept-language") == "de"
    assert first.header("odata-maxversion") == "4.01"
    assert first.header("odata-version") == "4.0"
    assert first.header("prefer") == 'include-annotations="display.*"'
    assert "multipart" not in (first.header("accept") or "")
    assert second.header("accept-language") == "en"
    assert second.header("prefer") == 'return=minimal, include-annotations="display.*"'
    for call in (first, second):
        names = {name for name, _ in call.headers}
        assert not names & {"content-type", "content-length", "transfer-encoding", "if-none-match", "cookie"}
        assert "1.2.3.4" not in str(call.headers)


@pytest.mark.parametrize(
    "fields",
    [
        {"If-Match": '"1"'},
        {"If-None-Match": "*"},
        {"Isolation": "snapshot"},
        {"Prefer": "return=minimal"},
        {"OData-Version": "9.0"},
        {"Accept": "text/csv"},
    ],
)
def test_HD_06_bad_outer_headers_start_nothing(
    fields: dict[str, str], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with pytest.raises(Refused) as caught:
        parts(way, gateway, *gets(1), headers=fields)
    assert caught.value.details
    assert upstream.lines == []


@pytest.mark.parametrize("kind", ["multipart", "json"])
@pytest.mark.parametrize("accept", ["multipart/mixed", "application/json"])
def test_HD_16_the_default_follows_the_request(
    kind: str, accept: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    calls = [Call("1", "missing"), Call("2", "A(1)")]
    if kind == "json":
        body = rest.encode({"requests": [rest.get_call(call.id, call.url) for call in calls]})
    else:
        body = document_of(calls)
    answer = send(way, gateway, body, documents.FORMATS[kind], {"Accept": accept})
    count = len(read(answer)) if accept.startswith("multipart") else len(answer.json()["responses"])
    assert count == (2 if kind == "json" else 1)
    assert ("GET /A(1)" in upstream.lines) == (kind == "json")


def test_HD_19_a_document_that_is_compressed(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = b"\x00\xff" * 100
    upstream.on("PUT", "/B", Reply(204, expect_body=body))
    text = document_of([Call("1", "B", "PUT", {"Content-Type": "application/octet-stream"}, body)])
    found = read(send(documents.REST, gateway, gzip.compress(text), headers={"Content-Encoding": "gzip"}))
    assert [one.status for one in found] == [204], upstream.problems
    assert upstream.call("PUT /B").header("content-encoding") is None


def test_HD_19_an_answer_that_is_compressed(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    packed = gzip.compress(b'{"a":1}')
    fields = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    upstream.on("GET", "/A(0)", Reply(200, fields, packed))
    [found] = parts(way, gateway, *gets(1))
    assert found.json() == {"a": 1}
    assert found.header("content-encoding") is None


@pytest.mark.parametrize("version", [rest.STRICT, {}])
def test_HD_21_outer_headers_of_answers(version: dict[str, str], gateway: Gateway, upstream: ScriptedUpstream) -> None:
    fields = [("ETag", '"1"'), ("Location", "http://gw.example/svc/A(0)"), ("OData-EntityId", "A(0)"), ("Vary", "*")]
    upstream.on("GET", "/A(0)", json_reply({}, headers=[*fields, ("Preference-Applied", "return=minimal")]))
    answer = send(documents.REST, gateway, document_of(gets(1)), version=version)
    assert not {"etag", "location", "odata-entityid", "asyncresult", "preference-applied"} & dict(answer.headers).keys()
    assert answer.header("odata-version") == ("4.01" if version else "4.0")
    assert "odata-maxversion" in (answer.header("vary") or "").lower()
    [found] = read(answer)
    assert found.header("preference-applied") == "return=minimal"


@pytest.mark.parametrize("url", ["$batch", "%24batch", "/svc/$batch", "http://gw.example/svc/$batch"])
def test_JB_04_no_batch_in_a_part(url: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """For JSON a rule of its own; here of the same reason: a batch in a batch would multiply."""
    inner = {"Content-Type": "multipart/mixed; boundary=x"}
    [found] = parts(way, gateway, Call("1", url, "POST", inner, document(boundary=b"x")))
    check_error(found, 400)
    assert upstream.lines == []
