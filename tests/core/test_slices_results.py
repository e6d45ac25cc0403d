"""Large results are written in slices, whatever they are and whatever stands around them (PL-01): seen by counters, and
by what comes out."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from batchwire.core import Limits, Route
from batchwire.core.dispatch.inflow import stats
from batchwire.core.errors import EnvelopeError
from batchwire.core.session import turns
from batchwire.v1 import batch_pb2
from core_driving import RawServer, Request, answer, collect, serving, session_of, taken, turned, upstream_of
from harness.batches import Call
from harness.multiparts import HTTP_TYPE, change_set, document, part_of

MIB = 1 << 20
CONTROLS = b"\x01" * (4 * MIB)
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}
pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def _forced() -> Iterator[None]:
    yield
    turns.force(0)


def answering(made: Request) -> bytes:
    status = 500 if b"fail" in made.target else 200
    if b"large" in made.target:
        return answer(status, CONTROLS, [("Content-Type", "image/png" if b"data" in made.target else "text/plain")])
    return answer(status, b"{}", [("Content-Type", "application/json")])


def fed(route: Route, urls: list[str], **more: Any) -> Any:
    session = session_of(route, dialect="json", **more)
    members = [{"id": str(n), "method": "get", "url": url} for n, url in enumerate(urls)]
    session.feed(json.dumps({"requests": members}).encode())
    session.feed_end()
    return session


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("url", ["large", "large-data", "fail-large", "fail-large-data"])
async def test_PL_01_a_large_result_is_written_in_slices(url: str, goes_on: bool) -> None:
    turns.force(1)
    async with serving(answering) as (_, _, route):
        before = turns.stats()["slices"]
        (found,) = json.loads(await taken(fed(route, [url], continue_on_error=goes_on)))["responses"]
        # 128 KiB of a text, 384 KiB of data at once.
        assert turns.stats()["slices"] - before >= len(CONTROLS) // 393_216
    if "data" in url:
        assert base64.urlsafe_b64decode(found["body"] + "==") == CONTROLS
    else:
        assert found["body"].encode() == CONTROLS
    assert found["status"] == (500 if "fail" in url else 200)


@pytest.mark.parametrize("ordered", [False, True])
async def test_GW_23_results_in_pieces_keep_their_order(ordered: bool) -> None:
    urls = ["x", "large", "y", "large-data", "fail-large", "z"]
    turns.force(2)
    async with serving(answering) as (_, _, route):
        text = await taken(fed(route, urls, ordered=ordered, continue_on_error=True))
    found = json.loads(text)["responses"]
    names = [one["id"] for one in found]
    assert (names if ordered else sorted(names)) == ["0", "1", "2", "3", "4", "5"]
    assert [len(one["body"]) for one in found if one["id"] in "14"] == [len(CONTROLS)] * 2
    assert stats() == NOTHING


@pytest.mark.parametrize("ordered", [False, True])
async def test_MP_09_nothing_starts_while_the_error_that_ends_the_batch_is_written(ordered: bool) -> None:
    turns.force(1)
    async with RawServer(answering) as server, upstream_of(server, max_connections=1) as upstream:
        route = Route(root="/svc/", upstream=upstream)
        session = session_of(route, dialect="json", ordered=ordered, continue_on_error=False)
        members = [{"id": "0", "method": "get", "url": "fail-large"}]
        members += [{"id": str(n), "method": "get", "url": f"x{n}"} for n in range(1, 20)]
        members.append({"id": "20", "method": "get", "url": "x", "dependsOn": ["0"]})  # type: ignore[dict-item]
        session.feed(json.dumps({"requests": members}).encode())
        session.feed_end()
        found = {one["id"]: one for one in json.loads(await taken(session))["responses"]}
        assert len(server.requests) == 1
    assert found.pop("0")["body"].encode() == CONTROLS
    assert {one["status"] for one in found.values()} == {424}
    assert {one["body"]["error"]["code"] for one in found.values()} == {"BatchStopped"}


@pytest.mark.parametrize("ender", ["cancel", "on_deadline", "fail", "client_stalled"])
@pytest.mark.parametrize("url", ["large", "fail-large"])
@pytest.mark.parametrize("turn", [1, 7, 20])
async def test_BU_04_a_batch_may_end_while_a_result_is_made(url: str, ender: str, turn: int) -> None:
    turns.force(2)
    async with serving(answering) as (_, upstream, _):
        # All answers come, though results are there that the client has not taken.
        limits = Limits(max_answer_bytes_in_flight=128 * MIB, max_answer_bytes_in_process=512 * MIB)
        route = Route(root="/svc/", upstream=upstream, streaming_threshold=0, limits=limits)
        session = session_of(route, dialect="json", continue_on_error=False)
        members = [{"id": str(n), "method": "get", "url": url} for n in range(3)]
        session.feed(json.dumps({"requests": members}).encode()[: -2 if ender == "fail" else None])
        if ender != "fail":
            session.feed_end()
        await turned(lambda: upstream.stats()["in_flight"] == 0 and stats()["answers_out"] > 3 * MIB)
        for _ in range(turn):
            await asyncio.sleep(0)
        if ender == "cancel":
            session.cancel()
        elif ender == "on_deadline":
            session.on_deadline()
        elif ender == "fail":
            session.fail(EnvelopeError(400, "BadJson", "broken"))
        else:
            session.client_stalled()
        text = await taken(session)
        if ender == "on_deadline":
            assert len(json.loads(text)["responses"]) == 3
        elif ender == "fail":
            assert text.count(b'"body":"\\u0001') == (3 if url == "large" else text.count(b'"status":500'))
    assert stats() == NOTHING


async def test_PL_01_coded_answers_of_a_change_set_are_undone_in_slices() -> None:
    """The members of a change set are written in their order, one after the other."""
    value = json.dumps(list(range(300_000))).encode()
    zipped = gzip.compress(value, 1)

    def batched(made: Request) -> bytes:
        def one(name: int) -> bytes:
            return (
                b"--s\r\n%sContent-ID: %d\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s\r\n" % (HTTP_TYPE, name, len(zipped), zipped)
            )

        inner = b"".join(map(one, (1, 2, 3))) + b"--s--\r\n"
        text = b"--a\r\nContent-Type: multipart/mixed; boundary=s\r\n\r\n" + inner + b"\r\n--a--\r\n"
        return answer(200, text, [("Content-Type", "multipart/mixed; boundary=a")])

    turns.force(1)
    async with RawServer(batched) as server, upstream_of(server) as upstream:
        upstream.take_batches("multipart")
        route = Route(root="/svc/", upstream=upstream)
        media = {"Content-Type": "application/json"}
        calls = [Call(str(n), f"x/{n}", "POST", body=b"{}", headers=media) for n in (7, 8, 9)]
        options = {"boundary": b"b", "answer_boundary": b"b", "strict": False, "ordered": True}
        session = session_of(route, dialect="multipart", **options)
        before = turns.stats()["slices"]
        session.feed(document(change_set(*map(part_of, calls))))
        session.feed_end()
        text = await taken(session)
        assert turns.stats()["slices"] - before >= 3 * 2
    assert text.count(b"HTTP/1.1 200 OK") == 3
    assert text.count(value) == 3
    assert text.index(b"Content-ID: 7") < text.index(b"Content-ID: 8") < text.index(b"Content-ID: 9")


@pytest.mark.parametrize("filler", [b"x" * 99 + b"\n", b"--ab\n", b"--a"], ids=["text", "lines", "no-lines"])
async def test_PL_01_the_multipart_answer_of_an_upstream_is_read_in_slices(filler: bytes) -> None:
    """Whatever it is looked through for the end of a part."""
    value = b"1" + filler * (8 * MIB // len(filler))

    def batched(made: Request) -> bytes:
        def one(name: int) -> bytes:
            head = b"--s\r\n%sContent-ID: %d\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" % (HTTP_TYPE, name)
            return head + b"Content-Length: %d\r\n\r\n%s\r\n" % (len(value), value)

        text = b"--a\r\nContent-Type: multipart/mixed; boundary=s\r\n\r\n" + one(1) + one(2) + b"--s--\r\n"
        text += b"\r\n--a--\r\n"
        return answer(200, text, [("Content-Type", "multipart/mixed; boundary=a")])

    turns.force(1)
    async with RawServer(batched) as server, upstream_of(server) as upstream:
        upstream.take_batches("multipart")
        session = session_of(Route(root="/svc/", upstream=upstream), dialect="proto")
        calls = [batch_pb2.Call(id=name, method="POST", url="x", body=b"{}", atomicity_group="g") for name in "78"]
        options = batch_pb2.BatchOptions(max_message_bytes=64 * MIB)
        before = turns.stats()["slices"]
        session.feed(batch_pb2.BatchRequest(options=options, calls=calls).SerializeToString())
        session.feed_end()
        batch = await collect(session)
    assert turns.stats()["slices"] - before > len(value) // MIB
    assert batch["7"].body == batch["8"].body == value
