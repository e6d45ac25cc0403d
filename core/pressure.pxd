from batchwire.core.pace cimport Pace

cdef enum:
    MUCH = 65536              # bytes that one must hold to be cut

cdef class Holder:
    """Who holds memory for a client. See pressure.pyx."""
    cdef object __weakref__
    cdef object loop
    cdef double patience                    # seconds that it waits before others are cut
    cdef Pace pace                          # of the client
    cdef int look(self, double t) except -1
    cdef Py_ssize_t stuck(self) noexcept
    cdef int make_way(self) except -1

cdef class Pressure:
    """Who is cut while others wait for room. See pressure.pyx."""
    cdef object holders                     # WeakSet of those that hold much
    cdef object loop
    cdef object timer                       # None: nobody waits
    cdef double patience                    # seconds
    cdef double window                      # seconds for which one has to have been slow
    cdef double looked                      # when who waits was last looked at
    cdef double longest_wait(self, double t) except -2
    cdef int watch(self, Holder one) except -1
    cdef int join(self, Holder holder) except -1
    cdef int look(self) except -1
    cdef int tell(self, Holder holder, Py_ssize_t held, Py_ssize_t before) except -1
    cdef int arm(self) except -1
    cdef double every(self) noexcept

cdef double patience_of(double idle_seconds) noexcept
