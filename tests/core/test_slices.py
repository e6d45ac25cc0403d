"""Work in slices and what is counted (PL-01, PL-02), seen from inside: by counters and not by the clock."""

import asyncio
import base64
import gzip
import json
from typing import Any

import psutil
import pytest
from batchwire.core import Limits, Route, Session
from batchwire.core.dialects import json_index
from batchwire.core.session import turns
from core_driving import Request, answer, serving, session_of, taken, turned

LARGE = {f"x{n}": n for n in range(4_000)}  # below what is kept for calls that come after its end


def member(name: str, url: str = "x", **more: Any) -> dict[str, Any]:
    return {"id": name, "method": "get", "url": url, **more}


def document(*members: dict[str, Any]) -> bytes:
    return json.dumps({"requests": members}).encode()


def json_answer(request: Request) -> bytes:
    value = LARGE if request.target.endswith(b"large") else {}
    return answer(200, json.dumps(value).encode(), [("Content-Type", "application/json")])


async def statuses(session: Session) -> dict[str, int]:
    text = await taken(session)
    assert session.failure is None
    return {one["id"]: one["status"] for one in json.loads(text)["responses"]}


async def run(route: Any, *members: dict[str, Any]) -> dict[str, int]:
    session = session_of(route, dialect="json")
    session.feed(document(*members))
    session.feed_end()
    return await statuses(session)


async def test_PL_01_an_answer_is_gone_through_once() -> None:
    conditions = [
        member(f"c{n}", dependsOn=["a"], **{"if": " or ".join(f"$a/x{m} eq {m + 1}" for m in range(100))})
        for n in range(20)
    ]
    values = [member(f"v{n}", method="post", dependsOn=["a"], body=[f"$a/x{m}" for m in range(64)]) for n in range(20)]
    async with serving(json_answer) as (server, _, route):
        before = json_index.stats()["json_indexes_built"]
        found = await run(route, member("a", "large"), *conditions, *values)
        assert json_index.stats()["json_indexes_built"] == before + 1
    assert {name: status for name, status in found.items() if status != 200} == {f"c{n}": 424 for n in range(20)}
    bodies = [json.loads(one.body) for one in server.requests if one.method == b"POST"]
    assert bodies == [list(range(64))] * 20


async def test_PL_01_a_long_batch_lets_another_one_pass() -> None:
    """The small one comes last and is answered first, though the large one waits for nothing but itself."""
    condition = "not (" + " or ".join(f"$a/x{n} eq 0.5" for n in range(200)) + ")"
    many = [member(f"c{n}", dependsOn=["a"], **{"if": condition}) for n in range(500)]
    ended: list[str] = []

    async def one(name: str, *members: dict[str, Any]) -> dict[str, int]:
        found = await run(route, *members)
        ended.append(name)
        return found

    async with serving(json_answer) as (server, _, route):
        before = turns.stats()["slices"]
        large = asyncio.ensure_future(one("large", member("a", "large"), *many))
        await turned(lambda: turns.stats()["slices"] > before + 2)
        assert await one("small", member("1")) == {"1": 200}
        found = await large
        assert ended == ["small", "large"]
    assert set(found.values()) == {200}
    assert len(found) == 501
    assert len(server.requests) == 502


async def test_PL_01_a_batch_may_be_cancelled_or_broken_between_slices() -> None:
    long = " or ".join(f"$a{n}/$succeeded" for n in range(190))
    many = [member(f"c{n}", dependsOn=["a"], **{"if": long}) for n in range(500)]
    async with serving(json_answer) as (_, _, route):
        for end in ("cancel", "break"):
            before = turns.stats()["slices"]
            session = session_of(route, dialect="json")
            session.feed(document(member("a"), *many)[:-2] + (b"]}" if end == "cancel" else b",!"))
            await turned(lambda before=before: turns.stats()["slices"] > before + 1)  # type: ignore[misc]
            if end == "cancel":
                session.cancel()
            else:
                await turned(lambda session=session: session.failure is not None)  # type: ignore[misc]
            await turned(lambda session=session: session.finished)  # type: ignore[misc]
        assert await run(route, member("1")) == {"1": 200}


BIG = 20_000
HEAVY: dict[str, dict[str, Any]] = {
    "condition": {"if": "$slow/$succeeded and 'x' eq '" + "x" * BIG + "'"},
    "url": {"url": "u" * BIG},
    "headers": {"headers": {"x": "h" * BIG}},
    "body": {"method": "post", "body": "b" * BIG},
    "junk around a body": {"method": "post", "body": 1, "junk": "j" * BIG},
}


