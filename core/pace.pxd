from libc.stdint cimport uint64_t

cdef class Pace:
    """How many bytes went in the seconds in which they could. See pace.pyx."""
    cdef double since                       # from when it is the client's turn, seconds, monotonic; 0: it is not
    cdef double before                      # seconds of its turns until then
    cdef uint64_t bytes                     # that went, in all
    # from when it has been slow: seconds and bytes by then, less what has been let off
    cdef double slow_seconds, slow_bytes
    cdef void turn(self, double t) noexcept
    cdef void stop(self, double t) noexcept
    cdef double seconds(self, double t) noexcept
    cdef void begin(self, double t) noexcept
    cdef bint is_slow(self, double t, double window) noexcept
