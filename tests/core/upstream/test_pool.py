"""The HTTP/1.1 upstream over real sockets: reuse, bounds, addresses, TLS, fairness, cancelling."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from batchwire.core import ConfigError, HttpUpstream, Limits, Route
from batchwire.v1 import batch_pb2 as pb
from core_driving import Batch as Taken
from core_driving import (
    RawServer,
    Request,
    answer,
    call,
    code,
    collect,
    drain,
    echo,
    run,
    serving,
    session_of,
    turned,
    upstream_of,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


class Gate:
    """Answers like echo once it is open."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def __call__(self, request: Request) -> bytes:
        await self.opened.wait()
        return echo(request)


def assert_quiet(upstream: HttpUpstream) -> None:
    figures = upstream.stats()
    assert (figures["in_flight"], figures["waiting_batches"], figures["connecting"]) == (0, 0, 0)
    assert figures["connections"] == figures["idle"]


# --- connections


async def test_a_connection_is_used_again() -> None:
    async with serving() as (server, upstream, route):
        for i in range(20):
            assert (await run(route, [call("a", f"x{i}")]))["a"].body == b"/x%d" % i
        assert server.accepted == 1
        assert upstream.stats()["connects"] == 1
        assert_quiet(upstream)


async def test_GW_15_a_connection_to_itself_is_refused() -> None:
    """Nobody listens on a port of the ephemeral range, and the system takes it for the gateway's own side."""
    loop = asyncio.get_running_loop()
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        address = ours.getsockname()
        ours.connect(address)
        ours.setblocking(False)
        assert ours.getpeername() == ours.getsockname()

        class Loop:
            """The loop, but for the port of a connection."""

            def __getattr__(self, name: str) -> Any:
                return getattr(loop, name)

            async def create_connection(self, factory: Any, host: str, port: int, **_: Any) -> Any:
                assert (host, port) == address
                return await loop.create_connection(factory, sock=ours.dup())

        upstream = HttpUpstream(Loop(), name="test", addresses=[address])
        try:
            found = await run(
                Route(root="/svc/", upstream=upstream), [call("a", "x"), call("b", "x", "POST", body=b"{}")]
            )
        finally:
            upstream.close()
        assert set(found.statuses.values()) == {502}
        assert b"could not be reached: Connection refused" in found["a"].body
        with pytest.raises(BlockingIOError):
            ours.recv(1)  # nothing was sent
        assert_quiet(upstream)
    for _ in range(5):
        await asyncio.sleep(0)  # the loop closes the copy
    with socket.socket() as theirs:
        theirs.bind(address)  # no TIME-WAIT is in the way of an upstream that comes back


async def test_requests_look_as_they_should() -> None:
    async with serving(base_path="/api/", host="things.example:81") as (server, _, route):
        calls = [
            call("get", "A(1)?$select=b"),
            call("post", "/svc/A", "POST", body=b"{}", headers=[("x-own", "1")]),
            call("put", "A(2)", "PUT"),
            call("delete", "A(3)", "DELETE"),
            call("root", ""),
        ]
        assert set((await run(route, calls)).statuses.values()) == {200}
        seen = {(r.method, r.target): r for r in server.requests}
        assert set(seen) == {
            (b"GET", b"/api/A(1)?$select=b"),
            (b"POST", b"/api/A"),
            (b"PUT", b"/api/A(2)"),
            (b"DELETE", b"/api/A(3)"),
            (b"GET", b"/api/"),
        }
        for request in server.requests:
            assert [v for k, v in request.headers if k.lower() == b"host"] == [b"things.example:81"]
            assert request.header(b"batchwire-hop") == b"1"
        post = seen[b"POST", b"/api/A"]
        assert (post.body, post.header(b"content-length"), post.header(b"x-own")) == (b"{}", b"2", b"1")
        assert post.header(b"content-type") == b"application/json"
        assert seen[b"PUT", b"/api/A(2)"].header(b"content-length") == b"0"
        assert seen[b"GET", b"/api/A(1)?$select=b"].header(b"content-length") is None


