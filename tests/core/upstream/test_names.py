"""Lookups of upstreams' names: one at a time of each, shared, and in nobody else's way (OP-19)."""

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from batchwire.core import HttpUpstream, Names, Route
from batchwire.v1 import batch_pb2 as pb
from core_driving import RawServer, Request, answer, call, code, collect, run, serving, session_of, turned, upstream_of

pytestmark = pytest.mark.usefixtures("nothing_left")
ENTRY = tuple[int, str]
V4, V6 = socket.AF_INET, socket.AF_INET6


class NameServer:
    """In place of the system's getaddrinfo: name -> addresses, an error, or an event that it waits for first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[str] | OSError] = {}
        self.stuck: dict[str, threading.Event] = {}
        self.asked: list[str] = []
        self.began = threading.Event()
        self.most_at_once = 0
        self._running = 0
        self._system = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: str, port: int | None, *more: Any, **options: Any) -> list[Any]:
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            return self._system(host, port, *more, **options)
        self.asked.append(host)
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        self.began.set()
        if host in self.stuck:
            self.stuck[host].wait(60)
        self._running -= 1
        found = self.names.get(host, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        if isinstance(found, OSError):
            raise found
        return [
            (V6, socket.SOCK_STREAM, 6, "", (one, 0, 0, 0)) if ":" in one else (V4, socket.SOCK_STREAM, 6, "", (one, 0))
            for one in found
        ]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NameServer]:
    """At the end no lookup's thread is left, and nothing was left unretrieved."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    before = set(threading.enumerate())
    made = NameServer(monkeypatch)
    yield made
    for event in made.stuck.values():
        event.set()
    await turned(lambda: made._running == 0)
    gc.collect()
    await asyncio.sleep(0)
    assert not set(threading.enumerate()) - before  # those of others may end meanwhile
    assert not complaints


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def names_of(clock: Clock) -> Names:
    return Names(asyncio.get_running_loop(), clock)


@contextlib.asynccontextmanager
async def named(name: str, port: int = 0, **options: Any) -> AsyncIterator[tuple[HttpUpstream, Route]]:
    async with upstream_of(RawServer(), addresses=[(name, port)], **options) as upstream:
        yield upstream, Route(root="/svc/", upstream=upstream)


async def test_OP_19_a_stuck_name_is_asked_once_and_keeps_no_other_waiting(server: NameServer) -> None:
    server.stuck["stuck.test"] = threading.Event()
    server.names["good.test"] = ["127.0.0.1"]
    shared = Names(asyncio.get_running_loop())
    async with (
        RawServer() as good_server,
        named("stuck.test", 80, names=shared, max_connections=60) as (stuck, stuck_route),
        named("good.test", good_server.port, names=shared) as (_, good_route),
    ):
        session = session_of(stuck_route)
        session.feed(pb.BatchRequest(calls=[call(str(i)) for i in range(60)]).SerializeToString())
        try:
            await turned(server.began.is_set)  # in a thread of its own
            assert stuck.stats()["connecting"] == 60
            assert (await run(good_route, [call("a")])).statuses == {"a": 200}
            assert stuck.stats()["connecting"] == 60
            assert server.asked == ["stuck.test", "good.test"]
        finally:
            session.cancel()


async def test_OP_19_who_waits_for_a_name_has_its_own_time(server: NameServer) -> None:
    server.stuck["stuck.test"] = threading.Event()
    async with named("stuck.test", 80, connect_timeout=0.1) as (upstream, route):
        for _ in range(2):
            batch = await run(route, [call(str(i)) for i in range(20)])
            assert {code(result) for result in batch.results} == {"UpstreamUnreachable"}
            assert all(b"connecting took too long" in result.body for result in batch.results)
        figures = upstream.stats()
        assert (figures["connecting"], figures["connections"], figures["in_flight"]) == (0, 0, 0)
    assert server.asked == ["stuck.test"]


