cdef class Guard:
    cdef double tokens, refilled
    cdef double earned                      # by data sent, and not spent on answers to it
    cdef double last_ping
    cdef int strikes
    cdef bint spend(self, double cost, double t) noexcept
    cdef bint answer(self, double t) noexcept
    cdef void earn(self, double tokens) noexcept
    cdef bint ping(self, double t) noexcept
    cdef void answered(self) noexcept
