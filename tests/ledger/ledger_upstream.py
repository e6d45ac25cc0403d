"""The upstream of the ledger: it books every call by its token, and fails one in twenty.

Every call carries its token (`tenant-batch-number`) in x-token, and its batch carries the tenant in Authorization and
Accept-Language. What comes under another tenant's name is noted in `problems`. Must never answer a call with the token
of another.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections import Counter
from typing import Any

from harness.batching import BATCH, BatchingUpstream, Member
from harness.scripted import Headers, Received, Reply, json_reply, odata_error

FAULTS = 0.05
KINDS = ("early", "reset", "cut", "error", "slow")


class _Cut(ConnectionError):
    """A part of the answer is sent, then the connection is reset."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data


def tenant_of(token: str) -> str:
    return token.partition("-")[0]


class LedgerUpstream(BatchingUpstream):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.keep_log = False
        self.fallback = self.book
        self.seed = seed
        self.booked: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def fault_of(self, what: str) -> str | None:
        """What goes wrong with this call at this arrival."""
        chance = random.Random(f"{self.seed}/{what}")
        return chance.choice(KINDS) if chance.random() < FAULTS else None

    def book(self, call: Received) -> Reply:
        token = call.header("x-token") or ""
        if not token:
            self.problems.append(f"{call.line} without a token")
        self.booked[token] += 1
        self._same_tenant(token, call.header("authorization"), call.header("accept-language"), call.line)
        fault = self.fault_of(f"{token}/{self.booked[token]}")
        fields = [("X-Echo", token), ("ETag", f'W/"{token}"')]
        if fault is not None:
            self.faults[fault] += 1
        if fault == "error":
            return odata_error(500, headers=fields)
        delay = 0.3 if fault == "slow" else 0.0
        if fault in ("reset", "cut"):
            fields.append(("X-Fault", fault))
        if call.method == "DELETE":
            return Reply(204, fields, delay=delay)
        if call.method == "POST":
            fields.append(("Location", f"{self.origin}/{token}.made"))
        body = {"token": token, "v": len(token), "@odata.etag": f'W/"{token}"'}
        return json_reply(body, 201 if call.method == "POST" else 200, fields, delay=delay)

    def _same_tenant(self, token: str, authorization: str | None, language: str | None, where: str) -> None:
        mine = tenant_of(token)
        if authorization is not None and authorization != f"Bearer {mine}":
            self.problems.append(f"{where}: {token} came with {authorization}")
        if language is not None and language != mine:
            self.problems.append(f"{where}: {token} came with accept-language {language}")

    def _check(self, call: Received, members: list[Member]) -> None:
        super()._check(call, members)
        for member in members:
            token = {name.lower(): value for name, value in member.headers}["x-token"]
            self._same_tenant(token, call.header("authorization"), call.header("accept-language"), call.line)

    def _reply(self, call: Received) -> Reply:
        reply = super()._reply(call)
        if call.path == BATCH:
            self.unpacked.clear()
            self.applied.clear()
            fault = self.fault_of(call.body.decode("latin-1"))
            if fault in ("reset", "cut"):
                self.faults[fault] += 1
                reply.headers.append(("X-Fault", fault))
            reply.delay = 0.3 if fault == "slow" else 0.0
        else:
            self.applied.clear()
        return reply

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whatever closes a connection resets it.
        own: socket.socket = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await super()._connection(reader, writer)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        try:
            return await super()._exchange(reader, writer, number)
        except _Cut as cut:
            writer.write(cut.data)
            await writer.drain()
            return False

    async def _body(self, reader: asyncio.StreamReader, headers: Headers) -> bytes:  # type: ignore[override]
        token = dict(headers).get("x-token")
        if token and self.fault_of(f"{token}/{self.booked[token] + 1}") == "early":
            self.faults["early"] += 1
            raise ConnectionResetError
        return await BatchingUpstream._body(reader, headers)

    @staticmethod
    def _encode(method: str, reply: Reply) -> bytes:
        fault = dict(reply.headers).get("X-Fault")
        data = BatchingUpstream._encode(method, reply)
        if fault == "reset":
            raise ConnectionResetError
        if fault == "cut":
            raise _Cut(data[: len(data) * 2 // 3])
        return data


def echoed(headers: dict[str, str], body: bytes | None) -> set[str]:
    """The tokens that a result names."""
    named = {headers["x-echo"]} if "x-echo" in headers else set()
    if body:
        value: Any = json.loads(body)
        if isinstance(value, dict) and "token" in value:
            named.add(value["token"])
    return named