async def test_OP_19_one_that_was_abandoned_is_of_use_when_it_ends(server: NameServer) -> None:
    stuck = server.stuck["slow.test"] = threading.Event()
    server.names["slow.test"] = ["127.0.0.1"]
    names = Names(asyncio.get_running_loop())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await names.find("slow.test")
    patient = asyncio.create_task(names.find("slow.test"))
    await asyncio.sleep(0)
    stuck.set()
    assert (await patient).addresses == ("127.0.0.1",)
    assert server.asked == ["slow.test"]


async def test_OP_19_who_leaves_takes_nobody_along(server: NameServer) -> None:
    stuck = server.stuck["slow.test"] = threading.Event()
    server.names["slow.test"] = ["127.0.0.1"]
    names = Names(asyncio.get_running_loop())
    leaves, stays = (asyncio.create_task(names.find("slow.test")) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    stuck.set()
    assert (await stays).addresses == ("127.0.0.1",)
    assert leaves.cancelled()


async def test_OP_19_addresses_are_used_again_for_a_while(server: NameServer) -> None:
    server.names["a.test"] = ["127.0.0.1"]
    names = names_of(clock := Clock())
    found = await names.find("a.test")
    clock.now += 4.9
    assert await names.find("a.test") is found
    clock.now += 0.2
    server.names["a.test"] = ["127.0.0.2"]
    assert (await names.find("a.test")).addresses == ("127.0.0.2",)
    assert server.asked == ["a.test"] * 2


async def test_OP_19_a_failure_is_remembered_briefly(server: NameServer) -> None:
    names = names_of(clock := Clock())
    failed = await asyncio.gather(*(names.find("none.test") for _ in range(50)))
    assert {(one.addresses, one.reason) for one in failed} == {((), "Name or service not known")}
    clock.now += 0.4
    await names.find("none.test")
    assert server.asked == ["none.test"]
    clock.now += 0.2
    server.names["none.test"] = ["127.0.0.1"]
    assert (await names.find("none.test")).addresses == ("127.0.0.1",)


async def test_OP_19_addresses_that_none_could_reach_are_dropped_but_not_asked_for_all_the_time(
    server: NameServer,
) -> None:
    server.names["a.test"] = ["127.0.0.1"]
    names = names_of(clock := Clock())
    names.drop("a.test", await names.find("a.test"))
    clock.now += 0.4
    await names.find("a.test")
    assert server.asked == ["a.test"]
    clock.now += 0.2
    newer = await names.find("a.test")
    assert server.asked == ["a.test"] * 2
    clock.now += 1
    names.drop("a.test", newer)
    latest = await names.find("a.test")
    names.drop("a.test", newer)  # said late: it is not of these
    clock.now += 1
    assert await names.find("a.test") is latest
    assert server.asked == ["a.test"] * 3


async def test_OP_19_a_server_that_has_moved_is_found_within_the_call(server: NameServer) -> None:
    """127.0.0.1 was right a moment ago: nobody listens there now."""

    def once(request: Request) -> bytes:
        return answer(200, request.target, [("Connection", "close")])

    clock = Clock()
    async with RawServer(once) as old:
        moved = await asyncio.start_server(old._accept, "127.0.0.2", old.port)
        server.names["a.test"] = ["127.0.0.1"]
        async with named("a.test", old.port, names=names_of(clock)) as (upstream, route):
            assert (await run(route, [call("a")])).statuses == {"a": 200}
            assert old.server is not None
            old.server.close()
            server.names["a.test"] = ["127.0.0.2"]
            clock.now += 1
            assert (await run(route, [call("b")])).statuses == {"b": 200}
            assert upstream.stats()["connect_failures"] == 0
        moved.close()
    assert server.asked == ["a.test"] * 2


async def test_OP_19_all_addresses_are_tried_once(server: NameServer, free_port: int) -> None:
    server.names["a.test"] = ["127.0.0.1", "127.0.0.2"]
    async with named("a.test", free_port) as (upstream, route):
        batch = await run(route, [call("a")])
        assert b"could not be reached: Connection refused" in batch["a"].body
        assert upstream.stats()["connect_failures"] == 1
    assert server.asked == ["a.test"]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.1", "fe80::1%lo", "0:0::1"])
async def test_OP_19_an_address_is_never_looked_up(host: str, server: NameServer) -> None:
    found = await Names(asyncio.get_running_loop()).find(host)
    assert len(found.addresses) == 1
    assert not server.asked


@pytest.mark.parametrize("host", ["", "a..test", "x" * 64 + ".test", "a\0b"])
async def test_OP_19_a_name_that_cannot_be_is_a_failed_call(host: str) -> None:
    async with named(host, 80, host="h") as (_, route):
        assert (await run(route, [call("a")])).statuses == {"a": 502}


async def test_OP_19_localhost_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as (raw, _, _), named("localhost", raw.port) as (_, route):
        assert (await run(route, [call("a")])).statuses == {"a": 200}


async def test_OP_19_the_next_address_is_tried_as_before(server: NameServer) -> None:
    server.names["a.test"] = ["127.0.0.3", "127.0.0.1"]
    async with serving() as (raw, _, _), named("a.test", raw.port) as (upstream, route):
        assert (await run(route, [call("a")])).statuses == {"a": 200}
        assert upstream.stats()["connect_failures"] == 0


async def test_OP_19_addresses_of_one_result_are_taken_in_turn(server: NameServer) -> None:
    """As when each connection had a lookup of its own, and the name server turned its answer."""
    server.names["a.test"] = ["::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]
    found = await Names(asyncio.get_running_loop()).find("a.test")
    assert found.in_turn(0) == ["::1", "::2", "::3", "127.0.0.1", "127.0.0.2"]
    assert found.in_turn(4) == ["::2", "::3", "::1", "127.0.0.1", "127.0.0.2"]
    server.names["b.test"] = []
    assert (await Names(asyncio.get_running_loop()).find("b.test")).in_turn(3) == []


async def test_OP_19_several_named_servers_are_taken_in_turn_with_all_their_addresses(server: NameServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        raw = await stack.enter_async_context(RawServer(lambda _: answer(200, b"", [("Connection", "close")])))
        heard: list[str] = []

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(writer.get_extra_info("sockname")[0])
            raw._accept(reader, writer)

        places = [f"127.0.0.{n}" for n in (11, 12, 21, 22)]
        for place in places:
            listening = await asyncio.start_server(accept, place, raw.port)
            stack.callback(listening.close)
        server.names = {"one.test": places[:2], "two.test": places[2:]}
        upstream = await stack.enter_async_context(
            upstream_of(raw, addresses=[("one.test", raw.port), ("two.test", raw.port)])
        )
        route = Route(root="/svc/", upstream=upstream)
        for n in range(8):
            assert (await run(route, [call(str(n))])).statuses == {str(n): 200}
    assert sorted(heard) == sorted(places * 2)
    assert sorted(server.asked) == ["one.test", "two.test"]


async def test_OP_19_no_thread_can_be_had(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("_thread.start_new_thread", refused)
        found = await Names(asyncio.get_running_loop()).find("a.test")
    assert (found.addresses, found.reason) == ((), "can't start new thread")


async def test_OP_19_an_upstream_is_closed_while_its_name_is_looked_up(server: NameServer) -> None:
    server.stuck["stuck.test"] = threading.Event()
    async with named("stuck.test", 80) as (upstream, route):
        session = session_of(route)
        session.feed(pb.BatchRequest(calls=[call("a")]).SerializeToString())
        session.feed_end()
        await turned(lambda: upstream.stats()["connecting"] == 1)
        upstream.close()
        assert code((await collect(session))["a"]) == "UpstreamClosed"
        await turned(lambda: upstream.stats()["connecting"] == 0)
