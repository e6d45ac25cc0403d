"""What a connection may do, and how it ends: rules FR-02, FR-04 to FR-07, FR-11 and FR-12 of the contract."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from batchwire.core.errors import quoted
from batchwire.core.front.deadlines import early, proxy_seconds
from batchwire.core.front.guard import Guard
from batchwire.service.config import Listen
from batchwire.v1 import batch_pb2
from harness import config, grpc_client, http2, rest
from harness.gateway import Gateway, Gateways
from harness.grpc_wire import answer_of, head, prefixed
from harness.http2 import ACK, Code, Raw, data, grpc_request, headers, ping, rst_stream, settings
from harness.http2_wire import Http2Wire, request
from harness.scripted import Gate, ScriptedUpstream, json_reply
from hypothesis import given
from hypothesis import strategies as st

IDLE = 2.0


@pytest.fixture(scope="module")
def _own(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    upstreams = {"things": {"url": _things.origin + "/", "max_connections": 1000}}
    limits = {"client_idle_seconds": IDLE, "max_batches": 1000, "max_batches_per_client": 600, "min_request_rate": 500}
    made = config.make(upstreams, routes, limits, listen={"min_ping_seconds": 0.2})
    with Gateways(made, lambda: tmp_path_factory.mktemp("connections")) as gateways:
        yield gateways


@pytest.fixture
def short_lived(upstream: ScriptedUpstream, served_by: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose connections over HTTP/2 last a second."""
    upstreams = {"things": {"url": upstream.origin + "/"}}
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    made = config.make(upstreams, routes, {"client_idle_seconds": IDLE}, listen={"max_connection_seconds": 1})
    with Gateways(made, lambda: tmp_path) as gateways:
        yield gateways.get(served_by)


@pytest.fixture
def own(_own: Gateways, served_by: str) -> Gateway:
    """A gateway with little patience."""
    return _own.get(served_by)


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    upstream.on("GET", "/A")
    yield gate
    gate.open()


def execute(url: str) -> bytes:
    made = batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=[grpc_client.call("1", url)])
    return bytes(made.SerializeToString())


# --- cancels


