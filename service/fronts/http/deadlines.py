"""When a batch must end so that somebody still hears of its results: clients and proxies say how long they wait."""

from collections.abc import Iterable

PROXY_FIELD = b"x-envoy-expected-rq-timeout-ms"
LEAST_MARGIN, MOST_MARGIN = 0.05, 1.0


def early(seconds: float) -> float:
    """The deadline of a batch whose client waits `seconds` (FR-04): a tenth is left for its last results to arrive."""
    margin = min(max(LEAST_MARGIN, seconds / 10), MOST_MARGIN, seconds / 4)
    return max(seconds - margin, 0.001)


def proxy_seconds(fields: Iterable[tuple[bytes, bytes]]) -> float | None:
    """How long the proxy before us waits for the answer once it has sent the whole request; None: it does not say.

    So Envoy defines its route timeout, which the field tells.
    """
    for name, value in fields:
        if name == PROXY_FIELD and value.isdigit() and len(value) <= 10 and int(value):
            return int(value) / 1000
    return None
