# Under which origins clients know a service root.

cdef class Origins:
    """See origins.pyx."""
    cdef readonly bytes public        # b"http://gw.example": in what the gateway says; None: no origin is known
    cdef object said
    cdef bint strict
    cdef bint sorted_out
    cdef set whole                    # b"http://gw.example:80"
    cdef set hosts                    # b"gw.example:80"
    cdef set usual                    # b"gw.example": hosts at the port that stands for their scheme
    cdef set others                   # b"gw.example:8080": at another, whatever the scheme is
    cdef bytes last                   # the last origin that was found to be one of them, as it was written
    cdef int sort_out(self) except -1
    cdef bint holds(self, bytes origin) except -1
    cdef bint is_host(self, bytes host) except -1

cpdef bint same_origin(bytes one, bytes other)
