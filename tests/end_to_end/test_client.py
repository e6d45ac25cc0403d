"""The Python client against a real gateway: what docs/client.md promises of calls and results."""

from __future__ import annotations

import gzip

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


BODIES = [
    ("application/json; charset=latin-1", '{"a":"Grüße"}'.encode("latin-1")),
    ("application/json; charset=latin-1", '{"a":"Grüße"}'.encode()),  # RFC 8259 8.1: what is UTF-8, is
    ("application/json", '{"a":"Grüße"}'.encode("utf-16")),
    ('application/json;x="y" ; Charset = "windows-1252"', '{"a":"Grüße"}'.encode("latin-1")),
]


@pytest.mark.parametrize(("media", "body"), BODIES)
async def test_json_in_the_charset_that_it_names(
    media: str, body: bytes, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/latin", Reply(200, [("Content-Type", media)], body))
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        (result,) = await client.execute([Call("latin")])
    assert result.body == body
    assert result.json() == {"a": "Grüße"}


async def test_what_cannot_be_read_says_why(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    coded = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    upstream.on("GET", "/coded", Reply(200, coded, gzip.compress(b"{}")))
    upstream.on("GET", "/odd", Reply(200, [("Content-Type", "application/json;charset=x")], b'"\xe4"'))
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        result, odd = await client.execute([Call("coded", id="c"), Call("odd")])
    for read in (result.json, lambda: result.text):
        with pytest.raises(ValueError, match=r"the body of 'c' is coded \(gzip\); `body` has its bytes"):
            read()
    assert result.body is not None
    assert gzip.decompress(result.body) == b"{}"
    with pytest.raises(UnicodeDecodeError):
        odd.json()


async def test_AN_04_half_of_a_surrogate_pair_travels_as_an_escape(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/json", json_reply({}))
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        (result,) = await client.execute([Call("json", method="POST", json={"ü": "\ud800"})])
        nested: list[object] = []
        for _ in range(100_000):
            nested = [nested]
        with pytest.raises(RecursionError, match=r"Call\.json of '0'"):
            await client.execute([Call("json", method="POST", json=nested)])
    assert result.ok
    assert upstream.log[-1].body == b'{"\\u00fc":"\\ud800"}'


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
