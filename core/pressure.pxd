from batchwire.core.pace cimport Pace

cdef class Holder:
    """Who holds memory for a client. See pressure.pyx."""
    cdef object __weakref__
    cdef Pace pace                          # of the client
    cdef Py_ssize_t stuck(self) noexcept
    cdef int make_way(self) except -1

cdef class Pressure:
    """Who is cut while others wait for room. See pressure.pyx."""
    cdef object holders                     # WeakSet of those that hold much
    cdef object loop
    cdef object timer                       # None: nobody waits
    cdef double patience                    # seconds
    cdef double longest_wait(self, double t) noexcept
    cdef int look(self) except -1
    cdef int watch(self, object loop, double patience) except -1
    cdef int tell(self, Holder holder, Py_ssize_t held, Py_ssize_t before) except -1
    cdef int arm(self) except -1

cdef double patience_of(double idle_seconds) noexcept
