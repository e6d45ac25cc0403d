"""AN-05 over gRPC-Web and Connect: clients that take nothing hold up the reading of answers, and then get them all.

Clients run in threads, the front in the test's own process, where its counters can be read.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from batchwire.core.dispatch.inflow import stats
from batchwire.v1 import batch_pb2
from google.protobuf import json_format
from harness import grpc_client
from harness.grpc_wire import SERVICE, prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import Received, Reply, ScriptedUpstream
from in_process import WEB_KINDS, closed, come_true, whole_front

BODY, SHORT, CALLS, CLIENTS, WINDOW = 300_000, 1000, 8, 6, 65_535
BOUND = 8 * BODY
LIMITS = {"max_answer_bytes_in_process": BOUND, "max_answer_bytes_in_flight": BOUND}
pytestmark = pytest.mark.timeout(120)


def asked(kind: str, calls: int) -> bytes:
    path = "small" if calls == 1 else "large" if calls <= CALLS else "short"
    made = batch_pb2.ExecuteRequest(
        calls=[grpc_client.call(str(n), path) for n in range(calls)], options=grpc_client.options()
    )
    text = json_format.MessageToJson(made).encode() if kind.endswith("json") else made.SerializeToString()
    if kind.startswith("unary"):
        return text
    return base64.b64encode(prefixed(text)) if kind == "grpc-web-text" else prefixed(text)


def sizes(kind: str, answer: bytes) -> list[int]:
    """Of the bodies of all results."""
    messages = []
    if kind == "grpc-web-text":
        parts = answer.replace(b"=", b"= ").replace(b"= =", b"==").split()
        answer = b"".join(base64.b64decode(part) for part in parts)
    if kind.startswith("unary"):
        messages = [answer]
    while not kind.startswith("unary") and answer[0] == 0:
        end = 5 + int.from_bytes(answer[1:5], "big")
        messages.append(answer[5:end])
        answer = answer[end:]
    found = []
    for message in messages:
        made = batch_pb2.BatchResponse()
        if kind.endswith("json"):
            json_format.ParseDict(json.loads(message), made)
        else:
            made.ParseFromString(message)
        found += [len(result.body) for result in made.results]
    return found


def take(port: int, kind: str, calls: int, go: threading.Event | None) -> list[int]:
    """go: the window of the answer opens with it; None: at once."""
    method, media = WEB_KINDS[kind]
    with Http2Wire(port, open_window=go is None) as wire:
        stream = wire.open(request("POST", f"{SERVICE}/{method}", [("content-type", media)]))
        wire.send(stream, asked(kind, calls), end=True)
        if go is not None:
            go.wait(60)
            wire.open_window = True
            wire.h2.increment_flow_control_window(1 << 26, stream)
            wire.h2.increment_flow_control_window(1 << 26)
            wire.flush()
        return sizes(kind, bytes(wire.answer(stream, 60).data))


@pytest.fixture
async def port(upstream: ScriptedUpstream) -> AsyncIterator[int]:
    def reply(asked: Received) -> Reply:
        size = {"/large": BODY, "/short": SHORT, "/small": 10}[asked.path]
        return Reply(200, [("Content-Type", "image/png")], b"x" * size)

    upstream.fallback = reply
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * CLIENTS))
    async with whole_front(upstream.origin, **LIMITS) as (port, _):
        yield port
        await closed()
    assert (stats()["answers_out"], stats()["answers_reading"]) == (0, 0)


@pytest.mark.parametrize("kind", WEB_KINDS)
async def test_AN_05_what_web_clients_do_not_take_holds_up_reading(kind: str, port: int) -> None:
    go = threading.Event()
    tasks = [asyncio.ensure_future(asyncio.to_thread(take, port, kind, CALLS, go)) for _ in range(CLIENTS)]
    await come_true(lambda: stats()["answers_waiting"] > 0)
    assert await asyncio.to_thread(take, port, kind, 1, None) == [10]
    go.set()
    assert await asyncio.gather(*tasks) == [[BODY] * CALLS] * CLIENTS


@pytest.mark.parametrize("kind", WEB_KINDS)
async def test_AN_05_what_waits_with_a_web_front_counts(kind: str, port: int) -> None:
    """Also of a batch that is over, whose answer is all with the front."""
    go = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(take, port, kind, 2, go))
    await come_true(lambda: stats()["answers_out"] >= 2 * BODY - WINDOW)
    go.set()
    assert await task == [BODY] * 2


@pytest.mark.parametrize("kind", WEB_KINDS)
async def test_AN_05_what_a_web_front_makes_when_it_is_sent_counts_once(kind: str, port: int) -> None:
    """The text of a long body is not there beside it."""
    go = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(take, port, kind, 2, go))
    await come_true(lambda: stats()["answers_out"] >= 2 * BODY - WINDOW)
    go.set()
    most = 0
    while not task.done():
        most = max(most, stats()["answers_out"])
        await asyncio.sleep(0)
    assert await task == [BODY] * 2
    assert most <= 3 * BODY


async def test_AN_05_of_short_results_their_text_counts_and_not_their_message(port: int) -> None:
    """It is made at once; then the message is not there any more."""
    calls = 400
    go = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(take, port, "unary-json", calls, go))
    message, text = calls * SHORT, calls * SHORT * 4 // 3
    await come_true(lambda: text < stats()["answers_out"] < message + text - 2 * WINDOW)
    go.set()
    assert await task == [SHORT] * calls
