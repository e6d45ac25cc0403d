from batchwire.core.model cimport Call, Holding
from libc.stdint cimport uint64_t

cdef class Pending:
    """What the calls of a batch hold that have been read and not finished. See pending.pyx."""
    cdef uint64_t calls
    cdef Py_ssize_t bytes
    cdef Holding newest                     # or None: nothing of it is held any more
    cdef int charge(self, Call call) except -1
    cdef int charge_body(self, Call call) except -1
    cdef int charge_again(self, Call call) except -1
    cdef int charge_more(self, Call call, Py_ssize_t grown) except -1
    cdef int discharge(self, Call call) except -1
    cdef int release(self, Call call) except -1
