"""AN-05 from a client's socket: what a front has taken, and its client has not, still counts.

The client runs in a thread, the front in the test's own process, where its counters can be read.
"""

from __future__ import annotations

import asyncio

import pytest
from batch_messages import batch
from batchwire.core.dispatch.inflow import stats
from harness import rest
from harness.grpc_wire import head, prefixed
from harness.http2_wire import Fields, Http2Wire, request
from harness.scripted import Reply, ScriptedUpstream
from in_process import closed, whole_front

BODY, WINDOW = 3_000_000, 65_535
JSON = [("content-type", "application/json"), ("odata-version", "4.01")]
DOCUMENT = rest.encode({"requests": [rest.get_call("1", "A")]})
pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    ("fields", "data"),
    [(request("POST", "/svc/$batch", JSON), DOCUMENT), (head("Batch"), prefixed(batch("1")))],
    ids=["rest", "grpc"],
)
async def test_AN_05_what_waits_with_the_front_counts(fields: Fields, data: bytes, upstream: ScriptedUpstream) -> None:
    upstream.fallback = lambda _: Reply(200, [("Content-Type", "text/plain")], b"x" * BODY)

    async with whole_front(upstream.origin) as (port, _):
        wire = await asyncio.to_thread(Http2Wire, port, open_window=False)
        with wire:
            stream = await asyncio.to_thread(wire.open, fields)
            await asyncio.to_thread(wire.send, stream, data, end=True)
            heard = wire.heard[stream]
            await asyncio.to_thread(wire.wait, lambda: len(heard.data) == WINDOW, "as much as there is room for")
            assert stats()["answers_out"] + stats()["answers_reading"] >= BODY - WINDOW
        await closed()
    assert (stats()["answers_out"], stats()["answers_reading"]) == (0, 0)
