"""Every batch ends by itself, however little it may hold and wherever its work is cut: PL-01, PL-02, AN-05, MP-09.

What ends a slice, what is full and what is refused meet in every way here; nothing but the batch itself makes it go on:
no client idles, no deadline, no timer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from batchwire.core import AsgiUpstream, Limits, Route, Session
from batchwire.core.session import turns
from batchwire.v1 import batch_pb2 as pb
from core_driving import call, turned
from harness.batches import Call
from harness.multiparts import change_set, document, document_of, part_of
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = ["get", "bad", "fail", "long", "large", "failing-large", "depends", "group", "set", "waits"]


@pytest.fixture(autouse=True)
def _forced() -> Iterator[None]:
    yield
    turns.force(0)


async def app(scope: Any, receive: Any, send: Any) -> None:
    status = 404 if "fail" in scope["path"] else 200
    size = 3000 if "long" in scope["path"] else 70_000 if "large" in scope["path"] else 3
    body = b'{"a":"%s"}' % (b"x" * size)
    if "waits" in scope["path"]:
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def calls_of(kinds: list[str]) -> list[Call]:
    calls: list[Call] = []
    for number, kind in enumerate(kinds):
        name = f"c{number}"
        one = Call(name, f"{kind}/{number}", "POST" if kind in ("group", "set") else "GET")
        if kind == "bad":
            one.url = "http://else.example/x"
        elif kind == "depends" and calls:
            one.depends_on = [calls[-1].id]
        elif kind == "group":
            one.group = f"g{number}"
            calls.append(Call(f"{name}x", "x", "POST", group=one.group))
        calls.append(one)
    return calls


def batch_of(dialect: str, kinds: list[str]) -> bytes:
    calls = calls_of(kinds)
    if dialect == "multipart":
        parts = []
        for one in calls:
            if "set/" in one.url:
                parts.append(change_set() if int(one.url[4:]) % 2 else b"no part")
            else:
                parts.append(change_set(part_of(one)) if one.group else part_of(one))
        return document(*parts) if parts else document_of([])
    if dialect == "proto":
        made = [
            call(one.id, one.url, one.method, depends_on=one.depends_on, atomicity_group=one.group) for one in calls
        ]
        return pb.BatchRequest(calls=made).SerializeToString()
    members: list[dict[str, Any]] = []
    for one in calls:
        member: dict[str, Any] = {"id": one.id, "method": one.method, "url": one.url, "dependsOn": one.depends_on}
        members.append(member | ({"atomicityGroup": one.group} if one.group else {}))
    return json.dumps({"requests": members}).encode()


@settings(deadline=None, max_examples=400)
@given(
    dialect=st.sampled_from(["json", "multipart", "proto"]),
    kinds=st.lists(st.sampled_from(KINDS), max_size=30),
    ordered=st.booleans(),
    goes_on=st.booleans(),
    limits=st.fixed_dictionaries(
        {
            "max_pending": st.sampled_from([1, 2, 1024]),
            "max_pending_bytes": st.sampled_from([1, 1100, 5000, 1 << 20]),
            "output_high_bytes": st.sampled_from([1, 500, 1 << 20]),
            "max_in_flight": st.sampled_from([1, 2, 64]),
            "reorder_results": st.sampled_from([1, 2, 1024]),
            "reorder_bytes": st.sampled_from([1, 300, 1 << 20]),
        }
    ),
    threshold=st.sampled_from([0, 1 << 20]),
    piece=st.sampled_from([7, 100, 1 << 20]),
    steps=st.integers(2, 7),
)
async def test_PL_01_every_batch_ends_by_itself(
    dialect: str,
    kinds: list[str],
    ordered: bool,
    goes_on: bool,
    limits: dict[str, int],
    threshold: int,
    piece: int,
    steps: int,
) -> None:
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", call_timeout=20)
    options: dict[str, Any] = {"boundary": b"b", "answer_boundary": b"b"} if dialect == "multipart" else {}
    session = Session(
        asyncio.get_running_loop(),
        Route(root="/svc/", upstream=upstream, streaming_threshold=threshold, limits=Limits(**limits)),
        dialect=dialect,
        strict=False,
        ordered=ordered or dialect == "multipart",
        continue_on_error=goes_on,
        watched=False,
        **options,
    )
    text = b""

    def ended() -> bool:
        nonlocal text
        text += b"".join(iter(session.take, None))
        return session.finished

    try:
        turns.force(steps)
        data = batch_of(dialect, kinds)
        if dialect == "proto":
            piece = len(data) or 1
        for at in range(0, len(data), piece):
            session.feed(data[at : at + piece])
        session.feed_end()
        await turned(ended)
        text += b"".join(iter(session.take, None))
    finally:
        turns.force(0)
        session.cancel()
        upstream.close()
    if session.failure is None:
        summary = session.summary
        assert summary["calls"] == sum(summary[name] for name in summary if name not in ("calls", "elapsed"))
        assert not summary["abandoned"]
        assert not summary["not_started"]
    else:
        assert session.failure.code != "InternalError"


@pytest.mark.parametrize("ender", ["check_idle", "on_deadline"])
async def test_BU_04_a_batch_that_cannot_go_on_ends_whatever_it_counts(ender: str) -> None:
    """Neither its deadline nor the look at idle clients asks how many calls it believes to have."""
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", call_timeout=20)
    session = Session(asyncio.get_running_loop(), Route(root="/svc/", upstream=upstream), dialect="json", watched=False)
    try:
        session.feed(batch_of("json", ["get"]))
        session.miscount()
        session.feed_end()
        await turned(lambda: bool(session.summary["succeeded"]))
        for _ in range(3):
            await asyncio.sleep(0)  # what it had put off
        text = b"".join(iter(session.take, None))
        assert not session.finished
        getattr(session, ender)()
        assert session.finished
    finally:
        session.cancel()
        upstream.close()
    assert session.failure is not None
    assert (session.failure.status, session.failure.code) == (500, "InternalError")
    text += b"".join(iter(session.take, None))
    assert [one["id"] for one in json.loads(text + b"]}")["responses"]] == ["c0"]


async def test_BU_04_a_batch_that_waits_for_its_client_or_upstream_can_go_on() -> None:
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", call_timeout=20)
    route = Route(root="/svc/", upstream=upstream, streaming_threshold=0)
    session = Session(asyncio.get_running_loop(), route, dialect="json", watched=False)
    text = batch_of("json", ["waits", "get", "bad"])
    try:
        for at in range(len(text)):
            session.feed(text[at : at + 1])
            session.check_idle()
            await asyncio.sleep(0)
            session.check_idle()
        session.feed_end()
        while not session.finished:
            session.check_idle()
            await asyncio.sleep(0)
    finally:
        session.cancel()
        upstream.close()
    assert session.failure is None
    assert session.summary["succeeded"] == 2
