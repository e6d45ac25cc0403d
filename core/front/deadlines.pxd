cpdef double early(double seconds) noexcept
cdef double proxy_seconds_in(bytes value) except -2
