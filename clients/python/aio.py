"""The asynchronous client, on grpc.aio."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from batchwire.v1 import batch_pb2, batch_pb2_grpc

from ._codec import (
    DEFAULT_MESSAGE,
    Joiner,
    Packer,
    decode,
    encode,
    in_one_message,
    in_order,
    options,
    summary,
    with_room,
)
from ._model import Call, Result, Summary
from ._types import checked_credentials, checked_route, checked_seconds, checked_target, metadata_of
from ._watch import closed
from .errors import batch_error

Fields = Mapping[str, str] | Sequence[tuple[str, str]]
Metadata = Mapping[str, str | bytes] | Sequence[tuple[str, str | bytes]]
PAUSE_SECONDS = 0.001
"""How long a message that is not full waits for a producer's next call."""


class AsyncBatch:
    """A running batch: iterate over it for the results, as they finish.

    `summary` is set when the iteration has ended. Leaving the iteration or the context early cancels the batch.
    """

    summary: Summary | None = None

    def __init__(self, rpc: Any, calls: Iterable[Call] | AsyncIterable[Call], packer: Packer) -> None:
        self._rpc = rpc
        self._packer = packer
        self._sender = asyncio.ensure_future(self._send(calls))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stops the batch if it still runs."""
        self._rpc.cancel()
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)

    async def __aiter__(self) -> AsyncIterator[Result]:
        joiner = Joiner()
        try:
            async for message in self._rpc:
                for result in joiner.results(message):
                    self._packer.promised.result(result.id)
                    yield result
                if message.HasField("summary"):
                    self.summary = summary(message.summary)
            await self._reraise_producer()
            self._packer.promised.end(self.summary is not None)
        except grpc.aio.AioRpcError as error:
            await self._reraise_producer()
            raise batch_error(error) from None
        except asyncio.CancelledError:
            await self._reraise_producer()
            if _is_cancelled():
                raise
            raise closed() from None
        finally:
            await self.aclose()

    async def _reraise_producer(self) -> None:
        """When the user's own iterable raised, that is the error to report."""
        if self._sender.done() and not self._sender.cancelled():
            error = self._sender.exception()
            if error is not None:
                raise error

    async def _send(self, calls: Iterable[Call] | AsyncIterable[Call]) -> None:
        try:
            if isinstance(calls, AsyncIterable):
                await self._send_paced(calls)
            else:
                for call in calls:
                    if self._packer.add(call):
                        await self._write_all()
                if self._packer.pending():
                    await self._rpc.write(self._packer.take())
            await self._rpc.done_writing()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            # The RPC has ended: whoever reads the results learns why.
            return
        except BaseException:
            self._rpc.cancel()
            raise

    async def _write_all(self) -> None:
        while self._packer.pending():
            await self._rpc.write(self._packer.take())

    async def _send_paced(self, calls: AsyncIterable[Call]) -> None:
        """As the producer yields: what it has yielded is sent when it pauses."""
        iterator = aiter(calls)
        following: asyncio.Future[Call] | None = None
        try:
            while True:
                if following is None:
                    following = asyncio.ensure_future(_next(iterator))
                if self._packer.pending():
                    await asyncio.wait([following], timeout=PAUSE_SECONDS)
                    if not following.done():
                        await self._rpc.write(self._packer.take())
                try:
                    call = await following
                except StopAsyncIteration:
                    break
                following = None
                if self._packer.add(call):
                    await self._write_all()
        finally:
            if following is not None:
                following.cancel()
        if self._packer.pending():
            await self._rpc.write(self._packer.take())


async def _next(iterator: AsyncIterator[Call]) -> Call:
    return await anext(iterator)