def test_FR_02_cancels_of_calls_that_run_are_no_flood(gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    """Many times 400 at once, as a proxy does whose clients have gone; an innocent call on the connection is served."""
    with Raw(gateway.http_port, timeout=40) as raw:
        raw.send(headers(1, grpc_request("Execute"), end=False), data(1, prefixed(execute("held")), end=True))
        stream, http2_get = 3, http2.request()
        for _ in range(6):
            opened = range(stream, stream + 800, 2)
            for number in opened:
                raw.send(
                    headers(number, grpc_request("Execute"), end=False),
                    data(number, prefixed(execute("held")), end=True),
                )
            assert raw.exchange(stream + 800, http2_get).status == 200
            time.sleep(0.01)  # they are served for longer than what comes and goes at once
            raw.send(*(rst_stream(number) for number in opened))
            assert raw.exchange(stream + 802, http2_get).status == 200
            stream += 804
        gate.open()
        assert raw.answer(1).grpc_status == 0
    assert raw.goaways == []


def test_FR_02_what_runs_beside_a_flood_of_cancels_ends_well(
    own: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """A proxy's connection is that of many clients: it may open no more streams, those that run have their answers."""
    with Raw(own.http_port, timeout=40) as raw:
        raw.send(headers(1, grpc_request("Execute"), end=False), data(1, prefixed(execute("held")), end=True))
        for stream in range(3, 2403, 2):
            raw.send(headers(stream, grpc_request("Execute"), end=False), rst_stream(stream))
        raw.until(lambda found: bool(raw.goaways))
        assert [found.code for found in raw.goaways] == [Code.ENHANCE_YOUR_CALM]
        gate.open()
        assert raw.answer(1).grpc_status == 0
        assert raw.ending() == Code.ENHANCE_YOUR_CALM


def test_FR_02_no_stream_runs_that_the_client_is_told_is_refused(
    own: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """RFC 9113 6.8: what is beyond the last stream of GOAWAY is sent again by proxies, POSTs included."""
    upstream.on("POST", "/made")
    post = batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=[grpc_client.call("1", "made", method="POST")])
    last, frames = 2101, []
    for stream in range(3, last, 2):
        frames += [headers(stream, grpc_request("Execute"), end=False), rst_stream(stream)]
    for stream in range(last, last + 100, 2):
        frames += [
            headers(stream, grpc_request("Execute"), end=False),
            data(stream, prefixed(post.SerializeToString()), end=True),
        ]
    with Raw(own.http_port, timeout=40) as raw:
        raw.send(headers(1, grpc_request("Execute"), end=False), data(1, prefixed(execute("held")), end=True))
        raw.send(b"".join(frames))
        raw.until(lambda found: bool(raw.goaways))
        last_taken = int.from_bytes(raw.goaways[0].payload[:4], "big")
        assert last_taken < last
        raw.ping_pong()
        # What comes once GOAWAY has been sent is passed over, which is as good as refused.
        beyond = {number: answer for number, answer in raw.answers.items() if number > last_taken}
        assert all(answer.reset == Code.REFUSED_STREAM for answer in beyond.values())
        gate.open()
        assert raw.answer(1).grpc_status == 0
    assert upstream.lines == ["GET /held"]


def test_FR_02_who_goes_on_is_cut(own: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    with Raw(own.http_port, timeout=40) as raw:
        raw.send(headers(1, grpc_request("Execute"), end=False), data(1, prefixed(execute("held")), end=True))
        with contextlib.suppress(OSError):
            for stream in range(3, 10_000, 2):
                raw.send(headers(stream, grpc_request("Execute"), end=False), rst_stream(stream))
        assert raw.ending() == Code.ENHANCE_YOUR_CALM
        assert 1 not in raw.answers


def test_FR_02_resets_that_cross_the_answer_are_no_flood(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    with Raw(gateway.http_port) as raw:
        raw.send(http2.window_update(0, 1 << 30))
        for number in range(1, 3001, 2):
            raw.send(
                headers(number, grpc_request("Execute"), end=False), data(number, prefixed(execute("A")), end=True)
            )
            if number % 200 == 199:
                for asked in range(number - 198, number + 2, 2):
                    raw.answer(asked)
                raw.send(*(rst_stream(asked) for asked in range(number - 198, number + 2, 2)))
        raw.ping_pong()
    assert raw.goaways == []


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=300))
def test_FR_02_what_comes_and_goes_at_once_is_counted(streams: list[tuple[float, bool]]) -> None:
    """The guard's account: a thousand at once, whatever else is cancelled beside."""
    guard, t = Guard(0.0), 0.0
    for lived, answered in streams:
        assert guard.cancel(0.01 + lived, answered, t)
    left = 0
    while guard.cancel(0.0, True, t) and left < 2000:
        left += 1
    assert 900 <= left <= 1000


# --- deadlines


@given(st.floats(0.004, 86400))
def test_FR_04_the_margin_scales(seconds: float) -> None:
    assert 0 < early(seconds) < seconds
    assert seconds - early(seconds) <= max(seconds / 4, 0.003) + 1e-9
    if seconds >= 10:
        assert seconds - early(seconds) == pytest.approx(1.0)
    if 0.2 <= seconds < 10:
        assert seconds - early(seconds) >= 0.0499


def test_FR_04_what_a_proxy_says() -> None:
    name = b"x-envoy-expected-rq-timeout-ms"
    assert proxy_seconds([(name, b"1500")]) == 1.5
    for bad in (b"", b"0", b"-1", b"1.5", b"soon", b"9" * 11):
        assert proxy_seconds([(name, bad)]) is None


def with_proxy(front: str, gateway: Gateway, milliseconds: int) -> dict[str, int]:
    """Statuses by id of a batch of two calls, one of which is held."""
    field = ("x-envoy-expected-rq-timeout-ms", str(milliseconds))
    if front == "rest":
        document = {"requests": [rest.get_call("1", "A"), rest.get_call("2", "held")]}
        return {
            name: found["status"] for name, found in rest.post(gateway.http_port, document, [field]).by_id().items()
        }
    calls = [grpc_client.call("1", "A"), grpc_client.call("2", "held")]
    with grpc_client.Client(gateway.grpc_address) as client:
        answer = client.execute(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=calls), metadata=[field])
        return {result.id: result.status for result in answer.results}


@pytest.mark.both_fronts
@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_FR_04_a_proxy_that_gives_up_gets_partial_results(way: str, gateway: Gateway, gate: Gate) -> None:
    assert with_proxy(way, gateway, 800) == {"1": 200, "2": 504}


@pytest.mark.both_fronts
def test_FR_04_a_proxy_counts_from_the_end_of_the_request(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Envoy's route timeout does: a stream may last longer than it, as long as it is fed."""
    upstream.on("GET", "/A")

    def slowly() -> Iterator[batch_pb2.BatchRequest]:
        yield batch_pb2.BatchRequest(options=grpc_client.options(), calls=[grpc_client.call("0", "A")])
        for number in range(1, 8):
            time.sleep(0.2)
            yield batch_pb2.BatchRequest(calls=[grpc_client.call(str(number), "A")])

    field = ("x-envoy-expected-rq-timeout-ms", "600")
    with grpc_client.Client(gateway.grpc_address) as client:
        results = grpc_client.results_of(list(client.stub.Batch(slowly(), metadata=[field])))
    assert {result.id: result.status for result in results} == {str(number): 200 for number in range(8)}


@pytest.mark.both_fronts
def test_FR_04_a_grpc_client_gets_them_before_its_deadline(gateway: Gateway, gate: Gate) -> None:
    calls = [grpc_client.call("1", "A"), grpc_client.call("2", "held")]
    with grpc_client.Client(gateway.grpc_address) as client:
        client.execute(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=calls[:1]))
        answer = client.execute(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=calls), timeout=1.0)
    assert {result.id: result.status for result in answer.results} == {"1": 200, "2": 504}


