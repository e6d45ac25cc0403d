"""An exception in every callback of the core in turn: rules BU-03 to BU-05.

Two batches share an upstream that is always busy, so that each runs in turns that the other gives it. Whatever is
raised, wherever: each batch has exactly one result a call or is visibly broken, only one of the two is touched, and
nothing is left behind.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from batchwire.core import AsgiUpstream, HttpUpstream, Limits, Route, Session, stats
from batchwire.core.faults import arm
from batchwire.v1 import batch_pb2 as pb
from core_driving import RawServer, Request, answer, call, turned, upstream_of

CALLS = 12
ALWAYS = [
    "feed",
    "feed_end",
    "reader",
    "plan.admit",
    "plan.decide",
    "place",
    "on_capacity",
    "complete",
    "conclude",
    "writer",
    "plan.finish",
    "take",
    "start_queued",
]
OVER_HTTP = ["upstream.start", "upstream.connect", "upstream.send", "upstream.sent", "upstream.data", "upstream.tick"]
IN_APP = ["app.start", "app.answered", "app.tick"]
IN_GROUPS = ["plan.decide_group", "place_group", "split_answer"]
TIMES = [1, 2, 3, 7, 20]


class Injected(Exception):
    """What the tests make the core raise."""


class Hook:
    """Raises at the nth time that a place is passed, or for as long as `times` says."""

    def __init__(self, place: str, nth: int, times: int = 1) -> None:
        self.place, self.nth, self.times = place, nth, times
        self.passed = self.raised = 0

    def __call__(self, place: str) -> None:
        if place != self.place:
            return
        self.passed += 1
        if self.nth <= self.passed < self.nth + self.times:
            self.raised += 1
            raise Injected(place)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm(None)


def echo(request: Request) -> bytes:
    if request.target == b"/$batch":
        asked = json.loads(request.body)["requests"]
        told = [{"id": one["id"], "status": 200, "headers": {}, "body": {"url": one["url"]}} for one in asked]
        return answer(200, json.dumps({"responses": told}).encode(), [("Content-Type", "application/json")])
    return answer(200, b'{"a":1}', [("Content-Type", "application/json"), ("Location", "/x")])


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b'{"a":1}'})


@asynccontextmanager
async def over_http(**options: Any) -> AsyncIterator[HttpUpstream]:
    async with (
        RawServer(echo) as server,
        upstream_of(server, max_connections=2, call_timeout=20, **options) as upstream,
    ):
        yield upstream


@asynccontextmanager
async def in_app() -> AsyncIterator[AsgiUpstream]:
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", max_in_flight=2)
    yield upstream
    upstream.close()


def batch(name: str, dialect: str, group: str = "") -> bytes:
    calls = [
        {"id": f"{name}{n}", "method": "POST" if group else "GET", "url": f"x{n}", "headers": {}} for n in range(CALLS)
    ]
    for n in range(1, CALLS, 3):
        if not group:
            calls[n]["dependsOn"] = [f"{name}{n - 1}"]
    if group:
        for one in calls:
            one["atomicityGroup"] = group
    if dialect == "json":
        return json.dumps({"requests": calls}).encode()
    return pb.BatchRequest(
        calls=[
            call(
                str(one["id"]),
                str(one["url"]),
                str(one["method"]),
                depends_on=one.get("dependsOn", []),
                atomicity_group=str(one.get("atomicityGroup", "")),
            )
            for one in calls
        ]
    ).SerializeToString()


class Client:
    """A client of one batch, which takes its answer as it comes."""

    def __init__(self, route: Route, name: str, dialect: str, ordered: bool, group: str) -> None:
        self.name, self.dialect = name, dialect
        self.text = batch(name, dialect, group)
        self.session = Session(
            asyncio.get_running_loop(), route, dialect=dialect, ordered=ordered, deadline=20, watched=False
        )
        self.chunks: list[bytes] = []

    async def run(self) -> None:
        half = len(self.text) // 2 if self.dialect == "json" else len(self.text)
        for piece in (self.text[:half], self.text[half:]):
            self.session.feed(piece)
            await asyncio.sleep(0)
        self.session.feed_end()
        while True:
            await self.session.wait_output()
            while (chunk := self.session.take()) is not None:
                self.chunks.append(chunk)
            if self.session.finished:
                return

    def results(self) -> dict[str, int] | None:
        """Statuses by id; None: the batch is visibly broken. No call has two results in any case."""
        text = b"".join(self.chunks)
        if self.dialect == "json":
            broken = self.session.failure is not None
            if broken:
                assert not text.rstrip().endswith(b"]}")
                text += b"]}" if text else b'{"responses":[]}'
            found = [(one["id"], one["status"]) for one in json.loads(text)["responses"]]
        else:
            messages = [pb.BatchResponse.FromString(chunk) for chunk in self.chunks]
            broken = not any(message.HasField("summary") for message in messages)
            assert broken == (self.session.failure is not None)
            found = [(one.id, one.status) for message in messages for one in message.results]
        assert len({name for name, _ in found}) == len(found)
        return None if broken else dict(found)


async def run_two(upstream: Any, hook: Hook, dialect: str, ordered: bool, group: str = "") -> list[Client]:
    route = Route(root="/svc/", upstream=upstream, limits=Limits(max_in_flight=4), streaming_threshold=0)
    clients = [Client(route, name, dialect, ordered, group) for name in "pq"]
    arm(hook)
    async with asyncio.timeout(30):
        await asyncio.gather(*(client.run() for client in clients))
    arm(None)
    return clients


async def check(upstream: Any, hook: Hook, dialect: str, ordered: bool, group: str = "") -> None:
    touched = 0
    for client in await run_two(upstream, hook, dialect, ordered, group):
        found = client.results()
        if found is None:
            touched += 1
            assert client.session.failure is not None
            assert (client.session.failure.status, client.session.failure.code) == (500, "InternalError")
        else:
            assert sorted(found) == sorted(f"{client.name}{n}" for n in range(CALLS))
            touched += any(status != 200 for status in found.values())
            assert set(found.values()) <= {200, 424, 500, 502}
    assert touched <= hook.raised
    await turned(lambda: upstream.stats()["in_flight"] == 0)
    assert upstream.stats()["waiting_batches"] == 0
    # What comes afterwards is served as if nothing had been.
    for client in await run_two(upstream, Hook("none", 1), dialect, ordered, group):
        assert set((client.results() or {}).values()) == {200}


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    before = stats()["sessions"]
    yield
    gc.collect()
    assert stats()["sessions"] == before


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("dialect", ["json", "proto"])
@pytest.mark.parametrize("place", ALWAYS + OVER_HTTP)
async def test_BU_04_a_fault_over_http(place: str, dialect: str, ordered: bool) -> None:
    for nth in TIMES:
        async with over_http() as upstream:
            await check(upstream, Hook(place, nth), dialect, ordered)


@pytest.mark.parametrize("dialect", ["json", "proto"])
@pytest.mark.parametrize("place", ALWAYS + IN_APP)
async def test_BU_04_a_fault_before_an_app(place: str, dialect: str) -> None:
    for nth in TIMES:
        async with in_app() as upstream:
            await check(upstream, Hook(place, nth), dialect, False)


@pytest.mark.parametrize("dialect", ["json", "proto"])
@pytest.mark.parametrize("place", ALWAYS + IN_GROUPS)
async def test_BU_04_a_fault_in_a_group(place: str, dialect: str) -> None:
    for nth in TIMES:
        async with over_http() as upstream:
            upstream.take_batches("json")
            await check(upstream, Hook(place, nth), dialect, False, "g")


@pytest.mark.parametrize("dialect", ["json", "proto"])
@pytest.mark.parametrize("place", [*ALWAYS, "split_answer"])
async def test_BU_04_a_fault_under_calls_that_travel_together(place: str, dialect: str) -> None:
    for nth in TIMES:
        async with over_http() as upstream:
            upstream.take_batches("json", 5)
            await check(upstream, Hook(place, nth), dialect, False)


@pytest.mark.parametrize("place", ["plan.decide", "place", "conclude", "writer", "upstream.send", "upstream.start"])
async def test_BU_03_a_fault_in_one_call_fails_that_call(place: str) -> None:
    async with over_http() as upstream:
        route = Route(root="/svc/", upstream=upstream)
        client = Client(route, "p", "json", False, "")
        hook = Hook(place, 3)
        arm(hook)
        await client.run()
        found = client.results()
        assert found is not None
        assert len(found) == CALLS
        assert hook.raised == 1
        failed = [status for status in found.values() if status in (500, 502)]
        # A call that has not left is sent again (GW-15).
        assert len(failed) == (0 if place == "upstream.send" else 1)
        assert list(found.values()).count(200) >= CALLS - 2


@pytest.mark.parametrize("place", [*ALWAYS, *OVER_HTTP[:-1]])
async def test_BU_05_a_fault_that_does_not_end_leaves_nothing_behind(place: str) -> None:
    async with over_http() as upstream:
        hook = Hook(place, 1, 1_000_000)
        for client in await run_two(upstream, hook, "json", False):
            found = client.results()
            assert found is None or len(found) == CALLS
        assert hook.passed
        await turned(lambda: upstream.stats()["in_flight"] == 0)
        for client in await run_two(upstream, Hook("none", 1), "json", False):
            assert set((client.results() or {}).values()) == {200}


@pytest.mark.parametrize("kind", ["http", "app"])
async def test_BU_04_deadlines_are_kept_after_a_fault_of_their_ticker(kind: str) -> None:
    released = asyncio.Event()

    async def slow_app(*_: Any) -> None:
        await released.wait()

    async def slowly(_: Request) -> bytes | None:
        await released.wait()
        return None

    async with RawServer(slowly) as server, upstream_of(server, call_timeout=0.1) as over:
        here = AsgiUpstream(asyncio.get_running_loop(), slow_app, name="app", call_timeout=0.1)
        upstream = over if kind == "http" else here
        hook = Hook("upstream.tick" if kind == "http" else "app.tick", 1, 3)
        for client in await run_two(upstream, hook, "json", False):
            assert set((client.results() or {}).values()) <= {504, 424}
            assert len(client.results() or {}) == CALLS
        assert hook.raised == 3
        released.set()
        here.close()


@pytest.mark.parametrize("place", ["deadline", "check_idle", "linger"])
async def test_BU_04_a_fault_in_a_timer_breaks_its_batch(place: str) -> None:
    async with over_http() as upstream:
        client = Client(Route(root="/svc/", upstream=upstream), "p", "json", False, "")
        client.session.feed(client.text[:50])
        arm(Hook(place, 1))
        {
            "deadline": client.session.on_deadline,
            "check_idle": client.session.check_idle,
            "linger": client.session.outlet.on_linger,
        }[place]()
        arm(None)
        assert client.session.finished
        assert client.session.failure is not None
        assert client.session.failure.code == "InternalError"
