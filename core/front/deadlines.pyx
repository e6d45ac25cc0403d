"""When a batch must end so that somebody still hears of its results: clients and proxies say how long they wait."""
cdef double LEAST_MARGIN = 0.05, MOST_MARGIN = 1.0

PROXY_FIELD = b"x-envoy-expected-rq-timeout-ms"
"""How long the proxy before us waits for the answer once it has sent the whole request: so Envoy defines its route
timeout, which the field tells."""


cpdef double early(double seconds) noexcept:
    """The deadline of a batch whose client waits `seconds` (FR-04): a tenth is left for its last results to arrive."""
    cdef double margin = min(max(LEAST_MARGIN, seconds / 10), MOST_MARGIN, seconds / 4)
    return max(seconds - margin, 0.001)


def proxy_seconds(fields):
    """Seconds of the first PROXY_FIELD among header fields that says some; None: none does."""
    cdef double seconds
    for name, value in fields:
        if name == PROXY_FIELD:
            seconds = proxy_seconds_in(value)
            if seconds > 0:
                return seconds
    return None


cdef double proxy_seconds_in(bytes value) except -2:
    """Seconds of the value of a PROXY_FIELD; 0: it says none."""
    return int(value) / 1000.0 if value.isdigit() and len(value) <= 10 else 0.0
