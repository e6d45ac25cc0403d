"""The blocking client, on synchronous gRPC: no event loop needed."""

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from batchwire.v1 import batch_pb2, batch_pb2_grpc

from ._codec import DEFAULT_MESSAGE, Joiner, decode, encode, options, requests, summary, with_room
from ._model import Call, Result, Summary
from .aio import MAX_EXECUTE_BYTES, MAX_EXECUTE_CALLS, Fields
from .errors import batch_error


class Batch:
    """A running batch: iterate over it for the results, as they finish.

    `summary` is set when the iteration has ended. Leaving the context early cancels the batch.
    """

    summary: Summary | None = None

    def __init__(self, rpc: Any, producer: "_Producer") -> None:
        self._rpc = rpc
        self._producer = producer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._rpc.cancel()

    def __iter__(self) -> Iterator[Result]:
        joiner = Joiner()
        try:
            for message in self._rpc:
                yield from joiner.results(message)
                if message.HasField("summary"):
                    self.summary = summary(message.summary)
        except grpc.RpcError as error:
            if self._producer.error is not None:
                raise self._producer.error from None
            raise batch_error(error) from None
        finally:
            self._rpc.cancel()


class _Producer:
    """Packs calls in gRPC's own thread, and keeps what the user's iterable raises there."""

    error: BaseException | None = None

    def __init__(self, calls: Iterable[Call], first_options: Any) -> None:
        self._messages = requests(iter(calls), first_options)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise


class Client:
    """A connection to a gateway; arguments as for AsyncClient.

    >>> with Client("127.0.0.1:50051", route="/svc/") as client:
    ...     for result in client.run([Call("things/1"), Call("things/2")]):
    ...         print(result.id, result.status)
    """

    def __init__(
        self,
        target: str,
        *,
        route: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Sequence[tuple[str, str]] = (),
        channel_options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self._route = route
        self._metadata = tuple(metadata)
        channel_options, self._max_answer = with_room(channel_options)
        self._max_message = min(self._max_answer, DEFAULT_MESSAGE)
        if credentials is None:
            self._channel = grpc.insecure_channel(target, options=channel_options)
        else:
            self._channel = grpc.secure_channel(target, credentials, options=channel_options)
        self._stub: Any = batch_pb2_grpc.BatchServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; running batches are cancelled."""
        self._channel.close()

    def batch(
        self,
        calls: Iterable[Call],
        *,
        deadline: float | None = None,
        continue_on_error: bool = True,
        ordered: bool = False,
        headers: Fields = (),
        timeout: float | None = None,
    ) -> Batch:
        """Starts a batch of any length; `calls` is pulled in a thread of gRPC's, as fast as the gateway reads."""
        first = options(self._route, deadline, continue_on_error, ordered, headers, self._max_message)
        producer = _Producer(calls, first)
        return Batch(self._stub.Batch(producer, metadata=self._metadata, timeout=timeout), producer)

    def run(self, calls: Iterable[Call], **batch_options: Any) -> Iterator[Result]:
        """The results of a batch, as they finish; options as for batch()."""
        with self.batch(calls, **batch_options) as batch:
            yield from batch

    def execute(self, calls: Iterable[Call], **batch_options: Any) -> list[Result]:
        """Runs a batch and returns its results in the order of the calls; options as for batch()."""
        calls = list(calls)
        timeout = batch_options.pop("timeout", None)
        encoded = [encode(call, number) for number, call in enumerate(calls)]
        order = {call.id: number for number, call in enumerate(encoded)}
        if len(encoded) > MAX_EXECUTE_CALLS or sum(call.ByteSize() for call in encoded) > MAX_EXECUTE_BYTES:
            results = list(self.run(calls, timeout=timeout, **batch_options))
        else:
            settings = {"deadline": None, "continue_on_error": True, "ordered": False, "headers": (), **batch_options}
            request = batch_pb2.ExecuteRequest(options=options(self._route, **settings), calls=encoded)
            request.options.max_message_bytes = self._max_answer
            try:
                answer = self._stub.Execute(request, metadata=self._metadata, timeout=timeout)
            except grpc.RpcError as error:
                raise batch_error(error) from None
            results = [decode(result) for result in answer.results]
        return sorted(results, key=lambda result: order[result.id])