@pytest.mark.parametrize("kind", HEAVY)
async def test_PL_02_all_that_a_waiting_call_holds_counts(kind: str) -> None:
    released = asyncio.Event()

    async def answering(request: Request) -> bytes:
        if request.target.endswith(b"slow"):
            await released.wait()
        return json_answer(request)

    async with serving(answering) as (_, upstream, _):
        limits = Limits(max_pending_bytes=5 * BIG)
        route = Route(root="/svc/", upstream=upstream, limits=limits, streaming_threshold=0)
        session = session_of(route, dialect="json")
        pieces = [b'{"requests":[' + json.dumps(member("slow", "slow")).encode()]
        for n in range(100):
            heavy = {**member(f"n{n}", dependsOn=["slow"]), **HEAVY[kind]}
            pieces.append(b"," + json.dumps(heavy).encode())
        held = False
        for piece in pieces:
            session.feed(piece)
            held = held or session.summary["calls"] > 1
        await turned(lambda: True)
        assert held
        assert session.summary["calls"] <= 8
        released.set()
        session.feed(b"]}")
        session.feed_end()
        found = await statuses(session)
    assert len(found) == 101
    assert session.summary["calls"] == 101


async def test_PL_02_what_was_held_is_given_back() -> None:
    """What a call held is given back with its result: a batch of any length goes through."""
    async with serving(json_answer, limits=Limits(max_pending_bytes=BIG)) as (server, _, route):
        session = session_of(route, dialect="json")
        waiting = asyncio.ensure_future(statuses(session))
        session.feed(b'{"requests":[')
        for n in range(200):
            text = json.dumps(member(f"n{n}", method="post", body="b" * (BIG // 3))).encode()
            session.feed((b"," if n else b"") + text)
            await session.wait_input()
        session.feed(b"]}")
        session.feed_end()
        assert set((await waiting).values()) == {200}
        assert len(server.requests) == 200


async def test_PL_02_what_is_checked_whole_is_bounded_by_what_its_bodies_hold() -> None:
    """GW-21: a small document with codings whose end is large streams from where it holds all that it may."""
    zipped = base64.urlsafe_b64encode(gzip.compress(json.dumps("x" * 200_000).encode())).decode().rstrip("=")
    coded = {"headers": {"content-type": "application/octet-stream", "transfer-encoding": "gzip"}, "body": zipped}
    calls = [member(str(n), method="post", **coded) for n in range(40)]
    go = asyncio.Event()

    async def held(request: Request) -> bytes:
        await go.wait()
        return answer(204)

    async with serving(held, limits=Limits(max_pending_bytes=1 << 20, max_in_flight=2)) as (server, _, route):
        session = session_of(route, dialect="json")
        session.feed(document(*calls))
        session.feed_end()
        await server.until(lambda: len(server.requests) == 2)
        assert session.summary["calls"] < 10
        go.set()
        assert await statuses(session) == {str(n): 204 for n in range(40)}


async def held_in_little(calls: list[dict[str, Any]], headers: list[tuple[bytes, bytes]]) -> list[Request]:
    """Runs calls that inherit headers, and looks at the memory while they wait; the requests that came of them."""
    go = asyncio.Event()

    async def held(request: Request) -> bytes:
        await go.wait()
        return answer(204)

    async with serving(held, limits=Limits(max_in_flight=2, max_pending_bytes=4 << 20)) as (server, _, route):
        before = psutil.Process().memory_info().rss
        session = session_of(route, dialect="json", headers=headers)
        session.feed(document(*calls))
        session.feed_end()
        await server.until(lambda: len(server.requests) == 2)
        assert psutil.Process().memory_info().rss - before < 20 << 20
        go.set()
        assert await statuses(session) == {str(n): 204 for n in range(len(calls))}
        return server.requests


async def test_PL_02_what_calls_inherit_counts() -> None:
    """Each of them overrides a line, and so has a copy of the others."""
    lines = [(b"x-inherited", b"y" * 50_000), (b"x-own", b"0")]
    await held_in_little([member(str(n), headers={"x-own": str(n)}) for n in range(1000)], lines)


async def test_PL_02_preferences_that_calls_inherit_count() -> None:
    """Each of them has a Prefer of its own, which the batch's makes long (HD-05)."""
    lines = [(b"prefer", b'include-annotations="%s"' % (b"y" * 50_000))]
    calls = [member(str(n), headers={"prefer": f"wait={n}"}) for n in range(1000)]
    requests = await held_in_little(calls, lines)
    assert {len(one.header(b"prefer") or b"") // 1000 for one in requests} == {50}
