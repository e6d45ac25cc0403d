cdef class Guard:
    cdef double tokens, refilled
    cdef double earned                      # by data sent, and not spent on answers to it
    cdef double last_ping, ping_seconds
    cdef int strikes
    cpdef void renew(self) noexcept
    cpdef bint spend(self, double cost, double t) noexcept
    cpdef bint answer(self, double t) noexcept
    cpdef void earn(self, double tokens) noexcept
    cpdef bint cancel(self, double lived, bint answered, double t) noexcept
    cpdef bint ping(self, double t) noexcept
    cpdef void answered(self) noexcept
