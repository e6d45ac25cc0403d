"""AN-05: what calls take out of answers is held until these calls run. It has its own room, and what has none there
waits before it is long."""

import asyncio
import json

import pytest
from batchwire.core import Limits, Session
from batchwire.core.dispatch import inflow
from core_driving import Request, answer, serving, session_of, turned

MIB = 1 << 20
SIZE, BATCHES, BOUND = 900_000, 60, 64 * MIB
READ = 256 * 1024
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
ONE = [{"id": "0", "method": "get", "url": "long"}]
HELD = [{"id": "1", "method": "get", "url": "held"}]


def taker(number: str, *of: str) -> dict[str, object]:
    """A call that takes something little out of long answers, once the held one has come."""
    return {"id": number, "method": "post", "url": "x", "dependsOn": ["1", *of], "body": [f"${one}/n" for one in of]}


SHAPES = {
    "one": [*ONE, *HELD, taker("2", "0")],
    "several": [*ONE, *HELD, {"id": "2", "method": "get", "url": "long"}, taker("3", "0", "2"), taker("4", "0")],
    "chain": [
        *ONE,
        *HELD,
        {"id": "2", "method": "post", "url": "long", "dependsOn": ["1"], "body": ["$0/n"]},
        taker("3", "2"),
    ],
}


def take(sessions: list[Session]) -> dict[Session, bytes]:
    return {one: b"".join(iter(one.take, None)) for one in sessions}


@pytest.mark.parametrize("ordered", [False, True], ids=["completion", "request"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_AN_05_what_calls_take_out_of_answers_has_its_own_room(shape: str, ordered: bool) -> None:
    released = asyncio.Event()

    async def answering(request: Request) -> bytes:
        if request.target.endswith(b"held"):
            await released.wait()
        said = {"n": 1, "v": "x" * (SIZE if request.target.endswith(b"long") else 10)}
        return answer(200, json.dumps(said).encode(), [("Content-Type", "application/json")])

    limits = Limits(max_answer_bytes_in_process=BOUND, output_high_bytes=BOUND, max_answer_bytes_in_flight=BOUND)
    async with serving(answering, max_connections=4 * BATCHES, limits=limits) as (server, _, route):
        sessions = []
        for _ in range(BATCHES):
            session = session_of(route, dialect="json", ordered=ordered)
            session.feed(json.dumps({"requests": SHAPES[shape]}).encode())
            session.feed_end()
            sessions.append(session)
        answers = dict.fromkeys(sessions, b"")
        most = waited = 0

        def passed() -> bool:
            nonlocal most, waited
            for session, text in take(sessions).items():
                answers[session] += text
            told = inflow.stats()
            most = max(most, told["answers_reading"])
            waited = max(waited, told["answers_waiting"])
            return all(session.finished for session in sessions)

        # What is to be held is there: those that hold it cannot go on.
        await server.until(lambda: sum(request.target.endswith(b"long") for request in server.requests) >= BATCHES)
        for _ in range(300):
            passed()
            await asyncio.sleep(0)
        released.set()
        await turned(passed)
        firsts = sum(call["url"] == "long" and "dependsOn" not in call for call in SHAPES[shape])
        assert most < BOUND // 4 + 2 * SIZE + BATCHES * firsts * READ
        assert waited > BATCHES // 4
        assert inflow.stats() == NOTHING
        for text in answers.values():
            told = json.loads(text)["responses"]
            assert [one["status"] for one in told] == [200] * len(SHAPES[shape])