# --- slow requests, and slots

STREAM = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **rest.STRICT}


def drip_http1(own: Gateway) -> bytes:
    """What is answered to a document of a byte now and then."""
    with rest.Wire(own.http_port) as wire:
        wire.begin("POST", "/svc/$batch", STREAM)
        for byte in b'{"requests":[' + b" " * 200:
            try:
                wire.chunk(bytes([byte]))
                wire.socket.settimeout(0.1)
                return wire.socket.recv(1000)
            except TimeoutError:
                continue
    raise AssertionError("the client was let go on for ever")


def test_FR_05_a_document_that_comes_too_slowly(own: Gateway) -> None:
    answer = drip_http1(own)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"ClientTooSlow" in answer


def test_FR_05_a_message_that_comes_too_slowly(own: Gateway) -> None:
    with Http2Wire(own.grpc_address) as wire:
        stream = wire.open(head("Batch"))
        wire.send(stream, b"\0\0\0\xff\0")
        for _ in range(200):
            wire.listen(0.1)
            if wire.heard[stream].ended:
                break
            wire.send(stream, b" ")
        assert answer_of(wire.heard[stream]).code == 4


@pytest.mark.parametrize("kind", ["application/json", "application/grpc-web+proto"])
def test_FR_05_a_call_over_http_that_comes_too_slowly(kind: str, own: Gateway) -> None:
    with rest.Wire(own.http_port) as wire:
        fields = {"Content-Type": kind, "Transfer-Encoding": "chunked"}
        wire.begin("POST", "/batchwire.v1.BatchService/Execute", fields)
        answer = b""
        for byte in b"\0\0\0\xff\0" + b" " * 200:
            try:
                wire.chunk(bytes([byte]))
                wire.socket.settimeout(0.1)
                answer += wire.socket.recv(1000)
            except TimeoutError:
                continue
            if b"deadline_exceeded" in answer or b"grpc-status:4" in answer:
                return
    raise AssertionError("the client was let go on for ever")


@pytest.mark.parametrize("way", ["rest", "grpc"])
def test_FR_05_whole_calls_may_take_their_time(way: str, own: Gateway, upstream: ScriptedUpstream) -> None:
    """A stream of small calls is slow, and no attack."""
    upstream.on("GET", "/A")
    count, pause = 8, IDLE / 3
    if way == "grpc":
        with grpc_client.Client(own.grpc_address) as client:
            feed = grpc_client.Feed()
            answers = client.stub.Batch(iter(feed), timeout=30)
            for number in range(count):
                options = grpc_client.options() if number == 0 else None
                feed.put(grpc_client.message(grpc_client.call(str(number), "A"), options=options))
                time.sleep(pause)
            feed.close()
            assert len(grpc_client.results_of(answers)) == count
        return
    with rest.Wire(own.http_port) as wire:
        wire.begin("POST", "/stream/$batch", STREAM)
        wire.chunk(b'{"requests":[')
        for number in range(count):
            wire.chunk((b"," if number else b"") + rest.encode(rest.get_call(str(number), "A")))
            time.sleep(pause)
        wire.chunk(b"]}")
        wire.chunk(b"")
        assert len(wire.answer().responses) == count


