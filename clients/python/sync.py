"""The blocking client, on synchronous gRPC: no event loop needed."""

import threading
from collections.abc import Iterable, Iterator, Sequence
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
from .aio import PAUSE_SECONDS, Fields, Metadata
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
        self._stop()

    def __iter__(self) -> Iterator[Result]:
        joiner = Joiner()
        try:
            for message in self._rpc:
                for result in joiner.results(message):
                    self._producer.promised.result(result.id)
                    yield result
                if message.HasField("summary"):
                    self.summary = summary(message.summary)
            self._producer.promised.end(self.summary is not None)
        except grpc.RpcError as error:
            if self._producer.error is not None:
                raise self._producer.error from None
            raise batch_error(error) from None
        finally:
            self._stop()

    def _stop(self) -> None:
        self._rpc.cancel()
        self._producer.close()


class _Producer:
    """Pulls calls in a thread of its own and packs them; gRPC's thread takes what is there when the iterable pauses.

    The iterable may wait for a result before it yields more, so what it has yielded must not wait for it. It is at most
    one message ahead. `error` keeps what it raises.
    """

    error: BaseException | None = None

    def __init__(self, calls: Iterable[Call], first_options: Any) -> None:
        self._calls = calls
        self._packer = Packer(first_options)
        self.promised = self._packer.promised
        self._changed = threading.Condition()
        self._added = 0
        self._full = self._ended = self._closed = False
        self._thread = threading.Thread(target=self._pull, name="batchwire-calls", daemon=True)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        if self._thread.ident is None:
            self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._packer.pending() or self._ready())
            added = -1
            while not self._ready() and added != self._added:
                added = self._added
                self._changed.wait_for(self._ready, PAUSE_SECONDS)
            if self.error is not None:
                raise self.error
            if self._closed or not self._packer.pending():
                raise StopIteration
            message = self._packer.take()
            self._full = self._packer.in_parts()
            self._changed.notify_all()
            return message

    def close(self) -> None:
        """The batch is over: nothing more is pulled."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _ready(self) -> bool:
        return self._full or self._ended or self._closed

    def _pull(self) -> None:
        try:
            for call in self._calls:
                with self._changed:
                    waking = not self._packer.pending()
                    self._full = self._packer.add(call)
                    self._added += 1
                    if self._full or waking:
                        self._changed.notify_all()
                    if self._full:
                        self._changed.wait_for(lambda: self._closed or not self._full)
                    if self._closed:
                        return
        except BaseException as error:
            self.error = error
        finally:
            # The iterable is let go in this thread, with whatever its own end does.
            self._calls = ()
            with self._changed:
                self._ended = True
                self._changed.notify_all()


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
        metadata: Metadata = (),
        channel_options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self._route = checked_route(route)
        checked_target(target)
        checked_credentials(credentials)
        self._metadata = tuple(metadata_of(metadata))
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
        """Starts a batch of any length; `calls` is pulled in a thread of its own, as fast as the gateway reads."""
        timeout = checked_seconds(timeout, "timeout")
        first = options(self._route, deadline, continue_on_error, ordered, headers, self._max_message)
        producer = _Producer(calls, first)
        try:
            rpc = self._stub.Batch(producer, metadata=self._metadata, timeout=timeout)
        except ValueError:
            producer.close()
            raise closed() from None
        return Batch(rpc, producer)

    def run(self, calls: Iterable[Call], **batch_options: Any) -> Iterator[Result]:
        """The results of a batch, as they finish; options as for batch()."""
        with self.batch(calls, **batch_options) as batch:
            yield from batch

    def execute(
        self,
        calls: Iterable[Call],
        *,
        deadline: float | None = None,
        continue_on_error: bool = True,
        ordered: bool = False,
        headers: Fields = (),
        timeout: float | None = None,
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
            results = list(running)
        else:
            first = options(self._route, deadline, continue_on_error, ordered, headers, self._max_answer)
            request = batch_pb2.ExecuteRequest(options=first, calls=encoded)
            try:
                answer = self._stub.Execute(request, metadata=self._metadata, timeout=timeout)
            except grpc.RpcError as error:
                raise batch_error(error) from None
            except ValueError:
                raise closed() from None
            results = [decode(result) for result in answer.results]
        return in_order(results, [call.id for call in encoded])
