"""A client that does not read: the gateway pauses instead of buffering, and goes on when it reads."""

from __future__ import annotations

import time

import pytest
from harness import grpc_client, rest
from harness.gateway import Gateway
from harness.scripted import Received, Reply, ScriptedUpstream

CALLS = 600
BODY = b"z" * 100_000
LARGE = Reply(200, [("Content-Type", "text/plain")], BODY)
GROWTH = 48 << 20


def answer_large(upstream: ScriptedUpstream) -> None:
    def large(_: Received) -> Reply:
        return LARGE

    upstream.fallback = large


def settled(upstream: ScriptedUpstream) -> int:
    """The number of calls the upstream got when for one second no further one has come."""
    seen, since = -1, time.monotonic()
    end = since + 30
    while time.monotonic() - since < 1.0:
        assert time.monotonic() < end, "the calls never settle"
        if len(upstream.log) != seen:
            seen, since = len(upstream.log), time.monotonic()
        time.sleep(0.05)
    return seen


def test_rest_pauses_for_a_slow_reader(fault_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer_large(upstream)
    before = fault_gateway.rss()
    body = rest.encode({"requests": [rest.get_call(str(n), f"large/{n}") for n in range(CALLS)]})
    with rest.Wire(fault_gateway.http_port, receive_buffer=65536) as wire:
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **rest.STRICT}
        wire.begin("POST", "/good/$batch", fields)
        wire.send(body)
        started = settled(upstream)
        assert 0 < started < CALLS, f"{started} of {CALLS} calls ran though nobody reads"
        assert fault_gateway.rss() - before < GROWTH
        found = wire.answer().by_id()
    assert len(found) == CALLS
    assert all(len(response["body"]) == len(BODY) for response in found.values())
    fault_gateway.wait_idle()


@pytest.mark.both_fronts
def test_grpc_pauses_for_a_slow_reader(fault_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer_large(upstream)
    before = fault_gateway.rss()
    calls = [grpc_client.call(str(n), f"large/{n}") for n in range(CALLS)]
    with grpc_client.Client(fault_gateway.grpc_address) as client:
        stream = client.stub.Batch(iter([grpc_client.message(*calls, options=grpc_client.options("/good/"))]))
        started = settled(upstream)
        assert 0 < started < CALLS, f"{started} of {CALLS} calls ran though nobody reads"
        assert fault_gateway.rss() - before < GROWTH
        found = grpc_client.results_of(stream)
    assert sorted(int(result.id) for result in found) == list(range(CALLS))
    assert all(result.status == 200 and len(result.body) == len(BODY) for result in found)
    fault_gateway.wait_idle()


def test_a_slow_reader_does_not_slow_others(fault_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer_large(upstream)
    body = rest.encode({"requests": [rest.get_call(str(n), f"large/{n}") for n in range(CALLS)]})
    with rest.Wire(fault_gateway.http_port, receive_buffer=65536) as wire:
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **rest.STRICT}
        wire.begin("POST", "/good/$batch", fields)
        wire.send(body)
        settled(upstream)
        for n in range(5):
            other = rest.post(fault_gateway.http_port, {"requests": [rest.get_call("1", f"other/{n}")]}, root="/good/")
            assert other.by_id()["1"]["status"] == 200
        wire.reset()
    fault_gateway.wait_idle()


def test_a_slow_writer_is_waited_for(fault_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """One byte at a time, and the answer is right."""
    upstream.on("GET", "/ok")
    text = rest.encode({"requests": [rest.get_call("1", "ok")]})
    with rest.Wire(fault_gateway.http_port) as wire:
        head = "POST /flow/$batch HTTP/1.1\r\nHost: gw.example\r\nContent-Type: application/json\r\n"
        wire.expect("POST")
        for byte in f"{head}OData-Version: 4.01\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text:
            wire.send(bytes([byte]))
        assert wire.answer().by_id()["1"]["status"] == 200


def test_an_oversize_answer_costs_that_call_alone(fault_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    for chunked in (False, True):
        upstream.on("GET", f"/big/{chunked}", Reply(200, LARGE.headers, b"z" * 2_000_000, chunked=chunked))
    calls = [rest.get_call("1", "big/False"), rest.get_call("2", "big/True"), rest.get_call("3", "ok")]
    found = rest.post(fault_gateway.http_port, {"requests": calls}, root="/good/").by_id()
    assert {name: response["status"] for name, response in found.items()} == {"1": 502, "2": 502, "3": 200}
    assert rest.is_odata_error(found["1"]["body"])
    assert rest.is_odata_error(found["2"]["body"])


@pytest.mark.both_fronts
def test_a_client_that_sends_on_can_read_why_it_is_refused(small_gateway: Gateway) -> None:
    """RFC 9112 9.6: closing with unread input would make the kernel reset the connection, and the answer be lost."""
    with rest.Wire(small_gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
        for _ in range(30):
            wire.chunk(b" " * 1_000)
        time.sleep(0.3)  # the gateway has refused the document
        for _ in range(30):
            wire.chunk(b" " * 1_000)
            time.sleep(0.005)
        answer = wire.answer()
        assert answer.status == 413
        assert answer.header("Connection") == "close"
        assert wire.closed()