def test_FR_05_one_client_does_not_take_all_slots(own: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    """600 of 1000 are one address's; another address is served, and this one again when it has let go."""
    document = rest.encode({"requests": [rest.get_call("1", "A")]})
    with Http2Wire(own.http_port) as wire:
        fields = grpc_request("Batch")
        opened = [wire.open(fields) for _ in range(600)]
        for stream in opened:
            made = grpc_client.message(grpc_client.call("1", "held"), options=grpc_client.options())
            wire.send(stream, prefixed(made.SerializeToString()))
        own.wait(lambda: own.in_flight() >= 600, "all batches of the client")
        answer = rest.post(own.http_port, document)
        assert answer.status == 429
        assert b"of this client" in answer.body
        with socket.create_connection(("127.0.0.1", own.http_port), 10, ("127.0.0.2", 0)) as other:
            other.sendall(
                b"POST /svc/$batch HTTP/1.1\r\nHost: gw.example\r\nContent-Type: application/json\r\n"
                b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(document), document)
            )
            assert received(other).startswith(b"HTTP/1.1 200")
    own.wait_idle()
    assert rest.post(own.http_port, document).status == 200


def received(sock: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    sock.settimeout(15)
    found = b""
    while piece := sock.recv(65536):
        found += piece
    return found


# --- half-closed connections


def asked(document: bytes, version: str = "1.1", path: str = "/svc/$batch") -> bytes:
    return b"POST %b HTTP/%b\r\nHost: gw.example\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        path.encode(),
        version.encode(),
        len(document),
        document,
    )