@pytest.mark.parametrize("max_in_flight", [3, 12])
async def test_no_more_connections_than_allowed(max_in_flight: int) -> None:
    gate = Gate()
    async with serving(gate, max_connections=3, max_in_flight=max_in_flight) as (server, upstream, route):
        task = asyncio.create_task(run(route, [call(str(i)) for i in range(12)]))
        await server.until(lambda: len(server.requests) == 3)
        assert upstream.stats()["in_flight"] == max_in_flight
        gate.opened.set()
        assert set((await task).statuses.values()) == {200}
        assert (server.most_open, server.accepted) == (3, 3)
        assert_quiet(upstream)


@pytest.mark.parametrize("method", ["POST", "PATCH", "MERGE"])
@pytest.mark.parametrize("surplus", [b"", answer(200, b"stolen"), b"x"], ids=["closed", "an answer", "a byte"])
async def test_GW_15_what_cannot_be_sent_again_looks_at_its_connection_first(method: str, surplus: bytes) -> None:
    """The loop has not yet told that the connection was closed, or that there are bytes that nobody asked for."""
    seen = []

    def serve(listener: socket.socket) -> None:
        for number in range(2):
            connection, _ = listener.accept()
            data = b""
            while not data.endswith((b"\r\n\r\n", b"{}")):
                data += connection.recv(65536)
            seen.append(data.split(b" ")[0])
            connection.sendall(answer(200, b"own %d" % number))
            answered.wait(10)
            if number == 0:
                if surplus:
                    connection.sendall(surplus)
                connection.shutdown(socket.SHUT_WR)
            spoilt.set()

    answered, spoilt = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        async with upstream_of(RawServer(port=listener.getsockname()[1])) as upstream:
            route = Route(root="/svc/", upstream=upstream)
            assert (await run(route, [call("1")]))["1"].body == b"own 0"
            answered.set()
            assert spoilt.wait(10)  # and the loop stands still
            found = (await run(route, [call("2", "x", method, body=b"{}")]))["2"]
            thread.join(10)
    assert (found.status, found.body) == (200, b"own 1")
    assert seen == [b"GET", method.encode()]


async def test_GW_15_a_closed_connection_is_seen_behind_tls_too(certificate: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(200, b"own"))
        await writer.drain()
        await asyncio.to_thread(answered.wait, 10)

    answered = threading.Event()
    trusting = ssl.create_default_context(cafile=str(certificate))

    def other_loop() -> None:
        async def live() -> None:
            async with RawServer(serve=serve, tls=server_side(certificate)) as server:
                ports.append(server.port)
                ready.set()
                await server.until(lambda: server.accepted == 1 and server.open == 0)
                closed.set()
                await server.until(lambda: server.accepted == 2 and server.open == 0)

        asyncio.run(live())

    ports: list[int] = []
    ready, closed = threading.Event(), threading.Event()
    thread = threading.Thread(target=other_loop, daemon=True)
    thread.start()
    assert ready.wait(10)
    server = RawServer(port=ports[0])
    async with upstream_of(server, ssl=trusting, server_name="things.example", scheme="https") as upstream:
        route = Route(root="/svc/", upstream=upstream)
        assert (await run(route, [call("1")]))["1"].status == 200
        answered.set()
        assert closed.wait(10)  # and the loop stands still
        assert (await run(route, [call("2", "x", "POST", body=b"{}")]))["2"].status == 200
        assert upstream.stats()["connects"] == 2
    await asyncio.to_thread(thread.join, 10)


async def test_an_idle_connection_is_closed_in_time() -> None:
    async with serving(idle_timeout=0.05) as (server, upstream, route):
        await run(route, [call("a")])
        await server.until(lambda: server.open == 0)
        assert upstream.stats()["connections"] == 0
        assert (await run(route, [call("a")])).statuses == {"a": 200}
        assert server.accepted == 2
        assert upstream.stats()["retries"] == 0


