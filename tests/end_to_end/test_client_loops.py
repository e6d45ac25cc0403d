"""Where an AsyncClient may be made, and where it may be used: in the event loop that first did."""

from __future__ import annotations

import asyncio

import pytest
from batchwire.client import AsyncClient, BatchError, Call
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream


async def run(client: AsyncClient) -> list[int]:
    found = [result.status for result in await client.execute([Call("A"), Call("A")])]
    async for result in client.run([Call("A")]):
        found.append(result.status)
    return found


def test_a_client_may_be_made_outside_a_loop(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    client = AsyncClient(gateway.grpc_address, route="/svc/")

    async def used() -> list[int]:
        async with client:
            return await run(client)

    assert asyncio.run(used()) == [200] * 3


def test_a_second_loop_is_told(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    client = AsyncClient(gateway.grpc_address, route="/svc/")

    async def entered() -> None:
        async with client:
            pass

    async def started() -> None:
        client.batch([Call("A")])

    assert asyncio.run(run(client)) == [200] * 3
    for second in (run(client), entered(), started(), client.close()):
        with pytest.raises(RuntimeError, match="belongs to the event loop that first used it"):
            asyncio.run(second)  # type: ignore[arg-type]


def test_without_a_loop_it_is_told() -> None:
    client = AsyncClient("127.0.0.1:9")
    with pytest.raises(RuntimeError, match="used inside an event loop"):
        client.batch([Call("A")])


async def test_a_client_that_was_closed_before_its_use_stays_so() -> None:
    client = AsyncClient("127.0.0.1:9")
    await client.close()
    with pytest.raises(BatchError, match="closed"):
        await client.execute([Call("A")])
    with pytest.raises(BatchError, match="closed"):
        client.batch([Call("A")])