@pytest.mark.both_fronts
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("seconds", [0.1, 2.5])
def test_FR_06_a_client_that_closes_its_side_is_answered(
    seconds: float, version: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/late", json_reply({"a": "x" * 100_000}, delay=seconds))
    document = rest.encode({"requests": [rest.get_call("1", "late")]})
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(asked(document, version))
        sock.shutdown(socket.SHUT_WR)
        answer = received(sock).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"status":200' in answer
    assert b"x" * 100_000 in re.sub(rb"\r\n[0-9a-f]+\r\n", b"", answer)  # it may come in several chunks


def test_FR_06_pipelined_requests_are_all_answered(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/late", json_reply({}, delay=0.2))
    document = rest.encode({"requests": [rest.get_call("1", "late")]})
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(asked(document) * 3)
        sock.shutdown(socket.SHUT_WR)
        assert received(sock).count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize("cut", [-1, -20, 40])
def test_FR_06_a_request_that_is_cut_starts_nothing(cut: int, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    document = rest.encode({"requests": [rest.get_call("1", "A")]})
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(asked(document)[:cut])
        sock.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 200" not in received(sock)
    gateway.wait_idle()
    assert upstream.lines == []


@pytest.mark.parametrize("kind", ["rest", "Execute", "Batch"])
@pytest.mark.parametrize("seconds", [0.1, 1.5])
def test_FR_06_streams_of_a_client_that_closes_its_side(
    seconds: float, kind: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Those that are whole are answered, the one that is not ends."""
    upstream.on("GET", "/late", json_reply({}, delay=seconds))
    with Http2Wire(gateway.http_port) as wire:
        if kind == "rest":
            fields = [("content-type", "application/json")]
            streams = [wire.open(request("POST", "/svc/$batch", fields)) for _ in range(3)]
            body = rest.encode({"requests": [rest.get_call("1", "late")]})
        else:
            streams = [wire.open(head(kind)) for _ in range(3)]
            body = prefixed(execute("late"))
        for stream in streams[:2]:
            wire.send(stream, body, end=True)
        wire.send(streams[2], body[:-5])
        wire.socket.shutdown(socket.SHUT_WR)
        wire.flush = lambda: wire.h2.data_to_send() and None  # type: ignore[method-assign]
        for stream in streams[:2]:
            heard = wire.answer(stream)
            assert (heard.ended, heard.status) == (True, 200)
        wire.wait(lambda: wire.heard[streams[2]].reset is not None, "the end of the one that is not whole")
        wire.wait_closed()
    gateway.wait_idle()


@pytest.mark.both_fronts
def test_FR_06_one_that_closes_both_sides_is_noticed(
    gateway: Gateway, upstream: ScriptedUpstream, gate: Gate, served_by: str
) -> None:
    document = rest.encode({"requests": [rest.get_call("1", "held")]})
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(asked(document))
        upstream.wait_for_calls(1)
    gateway.wait_idle()
    if served_by == config.NATIVE:
        with Http2Wire(gateway.http_port) as wire:
            stream = wire.open(head())
            wire.send(stream, prefixed(execute("held")), end=True)
            upstream.wait_for_calls(2)
        gateway.wait_idle()


# --- pings


def test_FR_07_pings_while_a_stream_is_open(own: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    with Raw(own.http_port) as raw:
        raw.send(settings(flags=ACK), headers(1, grpc_request("Execute"), end=False))
        raw.send(data(1, prefixed(execute("held")), end=True))
        for _ in range(10):
            raw.ping_pong()
            time.sleep(0.25)
        gate.open()
        assert raw.answer(1).grpc_status == 0
    assert raw.goaways == []


def test_FR_07_pings_that_come_too_often(own: Gateway) -> None:
    with Raw(own.http_port) as raw:
        raw.ping_pong()
        raw.send(ping() * 5)
        assert raw.ending() == Code.ENHANCE_YOUR_CALM
        assert raw.goaways[0].payload.endswith(b"too_many_pings")


def test_FR_07_the_default_takes_one_in_five_seconds() -> None:
    every = Listen.model_validate({}).min_ping_seconds
    assert every < 5
    guard = Guard(0.0, every)
    assert all(guard.ping(5 * n - 0.4 * (n % 2)) for n in range(100))


def test_FR_07_a_guard_that_takes_any() -> None:
    guard = Guard(0.0, 0.0)
    assert all(guard.ping(0.0) for _ in range(100))


# --- errors


@given(st.text(max_size=300))
def test_FR_11_a_quotation_is_short(text: str) -> None:
    assert len(quoted(text)) <= 100
    assert len(quoted(text.encode("utf-8", "replace"))) <= 100
    if len(text) <= 100:
        assert quoted(text) == text


LONG = "n" * 20_000
NAMED: dict[str, list[dict[str, Any]]] = {
    "id": [rest.get_call(LONG, "A"), rest.get_call(LONG, "A")],
    "dependency": [rest.get_call("1", "A", dependsOn=[LONG])],
    "reference": [rest.get_call("1", f"${LONG}/x")],
    "condition": [rest.get_call("1", "A"), rest.get_call("2", "A", dependsOn=["1"], if_=f"{LONG} eq 1")],
    "header": [rest.get_call("1", "A", headers={LONG: "1", LONG.upper(): "2"})],
    "method": [{"id": "1", "method": LONG, "url": "A"}],
    "group": [
        rest.get_call("1", "A", atomicityGroup=LONG),
        rest.get_call("2", "A"),
        rest.get_call("3", "A", atomicityGroup=LONG),
    ],
}


@pytest.mark.parametrize("what", NAMED)
def test_FR_11_errors_quote_little(what: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    answer = rest.post(gateway.http_port, {"requests": NAMED[what]})
    messages = []
    if answer.status == 200:
        for response in answer.json()["responses"]:
            if response["status"] >= 400:
                messages.append(response["body"]["error"]["message"])
    else:
        messages.append(answer.json()["error"]["message"])
    assert messages
    for message in messages:
        assert "n" * 101 not in message, message[:500]


def test_FR_11_a_route_that_is_not_there(gateway: Gateway) -> None:
    asked = batch_pb2.ExecuteRequest(options=grpc_client.options("/" + LONG))
    with grpc_client.Client(gateway.grpc_address) as client, pytest.raises(grpc.RpcError) as caught:
        client.execute(asked)
    assert "n" * 101 not in (caught.value.details() or "")


# --- Host


@pytest.mark.both_fronts
@pytest.mark.parametrize("fields", [[], [("Host", "a"), ("Host", "a")], [("X-Host", "a")]])
@pytest.mark.parametrize("target", ["/svc/$batch", "/healthz"])
def test_FR_12_http_1_1_without_one_host(target: str, fields: list[tuple[str, str]], gateway: Gateway) -> None:
    method = "POST" if target == "/svc/$batch" else "GET"
    with rest.Wire(gateway.http_port) as wire:
        wire.begin(method, target, [*fields, ("Content-Length", "0")], host=None)
        assert wire.answer().status == 400


@pytest.mark.both_fronts
@pytest.mark.parametrize("coding", ["gzip, chunked", "x", "gzip", "identity, chunked"])
def test_FR_12_a_transfer_coding_besides_chunked_is_501(coding: str, gateway: Gateway) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Transfer-Encoding": coding})
        assert wire.head().status == 501


@pytest.mark.parametrize(
    ("size", "status"),
    [
        *((line, 200) for line in ("f", "f ", "f\t ", "f ;a=b", "f\t;a", 'f;a="b c"', "f;a;b=c")),
        *((line, 400) for line in (" f", "f f", "f ; a=b", "f; a", "f;a = b", "f;a ;b", "f\x0b;a", "f;a\nb", "\tf")),
    ],
)
def test_FR_12_white_space_in_the_line_of_a_chunk(size: str, status: int, gateway: Gateway) -> None:
    """RFC 9112 7.1.1: before the semicolon, and nowhere where another reader might find another size."""
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        wire.send(size.encode() + b'\r\n{"requests":[]}\r\n0 \r\n\r\n')
        assert wire.answer().status == status


@pytest.mark.parametrize("host", ["a b", "a/b", "u@a", "a?", "a,b", "a\tb"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_FR_12_a_host_that_is_none(version: str, host: str, gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(f"GET /healthz HTTP/{version}\r\nHost: {host}\r\n\r\n".encode())
        assert received(sock).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", ["", "a", "a:80", "[::1]:80", "a_b.example", "%C3%A4.example"])
def test_FR_12_hosts_as_they_may_be(host: str, gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert received(sock).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("length", "status"), [(300, 200), (301, 400), (30_000, 400)])
def test_FR_12_the_host_of_a_batch_is_bounded(length: int, status: int, gateway: Gateway) -> None:
    with rest.Wire(gateway.http_port) as wire:
        fields = [("Content-Type", "application/json"), ("Content-Length", "15")]
        wire.begin("POST", "/svc/$batch", fields, host="a" * length)
        wire.send(b'{"requests":[]}')
        answer = wire.answer()
        assert answer.status == status
        assert (b"HostTooLong" in answer.body) == (status == 400)


def test_FR_12_two_hosts_in_http_1_0(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")
        assert received(sock).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("target", "status"),
    [("http://b.example/healthz", 200), ("HTTP://b.example:80/healthz", 200), ("ftp://b.example/healthz", 400)],
)
def test_FR_12_a_target_with_a_host(target: str, status: int, gateway: Gateway) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("GET", target, {"Connection": "close"})
        assert wire.answer().status == status


def test_FR_12_the_host_of_the_target_counts(small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """RFC 9112 3.2.2. Whose URLs the calls' are is judged by it (UR-02)."""
    upstream.on("GET", "/A")
    calls = [rest.get_call("1", "http://b.example:81/svc/A"), rest.get_call("2", "http://a.example/svc/A")]
    body = rest.encode({"requests": calls})
    with rest.Wire(small_gateway.http_port) as wire:
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **rest.STRICT}
        wire.begin("POST", "http://b.example:81/svc/$batch", fields, host="a.example")
        wire.send(body)
        found = wire.answer().by_id()
    assert found["1"]["status"] == 200, found
    assert found["2"]["status"] != 200


@pytest.mark.both_fronts
def test_FR_12_http_1_0_needs_none(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert received(sock).startswith(b"HTTP/1.1 200")


def test_FR_12_an_offer_of_another_protocol_changes_nothing(gateway: Gateway) -> None:
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("GET", "/healthz", {"Connection": "Upgrade", "Upgrade": "h2c"})
        assert wire.answer().status == 200


# --- how long a connection lasts


@pytest.mark.both_fronts
def test_FR_14_a_connection_is_renewed_and_what_runs_on_it_ends_well(
    short_lived: Gateway, served_by: str, gate: Gate
) -> None:
    with Raw(int(short_lived.grpc_address.rpartition(":")[2]), timeout=20) as raw:
        raw.send(settings(flags=ACK), headers(1, grpc_request("Execute"), end=False))
        raw.send(data(1, prefixed(execute("held")), end=True))
        raw.until(lambda found: bool(raw.goaways))
        gate.open()
        assert raw.answer(1).grpc_status == 0
        assert raw.goaways[0].code == Code.NO_ERROR
        if served_by == config.NATIVE:  # grpcio waits for the answer to a ping
            assert raw.ending() == Code.NO_ERROR
