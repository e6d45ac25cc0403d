"""A gRPC client made of the generated classes: Batch, Execute and BatchJson.

Must never know more than the public proto says.
"""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from batchwire.v1 import batch_pb2, batch_pb2_grpc
from google.api import httpbody_pb2

from .rest import PUBLIC_HOST

Metadata = list[tuple[str, str]]


def channel(address: str, **options: Any) -> grpc.Channel:
    """A channel whose authority is the public host, as a client behind the real name has it."""
    settings = {"grpc.default_authority": PUBLIC_HOST, "grpc.enable_retries": 0, **options}
    return grpc.insecure_channel(address, options=list(settings.items()))


class Client:
    """Stubs on one channel."""

    def __init__(self, address: str, **options: Any) -> None:
        self.channel = channel(address, **options)
        self.stub: Any = batch_pb2_grpc.BatchServiceStub(self.channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def batch(self, messages: Iterable[Any], timeout: float = 30.0, metadata: Metadata | None = None) -> list[Any]:
        """All response messages of one Batch RPC."""
        return list(self.stub.Batch(iter(messages), timeout=timeout, metadata=metadata))

    def execute(self, message: Any, timeout: float = 30.0, metadata: Metadata | None = None) -> Any:
        return self.stub.Execute(message, timeout=timeout, metadata=metadata)

    def batch_json(self, pieces: Iterable[bytes], metadata: Metadata, timeout: float = 30.0) -> bytes:
        """The joined answer of one BatchJson RPC."""
        messages = (httpbody_pb2.HttpBody(content_type="application/json", data=piece) for piece in pieces)
        return b"".join(m.data for m in self.stub.BatchJson(messages, timeout=timeout, metadata=metadata))


def results_of(messages: Iterable[Any]) -> list[Any]:
    return [result for message in messages for result in message.results]


def options(route: str = "/svc/", **more: Any) -> Any:
    return batch_pb2.BatchOptions(route=route, **more)


def call(name: str, url: str, method: str = "GET", **more: Any) -> Any:
    """A Call; `headers` may be a dict, `body` is bytes, other keywords are field names."""
    headers = [batch_pb2.Header(name=n, value=v) for n, v in more.pop("headers", {}).items()]
    return batch_pb2.Call(id=name, method=method, url=url, headers=headers, **more)


def message(*calls: Any, **fields: Any) -> Any:
    return batch_pb2.BatchRequest(calls=calls, **fields)


class Feed:
    """A request stream that the test feeds message by message."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()

    def put(self, item: Any) -> None:
        self._queue.put(item)

    def close(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> Iterator[Any]:
        while (item := self._queue.get()) is not None:
            yield item
