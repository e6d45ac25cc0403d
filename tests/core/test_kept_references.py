"""PL-02: references that calls wait with count for about what they take."""

import json
import tracemalloc
from typing import Any

import pytest
from batchwire.core import Limits, Route, Session
from batchwire.core.session.crowd import stats
from core_driving import Request, answer, serving, session_of, turned

CALLS, EACH = 60, 60
pytestmark = pytest.mark.usefixtures("nothing_left")


def batch(place: str, path: str, padding: int = 0) -> bytes:
    """Calls that all wait for the first one. padding: bytes of each body."""
    members: list[dict[str, Any]] = [{"id": "a", "method": "get", "url": "first"}]
    for n in range(CALLS):
        named = [f"$a/{path}{m}" for m in range(EACH)]
        call: dict[str, Any] = {"id": str(n), "method": "post", "url": "x", "dependsOn": ["a"]}
        if place == "query":
            call["url"] = "x?" + "&".join("q=" + one for one in named)
        else:
            call |= {"headers": {"content-type": "application/json"}, "body": [*named, "x" * padding]}
        members.append(call)
    return json.dumps({"requests": members}).encode()


@pytest.mark.parametrize(
    ("place", "path", "padding"), [("query", "", 0), ("body", "", 0), ("body", "k/" * 20, 0), ("body", "", 200_000)]
)
async def test_PL_02_references_count(place: str, path: str, padding: int) -> None:
    async def never(asked: Request) -> bytes:
        assert asked.target == b"/first"
        await gate()
        return answer(200, b"[]")

    async def gate() -> None:
        await turned(lambda: bool(done))

    def fed(route: Route) -> Session:
        session = session_of(route, dialect="json")
        session.feed(batch(place, path, padding))
        session.feed_end()
        return session

    done: list[bool] = []
    bounds = Limits(max_pending_bytes=64 << 20, max_call_bytes=16 << 20)
    async with serving(never, limits=bounds) as (_, _, route):
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            session = fed(route)
            await turned(lambda: session.summary["calls"] == CALLS + 1)
            held = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        counted = stats()["request_held"]
        assert held / 2 <= counted <= held * 2
        session.cancel()
        done.append(True)
    assert stats()["request_held"] == 0
