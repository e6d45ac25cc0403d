"""Compressed messages of gRPC from a client's socket: a few bytes that stand for megabytes (PL-01, PL-13).

Clients run in threads, the front in the test's own process, where its counters can be read.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import AsyncIterator, Iterator

import pytest
from batch_messages import batch, reason
from batchwire.core.session import crowd, turns
from batchwire.v1 import batch_pb2
from harness import grpc_client, grpc_wire
from harness.grpc_wire import GrpcAnswer, answer_of, head, prefixed
from harness.http2_wire import Http2Wire
from harness.scripted import Gate, Reply, ScriptedUpstream
from in_process import whole_front

BOUND, BODY, MESSAGES = 1 << 20, 1 << 18, 40
"""Of the process; of a call; in one read."""
LIMITS = {"max_request_bytes_in_process": BOUND, "max_pending_bytes": BOUND, "max_call_bytes": BOUND}
LITTLE = 1 << 16
"""Bytes that a batch may hold in any case (PL-13)."""
HEAD = head("Batch", [("grpc-encoding", "gzip")])
pytestmark = pytest.mark.timeout(120)


def packed(message: bytes) -> bytes:
    return prefixed(gzip.compress(message), 1)


def post(name: str, size: int, *, first: bool) -> bytes:
    """A BatchRequest of one call."""
    options = grpc_client.options() if first else None
    made = grpc_client.message(grpc_client.call(name, "x", "POST", body=b"x" * size), options=options)
    return bytes(made.SerializeToString())


def statuses(answer: GrpcAnswer) -> dict[str, int]:
    found = grpc_client.results_of(batch_pb2.BatchResponse.FromString(part) for part in answer.messages)
    return {one.id: one.status for one in found}


@pytest.fixture
def gate(upstream: ScriptedUpstream) -> Iterator[Gate]:
    """Until it opens, the upstream answers nothing."""
    gate = upstream.gate()
    upstream.fallback = lambda _: Reply(204, gate=gate)
    yield gate
    gate.open()


@pytest.fixture
async def port(upstream: ScriptedUpstream) -> AsyncIterator[int]:
    async with whole_front(upstream.origin, **LIMITS) as (port, _):
        yield port


async def test_PL_13_one_read_of_compressed_messages_is_unpacked_as_the_batch_may_hold_it(
    port: int, gate: Gate
) -> None:
    data = b"".join(packed(post(str(n), BODY, first=n == 0)) for n in range(MESSAGES))
    assert len(data) < 1 << 16
    held: list[int] = []

    def client() -> GrpcAnswer:
        with Http2Wire(port) as wire:
            stream = wire.open(HEAD)
            wire.send(stream, data, end=True)
            wire.ping()
            wire.wait(lambda: bool(wire.pongs), "all has been read")
            held.append(crowd.stats()["request_held"])
            gate.open()
            return answer_of(wire.answer(stream))

    answer = await asyncio.to_thread(client)
    # Beside the bound, the message that is being read and the one that waits behind it.
    assert held[0] < BOUND + 3 * BODY
    assert statuses(answer) == {str(n): 204 for n in range(MESSAGES)}
    assert crowd.stats() == {"request_held": 0, "request_waiting": 0}


async def test_PL_13_first_messages_count_while_they_are_unpacked(port: int, gate: Gate) -> None:
    """Before there is a batch that could hold them."""
    streams = 20
    data = packed(post("1", 3 * BODY, first=True))
    held: list[int] = []

    def client() -> list[GrpcAnswer]:
        with Http2Wire(port) as wire:
            opened = [wire.open(HEAD) for _ in range(streams)]
            for stream in opened:
                wire.send(stream, data, end=True)
            return [answer_of(wire.answer(stream)) for stream in opened]

    task = asyncio.ensure_future(asyncio.to_thread(client))
    while crowd.stats()["request_waiting"] < streams - 5:
        held.append(crowd.stats()["request_held"])
        await asyncio.sleep(0)
    for _ in range(1000):
        # The one that goes on has the turn until its call has ended, not only until its message is whole.
        held.append(crowd.stats()["request_held"])
        await asyncio.sleep(0)
    gate.open()
    answers = await task
    # Each has LITTLE, and a step beyond it; the last that had room, and the one that goes on in any case, a message.
    assert max(held) < BOUND + 2 * streams * LITTLE + 2 * 3 * BODY
    assert [statuses(answer) for answer in answers] == [{"1": 204}] * streams
    assert crowd.stats() == {"request_held": 0, "request_waiting": 0}


async def test_PL_13_nothing_waits_for_the_garbage_collector(port: int, gate: Gate) -> None:
    """Which may not run for minutes; a call that is cut off amid its messages keeps none of them."""

    def client() -> None:
        with Http2Wire(port) as wire:
            stream = wire.open(HEAD)
            wire.send(stream, b"".join(packed(post(str(n), BODY, first=n == 0)) for n in range(MESSAGES)))
            wire.ping()
            wire.wait(lambda: bool(wire.pongs), "all has been read")

    def backlogs() -> int:
        return sum(type(found).__name__ == "Backlog" for found in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        await asyncio.to_thread(client)
        while crowd.stats()["request_held"]:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert backlogs() == 0
    finally:
        gc.enable()


async def test_PL_01_a_message_is_unpacked_in_slices(port: int, gate: Gate) -> None:
    """With others served between them."""
    gate.open()

    def client() -> GrpcAnswer:
        with Http2Wire(port) as wire:
            stream = wire.open(HEAD)
            wire.send(stream, packed(post("1", 3 * BODY, first=True)), end=True)
            return answer_of(wire.answer(stream))

    before = turns.stats()["slices"]
    turns.force(1)
    try:
        answer = await asyncio.to_thread(client)
    finally:
        turns.force(0)
    assert statuses(answer) == {"1": 204}
    assert turns.stats()["slices"] - before >= 3 * BODY // LITTLE


async def test_PL_01_messages_behind_a_compressed_one_wait_for_it(port: int, gate: Gate) -> None:
    """The first has the options, the others must not: their order is kept whatever is compressed."""
    gate.open()
    data = packed(batch("0")) + b"".join(
        (packed if n % 3 else prefixed)(batch(str(n), first=False)) for n in range(1, 20)
    )

    def client() -> GrpcAnswer:
        with Http2Wire(port) as wire:
            stream = wire.open(HEAD)
            wire.send(stream, data, end=True)
            return answer_of(wire.answer(stream))

    turns.force(1)
    try:
        answer = await asyncio.to_thread(client)
    finally:
        turns.force(0)
    assert statuses(answer) == {str(n): 204 for n in range(20)}


@pytest.mark.parametrize("flaw", [b"\x07", prefixed(b"x" * 100)[:50], prefixed(b"no gzip", 1)])
async def test_FR_01_what_is_wrong_is_told_behind_the_messages_before_it(port: int, gate: Gate, flaw: bytes) -> None:
    gate.open()
    data = packed(batch("1")) + packed(batch("2", first=False)) + flaw + bytes(4 if len(flaw) == 1 else 0)

    def client() -> GrpcAnswer:
        with Http2Wire(port) as wire:
            stream = wire.open(HEAD)
            wire.send(stream, data, end=True)
            return answer_of(wire.answer(stream))

    answer = await asyncio.to_thread(client)
    assert (answer.code, reason(answer)) == (grpc_wire.INVALID_ARGUMENT, "BadMessage")
    assert statuses(answer) == {"1": 204, "2": 204}
