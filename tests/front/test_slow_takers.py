"""AN-16 from a client's socket: who takes slowly what there is for it holds up others for a while, and is cut then.

Clients run in threads, the front in the test's own process, where its counters and sessions can be read.
"""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from batchwire.core import Session
from batchwire.core.dispatch.inflow import stats
from batchwire.service.state import Service
from batchwire.v1 import batch_pb2
from harness import grpc_client
from harness.grpc_wire import SERVICE, prefixed
from harness.http2 import PREFACE, Setting, data, grpc_request, headers, request, settings, window_update
from harness.scripted import Received, Reply, ScriptedUpstream
from in_process import closed, come_true, whole_front

MIB = 1 << 20
BOUND, BODY, CLIENTS = 48 * MIB, 8 * MIB, 5
"""Of the process; of an answer, of which sockets hold a part; clients, which are to hold more than the bound."""
LIMITS = {"max_answer_bytes_in_process": BOUND, "max_answer_bytes_in_flight": BOUND}
PAUSE = 0.1
WIDE, NARROW = 1 << 30, 65535
"""Windows: the connection holds the client up, or the window of its stream alone."""
ODATA = request("POST", "/svc/$batch", ("content-type", "application/json"), ("odata-version", "4.01"))
MIXED = [field if field[0] != "content-type" else ("content-type", "multipart/mixed;boundary=b") for field in ODATA]
WEB = f"{SERVICE}/Batch"
pytestmark = pytest.mark.timeout(120)


def http1(path: str, media: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: gw.example\r\nOData-Version: 4.01\r\nContent-Type: {media}\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def http2(window: int, fields: list[tuple[str, str]], body: bytes) -> bytes:
    """window: of the stream; that of the connection is as wide as can be."""
    start = PREFACE + settings({Setting.INITIAL_WINDOW_SIZE: window}) + window_update(0, WIDE)
    return start + headers(1, fields, end=False) + data(1, body, end=True)


def document(url: str) -> bytes:
    return json.dumps({"requests": [{"id": str(n), "method": "GET", "url": url} for n in range(2)]}).encode()


def parts(url: str) -> bytes:
    head = b"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    return (head + f"GET {url} HTTP/1.1\r\n\r\n\r\n".encode()) * 2 + b"--b--\r\n"


def message(url: str) -> bytes:
    options = grpc_client.options(max_message_bytes=4 * BODY)
    calls = [grpc_client.call(str(n), url) for n in range(2)]
    return batch_pb2.ExecuteRequest(calls=calls, options=options).SerializeToString()


SENT = {
    "json": lambda url: http1("/svc/$batch", "application/json", document(url)),
    "multipart": lambda url: http1("/svc/$batch", "multipart/mixed;boundary=b", parts(url)),
    "json, HTTP/2": lambda url: http2(WIDE, ODATA, document(url)),
    "json, by its window": lambda url: http2(NARROW, ODATA, document(url)),
    "multipart, by its window": lambda url: http2(NARROW, MIXED, parts(url)),
    "grpc": lambda url: http2(WIDE, grpc_request("Batch"), prefixed(message(url))),
    "grpc, by its window": lambda url: http2(NARROW, grpc_request("Batch"), prefixed(message(url))),
    "execute": lambda url: http2(WIDE, grpc_request("Execute"), prefixed(message(url))),
    "execute, by its window": lambda url: http2(NARROW, grpc_request("Execute"), prefixed(message(url))),
    "grpc-web": lambda url: http1(WEB, "application/grpc-web+proto", prefixed(message(url))),
    "connect, unary": lambda url: http1(f"{SERVICE}/Execute", "application/proto", message(url)),
}


def take(port: int, way: str, rate: int, least: int, end: threading.Event, url: str = "large") -> int:
    """Takes `rate` bytes at a time until it has `least` or `end` is set, then all there is; how many came.

    Below 0: the connection, or the stream, was cut after as many.
    """
    by_window = way.endswith("by its window")
    got = 0
    with socket.socket() as client:
        # Where its window is what counts, the socket must not be.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB if by_window else 4096)
        client.settimeout(60)
        client.connect(("127.0.0.1", port))
        client.sendall(SENT[way](url))
        try:
            while got < least and not end.wait(PAUSE):
                if by_window:
                    client.sendall(window_update(1, rate))
                if select.select([client], [], [], 0)[0]:  # after the end of its stream nothing more comes
                    some = client.recv(rate)
                    got += len(some)
                    if not some:
                        return -got
            if end.is_set():
                return got
            if by_window:
                client.sendall(window_update(1, WIDE))
            while got < 2 * BODY:
                some = client.recv(MIB)
                got += len(some)
                if not some:
                    return -got
        except (ConnectionError, TimeoutError):
            return -got
    return got


def ask(port: int) -> bytes:
    """A call of a large answer, from a client that takes all at once."""
    call = {"id": "1", "method": "GET", "url": "large"}
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(http1("/svc/$batch", "application/json", json.dumps({"requests": [call]}).encode()))
        answer = bytearray()
        while some := client.recv(MIB):
            answer += some
    return bytes(answer)


@pytest.fixture(autouse=True)
async def _threads(upstream: ScriptedUpstream) -> None:
    large = Reply(200, [("Content-Type", "text/plain")], b"x" * BODY)

    def reply(_: Received) -> Reply:
        return large

    upstream.fallback = reply
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4 * CLIENTS))


