"""AN-05: the answers of all batches together stay below the bound of the process, whatever their clients do, and every
batch whose client takes its results comes to its end."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from batchwire.core import AsgiUpstream, Limits, Route, Session
from batchwire.core.dispatch.inflow import stats
from batchwire.v1 import batch_pb2 as pb
from core_driving import RawServer, call, session_of, turned, upstream_of

MIB = 1 << 20
BOUND = 64 * MIB
READ = MIB // 4  # that a connection may bring before it is counted
PIECE, RUNNING = MIB // 16, 128
UNDER_WAY = RUNNING * PIECE  # that answers of the app may bring which begin when there is no more room
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
ZIPPED = gzip.compress(json.dumps("x" * (3 * MIB) + "".join(str(n) for n in range(10_000))).encode())
BODIES = {
    "plain": (b"application/json", b'"' + b"x" * (2 * MIB) + b'"'),
    "base64": (b"application/octet-stream", bytes(2 * MIB)),
    "escaped": (b"text/plain", b"\x01" * MIB),
    "charset": (b"text/plain; charset=iso-8859-1", b"\xe4" * MIB),
    "coded": (b"application/json", ZIPPED),
    "little": (b"application/json", gzip.compress(b'"' + b"y" * 1000 + b'"')),
    "short": (b"application/octet-stream", bytes(60_000)),
    "modest": (b"application/octet-stream", bytes(200_000)),
}
pytestmark = pytest.mark.usefixtures("nothing_left")


class App:
    """An ASGI app whose answers come in PIECEs. gate: what the calls of `held` wait for."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gone = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].rpartition("/")[2]
        if name == "held":
            await self.gate.wait()
            name = "little"
        kind, body = BODIES[name]
        head = [(b"content-type", kind)]
        if body.startswith(b"\x1f\x8b"):
            head.append((b"content-encoding", b"gzip"))
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for at in range(0, len(body), PIECE):
            await send({"type": "http.response.body", "body": body[at : at + PIECE], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Watch:
    """The most that was held while the loop turned."""

    def __init__(self) -> None:
        self.peak = 0

    def look(self) -> int:
        held: int = stats()["answers_out"] + stats()["answers_reading"]
        self.peak = max(self.peak, held)
        return held

    async def settle(self) -> None:
        """Lets everything happen that happens by itself."""
        before, same = -1, 0
        while same < 1000:
            await asyncio.sleep(0)
            before, same = self.look(), same + 1 if self.look() == before else 0

    async def until(self, work: Any) -> Any:
        task = asyncio.ensure_future(work)
        while not task.done():
            self.look()
            await asyncio.sleep(0)
        return task.result()


@pytest_asyncio.fixture
async def served() -> AsyncIterator[tuple[App, Callable[..., Route]]]:
    app = App()
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", max_in_flight=RUNNING)

    def route(bound: int = BOUND, **more: Any) -> Route:
        return Route(root="/svc/", upstream=upstream, limits=Limits(max_answer_bytes_in_process=bound, **more))

    yield app, route
    upstream.close()
    assert stats() == NOTHING


def begun(route: Route, urls: list[str], form: str, ordered: bool = False, ends: bool = True) -> Session:
    """form: json, batch or execute."""
    if form == "json":
        session = session_of(route, dialect="json", ordered=ordered)
        members = [{"id": str(n), "method": "get", "url": url} for n, url in enumerate(urls)]
        session.feed(json.dumps({"requests": members}).encode())
    else:
        session = session_of(route, execute=form == "execute")
        options = pb.BatchOptions(max_message_bytes=8 * MIB, takes_parts=form == "batch")
        if ordered:
            options.result_order = pb.RESULT_ORDER_REQUEST
        calls = [call(str(n), url) for n, url in enumerate(urls)]
        session.feed(pb.BatchRequest(options=options, calls=calls).SerializeToString())
    if ends:
        session.feed_end()
    return session


async def statuses(session: Session, form: str) -> list[int]:
    """Of all that is taken, to the end."""
    chunks: list[bytes] = []
    while True:
        await session.wait_output()
        chunks.extend(iter(session.take, None))
        if session.finished:
            break
    chunks.extend(iter(session.take, None))
    if form == "json":
        return [one["status"] for one in json.loads(b"".join(chunks))["responses"]]
    if form == "execute":
        found = pb.ExecuteResponse.FromString(b"".join(chunks)).results
        assert not any(one.body_left_out for one in found)
    else:
        found = [one for chunk in chunks for one in pb.BatchResponse.FromString(chunk).results]
    return [one.status for one in found if one.status]


async def trickle(session: Session) -> None:
    """Takes a chunk now and then."""
    while not session.finished:
        session.take()
        for _ in range(20):
            await asyncio.sleep(0)
    while session.take() is not None:
        pass


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("base64", "json"),
        ("escaped", "json"),
        ("charset", "json"),
        ("coded", "json"),
        ("plain", "json"),
        ("plain", "batch"),
        ("plain", "execute"),
    ],
)
async def test_AN_05_all_clients_together_stay_below_the_bound_of_the_process(
    kind: str, form: str, ordered: bool, served: Any
) -> None:
    """None takes anything; then some vanish, some trickle, and the others take all."""
    _, route = served
    watch = Watch()
    sessions = [begun(route(), [kind] * 3, form, ordered) for _ in range(40)]
    await watch.settle()
    for session in sessions[::4]:
        session.cancel()
    slow = asyncio.gather(*map(trickle, sessions[1::4]))
    others = asyncio.gather(*(statuses(one, form) for one in sessions if one not in sessions[::4] + sessions[1::4]))
    assert await watch.until(others) == [[200] * 3] * 20
    await watch.until(slow)
    for session in sessions[1::4]:
        assert (session.failure, session.summary["succeeded"]) == (None, 3)
    assert watch.peak <= BOUND + UNDER_WAY


