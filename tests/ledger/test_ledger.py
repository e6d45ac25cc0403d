"""The ledger: random batches of several tenants in all dialects, faults and cancels, and an audit of every call.

LEDGER_SECONDS and LEDGER_SEED choose length and seed (`make ledger MINUTES=60`). The plan of a batch follows from
the seed and its number; what meets what in time does not.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from harness import config
from harness.batches import Call, Refused, Result
from harness.gateway import Gateway
from ledger_batches import COALESCED, JSON_GROUPS, MULTIPART_GROUPS, PLAIN, Planned, plan
from ledger_clients import run
from ledger_upstream import LedgerUpstream, echoed

SECONDS = float(os.environ.get("LEDGER_SECONDS", "120"))
SEED = int(os.environ.get("LEDGER_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
CLIENTS = 6
WARM = 200
"""Batches before the process is measured: pools, caches and the allocator's arenas are filled."""
MORE_MEMORY = 64 << 20
MORE_DESCRIPTORS = 3
SOON = 15.0


def settings(origin: str) -> config.Config:
    common = {"url": origin + "/", "forward_authorization": True, "call_timeout_seconds": 10, "idle_seconds": 1}
    upstreams = {
        "plain": common,
        "json": {**common, "batch": "json"},
        "multipart": {**common, "batch": "multipart"},
        "coalesced": {**common, "batch": "json", "coalesce": 20},
    }
    roots = {PLAIN: "plain", JSON_GROUPS: "json", MULTIPART_GROUPS: "multipart", COALESCED: "coalesced"}
    routes = [{"root": root, "upstream": name, "origin": "http://gw.example"} for root, name in roots.items()]
    routes[0]["default"] = True  # type: ignore[assignment]
    return config.make(upstreams, routes)


class Ledger:
    """What the clients saw, and what is wrong with it."""

    def __init__(self, gateway: Gateway, upstream: LedgerUpstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.numbers = itertools.count(1)
        self.batches = 0
        self.results = 0
        self.cancelled = 0
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def client(self, until: float, most: int) -> None:
        while time.monotonic() < until and not self.wrong:
            with self._lock:
                number = next(self.numbers)
            if number > most:
                return
            batch = plan(SEED, number)
            try:
                results = run(self.gateway, batch)
            except Exception as error:
                problem = f"no whole answer: {error!r}" if isinstance(error, Refused) else f"not readable: {error!r}"
                results, wrong = None, [problem]
            else:
                wrong = [] if results is None else self.audit(batch, results)
            with self._lock:
                self.batches += 1
                self.cancelled += results is None
                self.results += len(results or ())
                self.statuses.update(result.status for result in results or ())
                self.wrong += [f"batch {number} ({batch.dialect} at {batch.route}): {text}" for text in wrong]

    def audit(self, batch: Planned, results: list[Result]) -> list[str]:
        wrong = []
        calls = {call.id: call for call in batch.calls}
        seen = Counter(result.id for result in results)
        wrong += [f"{count} results for {name!r}" for name, count in seen.items() if count > 1]
        wrong += [f"a result for {name!r}, which was not asked" for name in seen.keys() - calls.keys()]
        wrong += [f"no result for {name}" for name in self.missing(batch, results, seen)]
        for result in results:
            call = calls.get(result.id)
            if call is None:
                continue
            token = batch.token(call)
            if named := echoed(result.headers, result.body) - {token}:
                wrong.append(f"the result of {token} names {named}")
            if result.status < 300 and not self.upstream.booked[token]:
                wrong.append(f"{token} is {result.status} and never came to the upstream")
            if result.status not in (200, 201, 204, 424, 500, 502):
                wrong.append(f"{token} is {result.status}: {result.body!r}")
        return wrong

    @staticmethod
    def missing(batch: Planned, results: list[Result], seen: Counter[str]) -> list[str]:
        """Ids without a result. One part speaks for a change set that failed (MP-08)."""
        statuses = {result.id: result.status for result in results}
        found = []
        for item in batch.items:
            ids = [item.id] if isinstance(item, Call) else [call.id for call in item]
            lost = [name for name in ids if name not in seen]
            told = [name for name in ids if name in seen]
            spoken = batch.dialect.startswith("multipart") and len(told) == 1 and statuses[told[0]] >= 400
            found += [] if spoken else lost
        return found

    def run_clients(self, until: float, most: int = 1 << 62) -> None:
        clients = [threading.Thread(target=self.client, args=(until, most), daemon=True) for _ in range(CLIENTS)]
        for one in clients:
            one.start()
        told = time.monotonic()
        while any(one.is_alive() for one in clients):
            time.sleep(0.2)
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(self.line(f"{max(0.0, until - told):.0f} s to go"), flush=True)

    def line(self, what: str) -> str:
        faults = sum(self.upstream.faults.values())
        return (
            f"ledger: {what}; seed {SEED}: {self.batches} batches ({self.cancelled} cancelled), {self.results} results "
            f"{dict(sorted(self.statuses.items()))}, {faults} faults, {self.gateway.fds()} descriptors, "
            f"{self.gateway.rss() >> 20} MiB, {len(self.wrong) + len(self.upstream.problems)} wrong"
        )


def more_than_once(upstream: LedgerUpstream, numbers: int) -> list[str]:
    """POST and PATCH that came more than once: looked for at the end, with the calls of cancelled batches too."""
    repeated: dict[int, list[str]] = {}
    for token, count in upstream.booked.items():
        if count > 1:
            repeated.setdefault(int(token.split("-")[1]), []).append(token)
    found = []
    for number, tokens in repeated.items():
        methods = {call.headers["x-token"]: call.method for call in plan(SEED, number).calls}
        found += [
            f"{methods[t]} {t} came {upstream.booked[t]} times" for t in tokens if methods[t] in ("POST", "PATCH")
        ]
    return found


@pytest.mark.timeout(SECONDS + 180)
def test_every_call_is_booked_and_answered_once(tmp_path: Path) -> None:
    print(f"ledger: LEDGER_SEED={SEED}, {SECONDS:.0f} s", flush=True)
    with LedgerUpstream(SEED) as upstream, Gateway(settings(upstream.origin), tmp_path) as gateway:
        assert isinstance(upstream, LedgerUpstream)
        ledger = Ledger(gateway, upstream)
        until = time.monotonic() + SECONDS
        ledger.run_clients(until, WARM)
        gateway.wait_idle()
        gateway.wait(lambda: upstream.open_connections == 0, "no idle connection to the upstream", SOON)
        descriptors, memory = gateway.fds(), gateway.rss()
        ledger.run_clients(until)
        gateway.wait_idle()
        bound = descriptors + MORE_DESCRIPTORS
        gateway.wait(lambda: gateway.fds() <= bound, f"at most {bound} descriptors", SOON)
        wrong = ledger.wrong + upstream.problems + more_than_once(upstream, ledger.batches)
        if (grown := gateway.rss() - memory) > MORE_MEMORY:
            wrong.append(f"{grown >> 20} MiB more than after the first {WARM} batches")
        print(ledger.line("clean" if not wrong else f"WRONG: {wrong[0]}"), flush=True)
        assert not wrong, f"LEDGER_SEED={SEED}: {len(wrong)} wrong:\n" + "\n".join(wrong[:20])
        assert ledger.batches > WARM
        assert {200, 201, 424, 500, 502} <= ledger.statuses.keys(), "the ledger has not met every kind of result"
