"""AN-05 at the core: what is held of large answers, who reads on, and that nothing stays counted."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from batchwire.core import AsgiUpstream, Limits, Route
from batchwire.core.dispatch.inflow import stats
from batchwire.v1 import batch_pb2 as pb
from core_driving import (
    Batch,
    RawServer,
    Request,
    call,
    collect,
    drain,
    read_request,
    serving,
    session_of,
    turned,
    upstream_of,
)

MIB = 1 << 20
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
pytestmark = pytest.mark.usefixtures("nothing_left")


def request(count: int, **options: Any) -> bytes:
    options.setdefault("takes_parts", True)
    message = pb.BatchRequest(
        options=pb.BatchOptions(**options), calls=[call(str(n), f"large/{n}") for n in range(count)]
    )
    return message.SerializeToString()


def sizes(batch: Batch) -> dict[str, int]:
    found: dict[str, int] = {}
    for result in batch.results:
        assert result.body_continues or result.outcome in (0, 1)
        found[result.id] = found.get(result.id, 0) + len(result.body)
    return found


class Pouring:
    """An ASGI app of large answers, in pieces or in one."""

    def __init__(self, pieces: int, piece: int) -> None:
        self.pieces, self.piece = pieces, b"x" * piece
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for n in range(self.pieces):
            await send({"type": "http.response.body", "body": self.piece, "more_body": n + 1 < self.pieces})
            self.sent += len(self.piece)


async def idle() -> None:
    """Lets everything happen that happens by itself."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(("pieces", "piece"), [(8, MIB // 4), (1, 2 * MIB)])
async def test_AN_12_an_app_waits_in_send(pieces: int, piece: int, ordered: bool) -> None:
    app = Pouring(pieces, piece)
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", max_in_flight=64)
    route = Route(root="/svc/", upstream=upstream, limits=Limits(max_answer_bytes_in_flight=4 * MIB))
    session = session_of(route)
    order = pb.RESULT_ORDER_REQUEST if ordered else pb.RESULT_ORDER_COMPLETION
    session.feed(request(32, result_order=order))
    session.feed_end()
    await idle()
    assert app.sent <= 8 * MIB
    held = stats()
    assert held["answers_waiting"] == 1
    assert held["answers_out"] <= 6 * MIB
    assert sizes(await collect(session)) == {str(n): 2 * MIB for n in range(32)}
    upstream.close()
    assert stats() == NOTHING


