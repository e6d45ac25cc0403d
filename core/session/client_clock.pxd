from batchwire.core.pace cimport Pace
from libc.stdint cimport uint64_t

cdef double GRACE_SECONDS

cdef bint too_slow(double waited, double got, double rate, double idle) noexcept

cdef class ClientClock:
    """When the client of a batch last did something. Seconds of the monotonic clock. See client_clock.pyx."""
    cdef double last_feed, last_take
    cdef Pace pace                          # at which it sends
    cdef double offered                     # when there was output to take, after there was none

    @staticmethod
    cdef ClientClock of(double began, Pace pace)
    cdef void fed(self, double t) noexcept
    cdef void goes_on(self, double t) noexcept
    cdef bint takes_nothing(self, double t, double idle) noexcept
    cdef bint sends_nothing(self, double t, double idle) noexcept
    cdef bint is_slow(self, double t, uint64_t bytes, uint64_t calls, double rate, double idle) noexcept
