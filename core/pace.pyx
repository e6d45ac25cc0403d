"""How many bytes a client sent, or took, in the seconds in which it was its turn to.

While the gateway holds it back its time does not run, so that nobody is slow who waits for others.
"""

cdef double RATE = 16384      # bytes a second, below which a client is slow: it may send many requests at once


cdef class Pace:
    cdef void turn(self, double t) noexcept:
        """It is the client's turn; said more than once, the first counts."""
        if self.since == 0:
            self.since = t

    cdef void stop(self, double t) noexcept:
        """It is not, until turn()."""
        if self.since > 0:
            self.before += t - self.since
            self.since = 0

    cdef double seconds(self, double t) noexcept:
        """Of all of its turns."""
        return self.before + (t - self.since if self.since > 0 else 0.0)

    cdef void begin(self, double t) noexcept:
        """The window begins now."""
        self.slow_seconds = self.seconds(t)
        self.slow_bytes = <double>self.bytes

    cdef bint is_slow(self, double t, double window) noexcept:
        """Whether it is the client's turn, and it has been slow for `window` seconds of its turns at least. To be asked
        several times in these."""
        cdef double lasted = self.seconds(t) - self.slow_seconds
        cdef double lacking = RATE * lasted - (<double>self.bytes - self.slow_bytes)
        if lacking <= 0:
            self.begin(t)
        elif lacking > RATE * window:
            self.slow_bytes -= lacking - RATE * window      # who becomes fast is so soon, however slow it was
        return self.since > 0 and lacking > 0 and lasted >= window
