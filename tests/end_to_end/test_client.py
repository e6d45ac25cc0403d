"""The Python client against a real gateway: what docs/client.md promises of calls and results."""

from __future__ import annotations

import pytest
from batchwire.client import AsyncClient, BatchError, Call, Client, ResultError
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/text", Reply(200, [("Content-Type", "text/plain; charset=utf-8")], "Grüße".encode()))
    upstream.on("GET", "/json", json_reply({"a": [1, 2]}))
    upstream.on("GET", "/bytes", Reply(200, [("Content-Type", "image/png")], b"\x89PNG"))


async def test_results_of_every_kind(gateway: Gateway) -> None:
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        text, parsed, binary, missing = await client.execute([Call("text"), Call("json"), Call("bytes"), Call("none")])
    assert text.text == "Grüße"
    assert text.headers.get("CONTENT-TYPE") == "text/plain; charset=utf-8"
    assert text.headers.get("x-none") is None
    assert text.headers.get("x-none", "-") == "-"
    assert parsed.json() == {"a": [1, 2]}
    assert binary.body == b"\x89PNG"
    assert missing.status == 404
    assert not missing.ok
    with pytest.raises(ResultError):
        missing.raise_for_status()


async def test_a_stream_of_many(gateway: Gateway) -> None:
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        seen = [result.id async for result in client.run(Call("json") for _ in range(5_000))]
        async with client.batch([Call("text"), Call("none")], ordered=True) as batch:
            ordered = [result.status async for result in batch]
    assert sorted(seen, key=int) == [str(n) for n in range(5_000)]
    assert ordered == [200, 404]
    assert batch.summary is not None
    assert (batch.summary.calls, batch.summary.succeeded) == (2, 1)


async def test_a_refused_batch(gateway: Gateway) -> None:
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        with pytest.raises(BatchError) as caught:
            await client.execute([Call("text", id="a"), Call("text", id="a")])
    assert caught.value.reason == "DuplicateId"


def test_blocking(gateway: Gateway) -> None:
    with Client(gateway.grpc_address, route="/svc/") as client:
        assert {result.text for result in client.run([Call("text"), Call("text")])} == {"Grüße"}
