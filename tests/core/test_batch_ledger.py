"""The ledger of a process: what runs, what has ended, and which batches are told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from batchwire.core import BatchHead, HttpUpstream, Limits, Route
from batchwire.core.ledger import LASTED, Batch, Ledger, TooManyBatchesError

REFUSED = b'{"requests":[{"id":"1","method":"get","url":"http://elsewhere/"}]}'
EMPTY = b'{"requests":[]}'


@pytest.fixture
def route() -> Route:
    upstream = HttpUpstream(asyncio.new_event_loop(), name="a", addresses=[("127.0.0.1", 1)])
    return Route(root="/svc/", upstream=upstream, limits=Limits())


def ledger_of(most: int, most_of_client: int, **options: Any) -> Ledger:
    return Ledger(asyncio.get_running_loop(), most, most_of_client, **options)


def run(ledger: Ledger, route: Route, document: bytes, peer: str = "127.0.0.1:5", ended: str = "ok") -> Batch:
    batch = ledger.open(ledger.account("rest", "/svc/"), route, peer, "", BatchHead())
    batch.session.feed(document)
    batch.session.feed_end()
    while batch.session.take() is not None:
        pass
    batch.close(ended)
    return batch


async def test_what_has_ended_is_counted_until_it_is_taken(route: Route) -> None:
    ledger = ledger_of(10, 10)
    run(ledger, route, EMPTY)
    run(ledger, route, REFUSED)
    run(ledger, route, REFUSED, ended="deadline").close("ok")  # a second time it does nothing
    account = ledger.account("rest", "/svc/")
    ended, lasted, seconds = account.take()
    assert [(name, batches, calls) for name, batches, _, _, calls in ended] == [
        ("ok", 2, {"refused": 1}),
        ("deadline", 1, {"refused": 1}),
    ]
    assert [received for _, _, received, _, _ in ended] == [len(EMPTY) + len(REFUSED), len(REFUSED)]
    assert all(sent > 0 for _, _, _, sent, _ in ended)
    assert len(lasted) == len(LASTED) + 1
    assert sum(lasted) == 3
    assert 0 < seconds < 60
    assert account.take() == ([], [0] * len(lasted), 0)
    assert ledger.batches == set()


async def test_a_batch_that_is_closed_early_is_cancelled(route: Route) -> None:
    idle: list[None] = []
    ledger = ledger_of(10, 10)
    ledger.on_idle = lambda: idle.append(None)
    account = ledger.account("grpc", "/svc/")
    batch = ledger.open(account, route, "unix", "", BatchHead())
    assert (account.running, idle) == (1, [])
    batch.close()
    assert (account.running, idle) == (0, [None])
    assert [name for name, *_ in account.take()[0]] == ["cancelled"]


async def test_one_client_cannot_have_all(route: Route) -> None:
    ledger = ledger_of(3, 2)
    account = ledger.account("rest", "/svc/")
    first = [ledger.open(account, route, f"127.0.0.1:{port}", "", BatchHead()) for port in (1, 2)]
    with pytest.raises(TooManyBatchesError, match="of this client"):
        ledger.open(account, route, "127.0.0.1:3", "", BatchHead())
    other = ledger.open(account, route, "127.0.0.2:1", "", BatchHead())
    with pytest.raises(TooManyBatchesError, match="too many batches are running"):
        ledger.open(account, route, "127.0.0.3:1", "", BatchHead())
    first[0].close()
    ledger.open(account, route, "127.0.0.1:3", "", BatchHead()).close()
    for batch in (*first, other):
        batch.close()
    assert account.running == 0


@pytest.mark.parametrize(("share", "told"), [(1.0, 13), (0.5, 8), (0.25, 5), (0.0, 3)])
async def test_what_went_well_may_be_told_in_part_only(share: float, told: int, route: Route) -> None:
    lines: list[dict[str, Any]] = []
    ledger = ledger_of(10, 10, write=lambda some: lines.extend(map(json.loads, some.splitlines())), share=share)
    for _ in range(10):
        run(ledger, route, EMPTY)
    run(ledger, route, REFUSED)
    run(ledger, route, EMPTY, ended="deadline")
    ledger.open(ledger.account("rest", "/svc/"), route, "unix", "", BatchHead()).close()
    ledger.write_on()
    assert len(lines) == told
    assert [line["ended"] for line in lines[-3:]] == ["ok", "deadline", "cancelled"]
    assert all(line["event"] == "batch" for line in lines)


async def test_more_is_said_of_a_batch_that_broke(route: Route) -> None:
    written: list[bytes] = []
    said: list[tuple[Any, ...]] = []
    ledger = ledger_of(10, 10, write=written.append, say=lambda *words: said.append(words), share=0)
    batch = run(ledger, route, b"nonsense")
    assert written == []
    ((told, ended, summary, seconds, bytes_in, _),) = said
    assert (told, ended, summary["calls"], bytes_in) == (batch, "broken", 0, 8)
    assert seconds >= 0
