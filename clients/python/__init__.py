"""Python client of batchwire: sends batches of HTTP calls over gRPC, asynchronously or blocking.

    async with AsyncClient("127.0.0.1:50051", route="/svc/") as client:
        async for result in client.run(Call(url=f"things/{n}") for n in range(1_000_000)):
            print(result.id, result.status)

Both directions stream with back-pressure, so a batch may have any length. See docs/client.md.
"""

from ._model import Call, Headers, Outcome, Result, Summary, Timings
from .aio import AsyncBatch, AsyncClient
from .errors import BatchError, ClientError, ResultError
from .sync import Batch, Client

__all__ = [
    "AsyncBatch",
    "AsyncClient",
    "Batch",
    "BatchError",
    "Call",
    "Client",
    "ClientError",
    "Headers",
    "Outcome",
    "Result",
    "ResultError",
    "Summary",
    "Timings",
]
