from batchwire.core.model cimport Call
from libc.stdint cimport uint64_t

cdef class Group:
    """An atomicity group: adjacent calls that succeed or fail together (JB-13, JB-15)."""
    cdef readonly bytes name
    cdef readonly uint64_t size             # members seen
    cdef uint64_t unfinished
    cdef readonly bint closed               # the next call is of another group, or the batch has ended
    cdef bint failed
    cdef Call first                         # held back until it is known whether it stays alone
    cdef list dependents
    cdef bint finished(self) noexcept
