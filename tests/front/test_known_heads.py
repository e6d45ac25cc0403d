"""Heads of batches that are known are not negotiated again, and each batch has what is its own: rules PL-01, PL-02."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from batchwire.service.fronts.batches import rest_servicer
from batchwire.service.state import Service
from harness.scripted import ScriptedUpstream
from in_process import whole_front

BODY = json.dumps({"requests": [{"id": "1", "method": "get", "url": "things/1"}]}).encode()
LONG = 20_000


class Negotiations:
    """How often a head was negotiated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._find = rest_servicer.find
        monkeypatch.setattr(rest_servicer, "find", self.find)

    def find(self, *place: str) -> Any:
        found = self._find(*place)
        return found and (replace(found[0], negotiate=self._counting(found[0].negotiate)), found[1])

    def _counting(self, negotiate: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            self.count += 1
            return negotiate(*arguments)

        return counted


class Client:
    """One connection of HTTP/1.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def batch(self, *fields: tuple[str, str], target: str = "/svc/$batch", body: bytes = BODY) -> tuple[int, Any]:
        """Status and body of the answer."""
        usual = [("Host", "gw.example"), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        head = "".join(f"{name}: {value}\r\n" for name, value in [*usual, *fields])
        self._writer.write(f"POST {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = answer.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        text = await self._reader.readexactly(int(length)) if length else await self._chunks()
        return int(answer.split()[1]), json.loads(text)

    async def _chunks(self) -> bytes:
        text = b""
        while size := int(await self._reader.readline(), 16):
            text += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()
        return text


@asynccontextmanager
async def client_of(upstream: ScriptedUpstream) -> AsyncIterator[tuple[Client, Service]]:
    async with whole_front(upstream.origin) as (port, service):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield Client(reader, writer), service
        finally:
            writer.close()


async def test_PL_01_a_head_is_negotiated_once(upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each request says anew is no part of it, and goes to the calls of its own batch alone."""
    negotiations = Negotiations(monkeypatch)
    async with client_of(upstream) as (client, _):
        for n in range(3):
            own = [("X-Request-Id", f"r{n}"), ("Authorization", f"Bearer {n}"), ("User-Agent", f"u{n}")]
            status, answer = await client.batch(*own)
            assert (status, answer["responses"][0]["id"]) == (200, "1")
        status, _ = await client.batch()
        assert status == 200
    assert negotiations.count == 1
    seen = [dict(request.headers) for request in upstream.log]
    assert [fields.get("x-request-id") for fields in seen] == ["r0", "r1", "r2", None]
    assert not any("u1" in fields.values() for fields in seen)


@pytest.mark.parametrize(
    "fields",
    [
        [("OData-MaxVersion", "4.0")],
        [("Prefer", "continue-on-error=false")],
        [("Accept", "application/json")],
        [("X-Other", "1")],
        [("Batchwire-Hop", "1")],
    ],
    ids=lambda fields: fields[0][0],
)
async def test_every_other_field_makes_another_head(
    fields: list[tuple[str, str]], upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    negotiations = Negotiations(monkeypatch)
    async with client_of(upstream) as (client, _):
        for said in ([], fields, [], fields):
            assert (await client.batch(*said))[0] == 200
        assert negotiations.count == 2
        assert (await client.batch(target="/svc/$batch?a=1"))[0] == 200
    assert negotiations.count == 3


@pytest.mark.parametrize(
    "fields",
    [
        [("Connection", "x-other"), ("X-Other", "1")],
        [("X-Request-Id", "1"), ("X-Request-Id", "2")],
    ],
    ids=["fields of the connection", "twice"],
)
async def test_a_head_that_is_out_of_the_ordinary_is_looked_at_each_time(
    fields: list[tuple[str, str]], upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    negotiations = Negotiations(monkeypatch)
    async with client_of(upstream) as (client, _):
        for _ in range(2):
            assert (await client.batch(*fields))[0] == 200
    assert negotiations.count == 2
    assert "x-other" not in dict(upstream.log[-1].headers)


async def test_PL_01_heads_that_are_refused_are_remembered(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And drive out none that are not."""
    negotiations = Negotiations(monkeypatch)
    async with client_of(upstream) as (client, _):
        assert (await client.batch(("Accept", "*/*")))[0] == 200
        first, again = [await client.batch(("Accept", "a/b")) for _ in range(2)]
        assert first[0] == 406
        assert first == again
        assert negotiations.count == 2
        for number in range(300):
            assert (await client.batch(("Accept", f"a/b{number}")))[0] == 406
        assert negotiations.count == 302
        assert (await client.batch(("Accept", "*/*")))[0] == 200
        assert negotiations.count == 302
        await client.batch(("Accept", "a/b0"))
        assert negotiations.count == 303, "all of them are kept"


async def test_PL_02_long_heads_are_not_kept(upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    negotiations = Negotiations(monkeypatch)
    async with client_of(upstream) as (client, _):
        await client.batch(("X-0", "v" * LONG))
        tracemalloc.start()
        try:
            for n in range(1, 60):
                assert (await client.batch((f"X-{n}", "v" * LONG)))[0] == 200
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert negotiations.count == 60
    assert kept < 10 * LONG


async def test_a_known_head_is_refused_while_too_many_batches_run(
    upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OP-14: in the form of the dialect, and counted; and so it is while the gateway stops."""
    negotiations = Negotiations(monkeypatch)
    async with client_of(upstream) as (client, service):
        assert (await client.batch())[0] == 200
        monkeypatch.setattr(service, "refused", lambda *said: refused.append(said))
        refused: list[Any] = []
        service.ledger.draining = True
        status, answer = await client.batch()
        service.ledger.draining = False
    assert (status, answer["error"]["code"]) == (503, "Draining")
    assert [said[:4] for said in refused] == [("rest", "/svc/", 503, "Draining")]
    assert negotiations.count == 1
