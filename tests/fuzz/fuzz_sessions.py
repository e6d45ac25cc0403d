"""One case of the fuzzer: batches over hostile upstreams, a well-behaved one beside them, and what must hold.

A case is made by its seed alone. Returns what is wrong as lines; a batch that does not end is wrong too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from batchwire.core import HttpUpstream, Limits, Route, Session, stats
from batchwire.v1 import batch_pb2 as pb
from fuzz_batches import Batch, make
from fuzz_upstream import HostileUpstream

PATIENCE = 20.0
CONTENT_ID = re.compile(rb"(?im)^content-id: *(?:<response-)?([^\r\n>]*)>?\r$")
REQUEST_ID = re.compile(rb"(?im)^requestid: *([^\r\n]*)\r$")
INNER = re.compile(rb"(?im)^content-type: *multipart/mixed; *boundary=([^\r\n]+)")
FORMS = (None, None, ("json", 1), ("multipart", 1), ("json", 20), ("multipart", 7))
NEIGHBOUR = json.dumps({"requests": [{"id": str(n), "method": "get", "url": f"fine/{n}"} for n in range(8)]}).encode()


def limits_of(chance: random.Random) -> Limits:
    if chance.random() < 0.6:
        return Limits()
    return Limits(
        max_in_flight=chance.choice((1, 3, 64)),
        max_pending=chance.choice((1, 4, 1024)),
        max_response_bytes=chance.choice((5000, 16 << 20)),
        max_call_bytes=chance.choice((2000, 16 << 20)),
        output_high_bytes=chance.choice((500, 1 << 20)),
        reference_bytes=chance.choice((1, 300, 8 << 20)),
        reorder_bytes=chance.choice((300, 8 << 20)),
        reorder_results=chance.choice((1, 4, 1024)),
        max_group_calls=chance.choice((2, 1000)),
    )


class Case:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.wrong: list[str] = []

    async def run(self) -> list[str]:
        chance = self.chance
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, found: self.wrong.append(f"the loop was told: {told(found)}"))
        before = stats()["sessions"]
        async with self.upstream(chance) as plain, self.upstream(chance) as other:
            options = {"streaming_threshold": chance.choice((0, 300, 1 << 20)), "limits": limits_of(chance)}
            mounts = [("/svc/fine/", other)] if chance.random() < 0.3 else []
            route = Route(
                root="/svc/", upstream=plain, mounts=mounts, flat_change_sets=chance.random() < 0.2, **options
            )
            beside = Route(root="/svc/", upstream=plain)
            batches = [make(chance) for _ in range(chance.randint(1, 3))]
            runs = [self.batch(route, batch, random.Random(chance.random())) for batch in batches]
            await asyncio.gather(*runs, self.neighbour(beside))
            for upstream in (plain, other):
                await self.idle(upstream)
        gc.collect()
        if left := stats()["sessions"] - before:
            self.wrong.append(f"{left} sessions are still open")
        return self.wrong

    @contextlib.asynccontextmanager
    async def upstream(self, chance: random.Random) -> AsyncIterator[HttpUpstream]:
        async with HostileUpstream(chance) as server:
            upstream = HttpUpstream(
                asyncio.get_running_loop(),
                name="hostile",
                addresses=[("127.0.0.1", server.port)],
                max_connections=chance.choice((1, 4, 128)),
                call_timeout=0.5,
                max_response_bytes=1 << 20,
            )
            if form := chance.choice(FORMS):
                upstream.take_batches(*form)
            try:
                yield upstream
            finally:
                upstream.close()

    async def idle(self, upstream: HttpUpstream) -> None:
        for _ in range(1000):
            counts = upstream.stats()
            if counts["in_flight"] == 0 and counts["waiting_batches"] == 0:
                return
            await asyncio.sleep(0.002)
        self.wrong.append(f"the upstream does not come to rest: {upstream.stats()}")

    async def neighbour(self, route: Route) -> None:
        """The calls of this batch are all answered well, whatever becomes of the others."""
        # 504: it waited for a connection behind calls that hang.
        session = Session(asyncio.get_running_loop(), route, dialect="json")
        session.feed(NEIGHBOUR)
        session.feed_end()
        text = await self.taken(session, "the neighbour")
        if text is None:
            return
        found = {one["id"]: one["status"] for one in json.loads(text, parse_int=str)["responses"]}
        if len(found) != 8 or (route.upstream.native is None and set(found.values()) - {"200", "504"}):
            self.wrong.append(f"the neighbour got {found}")

    async def taken(self, session: Session, who: str, chance: random.Random | None = None) -> bytes | None:
        """The whole answer; None when the batch does not end."""
        answer = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    await session.wait_output()
                    if chance is not None and chance.random() < 0.2:
                        await asyncio.sleep(chance.choice((0, 0.001, 0.03)))
                    while (chunk := session.take()) is not None:
                        answer += chunk
                    if session.finished:
                        return answer
        except TimeoutError:
            self.wrong.append(f"{who} does not end: {session.summary}")
            session.cancel()
        return None

    async def fed(self, session: Session, batch: Batch, chance: random.Random) -> None:
        pauses = chance.random() < 0.3
        for message in batch.messages:
            await session.wait_input()
            session.feed(message)
            if pauses:
                await asyncio.sleep(chance.choice((0, 0.001, 0.02)))
        session.feed_end()

    async def batch(self, route: Route, batch: Batch, chance: random.Random) -> None:
        who = f"the {batch.dialect} batch"
        authority = ("http", "gw.example")
        session = Session(
            asyncio.get_running_loop(),
            route,
            dialect=batch.dialect,
            answer=batch.answer,
            authority=authority,
            headers=[(b"accept-language", b"en")],
            **batch.options,
        )
        cancel = chance.choice((0, 0.001, 0.02, 0.1)) if chance.random() < 0.15 else None
        feeding = asyncio.create_task(self.fed(session, batch, chance))
        taking = asyncio.create_task(self.taken(session, who, chance))
        try:
            if cancel is not None:
                await asyncio.sleep(cancel)
                session.cancel()
            answer = await taking
            # A feeder that waits is let go by the end of its batch.
            await asyncio.wait_for(feeding, 5)
        except Exception as error:
            self.wrong.append(f"{who}: {error!r}")
            session.cancel()
            taking.cancel()
            feeding.cancel()
            await asyncio.gather(taking, feeding, return_exceptions=True)
            return
        if answer is None or session.cancelled:
            return
        if session.failure is None:
            self.wrong += [f"{who}: {text}" for text in judge(batch, answer, session)]
        elif batch.ids is not None and expected(session.failure.code):
            self.wrong.append(f"{who}: {session.failure.code}: {session.failure.message}")


def expected(code: str) -> bool:
    """Whether no sound batch may be refused as a whole for this reason."""
    return code not in (
        "CallTooLarge",
        "MessageTooLarge",
        "BatchTooLarge",
        "TooManyCalls",
        "AnswerTooLarge",
        "GroupTooLarge",
    )


def told(found: dict[str, Any]) -> str:
    return f"{found.get('message')}: {found.get('exception')!r}"


def judge(batch: Batch, answer: bytes, session: Session) -> list[str]:
    """What is wrong with the answer to a batch that ended well."""
    summary = session.summary
    parts = ("succeeded", "failed", "refused", "dependency_failed", "unreachable", "timed_out")
    wrong = []
    if batch.options.get("continue_on_error", True) and summary["calls"] != sum(summary[name] for name in parts):
        wrong.append(f"the summary does not add up: {summary}")
    try:
        ids = ids_of(batch, answer)
    except Exception as error:
        return [*wrong, f"the answer cannot be read: {error!r}: {answer[:300]!r}"]
    counts = Counter(ids)
    if batch.ids is None:
        if batch.dialect == "json":
            wrong += [f"{count} results for {name!r}" for name, count in counts.items() if count > 1]
        return wrong
    wrong += [f"{count} results for {name!r}" for name, count in counts.items() if count > 1]
    wrong += [f"a result for {name!r}, which was not asked" for name in counts.keys() - set(batch.ids)]
    lost = set(batch.ids) - counts.keys()
    if batch.answer == "multipart" and batch.dialect == "multipart":
        # One part speaks for a change set that failed (MP-08).
        for group in batch.groups:
            if len(counts.keys() & set(group)) == 1:
                lost -= set(group)
    return wrong + ([f"no results for {sorted(lost)[:9]}"] if lost else [])


def ids_of(batch: Batch, answer: bytes) -> list[str]:
    if batch.answer == "json":
        return [one["id"] for one in json.loads(answer, parse_int=str)["responses"]]
    if batch.answer == "proto":
        kind = pb.ExecuteResponse if batch.options.get("execute") else pb.BatchResponse
        whole = kind.FromString(answer)  # messages put together are one message
        return [one.id for one in whole.results]
    if not answer.rstrip().endswith(b"--answer--"):
        raise ValueError("no close delimiter")
    found = []
    for part in answer.split(b"--answer")[1:-1]:
        head, _, rest = part.partition(b"\r\n\r\n")
        members = rest.split(b"--" + inner[1])[1:-1] if (inner := INNER.search(head)) else [part]
        for member in members:
            head, _, rest = member.partition(b"\r\n\r\n")
            place = rest.partition(b"\r\n\r\n")[0] if batch.answer == "document" else head
            wanted = REQUEST_ID if batch.answer == "document" else CONTENT_ID
            found += [name.decode() for name in wanted.findall(place + b"\r\n")]
    return found
