"""When the client of a batch last sent and took something, and whether that is too long ago or too little (FR-05)."""
GRACE_SECONDS = 10.0  # for a request to get going before its rate is looked at


cdef bint too_slow(double waited, double got, double rate, double idle) noexcept:
    """FR-05: whether what has begun comes at less than `rate` bytes a second, after so many seconds of waiting."""
    return rate > 0 and waited > min(GRACE_SECONDS, idle) + got / rate


cdef class ClientClock:
    """began: when the batch began."""

    def __init__(self, double began):
        self.last_feed = self.last_take = self.input_since = began

    cdef void fed(self, double t) noexcept:
        """Bytes have come. may_feed() follows when more may."""
        self.last_feed = t
        if self.input_since > 0:
            self.waited += t - self.input_since
        self.input_since = 0

    cdef void goes_on(self, double t) noexcept:
        """The client is not idle, though it has fed nothing: something of a message has come, or it may send nothing."""
        self.last_feed = t

    cdef void may_feed(self, double t) noexcept:
        """It is the client's turn to send; said more than once, the first counts."""
        if self.input_since == 0:
            self.input_since = t

    cdef bint takes_nothing(self, double t, double idle) noexcept:
        """Asked while there is output to take."""
        return t - max(self.last_take, self.offered) >= idle

    cdef bint sends_nothing(self, double t, double idle) noexcept:
        """Asked while only the client can make the batch go on."""
        return t - max(self.last_feed, self.last_take) >= idle

    cdef bint is_slow(self, double t, uint64_t bytes, uint64_t calls, double rate, double idle) noexcept:
        """A call that has come whole gives its client the time that an idle one has."""
        if self.input_since == 0:
            return False
        return too_slow(self.waited + t - self.input_since - calls * idle, <double>bytes, rate, idle)