def codes(sessions: list[Session]) -> set[Any]:
    return {getattr(session.failure, "code", None) for session in sessions}


async def crowd(
    port: int, service: Service, way: str, rate: int, least: int, end: threading.Event, clients: int = CLIENTS
) -> tuple[list[asyncio.Future[int]], list[Session]]:
    """Takers, when they hold what there is room for, and their sessions."""
    takers = [asyncio.ensure_future(asyncio.to_thread(take, port, way, rate, least, end)) for _ in range(clients)]
    await come_true(lambda: len(service.ledger.batches) == clients)
    sessions = [batch.session for batch in service.ledger.batches]
    assert None not in sessions
    await come_true(lambda: stats()["answers_out"] > BOUND // 8)
    return takers, sessions


@pytest.mark.parametrize("way", SENT)
async def test_AN_16_slow_ones_are_cut_until_the_others_go_on(
    way: str, upstream: ScriptedUpstream, end: threading.Event
) -> None:
    async with whole_front(upstream.origin, **LIMITS | {"client_idle_seconds": 8}) as (port, service):
        takers, sessions = await crowd(port, service, way, 500, 2 * BODY, end)
        answer = await asyncio.to_thread(ask, port)
        assert b'"status":200' in answer, answer[:300]
        assert len(answer) > BODY
        await come_true(lambda: "ClientTooSlow" in codes(sessions))
        end.set()
        await asyncio.gather(*takers)
    await closed()
    assert (stats()["answers_out"], stats()["answers_reading"]) == (0, 0)


async def test_AN_16_many_that_hold_the_room_in_turn_do_not_hold_it_for_the_time_of_all(
    upstream: ScriptedUpstream, end: threading.Event
) -> None:
    """Answers of one message each, of which only one fits: cut every two seconds, others would wait for 24."""
    async with whole_front(upstream.origin, **LIMITS | {"client_idle_seconds": 8}) as (port, service):
        takers, sessions = await crowd(port, service, "execute", 500, 2 * BODY, end, 12)
        assert b'"status":200' in await asyncio.to_thread(ask, port)
        await come_true(lambda: "ClientTooSlow" in codes(sessions))
        end.set()
        await asyncio.gather(*takers)
    await closed()


@pytest.mark.parametrize("way", ["json", "json, by its window", "execute"])
async def test_AN_16_nobody_is_cut_while_nobody_waits(
    way: str, upstream: ScriptedUpstream, end: threading.Event
) -> None:
    limits = {"max_answer_bytes_in_process": 8 * BOUND, "client_idle_seconds": 4}
    async with whole_front(upstream.origin, **limits) as (port, _):
        assert await asyncio.to_thread(take, port, way, 2000, 60_000, end) >= 2 * BODY
    await closed()
