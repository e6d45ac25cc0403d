"""What is done for calls before they start is counted, so that a batch rests in between (PL-01): seen by counters."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from batchwire.core import Limits, Route
from batchwire.core.dialects import json_index
from batchwire.core.session import turns
from core_driving import RawServer, Request, answer, serving, session_of, taken, turned, upstream_of

DENSE = 300_000
SOURCES = [f"d{n}" for n in range(8)]
INHERITED = [(b"x-%d" % n, b"1") for n in range(2_000)]


def call(name: str, url: str = "x", **more: Any) -> dict[str, Any]:
    return {"id": name, "method": "get", "url": url, **more}


@asynccontextmanager
async def gated(form: str | None = None) -> AsyncIterator[tuple[RawServer, Route, asyncio.Event]]:
    """An upstream that answers `slow` when the event is set, all else at once, and JSON batches with a 200 a call."""
    released = asyncio.Event()

    async def answering(request: Request) -> bytes:
        if request.target.endswith(b"slow"):
            await released.wait()
        if b"missing" in request.target:
            return answer(404)
        value: Any = {}
        if request.target.endswith(b"dense"):
            value = {"@etag": '"1"', "a": [0] * DENSE}
        if request.target.endswith(b"$batch") and form == "json":
            value = {"responses": [{"id": one["id"], "status": 200} for one in json.loads(request.body)["requests"]]}
        return answer(200, json.dumps(value).encode(), [("Content-Type", "application/json")])

    async with RawServer(answering) as server, upstream_of(server) as upstream:
        if form is not None:
            upstream.take_batches(form)
        yield server, Route(root="/svc/", upstream=upstream), released


async def rests(
    calls: list[dict[str, Any]], headers: list[tuple[bytes, bytes]] | None = None, form: str | None = None
) -> int:
    """How often the batch rests when all of the calls are decided at once; they wait for `slow`."""
    async with gated(form) as (server, route, released):
        session = session_of(route, dialect="json", headers=headers)
        session.feed(json.dumps({"requests": [call("slow", "slow"), *calls]}).encode())
        session.feed_end()
        sources = sum(one["url"] == "dense" for one in calls)
        await server.until(lambda: len(server.requests) == 1 + sources)
        await turned(lambda: session.summary["calls"] == len(calls) + 1)
        text = b""
        async with asyncio.timeout(60):
            while session.summary["succeeded"] < sources:  # large results are written as the client takes them
                await session.wait_output()
                while (chunk := session.take()) is not None:
                    text += chunk
        before = turns.stats()["slices"]
        released.set()
        text += await taken(session)
        assert {one["status"] for one in json.loads(text)["responses"]} == {200}
        return int(turns.stats()["slices"] - before)


async def test_PL_01_long_urls_behind_references_are_worked_on_in_slices() -> None:
    assert await rests([call(f"c{n}", "$slow/" + "a;/" * 10_000, dependsOn=["slow"]) for n in range(400)]) > 1


async def test_PL_01_many_inherited_lines_are_joined_in_slices() -> None:
    own = {f"y{n}": "" for n in range(500)}
    calls = [call(f"c{n}", dependsOn=["slow"], headers={f"x-{n}": "", **own}) for n in range(100)]
    assert await rests(calls, INHERITED) > 1


async def test_PL_01_long_preferences_are_joined_in_slices() -> None:
    calls = [call(f"c{n}", dependsOn=["slow"], headers={"prefer": f"wait={n}"}) for n in range(4_000)]
    assert await rests(calls, [(b"prefer", b'include-annotations="%s"' % (b"y" * 60_000))]) > 1


async def test_PL_01_a_group_is_written_in_slices() -> None:
    calls = [call(f"c{n}", dependsOn=["slow"], atomicityGroup="g", headers={"a": ""}) for n in range(50)]
    assert await rests(calls, INHERITED, "json") > 1


@pytest.mark.parametrize("form", ["json", "multipart"])
async def test_PL_01_links_between_members_are_renamed_in_slices(form: str) -> None:
    """Escaped, a reference is no matter of the plan, which counts others."""
    links = '{"$":0,"a@odata.bind":[' + '"\\u0024m",' * 50_000 + "1]}"
    body = {"$$": links}
    members = [call("m", method="post", atomicityGroup="g"), call("a", method="post", atomicityGroup="g", body=body)]
    async with gated(form) as (server, route, _):
        session = session_of(route, dialect="json")
        text = json.dumps({"requests": members}).replace(json.dumps(body), links)
        turns.force(2)
        try:
            before = turns.stats()["slices"]
            session.feed(text.encode())
            session.feed_end()
            await server.until(lambda: len(server.requests) == 1)
        finally:
            turns.force(0)
        session.cancel()
        assert turns.stats()["slices"] - before > 50
        assert server.requests[0].body.count(b'"$1"') == 50_000


ASKING: dict[str, dict[str, Any]] = {
    "body": {"method": "post", "body": [f"$d{n}/a/5" for n in range(8)]},
    "query": {"url": "x?" + "&".join(f"q=$d{n}/a/5" for n in range(8))},
}


@pytest.mark.parametrize("group", [{}, {"atomicityGroup": "g"}], ids=["alone", "in a group"])
@pytest.mark.parametrize("kind", ASKING)
async def test_PL_01_values_of_many_large_answers_are_filled_in_in_slices(kind: str, group: dict[str, Any]) -> None:
    """Each of them is gone through in a step of its own."""
    asking = [call(f"z{n}", dependsOn=[*SOURCES, "slow"], **{**ASKING[kind], **group}) for n in range(2)]
    assert await rests([*(call(name, "dense") for name in SOURCES), *asking], form="json") > 1


async def test_PL_01_an_answer_is_gone_through_once_for_the_values_of_a_call() -> None:
    """Also where the indexes of all its answers are more than is kept at a time."""
    async with serving(dense, limits=Limits(reference_bytes=1 << 20)) as (_, _, route):
        before = json_index.stats()["json_indexes_built"]
        session = session_of(route, dialect="json")
        asking = call("z", method="post", dependsOn=SOURCES, body=[f"$d{n}/a/{n}" for n in range(8)])
        session.feed(json.dumps({"requests": [*(call(name) for name in SOURCES), asking]}).encode())
        session.feed_end()
        async with asyncio.timeout(60):
            while not session.finished:
                await session.wait_output()
                session.take()
        assert session.summary["succeeded"] == 9
        assert json_index.stats()["json_indexes_built"] == before + 8


def dense(_: Request) -> bytes:
    return answer(200, json.dumps({"a": [0] * DENSE}).encode(), [("Content-Type", "application/json")])


async def test_PL_01_a_group_that_is_stopped_between_slices_does_not_run() -> None:
    members = [call(f"c{n}", dependsOn=["slow"], atomicityGroup="g", headers={"a": ""}) for n in range(100)]
    async with gated("json") as (server, route, released):
        session = session_of(route, dialect="json", headers=INHERITED)
        session.feed(json.dumps({"requests": [call("slow", "slow"), *members]}).encode())
        session.feed_end()
        await server.until(lambda: len(server.requests) == 1)
        before = turns.stats()["slices"]
        released.set()
        await turned(lambda: turns.stats()["slices"] > before)
        session.cancel()
        await turned(lambda: session.finished)
        assert [one.target for one in server.requests] == [b"/slow"]


async def test_PL_01_calls_that_a_stop_leaves_out_are_dropped_in_slices() -> None:
    """MP-09: without a result, which costs little, but there may be very many."""
    dropped = 30_000
    async with gated() as (server, _, released), upstream_of(server) as upstream:
        route = Route(root="/svc/", upstream=upstream, streaming_threshold=0, limits=Limits(max_pending=1 << 20))
        session = session_of(
            route, dialect="multipart", boundary=b"b", answer_boundary=b"b", continue_on_error=False, watched=False
        )
        head = b"Content-Type: application/http\r\n\r\n"
        session.feed(b"--b\r\n" + head + b"GET missing/slow HTTP/1.1\r\n\r\n" + b"\r\n--b" * dropped + b"\r\n--b--")
        session.feed_end()
        await turned(lambda: session.summary["calls"] == dropped + 1)
        await server.until(lambda: len(server.requests) == 1)
        released.set()
        seen: set[int] = set()

        def ended() -> bool:
            seen.add(session.summary["dependency_failed"])
            while session.take() is not None:
                pass
            return bool(session.finished)

        await turned(ended)
        assert max(seen) == dropped
        assert len(seen - {0, dropped}) > 1
