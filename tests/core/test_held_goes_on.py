"""AN-05: whatever is held back can go on. While a batch is not over, something that the gateway does not hold runs for
it, or its client has something to take."""

import asyncio
import json
from collections import deque
from typing import Any

import uvloop
from batchwire.core import AsgiUpstream, Limits, Route, Session
from batchwire.core.dispatch.inflow import stats
from batchwire.v1 import batch_pb2 as pb
from core_driving import Request, answer, call, serving, session_of, turned
from hypothesis import example, given
from hypothesis import strategies as st

KIB = 1024
MIB = 1 << 20
NOTHING = {"answers_reading": 0, "answers_out": 0, "answers_waiting": 0}


class Gated:
    """An ASGI app that sends a piece of an answer when it is let. ready: calls that are to send, and wait to be let."""

    def __init__(self, sizes: dict[str, list[int]]) -> None:
        self.sizes = sizes
        self.ready: dict[str, asyncio.Future[None]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].rpartition("/")[2]
        pieces = self.sizes[name]
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for n, size in enumerate(pieces):
            self.ready[name] = asyncio.get_running_loop().create_future()
            await self.ready[name]
            text = b'"' * (n == 0) + b"x" * size + b'"' * (n == len(pieces) - 1)
            await send({"type": "http.response.body", "body": text, "more_body": n < len(pieces) - 1})

    def let(self, name: str) -> None:
        self.ready.pop(name).set_result(None)


async def idle() -> None:
    """Lets everything happen that happens by itself."""
    for _ in range(40):
        await asyncio.sleep(0)


def begun(route: Route, names: list[str], dialect: str, ordered: bool) -> Session:
    if dialect in ("proto", "execute"):
        session = session_of(route, execute=dialect == "execute")
        order = pb.RESULT_ORDER_REQUEST if ordered else pb.RESULT_ORDER_COMPLETION
        options = pb.BatchOptions(takes_parts=dialect == "proto", result_order=order)
        session.feed(pb.BatchRequest(options=options, calls=[call(n, n) for n in names]).SerializeToString())
    else:
        session = session_of(route, dialect="json", ordered=ordered)
        members = [{"id": n, "method": "get", "url": n} for n in names]
        session.feed(json.dumps({"requests": members}).encode())
    session.feed_end()
    return session


answers = st.lists(st.sampled_from([10, 80 * KIB, 200 * KIB, 400 * KIB]), min_size=1, max_size=3)
# The earliest answer is the last one, and those before its turn are more than the window and what a client takes.
LATE = [[400 * KIB, 400 * KIB, 10]] + [[400 * KIB]] * 8
EARLIEST_LAST = [8, 7, 6, 5, 4, 3, 2, 1, *[0] * 3]


@given(
    batches=st.lists(st.lists(answers, min_size=1, max_size=9), min_size=1, max_size=4),
    turns=st.lists(st.integers(0, 30), min_size=1, max_size=80),
    bound=st.sampled_from([1, 512 * KIB, 2 * MIB]),
    process=st.sampled_from([1, MIB, 64 * MIB]),
    window=st.sampled_from([1, 256 * KIB, 8 * MIB]),
    at_once=st.sampled_from([2, 4, 64]),
    dialects=st.lists(st.sampled_from(["json", "json", "proto", "execute"]), min_size=1, max_size=3),
    ordered=st.booleans(),
    slow=st.booleans(),
)
@example([LATE], EARLIEST_LAST, 2 * MIB, 64 * MIB, 256 * KIB, 64, ["json"], True, False)
@example([LATE], EARLIEST_LAST, 2 * MIB, MIB, 256 * KIB, 64, ["json"], True, True)
@example([LATE, LATE], EARLIEST_LAST, MIB, 64 * MIB, 1, 64, ["json"], True, True)
def test_AN_05_what_is_held_can_go_on(
    batches: list[list[list[int]]],
    turns: list[int],
    bound: int,
    process: int,
    window: int,
    at_once: int,
    dialects: list[str],
    ordered: bool,
    slow: bool,
) -> None:
    """Answers come in any order, and clients take at once, or one chunk now and then; no bound is too small."""

    async def run() -> None:
        sizes = {f"{b}.{n}": pieces for b, calls in enumerate(batches) for n, pieces in enumerate(calls)}
        app = Gated(sizes)
        upstream = AsgiUpstream(asyncio.get_running_loop(), app, name="app", max_in_flight=at_once)
        limits = Limits(
            max_answer_bytes_in_flight=bound,
            max_answer_bytes_in_process=process,
            reorder_bytes=window,
            output_high_bytes=256 * KIB,
        )
        route = Route(root="/svc/", upstream=upstream, limits=limits)
        sessions = [
            begun(route, [f"{b}.{n}" for n in range(len(calls))], dialects[b % len(dialects)], ordered)
            for b, calls in enumerate(batches)
        ]
        try:
            left = deque(turns)
            while True:
                await idle()
                took = False
                for session in sessions:
                    while session.take() is not None:
                        took = True
                        if slow:
                            break
                if took:
                    continue
                if all(session.finished for session in sessions):
                    break
                # Results that wait for others that are near (Outlet) are nobody's to let go of but the clock's.
                if not app.ready:
                    await asyncio.wait_for(
                        asyncio.wait(
                            [asyncio.ensure_future(one.wait_output()) for one in sessions if not one.finished],
                            return_when=asyncio.FIRST_COMPLETED,
                        ),
                        10,
                    )
                    continue
                names = sorted(app.ready)
                app.let(names[left.popleft() % len(names)] if left else names[-1])
            for session in sessions:
                assert session.failure is None
                assert session.summary["succeeded"] == session.summary["calls"]
        finally:
            for session in sessions:
                session.cancel()
            upstream.close()
        assert stats() == NOTHING

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_AN_15_a_batch_that_nobody_lets_go_on_ends() -> None:
    """Another client's results fill the process, and it has its own time to take them."""

    def answering(_: Request) -> bytes:
        return answer(200, b"x" * MIB)

    async with serving(answering, max_connections=8) as (_, upstream, _):

        def route(idle: float) -> Route:
            limits = Limits(max_answer_bytes_in_process=MIB, client_idle_seconds=idle, max_answer_bytes_in_flight=MIB)
            return Route(root="/svc/", upstream=upstream, limits=limits)

        other = begun(route(60), ["0", "1"], "proto", False)
        await turned(lambda: stats()["answers_out"] >= MIB)
        waiting = begun(route(1), ["2"], "proto", False)
        await turned(lambda: stats()["answers_waiting"] == 1)
        assert waiting.failure is None
        async with asyncio.timeout(30):
            while not waiting.finished:
                waiting.check_idle()
                await asyncio.sleep(0.05)
        assert waiting.failure is not None
        assert (waiting.failure.status, waiting.failure.code, waiting.failure.started) == (503, "NoRoom", 1)
        assert upstream.stats()["timeouts"] == 0
        other.check_idle()
        assert other.failure is None
        other.cancel()
    assert stats() == NOTHING
