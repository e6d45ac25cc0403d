"""The floor of the gRPC front: grpc.aio on uvloop, raw bytes, answers made beforehand, and no calls at all.

What `Batch` costs in CPU when a gateway's own work is nothing. The bare client beside it shows the calls
without a front; what a gateway costs above the sum of both is its own. Must never do real work.
"""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop
from batchwire.v1 import batch_pb2 as pb

from ..upstream import BODY

_HEADERS = {
    "server": "nginx/1.22.1",
    "date": "Tue, 24 Nov 2026 10:00:00 GMT",
    "content-type": "application/json",
    "content-length": str(len(BODY)),
}


def _answer(request: bytes) -> tuple[int, bytes]:
    """Count of calls, and a response message with a result for each."""
    calls = pb.BatchRequest.FromString(request).calls
    response = pb.BatchResponse()
    for call in calls:
        result = response.results.add(id=call.id, status=200, body=BODY.encode(), outcome=pb.OUTCOME_SUCCEEDED)
        result.headers.extend(pb.Header(name=name, value=value) for name, value in _HEADERS.items())
        result.timings.started_us, result.timings.elapsed_us = 1000, 500
    return len(calls), response.SerializeToString()


class _Front:
    def __init__(self) -> None:
        # By length alone: the load generator sends the same few messages for ever and reads no ids.
        self._answers: dict[int, tuple[int, bytes]] = {}

    async def batch(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        calls, held = 0, b""
        async for request in requests:
            answer = self._answers.get(len(request)) or self._answers.setdefault(len(request), _answer(request))
            calls += answer[0]
            if held:
                yield held
            held = answer[1]
        # Two messages joined are one with the fields of both: the summary costs no message of its own.
        yield held + pb.BatchResponse(summary=pb.BatchSummary(calls=calls, succeeded=calls)).SerializeToString()


async def _serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    methods = {"Batch": grpc.stream_stream_rpc_method_handler(_Front().batch)}
    handler = grpc.method_handlers_generic_handler("batchwire.v1.BatchService", methods)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    entry = {"event": "listening", "front": "grpc", "address": f"127.0.0.1:{port}"}
    print(json.dumps(entry), file=sys.stderr, flush=True)
    await server.wait_for_termination()


def main() -> None:
    """Serves until it is ended."""
    uvloop.run(_serve())


if __name__ == "__main__":
    main()
