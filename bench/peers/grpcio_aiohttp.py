"""The peer: the `Batch` RPC on grpc.aio, aiohttp, asyncio.gather, the generated classes and uvloop.

Written as a good engineer would with the usual libraries: one shared session with a bounded connector,
no cookies, calls of a message run concurrently and answered in one message. It has none of batchwire's
dependencies, groups, limits or deadlines, so it does less work a call, which is in its favour.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import grpc
import uvloop
from batchwire.v1 import batch_pb2 as pb
from batchwire.v1 import batch_pb2_grpc as pb_grpc


class Gateway(pb_grpc.BatchServiceServicer):
    """BatchService with `Batch` only."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def _run(self, call: Any) -> Any:
        headers = [(header.name, header.value) for header in call.headers]
        body = call.body if call.HasField("body") else None
        try:
            async with self._session.request(call.method, call.url, headers=headers, data=body) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return pb.Result(id=call.id, status=502, outcome=pb.OUTCOME_UNREACHABLE)
        good = 200 <= answer.status < 300
        return pb.Result(
            id=call.id,
            status=answer.status,
            headers=[pb.Header(name=name, value=value) for name, value in answer.headers.items()],
            body=content,
            outcome=pb.OUTCOME_SUCCEEDED if good else pb.OUTCOME_FAILED,
        )

    async def Batch(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        """Answers each request message with one response message, then sends the summary."""
        start = time.monotonic()
        calls = succeeded = 0
        async for message in requests:
            results = await asyncio.gather(*map(self._run, message.calls))
            calls += len(results)
            succeeded += sum(result.outcome == pb.OUTCOME_SUCCEEDED for result in results)
            yield pb.BatchResponse(results=results)
        summary = pb.BatchSummary(calls=calls, succeeded=succeeded, failed=calls - succeeded)
        summary.elapsed.FromMicroseconds(int((time.monotonic() - start) * 1e6))
        yield pb.BatchResponse(summary=summary)


async def _serve(upstream: str, connections: int) -> None:
    connector = aiohttp.TCPConnector(limit=connections)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(upstream, connector=connector, cookie_jar=jar) as session:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        pb_grpc.add_BatchServiceServicer_to_server(Gateway(session), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        entry = {"event": "listening", "front": "grpc", "address": f"127.0.0.1:{port}"}
        print(json.dumps(entry), file=sys.stderr, flush=True)
        await server.wait_for_termination()


def main() -> None:
    """Options: the upstream's URL and how many connections to hold to it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--connections", type=int, required=True)
    options = parser.parse_args()
    uvloop.run(_serve(options.upstream, options.connections))


if __name__ == "__main__":
    main()