class SlowToConnect:
    """The running loop, whose connections are made once the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)

    async def create_connection(self, *arguments: object, **more: object) -> object:
        await self.gate.wait()
        return await self._loop.create_connection(*arguments, **more)  # type: ignore[call-overload]


async def test_a_connection_that_comes_too_late_for_its_call_is_closed_in_time() -> None:
    """The batch is gone, and so is every other reason to look at the clock."""
    slow = SlowToConnect()
    async with RawServer() as server:
        upstream = HttpUpstream(slow, name="test", addresses=[server.address], idle_timeout=0.05)
        session = session_of(Route(root="/svc/", upstream=upstream))
        session.feed(pb.BatchRequest(calls=[call("a")]).SerializeToString())
        await turned(lambda: upstream.stats()["connecting"] == 1)
        session.cancel()
        # Long enough for the upstream to see that nothing runs.
        await asyncio.sleep(0.2)
        slow.gate.set()
        await server.until(lambda: server.open == 1)
        await server.until(lambda: server.open == 0)
        assert upstream.stats()["connections"] == 0
        upstream.close()


async def unused_connection(upstream: HttpUpstream, slow: SlowToConnect) -> None:
    """Leaves one open connection that has carried nothing: the call that it was made for is gone."""
    session = session_of(Route(root="/svc/", upstream=upstream))
    session.feed(pb.BatchRequest(calls=[call("a")]).SerializeToString())
    await turned(lambda: upstream.stats()["connecting"] == 1)
    session.cancel()
    slow.gate.set()
    await turned(lambda: upstream.stats()["idle"] == 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_GW_15_a_connection_that_waited_unused_may_be_stale_too(method: str) -> None:
    """The first connection ends under its first call, as if it had been closed on the way to it."""
    slow = SlowToConnect()
    async with RawServer(lambda request: None if request.connection == 0 else echo(request)) as server:
        upstream = HttpUpstream(slow, name="test", addresses=[server.address])
        await unused_connection(upstream, slow)
        batch = await run(Route(root="/svc/", upstream=upstream), [call("b", "again", method)])
        assert batch.statuses == {"b": 502 if method in ("DELETE", "POST") else 200}
        assert len(server.requests) == (1 if method in ("DELETE", "POST") else 2)
        assert upstream.stats()["retries"] == (0 if method in ("DELETE", "POST") else 1)
        upstream.close()


@pytest.mark.parametrize("method", ["POST", "PATCH", "MERGE"])
async def test_GW_15_what_cannot_be_sent_again_looks_at_a_connection_that_waited_unused(method: str) -> None:
    wanted, closed = threading.Event(), threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        wanted.wait(10)
        connection.close()
        closed.set()
        connection, _ = listener.accept()
        with connection:
            while not (data := connection.recv(65536)).endswith(b"{}"):
                assert data
            connection.sendall(answer(200, b"own"))

    slow = SlowToConnect()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        upstream = HttpUpstream(slow, name="test", addresses=[listener.getsockname()[:2]])
        await unused_connection(upstream, slow)
        wanted.set()
        assert closed.wait(10)  # and the loop stands still
        batch = await run(Route(root="/svc/", upstream=upstream), [call("b", "x", method, body=b"{}")])
        assert (batch["b"].status, batch["b"].body) == (200, b"own")
        assert upstream.stats()["retries"] == 0
        upstream.close()
        await asyncio.to_thread(thread.join, 10)


async def test_a_server_that_closes_after_each_answer() -> None:
    def closing(request: Request) -> bytes:
        return answer(200, request.target, [("Connection", "close")])

    async with serving(closing, max_connections=2, max_in_flight=9) as (server, upstream, route):
        batch = await run(route, [call(str(i), f"x{i}", "POST") for i in range(30)])
        assert {r.id: r.body for r in batch.results} == {str(i): b"/x%d" % i for i in range(30)}
        assert server.accepted == 30
        assert server.most_open <= 3
        assert upstream.stats()["retries"] == 0
        # The last connection is closed in a turn of the loop after that in which the batch was finished.
        await turned(lambda: upstream.stats()["connections"] == 0)
        assert_quiet(upstream)


# --- addresses


def free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_refused_connections_are_502() -> None:
    async with upstream_of(RawServer(port=free_port())) as upstream:
        batch = await run(Route(root="/svc/", upstream=upstream), [call(str(i)) for i in range(10)])
        assert set(batch.statuses.values()) == {502}
        assert {code(r) for r in batch.results} == {"UpstreamUnreachable"}
        assert {r.outcome for r in batch.results} == {pb.OUTCOME_UNREACHABLE}
        assert batch.summary.unreachable == 10
        figures = upstream.stats()
        assert figures["failures"] == 10
        assert figures["connect_failures"] >= 1
        assert_quiet(upstream)


async def test_connecting_has_its_time() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # The backlog is full then, so that the kernel leaves further connections unanswered.
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        async with upstream_of(RawServer(port=address[1]), connect_timeout=0.1) as upstream:
            batch = await run(Route(root="/svc/", upstream=upstream), [call("a")])
            assert (batch["a"].status, code(batch["a"])) == (502, "UpstreamUnreachable")
            assert b"took too long" in batch["a"].body
            assert 80_000 < batch["a"].timings.elapsed_us < 2_000_000
            assert_quiet(upstream)
        for filler in fillers:
            filler.close()


async def test_one_dead_address_of_several_does_no_harm() -> None:
    async with RawServer() as first, RawServer() as second:
        addresses = [("127.0.0.1", free_port()), first.address, second.address]
        async with upstream_of(first, addresses=addresses) as upstream:
            route = Route(root="/svc/", upstream=upstream)
            batch = await run(route, [call(str(i)) for i in range(30)])
            assert set(batch.statuses.values()) == {200}
            assert first.accepted
            assert second.accepted
            await turned(lambda: upstream.stats()["connecting"] == 0)  # those that no call waits for any more
            assert_quiet(upstream)


async def test_a_call_does_not_wait_for_another_because_an_address_is_dead() -> None:
    gate = Gate()
    async with (
        RawServer(gate) as live,
        upstream_of(live, addresses=[("127.0.0.1", free_port()), live.address]) as upstream,
    ):
        task = asyncio.create_task(run(Route(root="/svc/", upstream=upstream), [call(str(i)) for i in range(4)]))
        try:
            async with asyncio.timeout(1):
                await live.until(lambda: len(live.requests) == 4)
        finally:
            gate.opened.set()
            assert set((await task).statuses.values()) == {200}


async def test_the_unix_socket(tmp_path: Path) -> None:
    async with RawServer(path=str(tmp_path / "s")) as server, upstream_of(server) as upstream:
        batch = await run(Route(root="/svc/", upstream=upstream), [call("a", "x", "PUT", body=b"1" * 100_000)])
        assert batch.statuses == {"a": 200}
        assert server.requests[0].header(b"host") == b"localhost"
        assert len(server.requests[0].body) == 100_000


async def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    async with upstream_of(RawServer(path=str(tmp_path / "s"))) as upstream:
        assert (await run(Route(root="/svc/", upstream=upstream), [call("a")])).statuses == {"a": 502}


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of things.example with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-keyout", "-", "-subj", "/CN=a", "-addext", "subjectAltName=DNS:things.example"),
        ],
        capture_output=True,
        check=True,
    )
    path.write_bytes(made.stdout)
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_tls_with_reuse_and_large_bodies(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        RawServer(lambda request: answer(200, request.body), tls=server_side(certificate)) as server,
        upstream_of(server, ssl=trusting, server_name="things.example", scheme="https") as upstream,
    ):
        route = Route(root="/svc/", upstream=upstream)
        for size in (0, 10, 16384, 16385, 3_000_000):
            batch = await run(route, [call("a", "x", "PUT", body=b"%d" % (size % 10) * size)])
            assert (batch["a"].status, len(batch["a"].body)) == (200, size)
        assert server.accepted == 1
        assert_quiet(upstream)


@pytest.mark.parametrize(("trusted", "name"), [(False, "things.example"), (True, "other.example"), (True, None)])
async def test_tls_that_does_not_verify_is_502(certificate: Path, trusted: bool, name: str | None) -> None:
    context = ssl.create_default_context(cafile=str(certificate)) if trusted else ssl.create_default_context()
    async with (
        RawServer(tls=server_side(certificate)) as server,
        upstream_of(server, ssl=context, server_name=name, scheme="https") as upstream,
    ):
        batch = await run(Route(root="/svc/", upstream=upstream), [call("a")])
        assert (batch["a"].status, code(batch["a"])) == (502, "UpstreamUnreachable")
        assert server.requests == []
        assert_quiet(upstream)


async def test_plain_http_where_tls_is_wanted_is_502() -> None:
    async with (
        RawServer() as server,
        upstream_of(server, ssl=ssl.create_default_context(), connect_timeout=0.2) as upstream,
    ):
        batch = await run(Route(root="/svc/", upstream=upstream), [call("a")])
        assert batch.statuses == {"a": 502}


# --- several batches


async def test_a_large_batch_does_not_starve_a_small_one() -> None:
    async with serving(max_connections=1) as (server, upstream, route):
        large = asyncio.create_task(run(route, [call(str(i), "large") for i in range(1000)]))
        await server.until(lambda: len(server.requests) >= 10)
        before = len(server.requests)
        small = await run(route, [call(str(i), "small") for i in range(10)])
        assert set(small.statuses.values()) == {200}
        # They take turns: between two of the small one there is one of the large one.
        assert len(server.requests) - before <= 30
        assert len((await large).results) == 1000
        assert_quiet(upstream)


async def test_three_batches_take_turns() -> None:
    gate = Gate()
    async with serving(gate, max_connections=1) as (server, upstream, route):
        tasks = [asyncio.create_task(run(route, [call(str(i), name) for i in range(50)])) for name in ("a", "b", "c")]
        await server.until(lambda: len(server.requests) == 1)
        await turned(lambda: upstream.stats()["waiting_batches"] == 3)
        gate.opened.set()
        for task in tasks:
            assert set((await task).statuses.values()) == {200}
        order = [request.target for request in server.requests]
        for name in (b"/a", b"/b", b"/c"):
            assert 48 <= sum(1 for target in order[:147] if target == name) <= 50
        assert_quiet(upstream)


async def test_cancelling_closes_what_runs_and_starts_no_more() -> None:
    gate = Gate()
    async with serving(gate, max_connections=4, max_in_flight=6) as (server, upstream, route):
        session = session_of(route)
        session.feed(pb.BatchRequest(calls=[call(str(i)) for i in range(20)]).SerializeToString())
        await server.until(lambda: len(server.requests) == 4)
        session.cancel()
        assert session.finished
        assert session.take() is None
        await session.wait_output()
        await turned(lambda: upstream.stats()["connections"] == 0)
        assert len(server.requests) == 4
        assert_quiet(upstream)
        gate.opened.set()
        assert (await run(route, [call("a")])).statuses == {"a": 200}


async def test_cancelling_one_batch_leaves_the_other_alone() -> None:
    gate = Gate()
    async with serving(gate, max_connections=2, max_in_flight=2) as (server, upstream, route):
        kept = asyncio.create_task(run(route, [call(str(i)) for i in range(1)]))
        await server.until(lambda: len(server.requests) == 1)
        cancelled = session_of(route)
        cancelled.feed(pb.BatchRequest(calls=[call(str(i)) for i in range(5)]).SerializeToString())
        await server.until(lambda: len(server.requests) == 2)
        cancelled.cancel()
        gate.opened.set()
        assert (await kept).statuses == {"0": 200}
        assert_quiet(upstream)


async def test_a_batch_that_waits_goes_on_when_the_one_before_it_is_cancelled() -> None:
    gate = Gate()
    async with serving(gate, max_connections=1) as (server, upstream, route):
        first = session_of(route)
        first.feed(pb.BatchRequest(calls=[call("a", "first")]).SerializeToString())
        await server.until(lambda: len(server.requests) == 1)
        second = asyncio.create_task(run(route, [call("a", "second")]))
        await turned(lambda: upstream.stats()["waiting_batches"] == 1)
        first.cancel()
        gate.opened.set()
        async with asyncio.timeout(5):
            assert (await second).statuses == {"a": 200}
        assert_quiet(upstream)


async def test_closing_the_upstream_ends_what_runs_and_what_waits() -> None:
    gate = Gate()
    async with serving(gate, max_connections=2, limits=Limits(max_in_flight=4)) as (server, upstream, route):
        session = session_of(route)
        session.feed(pb.BatchRequest(calls=[call(str(i)) for i in range(8)]).SerializeToString())
        session.feed_end()
        await server.until(lambda: len(server.requests) == 2)
        upstream.close()
        try:
            async with asyncio.timeout(1):
                batch = await collect(session)
        finally:
            session.cancel()
        assert set(batch.statuses.values()) == {502}
        assert len(batch.results) == 8
        assert upstream.stats()["in_flight"] == 0


async def test_the_session_takes_what_several_upstreams_give() -> None:
    gate = Gate()
    async with RawServer() as fast, RawServer(gate) as slow, upstream_of(fast) as a, upstream_of(slow) as b:
        route = Route(root="/svc/", upstream=a, mounts=[("/svc/slow/", b)])
        session = session_of(route)
        calls = [call(f"s{i}", f"slow/{i}") for i in range(3)] + [call(f"f{i}", f"{i}") for i in range(3)]
        session.feed(pb.BatchRequest(calls=calls).SerializeToString())
        session.feed_end()
        taken = Taken()
        while len(taken.results) < 3:
            await session.wait_output()
            drain(session, taken)
        assert set(taken.order) == {"f0", "f1", "f2"}
        gate.opened.set()
        rest = await collect(session)
        assert {r.id: r.body for r in rest.results} == {"s0": b"/0", "s1": b"/1", "s2": b"/2"}


@pytest.mark.parametrize(
    "options",
    [{"max_connections": 0}, {"addresses": []}, {"host": "a\r\nX: y"}, {"host": "a b"}, {"host": "a/b"}],
)
async def test_settings_that_cannot_be(options: dict[str, object]) -> None:
    arguments: dict[str, object] = {"addresses": [("127.0.0.1", 1)], **options}
    with pytest.raises(ConfigError):
        HttpUpstream(asyncio.get_running_loop(), name="a", **arguments)  # type: ignore[arg-type]


async def test_an_answer_that_tls_does_not_end_is_502(certificate: Path) -> None:
    """RFC 9112 9.8: without a length only close_notify says that an answer is whole."""

    def serve() -> None:
        context = server_side(certificate)
        for told in (False, True):
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True) as one:
                one.recv(65536)
                one.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
                if told:
                    with contextlib.suppress(OSError):  # the other end need not say so, too
                        one.unwrap()

    trusting = ssl.create_default_context(cafile=str(certificate))
    listener = socket.create_server(("127.0.0.1", 0))
    server = threading.Thread(target=serve)
    server.start()
    upstream = HttpUpstream(
        asyncio.get_running_loop(),
        name="a",
        scheme="https",
        addresses=[listener.getsockname()[:2]],
        ssl=trusting,
        server_name="things.example",
    )
    route = Route(root="/svc/", upstream=upstream, limits=Limits())
    assert (await run(route, [call("a", "x", "POST")]))["a"].status == 502
    whole = (await run(route, [call("a", "x", "POST")]))["a"]
    assert (whole.status, whole.body) == (200, b"half")
    upstream.close()
    await asyncio.to_thread(server.join)
    listener.close()
