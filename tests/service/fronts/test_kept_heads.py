"""What is remembered of the heads of batches is bounded in bytes, not in number alone: rule PL-02."""

import tracemalloc
from collections.abc import Callable

from batchwire.service.fronts.batches.endpoints import BY_NAME
from batchwire.service.fronts.batches.inheritance import Forwarding
from batchwire.service.fronts.batches.negotiation import Accepted, OuterRequest, Policy
from batchwire.service.fronts.batches.negotiation_cache import NegotiationCache

LONG = 20_000


def kept_by(act: Callable[[int], object]) -> int:
    """Bytes that are there after it was done a hundred times."""
    act(0)
    tracemalloc.start()
    try:
        for n in range(1, 101):
            act(n)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_PL_02_long_names_of_headers_are_not_kept() -> None:
    wanted = Forwarding(["x-b3-*", "x-" + "y" * LONG])
    ask = wanted.wants_field
    assert kept_by(lambda n: ask(b"%d" % n + b"n" * LONG)) < LONG
    assert ask(b"x-" + b"y" * LONG)
    assert [ask(b"x-b3-%d" % (n % 2)) for n in range(4)] == [True] * 4
    assert not ask(b"other")


def test_PL_02_long_heads_are_not_kept() -> None:
    cache = NegotiationCache()
    fields = [(b"host", b"gw.example"), (b"content-type", b"application/json")]

    def ask(request: OuterRequest) -> None:
        outcome = cache.negotiate(BY_NAME["odata"], "/svc/", request, Policy())
        assert isinstance(outcome, tuple)
        assert isinstance(outcome[0], Accepted)

    assert kept_by(lambda n: ask(OuterRequest("POST", "http", b"a%d=" % n + b"q" * LONG, fields))) < 3 * LONG
    assert kept_by(lambda n: ask(OuterRequest("POST", "http", b"", [*fields, (b"x-%d" % n, b"v" * LONG)]))) < 3 * LONG
