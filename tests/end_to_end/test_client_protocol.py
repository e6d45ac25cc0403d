"""The Python client: producers that wait for results, servers that break the protocol, a client that is closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from batchwire.client import AsyncClient, BatchError, Call, Client, Result
from batchwire.v1 import batch_pb2, batch_pb2_grpc
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply
from hypothesis import given, settings
from hypothesis import strategies as st

Script = Callable[[Iterator[Any]], Iterator[Any]]


class _Server(batch_pb2_grpc.BatchServiceServicer):
    """Answers as its script says: the messages of Batch, and what they hold together for Execute."""

    script: Script

    def Batch(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        yield from self.script(messages)

    def Execute(self, message: Any, context: grpc.ServicerContext) -> Any:
        results = [result for answer in self.script(iter([message])) for result in answer.results]
        return batch_pb2.ExecuteResponse(results=results)


@contextmanager
def serving(script: Script) -> Iterator[str]:
    servicer = _Server()
    servicer.script = script
    server = grpc.server(ThreadPoolExecutor(4))
    batch_pb2_grpc.add_BatchServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def answering(ids: list[str], *, summarised: bool = True, outcome: int = 1) -> Script:
    """A script that reads the batch and gives these results."""

    def script(messages: Iterator[Any]) -> Iterator[Any]:
        for _ in messages:
            pass
        for id in ids:
            yield batch_pb2.BatchResponse(results=[batch_pb2.Result(id=id, status=200, outcome=outcome)])
        if summarised:
            yield batch_pb2.BatchResponse(summary=batch_pb2.BatchSummary(calls=len(ids)))

    return script


CALLS = [Call("x", id="a"), Call("x", id="b")]


async def run_async(address: str) -> list[Result]:
    async with AsyncClient(address) as client:
        return [result async for result in client.run(CALLS)]


async def execute_async(address: str) -> list[Result]:
    async with AsyncClient(address) as client:
        return await client.execute(CALLS)


def run_sync(address: str) -> list[Result]:
    with Client(address) as client:
        return list(client.run(CALLS))


def execute_sync(address: str) -> list[Result]:
    with Client(address) as client:
        return client.execute(CALLS)


WAYS: dict[str, Callable[[str], list[Result]]] = {
    "run": run_sync,
    "execute": execute_sync,
    "run async": lambda address: asyncio.run(run_async(address)),
    "execute async": lambda address: asyncio.run(execute_async(address)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ids", [["a", "b", "a"], ["a", "a"], ["a", "c"], ["a", "b", ""], ["a"], []])
def test_an_answer_that_breaks_the_protocol_is_one_error(way: str, ids: list[str]) -> None:
    with serving(answering(ids)) as address, pytest.raises(BatchError) as caught:
        WAYS[way](address)
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INTERNAL, "BrokenAnswer")


@pytest.mark.parametrize("way", ["run", "run async"])
def test_an_answer_without_a_summary_is_not_whole(way: str) -> None:
    with serving(answering(["a", "b"], summarised=False)) as address, pytest.raises(BatchError) as caught:
        WAYS[way](address)
    assert caught.value.reason == "BrokenAnswer"


@pytest.mark.parametrize("way", WAYS)
def test_an_outcome_of_a_later_version_passes(way: str) -> None:
    with serving(answering(["b", "a"], outcome=77)) as address:
        results = WAYS[way](address)
    assert sorted(result.id for result in results) == ["a", "b"]
    assert {int(result.outcome) for result in results} == {77}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=4), st.booleans())
def test_exactly_one_result_a_call_and_a_summary_is_an_answer(ids: list[str], summarised: bool) -> None:
    with serving(answering(ids, summarised=summarised)) as address:
        if sorted(ids) == ["a", "b"] and summarised:
            assert sorted(result.id for result in run_sync(address)) == ["a", "b"]
        else:
            with pytest.raises(BatchError):
                run_sync(address)


def test_a_producer_that_waits_for_each_result(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/json", json_reply({"a": 1}))
    came = threading.Semaphore(0)

    def calls() -> Iterator[Call]:
        for _ in range(20):
            yield Call("json")
            came.acquire()

    with Client(gateway.grpc_address, route="/svc/") as client:
        seen = []
        for result in client.run(calls()):
            seen.append(result.status)
            came.release()
    assert seen == [200] * 20


async def test_an_asynchronous_producer_that_waits_for_each_result(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/json", json_reply({"a": 1}))
    came = asyncio.Semaphore(0)

    async def calls() -> AsyncIterator[Call]:
        for _ in range(20):
            yield Call("json")
            await came.acquire()

    seen = []
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        async for result in client.run(calls()):
            seen.append(result.status)
            came.release()
    assert seen == [200] * 20


def test_what_a_producer_raises_comes_out(gateway: Gateway) -> None:
    def calls() -> Iterator[Call]:
        yield Call("json")
        raise KeyError("mine")

    with Client(gateway.grpc_address, route="/svc/") as client, pytest.raises(KeyError):
        list(client.run(calls()))


def test_leaving_early_lets_the_producer_go() -> None:
    ended = threading.Event()

    def calls() -> Iterator[Call]:
        try:
            while True:
                yield Call("x")
        finally:
            ended.set()

    def one_and_no_more(messages: Iterator[Any]) -> Iterator[Any]:
        first = next(message for message in messages if message.calls).calls[0]
        yield batch_pb2.BatchResponse(results=[batch_pb2.Result(id=first.id, status=200)])
        for _ in messages:
            pass

    with serving(one_and_no_more) as address, Client(address) as client, client.batch(calls()) as batch:
        for result in batch:
            assert result.id == "0"
            break
        batch.__exit__(None, None, None)
        assert ended.wait(20)


def first_then_nothing(messages: Iterator[Any]) -> Iterator[Any]:
    next(messages, None)
    yield batch_pb2.BatchResponse(results=[batch_pb2.Result(id="a", status=200)])
    for _ in messages:
        pass
    threading.Event().wait(2)


async def test_closing_while_somebody_reads_is_a_typed_error() -> None:
    with serving(first_then_nothing) as address:
        client = AsyncClient(address)
        reading = asyncio.Event()

        async def read() -> None:
            async for _ in client.run([Call("x", id="a"), Call("x", id="b")]):
                reading.set()

        async def execute() -> None:
            await client.execute(CALLS)

        tasks = [asyncio.create_task(read()), asyncio.create_task(execute())]
        await reading.wait()
        await client.close()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(error, BatchError), repr(error)
            assert error.code is grpc.StatusCode.CANCELLED
        with pytest.raises(BatchError):
            await client.execute(CALLS)
        with pytest.raises(BatchError):
            [result async for result in client.run(CALLS)]


async def test_a_reader_that_is_cancelled_is_cancelled() -> None:
    with serving(first_then_nothing) as address:
        async with AsyncClient(address) as client:
            reading = asyncio.Event()

            async def read() -> None:
                async for _ in client.run([Call("x", id="a"), Call("x", id="b")]):
                    reading.set()

            task = asyncio.create_task(read())
            await reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


def test_closing_the_blocking_client_while_somebody_reads() -> None:
    with serving(first_then_nothing) as address:
        client = Client(address)
        results = iter(client.run([Call("x", id="a"), Call("x", id="b")]))
        assert next(results).id == "a"
        threading.Thread(target=client.close).start()
        with pytest.raises(BatchError) as caught:
            next(results)
        assert caught.value.code is grpc.StatusCode.CANCELLED
        for use in (lambda: client.execute(CALLS), lambda: list(client.run(CALLS))):
            with pytest.raises(BatchError):
                use()
