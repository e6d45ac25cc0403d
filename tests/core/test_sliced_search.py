"""A call whose body is still being searched for references is decided by nobody else: JB-13, MP-01, BU-03, PL-01.

At each step of the search something else may happen to the call: what it waits for ends, its turn in the sequence
comes, the batch is stopped or is out of time, its client goes.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from batchwire.core import AsgiUpstream, Route, Session
from batchwire.core.session import turns
from batchwire.v1 import batch_pb2 as pb
from core_driving import call, turned
from harness.batches import Call
from harness.multiparts import document_of
from hypothesis import given, settings
from hypothesis import strategies as st

MANY = 65  # references: one more than a call may have
JSON_TYPE = {"Content-Type": "application/json"}
PADDING = "x" * 2_000_000  # what is searched in one step is a fourth of that
EVENTS = ["finish", "fail", "stop", "deadline", "cancel", "none"]


@pytest.fixture(autouse=True)
def _forced() -> Iterator[None]:
    yield
    turns.force(0)


def body_of(references: int, unknown: bool, first: bool) -> Any:
    """JSON that is searched in several steps. first: what it refers to comes before what is long."""
    found: list[Any] = [{"self@odata.bind": "$m"}] if references == 0 else ["$m/a"] * references
    if unknown:
        found = [{"self@odata.bind": "$nobody"}]
    return [*found, PADDING] if first else [PADDING, *found]


def batch_of(dialect: str, body: Any, group: bool) -> bytes:
    """m; a, which depends on it and has this body, in a group of its own or not; z."""
    if dialect == "multipart":
        asking = Call("a", "a", "POST", dict(JSON_TYPE), json.dumps(body).encode())
        return document_of([Call("m", "m"), [asking] if group else asking, Call("z", "z")])
    if dialect == "proto":
        rest: dict[str, Any] = {"atomicity_group": "g"} if group else {}
        content = json.dumps(body).encode()
        headers = list(JSON_TYPE.items())
        asked = call("a", "a", "POST", depends_on=["m"], headers=headers, body=content, **rest)
        return pb.BatchRequest(calls=[call("m", "m"), asked, call("z", "z")]).SerializeToString()
    grouped = {"atomicityGroup": "g"} if group else {}
    asked_for = {"id": "a", "method": "post", "url": "a", "dependsOn": ["m"], "body": body, **grouped}
    plain = [{"id": name, "method": "get", "url": name} for name in "mz"]
    return json.dumps({"requests": [plain[0], asked_for, plain[1]]}).encode()


class App:
    """Answers `m` when the event is set, and all else at once."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.status = 200
        self.asked: list[tuple[str, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        name = scope["path"].rpartition("/")[2]
        self.asked.append((name, body))
        if name == "m":
            await self.released.wait()
        headers = [(b"content-type", b"application/json"), (b"location", b"/svc/m1")]
        await send({"type": "http.response.start", "status": self.status if name == "m" else 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"a":5}'})


def results_in(dialect: str, text: bytes) -> list[str]:
    """The names of the calls that have a result, as often as they have one."""
    if dialect == "multipart":
        lines = [line.partition(b":") for line in text.split(b"\r\n")]
        return [value.strip().decode() for name, _, value in lines if name.lower() == b"content-id"]
    if dialect == "proto":
        return [one.id for one in pb.BatchResponse.FromString(text).results]
    return [one["id"] for one in json.loads(text)["responses"]]


@settings(deadline=None, max_examples=120)
@given(
    dialect=st.sampled_from(["json", "multipart", "proto"]),
    strict=st.booleans(),
    ordered=st.booleans(),
    goes_on=st.booleans(),
    group=st.booleans(),
    references=st.sampled_from([0, 1, 3, MANY]),
    unknown=st.booleans(),
    first=st.booleans(),
    event=st.sampled_from(EVENTS),
    turn=st.integers(0, 12),
    steps=st.integers(2, 6),
)
async def test_PL_01_whatever_happens_while_a_body_is_searched(
    dialect: str,
    strict: bool,
    ordered: bool,
    goes_on: bool,
    group: bool,
    references: int,
    unknown: bool,
    first: bool,
    event: str,
    turn: int,
    steps: int,
) -> None:
    app = App()
    upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", call_timeout=20)
    options: dict[str, Any] = {"boundary": b"b", "answer_boundary": b"b"} if dialect == "multipart" else {}
    session = Session(
        asyncio.get_running_loop(),
        Route(root="/svc/", upstream=upstream, streaming_threshold=0),
        dialect=dialect,
        strict=strict,
        ordered=ordered,
        continue_on_error=goes_on,
        watched=False,
        **options,
    )
    try:
        turns.force(steps)
        session.feed(batch_of(dialect, body_of(references, unknown, first), group))
        session.feed_end()
        for _ in range(turn):
            await asyncio.sleep(0)
        if event == "stop":
            session.stop()
        elif event == "deadline":
            session.on_deadline()
        elif event == "cancel":
            session.cancel()
        app.status = 404 if event == "fail" else 200
        app.released.set()
        await turned(lambda: session.finished)
        text = b"".join(iter(session.take, None))
    finally:
        turns.force(0)
        upstream.close()
    assert max(Counter(name for name, _ in app.asked).values(), default=0) <= 1
    sent = [body for name, body in app.asked if name == "a"]
    assert not (sent and unknown)
    if dialect != "multipart" or references == 0:  # values are of calls in dependsOn, which parts do not have (PL-04)
        assert not (sent and references == MANY)
        assert not any(b'"$' in body for body in sent)
    summary = session.summary
    assert summary["calls"] == sum(summary[name] for name in summary if name not in ("calls", "elapsed"))
    if session.cancelled:
        return
    assert session.failure is None
    found = results_in(dialect, text)
    assert len(set(found)) == len(found)
    if goes_on:
        assert sorted(found) == ["a", "m", "z"]
