"""Clients that have gone while their answer waits or is sent: rules FR-06 and ER-07 of the contract."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batchwire.v1 import batch_pb2
from harness import config, grpc_client, rest
from harness.gateway import Gateway, Gateways
from harness.grpc_wire import prefixed
from harness.http2 import PREFACE, Setting, data, grpc_request, headers, settings, window_update
from harness.http2_wire import request
from harness.scripted import Gate, ScriptedUpstream, json_reply

RESET = struct.pack("ii", 1, 0)
CALLS = [rest.get_call("1", "A"), rest.get_call("2", "held"), rest.get_call("3", "after", dependsOn=["2"])]


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    gate = upstream.gate()
    upstream.on("GET", "/A", json_reply({}))
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    upstream.on("GET", "/after", json_reply({}))
    yield gate
    gate.open()


@pytest.fixture
def own(upstream: ScriptedUpstream, served_by: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that reads little ahead, also on a UNIX socket; and whom it served is told by its log alone."""
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    limits = {"max_pending": 4, "client_idle_seconds": 60}
    upstreams = {"things": {"url": upstream.origin + "/"}}
    with Gateways(config.make(upstreams, routes, limits), lambda: tmp_path) as gateways:
        yield gateways.get(served_by)


def asked(document: bytes, path: str = "/svc/$batch", fields: bytes = b"", size: int | None = None) -> bytes:
    return (
        b"POST %b HTTP/1.1\r\nHost: gw.example\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
        % (path.encode(), fields, len(document) if size is None else size, document)
    )


def read_up_to(sock: socket.socket, wanted: bytes) -> bytes:
    sock.settimeout(30)
    found = b""
    while wanted not in found:
        piece = sock.recv(65536)
        assert piece, found
        found += piece
    return found


def ended(gateway: Gateway, since: int) -> str:
    """How the only batch since then has ended."""

    def told() -> list[dict[str, Any]]:
        return [entry for entry in gateway.logs()[since:] if entry.get("event") == "batch"]

    gateway.wait(lambda: bool(told()), "the line of the batch")
    [line] = told()
    return str(line["ended"])


