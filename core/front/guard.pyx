"""What a client may do that costs the server work and brings the client nothing.

A bucket of tokens for resets, pings, settings, empty frames and window updates (CVE-2019-9511 to 9518, 2023-44487,
2025-8671), and gRPC's rule for keep-alive pings (gRFC A8). Must never look into a frame, nor end a connection itself.
"""

cdef enum:
    BURST = 1000              # tokens of a connection that has been quiet
    MOST_EARNED = 65536       # answers to data that a client may still owe: those to 64 MB
    MAX_STRIKES = 2           # pings that come too early, one after the other

cdef double REFILL = 100.0    # tokens a second
cdef double SERVED_SECONDS = 0.005  # a stream that has lived as long was worked for
cdef double CANCELLED = 0.02        # tokens for one that ends without an answer after that: 5,000 a second


cdef class Guard:
    """ping_seconds: between pings while the server sends nothing; 0: as often as the client likes."""

    def __init__(self, double t, double ping_seconds=10.0):
        self.tokens = BURST
        self.refilled = t
        self.ping_seconds = ping_seconds
        self.last_ping = t - ping_seconds

    cpdef void renew(self) noexcept:
        """The client was warned, and begins anew."""
        self.tokens = BURST

    cpdef bint spend(self, double cost, double t) noexcept:
        """Whether the client may go on."""
        self.tokens = min(<double>BURST, self.tokens + (t - self.refilled) * REFILL) - cost
        self.refilled = t
        return self.tokens >= 0

    cpdef bint answer(self, double t) noexcept:
        """A frame of the kinds that answer data, window updates and pings: whether the client may go on.

        It may have been sent a whole window before it answers anything, so what it earned lasts beyond the burst.
        """
        if self.earned >= 1:
            self.earned -= 1
            return True
        return self.spend(1, t)

    cpdef void earn(self, double tokens) noexcept:
        """The server has sent something that the client will answer in the usual course of things."""
        self.tokens = min(<double>BURST, self.tokens + tokens)
        self.earned = min(<double>MOST_EARNED, self.earned + tokens)

    cpdef bint cancel(self, double lived, bint answered, double t) noexcept:
        """FR-02: a stream ends before its time, after so many seconds: whether the client may go on.

        One that comes and goes at once is what rapid resets are made of. One that was served is a call that nobody
        waits for any more: a proxy with many clients behind it cancels thousands of these.
        """
        if lived <= 0 or (not answered and lived < SERVED_SECONDS):
            return self.spend(1, t)
        return answered or self.spend(CANCELLED, t)

    cpdef bint ping(self, double t) noexcept:
        """gRFC A8: whether the client may ping as often as it does."""
        if t - self.last_ping < self.ping_seconds:
            self.strikes += 1
        self.last_ping = t
        return self.strikes <= MAX_STRIKES

    cpdef void answered(self) noexcept:
        """Headers or data are sent: pings beside them are no strikes (they measure the bandwidth)."""
        self.strikes = 0
        self.last_ping = 0
