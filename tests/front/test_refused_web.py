"""Batches over gRPC-Web and Connect that are refused or break off leave nothing to the garbage collector (PL-13).

Which may not run for minutes, while each keeps a message.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import tracemalloc

import pytest
from batchwire.v1 import batch_pb2
from google.protobuf import json_format
from harness import grpc_client
from harness.grpc_wire import SERVICE, prefixed
from harness.http2_wire import Http2Wire, request
from harness.scripted import ScriptedUpstream
from in_process import WEB_KINDS, closed, whole_front

SIZE = 1_000_000


def two_of_one_id(kind: str) -> bytes:
    calls = [grpc_client.call("a", "x", method="POST", body=b"x" * SIZE), grpc_client.call("a", "x")]
    made = batch_pb2.ExecuteRequest(calls=calls)
    text = json.dumps(json_format.MessageToDict(made)).encode() if kind.endswith("json") else made.SerializeToString()
    return text if kind.startswith("unary") else prefixed(text)


def malformed(kind: str) -> bytes:
    return b"\xff" * SIZE if kind.startswith("unary") else prefixed(b"\xff" * SIZE)


@pytest.mark.parametrize("made", [two_of_one_id, malformed])
@pytest.mark.parametrize("kind", WEB_KINDS)
async def test_PL_13_what_is_refused_is_freed_without_the_collector(
    kind: str, made: object, upstream: ScriptedUpstream
) -> None:
    assert callable(made)
    method, media = WEB_KINDS[kind]
    body = made(kind)

    def client(port: int) -> None:
        with Http2Wire(port) as wire:
            sent = base64.b64encode(body) if kind == "grpc-web-text" else body
            wire.ask(request("POST", f"{SERVICE}/{method}", [("content-type", media)]), sent)

    async with whole_front(upstream.origin) as (port, _):
        gc.collect()
        gc.disable()
        try:
            await asyncio.to_thread(client, port)  # what is made once is there
            tracemalloc.start()
            await asyncio.to_thread(client, port)
            await closed()
            assert tracemalloc.get_traced_memory()[0] < SIZE
        finally:
            tracemalloc.stop()
            gc.enable()
