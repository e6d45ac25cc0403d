"""The HTTP/1.1 upstream when servers are stale, slow, early, too large or plainly wrong."""

import asyncio
import hashlib
import socket
import struct
import threading

import pytest
from batchwire.core import Limits, Route
from batchwire.v1 import batch_pb2 as pb
from core_driving import (
    RawServer,
    Request,
    answer,
    call,
    code,
    collect,
    echo,
    run,
    serving,
    session_of,
    turned,
    upstream_of,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


# --- stale connections (GW-15)


def stale_after_first() -> object:
    """Answers the first request of the first connection, then reads one more and closes."""
    seen: dict[int, int] = {}

    def answering(request: Request) -> bytes | None:
        seen[request.connection] = seen.get(request.connection, 0) + 1
        return None if request.connection == 0 and seen[0] == 2 else echo(request)

    return answering


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
async def test_GW_15_a_call_whose_second_answer_is_the_same_is_tried_again(method: str) -> None:
    async with serving(stale_after_first()) as (server, upstream, route):  # type: ignore[arg-type]
        await run(route, [call("warm")])
        assert (await run(route, [call("a", "again", method)])).statuses == {"a": 200}
        assert [r.target for r in server.requests] == [b"/x", b"/again", b"/again"]
        assert upstream.stats()["retries"] == 1
        assert upstream.stats()["failures"] == 0


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("POST", ""),
        ("PATCH", ""),
        ("MERGE", ""),
        ("DELETE", ""),
        ("DELETE", "If-Match"),
        ("PUT", "If-Match"),
        ("PUT", "if-none-match"),
        ("PUT", "If-Unmodified-Since"),
    ],
)
async def test_GW_15_what_a_second_answer_would_mislead_about_is_never_sent_twice(method: str, field: str) -> None:
    headers = [("x-other", "1"), (field, '"1"')] if field else []
    body = None if method == "DELETE" else b"{}"
    async with serving(stale_after_first()) as (server, upstream, route):  # type: ignore[arg-type]
        await run(route, [call("warm")])
        batch = await run(route, [call("a", "once", method, body=body, headers=headers)])
        assert (batch["a"].status, code(batch["a"])) == (502, "UpstreamBroken")
        assert [r.target for r in server.requests] == [b"/x", b"/once"]
        assert upstream.stats()["retries"] == 0


async def test_it_is_tried_again_only_once() -> None:
    def answering(request: Request) -> bytes | None:
        return echo(request) if request.target == b"/x" else None

    async with serving(answering) as (server, _, route):
        await run(route, [call("warm")])
        assert (await run(route, [call("a", "bad")])).statuses == {"a": 502}
        assert [r.target for r in server.requests] == [b"/x", b"/bad", b"/bad"]


def all_stale_after(warm: bytes) -> tuple[object, asyncio.Event]:
    """Every connection that has answered `warm` closes under its next request. The event lets `warm` be answered."""
    opened = asyncio.Event()
    stale: set[int] = set()

    async def answering(request: Request) -> bytes | None:
        if request.target == warm:
            stale.add(request.connection)
            await opened.wait()
            return echo(request)
        return None if request.connection in stale else echo(request)

    return answering, opened


@pytest.mark.parametrize("max_connections", [2, 8])
async def test_the_second_try_takes_no_connection_that_another_call_frees(max_connections: int) -> None:
    """Two old connections: one breaks, the other answers just then and breaks under whatever comes next."""
    broken = asyncio.Event()
    both = asyncio.Barrier(2)
    seen = [0, 0]

    async def answering(request: Request) -> bytes | None:
        if request.connection > 1:
            return echo(request)
        seen[request.connection] += 1
        if seen[request.connection] == 1:
            await both.wait()
            return echo(request)
        if request.target == b"/breaks":
            broken.set()
            return None
        await broken.wait()
        return echo(request) if seen[request.connection] == 2 else None

    async with serving(answering, max_connections=max_connections) as (server, upstream, route):
        await run(route, [call("a", "warm"), call("b", "warm")])
        assert upstream.stats()["idle"] == 2
        batch = await run(route, [call("a", "answers"), call("b", "breaks")])
        assert batch.statuses == {"a": 200, "b": 200}
        assert [r.connection for r in server.requests if r.target == b"/breaks"][1:] == [2]
        assert upstream.stats()["connections"] <= max_connections