@pytest.mark.both_fronts
@pytest.mark.parametrize("way", ["closed", "reset"])
def test_FR_06_one_that_has_gone_amid_its_answer_is_noticed(
    way: str, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """Nothing is to be written to it that would tell, and nothing of its batch runs on."""
    lines = len(gateway.logs())
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(asked(rest.encode({"requests": CALLS})))
        upstream.wait_for_calls(2)
        read_up_to(sock, b'"status":200')
        if way == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    gateway.wait_idle()
    assert sorted(upstream.lines) == ["GET /A", "GET /held"]
    assert ended(gateway, lines) == "cancelled"


@pytest.mark.parametrize("way", ["closed", "reset"])
def test_FR_06_one_that_has_gone_behind_what_nobody_reads_is_noticed(
    way: str, own: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    """The batch waits for its calls, so that more of it is sent than is read, and its end is behind that."""
    calls = [rest.get_call("1", "A"), *(rest.get_call(str(n), "held") for n in range(2, 6))]
    document = rest.encode({"requests": calls})[:-2] + b" " * 64 + b","
    lines = len(own.logs())
    with socket.create_connection(("127.0.0.1", own.http_port)) as sock:
        sock.sendall(asked(document, "/stream/$batch", size=1 << 30))
        read_up_to(sock, b'"status":200')
        sock.setblocking(False)
        more = rest.encode(rest.get_call("x", "never"))[:-1] + b" " * 65536
        with contextlib.suppress(BlockingIOError):
            while select.select([], [sock], [], 1)[1]:
                sock.send(more)
        if way == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    own.wait(lambda: own.in_flight() == 0, "nothing in flight", 60)
    assert ended(own, lines) == "cancelled"


def halves_of_an_answer(gateway: Gateway, sent: bytes, gate: Gate, last: bytes = b"") -> bytes:
    """What a client reads that closes its side after the first result, and is then asked whether it is there."""
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(sent)
        found = read_up_to(sock, b'"status":200')
        sock.sendall(last)
        sock.shutdown(socket.SHUT_WR)
        while not found.endswith(b"\r\n1"):
            found += sock.recv(65536)
        gate.open()
        while piece := sock.recv(65536):
            found += piece
    return found


def unchunked(answer: bytes) -> tuple[bytes, bytes]:
    """The body, and what stands behind it; a size is as short as it can be."""
    rest_of = answer.partition(b"\r\n\r\n")[2]
    body = b""
    while True:
        size, _, rest_of = rest_of.partition(b"\r\n")
        n = int(size, 16)
        assert size == b"%x" % n
        if n == 0:
            return body, rest_of
        body += rest_of[:n]
        assert rest_of[n : n + 2] == b"\r\n"
        rest_of = rest_of[n + 2 :]


def test_FR_06_a_client_that_closes_its_side_amid_its_answer_reads_on(
    gateway: Gateway, upstream: ScriptedUpstream, gate: Gate
) -> None:
    lines = len(gateway.logs())
    answer = halves_of_an_answer(gateway, asked(rest.encode({"requests": CALLS})), gate)
    body, behind = unchunked(answer)
    assert body.count(b'"status":200') == 3
    assert body.endswith(b"]}")
    assert behind == b"\r\n"
    assert ended(gateway, lines) == "ok"


def test_FR_06_an_answer_that_breaks_off_after_that_says_why(own: Gateway, gate: Gate) -> None:
    """ER-07: nor does it look whole for what was sent ahead."""
    document = rest.encode({"requests": CALLS[:2]})[:-2]
    sent = asked(document, "/stream/$batch", b"TE: trailers\r\n", len(document) + 2)
    answer = halves_of_an_answer(own, sent, gate, b"]]")
    body, behind = unchunked(answer)
    assert body.count(b'"status":200') == 2
    assert not body.rstrip().endswith(b"]}")
    assert behind.startswith(b"odata-error: ")


def test_ER_07_what_is_sent_ahead_is_no_end(gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    """A reader of chunks hears of an end in the middle of one."""
    with socket.create_connection(("127.0.0.1", gateway.http_port)) as sock:
        sock.sendall(asked(rest.encode({"requests": CALLS})))
        found = read_up_to(sock, b'"status":200')
        sock.shutdown(socket.SHUT_WR)
        while not found.endswith(b"\r\n1"):
            found += sock.recv(65536)
    here, there = socket.socketpair()
    with here, there:
        there.sendall(found)
        there.shutdown(socket.SHUT_WR)
        with http.client.HTTPResponse(here) as answer:
            answer.begin()
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
    gateway.wait_idle()


# --- the end of a batch

ODATA = request("POST", "/svc/$batch", [("content-type", "application/json")])


def http2(fields: list[tuple[str, str]], body: bytes) -> bytes:
    """A request on a connection whose windows are as wide as can be."""
    start = PREFACE + settings({Setting.INITIAL_WINDOW_SIZE: 1 << 30}) + window_update(0, (1 << 30))
    return start + headers(1, fields, end=False) + data(1, body, end=True)


def document() -> bytes:
    return rest.encode({"requests": [rest.get_call("1", "large")]})


def message() -> bytes:
    made = batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=[grpc_client.call("1", "large")])
    return prefixed(made.SerializeToString())


SENT = {
    "HTTP/1.1": lambda: asked(document()),
    "HTTP/2": lambda: http2(ODATA, document()),
    "gRPC": lambda: http2(grpc_request("Execute"), message()),
}


def narrow(gateway: Gateway) -> socket.socket:
    """A client for whom the system keeps little."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect(("127.0.0.1", gateway.http_port))
    return sock


@pytest.mark.parametrize("way", SENT)
@pytest.mark.parametrize("reads", [False, True])
def test_FR_06_a_batch_is_ok_only_when_its_answer_has_been_sent(
    reads: bool, way: str, own: Gateway, upstream: ScriptedUpstream
) -> None:
    """All of it was made before the system had taken it; one client reads it, the other resets the connection."""
    upstream.on("GET", "/large", json_reply({"a": "x" * 200_000}))
    lines = len(own.logs())
    with narrow(own) as sock:
        sock.sendall(SENT[way]())
        select.select([sock], [], [], 30)
        found = 0
        while reads and found < 200_000:
            found += len(sock.recv(65536))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if reads:
            assert ended(own, lines) == "ok"
    own.wait_idle()
    assert ended(own, lines) == ("ok" if reads else "cancelled")