@pytest.mark.parametrize("form", ["json", "batch", "execute"])
@pytest.mark.parametrize("kind", ["short", "modest"])
async def test_AN_13_who_comes_later_finds_room(kind: str, form: str, served: Any) -> None:
    """However many take nothing of however many answers."""
    _, route = served
    watch = Watch()
    sessions = [begun(route(), [kind] * 50, "batch" if form == "execute" else form) for _ in range(240)]
    await watch.settle()
    for _ in range(3):
        async with asyncio.timeout(30):
            assert await watch.until(statuses(begun(route(), ["modest"], form), form)) == [200]
    for session in sessions:
        session.cancel()
    assert watch.peak <= BOUND * 3 // 2 + UNDER_WAY


@pytest.mark.parametrize("form", ["json", "batch", "execute"])
@pytest.mark.parametrize("kind", ["base64", "coded"])
async def test_AN_13_results_that_wait_for_an_earlier_one_stay_below_the_bound(
    kind: str, form: str, served: Any
) -> None:
    """They reach no client, however long they may wait, so that no turn makes more of them."""
    app, route = served
    watch = Watch()
    sessions = [begun(route(32 * MIB), ["held", kind, kind], form, True) for _ in range(30)]
    await watch.settle()
    app.gate.set()
    found = await watch.until(asyncio.gather(*(statuses(one, form) for one in sessions)))
    assert found == [[200] * 3] * 30
    assert watch.peak <= 32 * MIB


async def test_AN_05_results_that_travelled_together_stay_below_the_bound() -> None:
    error = b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nContent-Length: 70000\r\n\r\n" + b"\x01" * 70_000
    watch = Watch()
    async with RawServer(lambda _: error) as server, upstream_of(server) as upstream:
        upstream.take_batches("json")
        limits = Limits(max_answer_bytes_in_process=16 * MIB)
        sessions = []
        for _ in range(20):
            sessions.append(session_of(Route(root="/svc/", upstream=upstream, limits=limits), dialect="json"))
            members = [{"id": str(n), "method": "post", "url": "x", "atomicityGroup": "g"} for n in range(4)]
            sessions[-1].feed(json.dumps({"requests": members}).encode())
            sessions[-1].feed_end()
        await turned(lambda: stats()["answers_out"] > 4 * MIB)
        await watch.settle()
        found = await watch.until(asyncio.gather(*(statuses(one, "json") for one in sessions)))
        assert found == [[503] * 4] * 20
        assert watch.peak <= 16 * MIB + 20 * 70_000  # and what runs when there is no more room