def _is_cancelled() -> bool:
    """Whether it is this task that is cancelled, and not an RPC that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class AsyncClient:
    """A connection to a gateway.

    target: "host:port". route: service root of the route, "" for the gateway's default. credentials: TLS, None for
    plain text. metadata: sent with every batch, such as {"authorization": "Bearer ..."}. Raises TypeError, ValueError.

    It may be made anywhere, and belongs to the event loop that uses it first; another one gets a RuntimeError.

    >>> async with AsyncClient("127.0.0.1:50051", route="/svc/") as client:
    ...     results = await client.execute([Call("things/1"), Call("things/2")])
    """

    def __init__(
        self,
        target: str,
        *,
        route: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        channel_options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self._route = checked_route(route)
        self._target = checked_target(target)
        self._credentials = checked_credentials(credentials)
        self._metadata = tuple(metadata_of(metadata))
        self._options, self._max_answer = with_room(channel_options)
        self._max_message = min(self._max_answer, DEFAULT_MESSAGE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: Any = None
        self._stub: Any = None
        self._closed = False

    async def __aenter__(self) -> Self:
        self._in_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; running batches are cancelled."""
        self._in_loop()
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    def _in_loop(self) -> None:
        """Raises RuntimeError where this is not the event loop of the client, which the first one becomes."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("an AsyncClient is used inside an event loop, such as that of asyncio.run()") from None
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise RuntimeError(
                "an AsyncClient belongs to the event loop that first used it: make one in each asyncio.run()"
            )

    def _connected(self) -> Any:
        """The stub, on a channel that is made when it is first needed: grpc ties it to the loop that it is made in."""
        self._in_loop()
        if self._closed:
            raise closed()
        if self._stub is None:
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(self._target, options=self._options)
            else:
                self._channel = grpc.aio.secure_channel(self._target, self._credentials, options=self._options)
            self._stub = batch_pb2_grpc.BatchServiceStub(self._channel)  # type: ignore[no-untyped-call]
        return self._stub

    def batch(
        self,
        calls: Iterable[Call] | AsyncIterable[Call],
        *,
        deadline: float | None = None,
        continue_on_error: bool = True,
        ordered: bool = False,
        headers: Fields = (),
        timeout: float | None = None,
    ) -> AsyncBatch:
        """Starts a batch of any length. deadline: seconds the gateway gives it; timeout: of the RPC itself.

        >>> async with client.batch(calls) as batch:
        ...     async for result in batch:
        ...         ...
        """
        timeout = checked_seconds(timeout, "timeout")
        packer = Packer(options(self._route, deadline, continue_on_error, ordered, headers, self._max_message))
        try:
            rpc = self._connected().Batch(metadata=self._metadata, timeout=timeout)
        except grpc.aio.UsageError:
            raise closed() from None
        return AsyncBatch(rpc, calls, packer)

    async def run(self, calls: Iterable[Call] | AsyncIterable[Call], **batch_options: Any) -> AsyncIterator[Result]:
        """The results of a batch, as they finish; options as for batch()."""
        async with self.batch(calls, **batch_options) as batch:
            async for result in batch:
                yield result

    async def execute(
        self,
        calls: Iterable[Call],
        *,
        deadline: float | None = None,
        continue_on_error: bool = True,
        ordered: bool = False,
        headers: Fields = (),
        timeout: float | None = None,  # noqa: ASYNC109 (gRPC tells the gateway)
    ) -> list[Result]:
        """Runs a batch and returns its results in the order of the calls; options as for batch()."""
        calls = list(calls)
        timeout = checked_seconds(timeout, "timeout")
        encoded = [encode(call, number) for number, call in enumerate(calls)]
        if not in_one_message(encoded, self._max_answer):
            running = self.run(
                calls,
                deadline=deadline,
                continue_on_error=continue_on_error,
                ordered=ordered,
                headers=headers,
                timeout=timeout,
            )
            results = [result async for result in running]
        else:
            first = options(self._route, deadline, continue_on_error, ordered, headers, self._max_answer)
            request = batch_pb2.ExecuteRequest(options=first, calls=encoded)
            try:
                answer = await self._connected().Execute(request, metadata=self._metadata, timeout=timeout)
            except grpc.aio.AioRpcError as error:
                raise batch_error(error) from None
            except grpc.aio.UsageError:
                raise closed() from None
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                raise closed() from None
            results = [decode(result) for result in answer.results]
        return in_order(results, [call.id for call in encoded])