async def test_many_stale_connections_at_once() -> None:
    answering, opened = all_stale_after(b"/warm")
    async with serving(answering, max_connections=4, max_in_flight=20) as (server, upstream, route):  # type: ignore[arg-type]
        warm = asyncio.create_task(run(route, [call(str(i), "warm") for i in range(4)]))
        await server.until(lambda: len(server.requests) == 4)
        opened.set()
        await warm
        batch = await run(route, [call(str(i), f"x{i}") for i in range(20)])
        assert set(batch.statuses.values()) == {200}
        assert (upstream.stats()["retries"], upstream.stats()["in_flight"]) == (4, 0)
        assert server.accepted == 8


async def test_a_second_try_that_cannot_connect_fails() -> None:
    async with serving(stale_after_first()) as (server, upstream, route):  # type: ignore[arg-type]
        await run(route, [call("warm")])
        assert server.server is not None
        server.server.close()
        # It was sent once, and so it is not told that there was nobody to send it to.
        batch = await run(route, [call("a", "again", "DELETE")])
        assert (batch["a"].status, code(batch["a"])) == (502, "UpstreamBroken")
        assert upstream.stats()["in_flight"] == 0


async def test_a_fresh_connection_that_breaks_is_not_tried_again() -> None:
    async with serving(lambda _: None) as (server, upstream, route):
        assert (await run(route, [call("a")])).statuses == {"a": 502}
        assert len(server.requests) == 1
        assert upstream.stats()["retries"] == 0


async def test_a_call_whose_answer_has_begun_is_not_tried_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(200, b""))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        await writer.drain()

    async with RawServer(serve=serve) as server, upstream_of(server) as upstream:
        route = Route(root="/svc/", upstream=upstream)
        await run(route, [call("warm")])
        assert (await run(route, [call("a")])).statuses == {"a": 502}
        assert upstream.stats()["retries"] == 0


@pytest.mark.parametrize(("method", "retries"), [("PUT", 1), ("POST", 0)])
async def test_any_method_is_run_when_nothing_had_left(method: str, retries: int) -> None:
    """The server resets the connection while the loop is busy, so that our write already fails; POST looks first."""
    reset, done = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def server() -> None:
        for number in range(2):
            connection, _ = listener.accept()
            seen.append(connection.recv(65536))
            connection.sendall(answer(200, b"%d" % number))
            if number == 0:
                reset.wait()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
                done.set()
            else:
                connection.recv(1)
                connection.close()

    thread = threading.Thread(target=server)
    thread.start()
    async with upstream_of(RawServer(port=listener.getsockname()[1])) as upstream:
        route = Route(root="/svc/", upstream=upstream)
        await run(route, [call("warm")])
        session = session_of(route)
        reset.set()
        done.wait()
        session.feed(pb.BatchRequest(calls=[call("a", "y", method, body=b"{}")]).SerializeToString())
        session.feed_end()
        assert (await collect(session))["a"].body == b"1"
        assert upstream.stats()["retries"] == retries
    await asyncio.to_thread(thread.join)
    listener.close()
    assert [data.split()[0] for data in seen] == [b"GET", method.encode()]


# --- time


async def test_a_late_call_is_504_and_the_others_are_delivered() -> None:
    never = asyncio.Event()

    async def answering(request: Request) -> bytes:
        if request.target == b"/slow":
            await never.wait()
        return echo(request)

    async with serving(answering) as (_, upstream, route):
        batch = await run(route, [call("slow", "slow", timeout=0.1), call("fast", "fast")])
        assert batch.statuses == {"slow": 504, "fast": 200}
        assert batch.order == ["fast", "slow"]
        assert (code(batch["slow"]), batch["slow"].outcome) == ("UpstreamTimeout", pb.OUTCOME_TIMED_OUT)
        assert 95_000 < batch["slow"].timings.elapsed_us < 1_000_000
        figures = upstream.stats()
        assert (figures["timeouts"], figures["in_flight"]) == (1, 0)
        # The connection with the answer that nobody waits for is not used again.
        assert figures["connections"] <= 1
        assert (await run(route, [call("a", "after")]))["a"].body == b"/after"