async def test_AN_13_reading_leaves_room_below_the_bound_of_the_process() -> None:
    app = Pouring(32, MIB // 32)
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", max_in_flight=64)
    limits = Limits(max_answer_bytes_in_flight=64 * MIB, max_answer_bytes_in_process=16 * MIB)
    session = session_of(Route(root="/svc/", upstream=upstream, limits=limits))
    session.feed(request(64))
    session.feed_end()
    await idle()
    held = stats()
    assert held["answers_waiting"] == 1
    # With the one that goes on in any case, and with results that are written.
    assert 4 * MIB <= held["answers_reading"] + held["answers_out"] <= 8 * MIB
    assert sizes(await collect(session)) == {str(n): MIB for n in range(64)}
    upstream.close()
    assert stats() == NOTHING


async def test_AN_14_what_nobody_can_take_yet_holds_up_no_answer() -> None:
    """Executes, whose results are one message: above the bound of the process together before any of them ends."""
    app = Pouring(8, MIB // 8)
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", max_in_flight=64)
    limits = Limits(max_answer_bytes_in_flight=64 * MIB, max_answer_bytes_in_process=2 * MIB)
    route = Route(root="/svc/", upstream=upstream, limits=limits)
    sessions = [session_of(route, execute=True) for _ in range(3)]
    for session in sessions:
        session.feed(request(4, max_message_bytes=64 * MIB, takes_parts=False))
        session.feed_end()

    async def answer(session: Any) -> list[int]:
        while not session.finished:
            await session.wait_output()
        whole = pb.ExecuteResponse.FromString(b"".join(iter(session.take, None)))
        return [len(result.body) for result in whole.results]

    async with asyncio.timeout(20):
        found = await asyncio.gather(*map(answer, sessions))
    assert found == [[MIB] * 4] * 3
    upstream.close()
    assert stats() == NOTHING


async def test_AN_05_an_app_may_wait_in_several_sends_and_cancel_one() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        body = {"type": "http.response.body", "body": b"x" * MIB, "more_body": True}
        tasks = [asyncio.ensure_future(send(body)) for _ in range(3)]
        await asyncio.sleep(0)
        if not tasks[1].done():
            tasks[1].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [kind for kind in map(type, found) if kind is not asyncio.CancelledError] == [type(None)] * (
            2 if tasks[1].cancelled() else 3
        )
        await send({"type": "http.response.body", "body": b""})

    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", max_in_flight=64)
    route = Route(root="/svc/", upstream=upstream, limits=Limits(max_answer_bytes_in_flight=4 * MIB))
    session = session_of(route)
    session.feed(request(16))
    session.feed_end()
    await idle()
    assert set(sizes(await collect(session)).values()) <= {2 * MIB, 3 * MIB}
    upstream.close()
    assert stats() == NOTHING


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("process", [1, 6 * MIB, 256 * MIB])
async def test_AN_13_batches_that_share_a_bound_all_end(ordered: bool, process: int) -> None:
    """Any bound, however small, lets every batch come to its end: one answer is always read on."""

    def answering(_: Request) -> bytes:
        size = random.choice([10, 70_000, 700_000, 3_000_000])
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

    limits = Limits(
        max_answer_bytes_in_flight=2 * MIB, max_answer_bytes_in_process=process, max_in_flight=16, reorder_bytes=MIB
    )
    order = pb.RESULT_ORDER_REQUEST if ordered else pb.RESULT_ORDER_COMPLETION
    async with serving(answering, max_connections=6, max_in_flight=40, limits=limits) as (_, _upstream, route):
        sessions = [session_of(route) for _ in range(6)]
        for session in sessions:
            session.feed(request(20, result_order=order))
            session.feed_end()
        for batch in await asyncio.gather(*map(collect, sessions)):
            assert batch.failure is None
            assert len(sizes(batch)) == 20
        assert stats() == NOTHING


async def test_AN_13_a_client_that_takes_nothing_holds_up_nobody_else() -> None:
    """Its own answers wait; those of others are read, though reading has stopped for all together."""

    def answering(_: Request) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000

    limits = Limits(max_answer_bytes_in_flight=4 * MIB, max_answer_bytes_in_process=24 * MIB, max_in_flight=4)
    async with serving(answering, max_connections=16, limits=limits) as (_, _upstream, route):
        stalled, other = [session_of(route) for _ in range(3)], session_of(route)
        for session in stalled:
            session.feed(request(8))
            session.feed_end()
        await turned(lambda: stats()["answers_waiting"] == 3 and stats()["answers_out"] > 8 * MIB)
        other.feed(request(8))
        other.feed_end()
        assert sizes(await collect(other)) == {str(n): 3_000_000 for n in range(8)}
        for session in stalled:
            assert sizes(await collect(session)) == {str(n): 3_000_000 for n in range(8)}
        assert stats() == NOTHING


async def test_AN_15_a_paused_call_does_not_run_out_of_time() -> None:
    def answering(_: Request) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000

    limits = Limits(max_answer_bytes_in_flight=MIB)
    async with serving(answering, max_connections=8, call_timeout=0.5, limits=limits) as (_, upstream, route):
        session = session_of(route)
        session.feed(request(6))
        session.feed_end()
        await turned(lambda: stats()["answers_waiting"] == 1 and stats()["answers_out"] > MIB)
        await asyncio.sleep(1.2)  # more than the calls have, twice
        assert upstream.stats()["timeouts"] == 0
        batch = Batch()
        drain(session, batch)
        rest = await collect(session)
        batch.messages += rest.messages
        assert sizes(batch) == {str(n): 3_000_000 for n in range(6)}


async def test_AN_15_the_time_of_the_batch_runs() -> None:
    def answering(_: Request) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000

    limits = Limits(max_answer_bytes_in_flight=MIB)
    async with serving(answering, max_connections=8, limits=limits) as (_, _upstream, route):
        session = session_of(route, deadline=0.5)
        session.feed(request(6))
        session.feed_end()
        await turned(lambda: stats()["answers_waiting"] == 1 and stats()["answers_out"] > MIB)
        await asyncio.sleep(0.8)
        batch = await collect(session)
        assert {result.status for result in batch.results if result.status} <= {200, 504}
        assert 504 in {result.status for result in batch.results}
        assert stats()["answers_waiting"] == 0


async def test_AN_03_a_paused_answer_that_is_cut_keeps_its_status() -> None:
    def answering(_: Request) -> bytes:
        return b"HTTP/1.1 201 Created\r\nETag: 1\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000

    limits = Limits(max_answer_bytes_in_flight=MIB)
    async with serving(answering, max_connections=8, limits=limits) as (_, _upstream, route):
        session = session_of(route, deadline=0.5)
        calls = [call(str(n), "large", "POST") for n in range(6)]
        session.feed(pb.BatchRequest(options=pb.BatchOptions(takes_parts=True), calls=calls).SerializeToString())
        session.feed_end()
        await turned(lambda: stats()["answers_waiting"] == 1 and stats()["answers_out"] > MIB)
        await asyncio.sleep(0.8)
        batch = await collect(session)
        firsts = [result for result in batch.results if result.status]
        assert {result.status for result in firsts} == {201}
        assert {result.id for result in firsts} == {str(n) for n in range(6)}
        notes = [one.value for result in firsts for one in result.headers if one.name == "batchwire-note"]
        assert "body left out: it was not taken in time" in notes


async def test_AN_05_a_cancelled_batch_gives_all_back() -> None:
    def answering(_: Request) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000

    async with serving(answering, limits=Limits(max_answer_bytes_in_flight=MIB)) as (server, upstream, route):
        for _ in range(5):
            session = session_of(route)
            session.feed(request(6))
            session.feed_end()
            await turned(lambda: stats()["answers_waiting"] == 1)
            session.cancel()
            assert stats() == NOTHING
        assert upstream.stats()["in_flight"] == 0
        upstream.close()
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_AN_09_who_does_not_take_holds_no_upstream(method: str) -> None:
    """Its answers are paused and keep all connections; those of others are wanted. A GET is asked again."""

    def answering(made: Request) -> bytes:
        size = 3 * MIB if b"large" in made.target else 2
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

    limits = Limits(max_answer_bytes_in_flight=MIB, max_answer_bytes_in_process=4 * MIB)
    async with serving(answering, max_connections=6, call_timeout=0.5, limits=limits) as (_, upstream, route):
        hogs = [session_of(route) for _ in range(12)]
        for hog in hogs:
            calls = [call(str(n), f"large/{n}", method) for n in range(4)]
            hog.feed(pb.BatchRequest(options=pb.BatchOptions(takes_parts=True), calls=calls).SerializeToString())
            hog.feed_end()

        def held_or_given_up() -> bool:
            """All connections are held, or some that were have been given up for others already."""
            told = upstream.stats()
            held = told["in_flight"] == 6 and stats()["answers_waiting"] >= 2
            return held or told["taken_back"] + told["timeouts"] > 0

        await turned(held_or_given_up)
        other = session_of(route)
        other.feed(pb.BatchRequest(calls=[call("small", "small")]).SerializeToString())
        other.feed_end()
        assert [one.status for one in (await collect(other)).results] == [200]
        batches = await asyncio.gather(*(collect(hog) for hog in hogs))
        ends = [one for batch in batches for one in batch.results if not one.body_continues]
        starts = [one for batch in batches for one in batch.results if one.status]
        assert ({one.status for one in starts}, len(ends)) == ({200}, 48)
        notes = Counter(one.value for result in starts for one in result.headers if one.name == "batchwire-note")
        assert (notes.keys() == {"body left out: it was not taken in time"}) is (method == "POST")


@pytest.mark.parametrize("form", ["json", "multipart"])
async def test_BU_08_an_answer_that_was_paused_and_then_cut_is_not_too_large(form: str) -> None:
    """What travelled together has been run, and is not sent again because a client reads slowly."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await read_request(reader, 0)).target)
        if asked[-1] == b"/large":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
            await reader.read()
        await turned(lambda: stats()["answers_out"] > MIB)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1200000\r\n\r\n" + b"x" * 900_000)
        await turned(lambda: stats()["answers_waiting"] == 1)

    server = RawServer()
    server.serve = serve
    async with server, upstream_of(server, max_connections=8) as upstream:
        upstream.take_batches(form, 20)
        session = session_of(Route(root="/svc/", upstream=upstream, limits=Limits(max_answer_bytes_in_flight=MIB)))
        together = [call(method, "x", method) for method in ("PUT", "DELETE", "GET")]
        # A time of its own keeps a call from travelling with others.
        message = pb.BatchRequest(calls=[call("large", "large", timeout=20), *together])
        session.feed(message.SerializeToString())
        session.feed_end()
        await turned(lambda: asked.count(b"/$batch") == 1 and stats()["answers_waiting"] == 1)
        batch = await collect(session)
        assert {result.id: result.status for result in batch.results} == {
            "large": 200,
            "PUT": 502,
            "DELETE": 502,
            "GET": 502,
        }
        assert sorted(asked) == [b"/$batch", b"/large"]
        assert stats() == NOTHING


@pytest.mark.parametrize("form", ["json", "multipart"])
@pytest.mark.parametrize("ordered", [False, True])
async def test_AN_12_results_of_one_request_wait_for_the_client(form: str, ordered: bool) -> None:
    """All members of a group have one error: it is not written for each before the client takes any."""
    error = b"HTTP/1.1 503 Busy\r\nContent-Length: 70000\r\n\r\n" + b"e" * 70_000
    async with RawServer(lambda _: error) as server, upstream_of(server) as upstream:
        upstream.take_batches(form)
        session = session_of(Route(root="/svc/", upstream=upstream, limits=Limits(output_high_bytes=MIB)))
        order = pb.RESULT_ORDER_REQUEST if ordered else pb.RESULT_ORDER_COMPLETION
        members = [call(str(n), "x", "POST", atomicity_group="g") for n in range(200)]
        session.feed(pb.BatchRequest(options=pb.BatchOptions(result_order=order), calls=members).SerializeToString())
        session.feed_end()
        await turned(lambda: session.summary["failed"] > 0)
        await idle()
        assert (session.summary["failed"], session.finished) == (15, False)
        batch = await collect(session)
        assert [(result.status, len(result.body)) for result in batch.results] == [(503, 70_000)] * 200
        assert batch.order == [str(n) for n in range(200)]
        assert stats() == NOTHING


async def test_OP_15_results_that_were_not_written_are_of_calls_that_had_been_started() -> None:
    error = b"HTTP/1.1 503 Busy\r\nContent-Length: 70000\r\n\r\n" + b"e" * 70_000
    async with RawServer(lambda _: error) as server, upstream_of(server) as upstream:
        upstream.take_batches("json")
        session = session_of(Route(root="/svc/", upstream=upstream, limits=Limits(output_high_bytes=MIB)))
        members = [call(str(n), "x", "POST", atomicity_group="g") for n in range(200)]
        session.feed(pb.BatchRequest(calls=members).SerializeToString())
        session.feed_end()
        await turned(lambda: session.summary["failed"] > 0)
        await idle()
        session.cancel()
        told = session.summary
        assert (told["failed"] + told["abandoned"], told["not_started"]) == (200, 0)
        assert told["abandoned"] > 0
