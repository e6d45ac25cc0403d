"""AN-05, PL-15: a batch that has ended counts nothing but what its client may still take, whoever still holds it:
nothing is left to the garbage collector, which may come late."""

import asyncio
import json
from collections.abc import Callable

import pytest
from batchwire.core import EnvelopeError, Session
from batchwire.core.dispatch import inflow
from batchwire.core.plan import references
from batchwire.core.session import crowd, fills
from batchwire.v1 import batch_pb2 as pb
from core_driving import Request, answer, call, serving, session_of, turned

SIZE = 200_000
PROTO = ("proto", "execute")
pytestmark = pytest.mark.usefixtures("nothing_collected")


def counted() -> dict[str, int]:
    told = inflow.stats() | crowd.stats() | fills.stats() | references.stats()
    return {name: n for name, n in told.items() if n}


def fed(session: Session, dialect: str, ordered: bool) -> Session:
    """Feeds two answers, then one that never comes, and those that need what these say; the end is not fed."""
    order = pb.RESULT_ORDER_REQUEST if ordered else pb.RESULT_ORDER_COMPLETION
    if dialect in PROTO:
        calls = [call("0"), call("1", "never"), call("2"), call("3", "$0/v", depends_on=["1"]), call("4", "a")]
        session.feed(pb.BatchRequest(options=pb.BatchOptions(result_order=order), calls=calls).SerializeToString())
        return session
    members = [
        {"id": "0", "method": "get", "url": "x"},
        {"id": "1", "method": "get", "url": "never"},
        {"id": "2", "method": "get", "url": "x"},
        {"id": "3", "method": "post", "url": "x", "dependsOn": ["1"], "body": ["$0/v", "$2/v"]},
        {"id": "4", "method": "get", "url": "x", "if": "$0/v eq $1/v", "dependsOn": ["1"]},
    ]
    session.feed(json.dumps({"requests": members}).encode()[:-1])
    return session


def end_fed(session: Session, dialect: str) -> None:
    if dialect not in PROTO:
        session.feed(b"}")
    session.feed_end()


def taken(session: Session) -> None:
    while session.take() is not None:
        pass


async def finished(session: Session, released: asyncio.Event) -> None:
    released.set()
    async with asyncio.timeout(30):
        while not session.finished:
            await session.wait_output()
            if not session.finished:
                session.take()


async def taken_whole(session: Session, released: asyncio.Event) -> None:
    await finished(session, released)
    taken(session)
    assert session.failure is None


async def left_whole(session: Session, released: asyncio.Event) -> None:
    released.set()
    await turned(lambda: session.finished)
    assert inflow.stats()["answers_out"] > SIZE
    session.cancel()
    assert session.cancelled
    assert session.take() is None


async def cancelled(session: Session, _: asyncio.Event) -> None:
    session.cancel()


async def broken(session: Session, released: asyncio.Event) -> None:
    session.fail(EnvelopeError(400, "Bad", "it is no batch"))
    await finished(session, released)
    taken(session)
    assert session.failure is not None


async def broken_and_left(session: Session, released: asyncio.Event) -> None:
    session.fail(EnvelopeError(400, "Bad", "it is no batch"))
    released.set()
    await turned(lambda: session.finished)
    session.cancel()
    assert session.failure is not None
    assert not session.cancelled


async def stalled(session: Session, _: asyncio.Event) -> None:
    session.client_stalled()


async def stopped(session: Session, _: asyncio.Event) -> None:
    session.stop()
    await turned(lambda: session.finished)
    taken(session)


async def miscounted(session: Session, released: asyncio.Event) -> None:
    """The gateway itself fails: the batch breaks off."""
    session.miscount()
    released.set()
    await turned(lambda: session.launched == 5 or session.finished)
    session.cancel()


@pytest.mark.parametrize(
    "way", [taken_whole, left_whole, cancelled, broken, broken_and_left, stalled, stopped, miscounted]
)
@pytest.mark.parametrize("ordered", [False, True], ids=["completion", "request"])
@pytest.mark.parametrize("dialect", ["json", *PROTO])
async def test_AN_05_what_has_ended_counts_nothing_though_it_is_held(
    dialect: str, ordered: bool, way: Callable[..., object]
) -> None:
    released = asyncio.Event()

    async def answering(request: Request) -> bytes:
        if request.target.endswith(b"never"):
            await released.wait()
        return answer(200, json.dumps({"v": "x" * SIZE}).encode(), [("Content-Type", "application/json")])

    async with serving(answering) as (_, _, route):
        options = {"execute": True} if dialect == "execute" else {}
        if dialect in PROTO:
            held = fed(session_of(route, **options), dialect, ordered)
        else:
            held = fed(session_of(route, dialect=dialect, ordered=ordered), dialect, ordered)
        end_fed(held, dialect)
        await turned(lambda: held.summary["succeeded"] >= 2)
        assert counted()
        await way(held, released)
        assert counted() == {}
        assert held.finished