async def test_a_timeout_is_kept_on_an_upstream_that_was_idle() -> None:
    never = asyncio.Event()

    async def answering(request: Request) -> bytes:
        if request.target == b"/slow":
            await never.wait()
        return echo(request)

    async with serving(answering) as (_, _, route):
        await run(route, [call("warm")])
        await asyncio.sleep(0.05)
        batch = await run(route, [call("slow", "slow", timeout=0.05)])
        assert batch.statuses == {"slow": 504}
        assert batch["slow"].timings.elapsed_us < 400_000


async def test_the_upstream_has_a_timeout_of_its_own() -> None:
    async with serving(lambda _: asyncio.sleep(30, b""), call_timeout=0.05) as (_, _, route):
        assert (await run(route, [call("a")])).statuses == {"a": 504}


async def test_a_call_that_waits_for_a_connection_is_late_too() -> None:
    async with serving(lambda _: asyncio.sleep(30, b""), max_connections=1, max_in_flight=5) as (
        server,
        upstream,
        route,
    ):
        batch = await run(route, [call(str(i), timeout=0.05) for i in range(5)])
        assert set(batch.statuses.values()) == {504}
        assert len(server.requests) <= 5
        assert upstream.stats()["in_flight"] == 0


async def test_the_deadline_of_the_batch_ends_what_runs_and_what_waits() -> None:
    async with serving(lambda _: asyncio.sleep(30, b""), limits=Limits(max_in_flight=2)) as (server, _, route):
        calls = [call("a"), call("b", depends_on=["a"]), *[call(str(i)) for i in range(6)]]
        batch = await run(route, calls, deadline=0.1)
        assert len(batch.results) == 8
        assert set(batch.statuses.values()) == {504}
        assert batch.summary.timed_out == 8
        assert len(server.requests) == 2


async def test_OP_21_a_late_call_counts_once_whoever_ends_it() -> None:
    async with serving(lambda _: asyncio.sleep(30, b"")) as (_, upstream, route):
        await run(route, [call(str(i), timeout=0.05) for i in range(3)])
        assert (upstream.stats()["timeouts"], upstream.stats()["failures"]) == (3, 0)
        await run(route, [call(str(i)) for i in range(4)], deadline=0.1)
        assert (upstream.stats()["timeouts"], upstream.stats()["failures"]) == (7, 0)


async def test_the_deadline_may_come_in_the_options() -> None:
    async with serving(lambda _: asyncio.sleep(30, b"")) as (_, _, route):
        options = pb.BatchOptions()
        options.deadline.FromMilliseconds(50)
        assert (await run(route, [call("a")], options=options)).statuses == {"a": 504}


# --- bodies


async def test_a_large_request_and_a_server_that_reads_slowly() -> None:
    body = bytes(range(256)) * 20_000
    begun, proceed = asyncio.Event(), asyncio.Event()
    got = hashlib.sha256()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/large" in head:
            begun.set()
            await proceed.wait()
            left = len(body)
            while left:
                part = await reader.read(40_000)
                left -= len(part)
                got.update(part)
        writer.write(answer(200, b"ok", [("Connection", "close")]))
        await writer.drain()

    async with RawServer(serve=serve) as server, upstream_of(server) as upstream:
        route = Route(root="/svc/", upstream=upstream)
        task = asyncio.create_task(run(route, [call("a", "large", "PUT", body=body)]))
        await begun.wait()
        assert (await run(route, [call("b", "small")])).statuses == {"b": 200}
        proceed.set()
        assert (await task).statuses == {"a": 200}
        assert got.digest() == hashlib.sha256(body).digest()


async def test_large_bodies_on_one_connection_one_after_the_other() -> None:
    def answering(request: Request) -> bytes:
        return answer(200, hashlib.sha256(request.body).digest())

    async with serving(answering, max_connections=1, max_in_flight=9) as (server, upstream, route):
        bodies = {str(i): bytes([i]) * (300_000 * i + 1) for i in range(8)}
        batch = await run(route, [call(name, "x", "PUT", body=body) for name, body in bodies.items()])
        assert {r.id: r.body for r in batch.results} == {n: hashlib.sha256(b).digest() for n, b in bodies.items()}
        assert server.accepted == 1
        assert upstream.stats()["retries"] == 0