async def test_AN_13_large_errors_that_end_a_batch_wait_for_room_too() -> None:
    """They come before all others of their batch, and not before those of other batches."""
    watch = Watch()
    error = b"HTTP/1.1 500 Broken\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n" + b"\x01" * 1_000_000
    async with RawServer(lambda _: error) as server, upstream_of(server, max_connections=64) as upstream:
        limits = Limits(max_answer_bytes_in_process=32 * MIB)
        sessions = []
        for _ in range(20):
            route = Route(root="/svc/", upstream=upstream, limits=limits)
            sessions.append(session_of(route, dialect="json", continue_on_error=False))
            sessions[-1].feed(json.dumps({"requests": [{"id": "0", "method": "get", "url": "x"}]}).encode())
            sessions[-1].feed_end()
        await turned(lambda: stats()["answers_out"] > 4 * MIB)
        await watch.settle()
        found = await watch.until(asyncio.gather(*(statuses(one, "json") for one in sessions)))
        assert found == [[500]] * 20
        assert watch.peak <= 32 * MIB + 20 * READ


async def test_AN_14_one_execute_goes_on_and_others_wait_for_it(served: Any) -> None:
    """Streams and little ones do not."""
    _, route = served
    watch = Watch()
    sessions = [begun(route(32 * MIB), ["plain"] * 3, "execute") for _ in range(20)]
    await watch.settle()
    ended = sum(one.finished for one in sessions)
    assert 0 < ended < 5
    assert stats()["answers_waiting"] == 20 - ended
    assert await watch.until(statuses(begun(route(32 * MIB), ["little"] * 3, "execute"), "execute")) == [200] * 3
    assert await watch.until(statuses(begun(route(32 * MIB), ["short"] * 3, "execute"), "execute")) == [200] * 3
    assert await watch.until(statuses(begun(route(32 * MIB), ["little"] * 3, "json"), "json")) == [200] * 3
    found = await watch.until(asyncio.gather(*(statuses(one, "execute") for one in sessions)))
    assert found == [[200] * 3] * 20
    assert watch.peak <= 32 * MIB


async def test_AN_14_streams_are_read_while_executes_wait(served: Any) -> None:
    _, route = served
    watch = Watch()
    waiting = [begun(route(), ["held", *["plain"] * 3], "execute") for _ in range(20)]
    await watch.settle()
    assert not any(one.finished for one in waiting)
    assert await watch.until(statuses(begun(route(), ["plain"] * 8, "batch"), "batch")) == [200] * 8
    assert await watch.until(statuses(begun(route(), ["base64"] * 8, "json"), "json")) == [200] * 8
    served[0].gate.set()
    found = await watch.until(asyncio.gather(*(statuses(one, "execute") for one in waiting)))
    assert found == [[200] * 4] * 20
    assert watch.peak <= BOUND


async def test_AN_14_an_execute_that_has_not_come_whole_holds_up_no_other(served: Any) -> None:
    _, route = served
    watch = Watch()
    unended = [begun(route(32 * MIB), ["plain"] * 3, "execute", ends=False) for _ in range(10)]
    await watch.settle()
    assert await watch.until(statuses(begun(route(32 * MIB), ["plain"] * 3, "execute"), "execute")) == [200] * 3
    for session in unended:
        session.feed_end()
    found = await watch.until(asyncio.gather(*(statuses(one, "execute") for one in unended)))
    assert found == [[200] * 3] * 10
    assert watch.peak <= 32 * MIB


@pytest.mark.parametrize("form", ["batch", "execute"])
async def test_AN_05_many_short_answers_count_together(form: str, served: Any) -> None:
    """None of them is large; what their batch holds is."""
    _, route = served
    watch = Watch()
    sessions = [begun(route(16 * MIB, max_in_flight=2), ["short"] * 100, form) for _ in range(30)]
    await watch.settle()
    found = await watch.until(asyncio.gather(*(statuses(one, form) for one in sessions)))
    assert found == [[200] * 100] * 30
    assert 4 * MIB < watch.peak <= 16 * MIB + 30 * 2 * 60_000  # and what runs when there is no more room


async def test_AN_13_who_takes_nothing_keeps_no_small_batch_waiting(served: Any) -> None:
    _, route = served
    watch = Watch()
    sessions = [begun(route(), [kind] * 3, "json") for kind in ("escaped", "coded", "base64") for _ in range(20)]
    await watch.settle()
    for form in ("json", "batch", "execute"):
        for kind in ("little", "short"):
            assert await watch.until(statuses(begun(route(), [kind] * 3, form), form)) == [200] * 3
    for session in sessions:
        session.cancel()
    assert watch.peak <= BOUND + UNDER_WAY
