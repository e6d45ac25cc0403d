"""grpc's two Python clients, sync and grpc.aio, behind one face, so that each behaviour is stated once.

Messages are bytes. Must never add a retry or a deadline that the test did not ask for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import grpc
from harness import grpc_client
from harness.rest import PUBLIC_HOST

Metadata = list[tuple[str, str | bytes]]
SECONDS = 20.0
OPTIONS: dict[str, Any] = {
    "grpc.default_authority": PUBLIC_HOST,
    "grpc.enable_retries": 0,
    "grpc.max_receive_message_length": -1,
}


class SyncStream:
    def __init__(self, channel: grpc.Channel, path: str, more: dict[str, Any]) -> None:
        self._feed = grpc_client.Feed()
        self._call: Any = channel.stream_stream(path)(iter(self._feed), **more)

    def send(self, message: bytes) -> None:
        self._feed.put(message)

    def end(self) -> None:
        self._feed.close()

    def receive(self) -> bytes | None:
        return next(self._call, None)

    def cancel(self) -> None:
        self._call.cancel()
        self._feed.close()

    def code(self) -> grpc.StatusCode:
        return self._call.code()

    def initial_metadata(self) -> dict[str, Any]:
        return dict(self._call.initial_metadata())


class SyncClient:
    """grpc.Channel. options, credentials: as grpc takes them."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None, **options: Any) -> None:
        given = list({**OPTIONS, **options}.items())
        if credentials is None:
            self._channel = grpc.insecure_channel(address, given)
        else:
            self._channel = grpc.secure_channel(address, credentials, given)

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def unary(self, path: str, message: bytes, **more: Any) -> bytes:
        return bytes(self._channel.unary_unary(path)(message, **{"timeout": SECONDS, **more}))

    def many(self, path: str, messages: list[bytes]) -> list[bytes]:
        """All at once."""
        method = self._channel.unary_unary(path)
        return [call.result() for call in [method.future(message, timeout=SECONDS) for message in messages]]

    def stream(self, path: str, **more: Any) -> SyncStream:
        return SyncStream(self._channel, path, {"timeout": SECONDS, **more})


class AioStream:
    def __init__(self, client: AioClient, path: str, more: dict[str, Any]) -> None:
        self._run = client.run
        self._call: Any = client.run(self._begin(client.channel, path, more))

    @staticmethod
    async def _begin(channel: Any, path: str, more: dict[str, Any]) -> Any:
        return channel.stream_stream(path)(**more)

    def send(self, message: bytes) -> None:
        self._run(self._call.write(message))

    def end(self) -> None:
        self._run(self._call.done_writing())

    def receive(self) -> bytes | None:
        message = self._run(self._call.read())
        if message is grpc.aio.EOF:
            self._run(self._raise_if_failed())
            return None
        return bytes(message)

    async def _raise_if_failed(self) -> None:
        code = await self._call.code()
        if code is not grpc.StatusCode.OK:
            raise grpc.aio.AioRpcError(
                code,
                await self._call.initial_metadata(),
                await self._call.trailing_metadata(),
                await self._call.details(),
            )

    def cancel(self) -> None:
        async def cancel() -> None:
            self._call.cancel()

        self._run(cancel())

    def code(self) -> grpc.StatusCode:
        return self._run(self._call.code())

    def initial_metadata(self) -> dict[str, Any]:
        return dict(self._run(self._call.initial_metadata()))


class AioClient:
    """grpc.aio.Channel, in a loop and a thread of its own."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        given = list({**OPTIONS, **options}.items())

        async def make() -> Any:
            if credentials is None:
                return grpc.aio.insecure_channel(address, given)
            return grpc.aio.secure_channel(address, credentials, given)

        self.channel = self.run(make())

    def __enter__(self) -> AioClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.channel.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * SECONDS)

    def unary(self, path: str, message: bytes, **more: Any) -> bytes:
        async def call() -> bytes:
            return bytes(await self.channel.unary_unary(path)(message, **{"timeout": SECONDS, **more}))

        return bytes(self.run(call()))

    def many(self, path: str, messages: list[bytes]) -> list[bytes]:
        async def call() -> list[bytes]:
            method = self.channel.unary_unary(path)
            return await asyncio.gather(*(method(message, timeout=SECONDS) for message in messages))

        return list(self.run(call()))

    def stream(self, path: str, **more: Any) -> AioStream:
        return AioStream(self, path, {"timeout": SECONDS, **more})


CLIENTS = {"sync": SyncClient, "aio": AioClient}
Client = SyncClient | AioClient