async def test_an_answer_before_the_whole_request_was_sent() -> None:
    heads = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heads
        head = await reader.readuntil(b"\r\n\r\n")
        heads += 1
        writer.write(answer(413 if b"PUT" in head else 200, b"early"))
        await writer.drain()
        # Without reading the rest: what the client must not do is to send its next call behind it.
        while await reader.read(65536):
            pass

    async with RawServer(serve=serve) as server, upstream_of(server, max_connections=1) as upstream:
        route = Route(root="/svc/", upstream=upstream)
        batch = await run(route, [call("a", "x", "PUT", body=b"GET /evil HTTP/1.1\r\n\r\n" * 400_000)])
        assert (batch["a"].status, batch["a"].body) == (413, b"early")
        assert (await run(route, [call("b", "y")])).statuses == {"b": 200}
        assert heads == 2
        assert upstream.stats()["connects"] == 2


FRAMINGS = {
    "length": b"Content-Length: 2000\r\n\r\n",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n7d0\r\n",
    "until close": b"\r\n",
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS.keys())
async def test_an_answer_above_the_bound_is_502(framing: bytes) -> None:
    def answering(request: Request) -> bytes:
        return b"HTTP/1.1 200 OK\r\n" + framing + b"x" * 2000 if b"large" in request.target else echo(request)

    async with serving(answering, max_response_bytes=1000, max_connections=1, max_in_flight=9) as (_, upstream, route):
        batch = await run(route, [call("a"), call("b", "large"), call("c")])
        assert batch.statuses == {"a": 200, "b": 502, "c": 200}
        assert b"larger than allowed" in batch["b"].body
        assert upstream.stats()["failures"] == 1


# --- plainly wrong


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x00\x00",
        b"HTTP/1.1 999 X\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
        b"HTTP/1.1 101 X\r\n\r\n",
    ],
)
async def test_an_answer_that_is_none_is_502(data: bytes) -> None:
    async with serving(lambda _: data) as (server, upstream, route):
        batch = await run(route, [call("a", "x"), call("b", "x", depends_on=["a"])])
        assert batch.statuses == {"a": 502, "b": 424}
        assert code(batch["a"]) == "UpstreamBroken"
        assert len(server.requests) == 1
        await turned(lambda: upstream.stats()["connections"] == 0)


@pytest.mark.parametrize(("count", "status"), [(20, 200), (500, 200), (2000, 502)])
async def test_GW_15_interim_answers_are_skipped_within_the_bound_of_a_head(count: int, status: int) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" * count
    async with serving(lambda request: interim + echo(request)) as (_, upstream, route):
        batch = await run(route, [call("a"), call("b", depends_on=["a"])])
        assert batch["a"].status == status
        assert (b"interim answers (1xx) are too large together (max_header_bytes)" in batch["a"].body) == (
            status == 502
        )
        assert upstream.stats()["failures"] == (status == 502)


async def test_bytes_behind_an_answer_are_never_the_answer_of_another() -> None:
    sent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/first" in head:
            writer.write(answer(200, b"first") + answer(200, b"smuggled"))
        elif b"/second" in head:
            writer.write(answer(200, b"second"))
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(answer(200, b"smuggled"))
            await writer.drain()
            sent.set()
        else:
            writer.write(answer(200, b"third"))
        while await reader.read(1000):
            pass

    async with RawServer(serve=serve) as server, upstream_of(server) as upstream:
        route = Route(root="/svc/", upstream=upstream)
        assert (await run(route, [call("a", "first")]))["a"].body == b"first"
        assert (await run(route, [call("a", "second")]))["a"].body == b"second"
        await sent.wait()
        await turned(lambda: upstream.stats()["connections"] == 0)
        assert (await run(route, [call("a", "third")]))["a"].body == b"third"
        assert upstream.stats()["connects"] == 3


async def test_a_server_that_closes_every_new_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        return

    async with RawServer(serve=serve) as server, upstream_of(server, max_connections=3) as upstream:
        async with asyncio.timeout(5):
            batch = await run(Route(root="/svc/", upstream=upstream), [call(str(i)) for i in range(20)])
        assert set(batch.statuses.values()) == {502}
        assert upstream.stats()["in_flight"] == 0
