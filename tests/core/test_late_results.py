"""Results that become large by being written wait for the client as they came (AN-05), whatever ends the batch."""

import asyncio
import gzip
import json
from typing import Any

import pytest
from batchwire.core import Limits, Route, Session
from batchwire.core.dispatch.inflow import stats
from batchwire.core.errors import EnvelopeError
from core_driving import Request, answer, serving, session_of, taken, turned

MIB = 1 << 20
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
VALUE = "x" * (3 * MIB) + "".join(str(n) for n in range(10_000))  # 3 MiB; in gzip 1:150
ZIPPED = gzip.compress(json.dumps(VALUE).encode())
CONTROLS = b"\x01" * (2 * MIB)
pytestmark = pytest.mark.usefixtures("nothing_left")


def answering(made: Request) -> bytes:
    if made.target.endswith(b"zipped"):
        return answer(200, ZIPPED, [("Content-Type", "application/json"), ("Content-Encoding", "gzip")])
    if made.target.endswith(b"controls"):
        return answer(200, CONTROLS, [("Content-Type", "text/plain")])
    return answer(200, b"{}", [("Content-Type", "application/json")])


def begun(route: Any, count: int, url: str, **more: Any) -> Session:
    session = session_of(route, dialect="json", **more)
    members = [{"id": str(n), "method": "get", "url": url} for n in range(count)]
    session.feed(json.dumps({"requests": members}).encode())
    session.feed_end()
    return session


async def idle() -> None:
    """Lets everything happen that happens by itself."""
    for _ in range(300):
        await asyncio.sleep(0)


@pytest.mark.parametrize("ordered", [False, True])
async def test_AN_05_what_would_be_inflated_waits_for_the_client(ordered: bool) -> None:
    limits = Limits(max_in_flight=16)
    async with serving(answering, max_connections=16, limits=limits) as (_, upstream, route):
        session = begun(route, 16, "zipped", ordered=ordered)
        await turned(lambda: upstream.stats()["in_flight"] == 0 and stats()["answers_out"] > 3 * MIB)
        await idle()
        assert stats()["answers_out"] < 16 * MIB  # and not 48, which all of them would be
        assert session.summary["succeeded"] < 6
        found = json.loads(await taken(session))["responses"]
        assert {one["id"] for one in found} == {str(n) for n in range(16)}
        assert all(one["status"] == 200 and one["body"] == VALUE for one in found)
        assert not ordered or [one["id"] for one in found] == [str(n) for n in range(16)]
    assert stats() == NOTHING


async def test_AN_05_what_text_becomes_counts_for_the_process() -> None:
    limits = Limits(max_answer_bytes_in_process=32 * MIB)
    async with serving(answering, max_connections=16, limits=limits) as (_, _, route):
        sessions = [begun(route, 2, "controls") for _ in range(8)]
        await turned(lambda: stats()["answers_out"] > 12 * MIB)
        await idle()
        assert stats()["answers_out"] < 32 * MIB  # and not 96, which all of them would be
        assert stats()["answers_out"] + stats()["answers_reading"] < 34 * MIB
        for text in await asyncio.gather(*map(taken, sessions)):
            assert [one["body"] for one in json.loads(text)["responses"]] == [CONTROLS.decode()] * 2
    assert stats() == NOTHING


async def test_AN_05_text_counts_as_what_it_becomes() -> None:
    """Not as what it might: else a large one waits until nearly nothing is held."""
    text = b"line\n" * (2 * MIB)  # 10 MiB, in JSON 12; six times as much would not fit
    limits = Limits(max_answer_bytes_in_process=48 * MIB, max_answer_bytes_in_flight=48 * MIB)
    more: dict[str, Any] = {"max_connections": 16, "limits": limits}
    async with serving(lambda _: answer(200, text, [("Content-Type", "text/plain")]), **more) as (_, _, route):
        held = begun(route, 1, "text")
        await turned(lambda: stats()["answers_out"] > 12 * MIB)  # much to take: nobody goes on without room
        assert stats()["answers_out"] < 13 * MIB
        other = begun(route, 1, "text")
        assert json.loads(await taken(other))["responses"][0]["body"] == text.decode()
        assert json.loads(b"".join(iter(held.take, None)))["responses"][0]["body"] == text.decode()
    assert stats() == NOTHING


async def test_GW_21_a_broken_batch_delivers_what_has_run() -> None:
    async with serving(answering, max_connections=8) as (_, upstream, _):
        route = Route(root="/svc/", upstream=upstream, streaming_threshold=0)
        session = session_of(route, dialect="json")
        members = [{"id": str(n), "method": "get", "url": "zipped"} for n in range(4)]
        session.feed(json.dumps({"requests": members}).encode()[:-2])
        await turned(lambda: upstream.stats()["in_flight"] == 0 and stats()["answers_out"] > 3 * MIB)
        session.fail(EnvelopeError(400, "BadJson", "broken"))
        assert not session.finished
        assert (await taken(session)).count(b'"status":200') == 4
    assert stats() == NOTHING


async def test_a_cancelled_batch_forgets_them() -> None:
    async with serving(answering, max_connections=8) as (_, upstream, route):
        session = begun(route, 4, "zipped")
        await turned(lambda: upstream.stats()["in_flight"] == 0 and stats()["answers_out"] > 3 * MIB)
        session.cancel()
        assert stats() == NOTHING


async def test_MP_09_an_error_still_ends_a_batch_at_once() -> None:
    """A result that waits must not let calls start that the error would have stopped."""

    def failing(made: Request) -> bytes:
        if made.target.endswith(b"0"):
            zipped = gzip.compress(json.dumps("why").encode())
            return answer(500, zipped, [("Content-Type", "application/json"), ("Content-Encoding", "gzip")])
        return answer(204)

    async with serving(failing, limits=Limits(max_in_flight=1)) as (server, _, route):
        session = session_of(route, dialect="json", continue_on_error=False)
        members = [{"id": str(n), "method": "get", "url": f"x{n}"} for n in range(4)]
        session.feed(json.dumps({"requests": members}).encode())
        session.feed_end()
        found = {one["id"]: one for one in json.loads(await taken(session))["responses"]}
        assert found["0"]["body"] == "why"
        assert {one["status"] for name, one in found.items() if name != "0"} == {424}
        assert len(server.requests) == 1
