"""Answers to calls that travelled together are read in slices (PL-01, BU-08), and all that is in them comes out."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from batchwire.core import Limits, Route, Session
from batchwire.core.dispatch.inflow import stats
from batchwire.core.session import turns
from core_driving import RawServer, answer, session_of, taken, turned, upstream_of

MIB = 1 << 20
DATA = bytes(range(256)) * 8192
TEXT = 'é\n"😀' * 300_000
NUMBERS = list(range(300_000))
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def _forced() -> Iterator[None]:
    yield
    turns.force(0)


def response(name: str, media: str, body: str, status: int = 200) -> str:
    return f'{{"id":"{name}","status":{status},"headers":{{"content-type":"{media}"}},"body":{body}}}'


ENCODED = base64.urlsafe_b64encode(DATA).decode().rstrip("=")
THREE = [
    response("2", "text/plain;charset=utf-16", json.dumps(TEXT)),
    response("1", "application/json", json.dumps(NUMBERS)),
    response("3", "image/png", f'"{ENCODED}"'),
]


def envelope(*responses: str) -> bytes:
    return b'{"responses":[' + ",".join(responses).encode() + b"]}"


def grouped(route: Route, group: bool = True, count: int = 3, **more: Any) -> Session:
    session = session_of(route, dialect="json", **more)
    members = [{"id": f"m{n}", "method": "post", "url": "x", "headers": {}} for n in range(1, count + 1)]
    session.feed(
        json.dumps({"requests": [one | ({"atomicityGroup": "g"} if group else {}) for one in members]}).encode()
    )
    session.feed_end()
    return session


async def run(
    text: bytes, group: bool = True, steps: int = 2, count: int = 3, **more: Any
) -> tuple[dict[str, Any], int]:
    """id -> response object, and how often the batch rested."""
    answering = answer(200, text, [("Content-Type", "application/json")])
    async with RawServer(lambda _: answering) as server, upstream_of(server, max_connections=1) as upstream:
        upstream.take_batches("json", 8)
        before = turns.stats()["slices"]
        session = grouped(Route(root="/svc/", upstream=upstream), group, count, **more)
        await server.until(lambda: len(server.requests) == 1)
        turns.force(steps)
        found = json.loads(await taken(session))["responses"]
        assert len(server.requests) == 1
    assert stats() == NOTHING
    return {one["id"]: one for one in found}, int(turns.stats()["slices"] - before)


@pytest.mark.parametrize("goes_on", [True, False])
async def test_PL_01_BU_08_a_long_answer_is_read_in_slices(goes_on: bool) -> None:
    text = envelope(*THREE)
    found, rests = await run(text, continue_on_error=goes_on)
    assert found["m1"]["body"] == NUMBERS
    assert found["m2"]["body"] == TEXT
    assert found["m2"]["headers"]["content-type"] == "text/plain;charset=utf-8"
    assert found["m3"]["body"] == ENCODED
    assert rests >= 2 * len(text) // 262_144 // 2


async def test_PL_01_many_responses_are_read_in_slices() -> None:
    text = envelope(*['{"id":"9"}'] * 200_000, response("1", "text/plain", '"a"'), '{"id":"2","status":204}')
    found, rests = await run(text, count=2)
    assert (found["m1"]["body"], found["m2"]["status"]) == ("a", 204)
    assert rests >= 100


WRONG = {
    "no base64": ENCODED[:300_000] + "*" + ENCODED[300_001:],
    "padding in it": ENCODED[:262_143] + "=" + ENCODED[262_144:],
    "a length of no base64": ENCODED[: 4 * 200_000 + 1],
}


@pytest.mark.parametrize("name", sorted(WRONG))
async def test_BU_08_data_that_is_none_costs_its_own_call_alone(name: str) -> None:
    found, _ = await run(envelope(THREE[1], response("3", "image/png", f'"{WRONG[name]}"'), THREE[0]), group=False)
    assert [found[one]["status"] for one in ("m1", "m2", "m3")] == [200, 200, 502]


@pytest.mark.parametrize("padding", ["", "="])
async def test_JR_08_long_data_may_be_padded(padding: str) -> None:
    data = DATA[:-1]
    body = base64.b64encode(data).decode()
    assert body.endswith("=")
    found, _ = await run(
        envelope(response("1", "a/b", f'"{body if padding else body.rstrip("=")}"'), THREE[0], THREE[2])
    )
    assert found["m1"]["body"] == base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("broken", ['{"id":"3","status":}', '{"id":"3","status":200,"body":"\\q%s"}' % ("a" * 300_000)])
async def test_BU_08_in_a_long_answer_one_that_is_broken_costs_no_other(broken: str) -> None:
    found, _ = await run(envelope(THREE[1], broken, THREE[0]), group=False)
    assert [found[one]["status"] for one in ("m1", "m2", "m3")] == [200, 200, 502]
    found, _ = await run(envelope(THREE[1], broken, THREE[0]), group=True)
    assert {one["status"] for one in found.values()} == {502}


@pytest.mark.parametrize("tail", [b"", b"]}x", b"]", b"]} \0"])
async def test_BU_08_a_long_answer_that_is_cut_or_goes_on_is_none(tail: bytes) -> None:
    found, _ = await run(envelope(*THREE)[:-2] + tail)
    assert {one["status"] for one in found.values()} == {502}


async def test_BU_07_a_long_answer_is_followed() -> None:
    answers = [
        envelope(*THREE[:2])[:-1] + b',"@nextLink":"/rest"}',
        envelope(THREE[2]),
    ]
    made = [answer(200, text, [("Content-Type", "application/json")]) for text in answers]
    async with RawServer(lambda _: made.pop(0)) as server, upstream_of(server) as upstream:
        upstream.take_batches("json", 8)
        turns.force(2)
        found = json.loads(await taken(grouped(Route(root="/svc/", upstream=upstream))))["responses"]
        assert [one.method for one in server.requests] == [b"POST", b"GET"]
    assert {one["status"] for one in found} == {200}


@pytest.mark.parametrize("ender", ["cancel", "client_stalled", "on_deadline"])
@pytest.mark.parametrize("turn", [0, 3, 9, 15, 21])
async def test_BU_04_a_batch_may_end_while_an_answer_is_read(ender: str, turn: int) -> None:
    made = answer(200, envelope(*THREE), [("Content-Type", "application/json")])
    async with RawServer(lambda _: made) as server, upstream_of(server) as upstream:
        upstream.take_batches("json", 8)
        turns.force(2)
        session = grouped(Route(root="/svc/", upstream=upstream), continue_on_error=False)
        await turned(lambda: upstream.stats()["calls"] == 1 and upstream.stats()["in_flight"] == 0)
        for _ in range(turn):
            await asyncio.sleep(0)
        getattr(session, ender)()
        text = await taken(session)
    if ender == "on_deadline":
        assert [one["status"] for one in json.loads(text)["responses"]] == [200] * 3
    assert stats() == NOTHING


async def test_MP_09_nothing_starts_while_an_answer_is_read_that_may_hold_an_error() -> None:
    text = envelope(response("1", "text/plain", json.dumps(TEXT), 409), *THREE[::2])
    made = answer(200, text, [("Content-Type", "application/json")])
    async with RawServer(lambda _: made) as server, upstream_of(server) as upstream:
        upstream.take_batches("json", 8)
        turns.force(2)
        route = Route(root="/svc/", upstream=upstream, limits=Limits(max_in_flight=1))
        session = session_of(route, dialect="json", continue_on_error=False)
        members = [
            {"id": f"m{n}", "method": "post", "url": "x", "headers": {}, "atomicityGroup": "g"} for n in (1, 2, 3)
        ]
        members.append({"id": "z", "method": "get", "url": "y"})
        session.feed(json.dumps({"requests": members}).encode())
        session.feed_end()
        found = {one["id"]: one["status"] for one in json.loads(await taken(session))["responses"]}
        assert len(server.requests) == 1
    assert found == {"m1": 409, "m2": 424, "m3": 424, "z": 424}
