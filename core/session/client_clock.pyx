"""When the client of a batch last sent and took something, and whether that is too long ago or too little (FR-05)."""
GRACE_SECONDS = 10.0  # for a request to get going before its rate is looked at


cdef bint too_slow(double waited, double got, double rate, double idle) noexcept:
    """FR-05: whether what has begun comes at less than `rate` bytes a second, after so many seconds of waiting."""
    return rate > 0 and waited > min(GRACE_SECONDS, idle) + got / rate


cdef class ClientClock:
    @staticmethod
    cdef ClientClock of(double began, Pace pace):
        """began: when the batch began. pace: at which its client sends."""
        cdef ClientClock made = ClientClock.__new__(ClientClock)
        made.last_feed = made.last_take = began
        made.pace = pace
        pace.turn(began)
        return made

    cdef void fed(self, double t) noexcept:
        """Bytes have come."""
        self.last_feed = t
        self.pace.stop(t)

    cdef void goes_on(self, double t) noexcept:
        """The client is not idle, though it has fed nothing: something of a message has come, or it may send nothing."""
        self.last_feed = t

    cdef bint takes_nothing(self, double t, double idle) noexcept:
        """Asked while there is output to take."""
        return t - max(self.last_take, self.offered) >= idle

    cdef bint sends_nothing(self, double t, double idle) noexcept:
        """Asked while only the client can make the batch go on."""
        return t - max(self.last_feed, self.last_take) >= idle

    cdef bint is_slow(self, double t, uint64_t bytes, uint64_t calls, double rate, double idle) noexcept:
        """A call that has come whole gives its client the time that an idle one has."""
        return self.pace.since > 0 and too_slow(self.pace.seconds(t) - calls * idle, <double>bytes, rate, idle)
