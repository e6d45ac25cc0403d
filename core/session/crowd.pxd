from batchwire.core.session.conductor cimport Conductor

cdef class Share:
    """What one batch holds of its request, in the sum of all batches of the process. See crowd.pyx."""
    cdef Conductor batch                    # None: it has ended
    cdef Py_ssize_t held                    # bytes that are counted for it
    cdef Py_ssize_t bound                   # of the process
    cdef double since                       # from when it waits for room, monotonic seconds; 0: it does not
    cdef int tell(self, Py_ssize_t held) except -1
    cdef bint may_read(self) except -1
    cdef bint goes_alone(self) noexcept
    cdef int leave(self) except -1
    cdef int pass_on(self, Share other) except -1
    cdef int close(self) except -1

cdef Py_ssize_t held_by_all() noexcept
