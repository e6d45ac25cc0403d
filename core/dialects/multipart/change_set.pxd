# The answer to one change set, gathered from the results of its members.
from batchwire.core.model cimport Buffer

cdef class ChangeSet:
    cdef readonly bytes name
    cdef readonly bytes boundary
    cdef readonly int members         # results seen
    cdef bint nested_errors
    cdef bint failed
    cdef bint failed_itself           # the failure kept is no 424, which only follows from another one
    cdef Buffer parts                 # of the members, each with its delimiter; empty once one has failed
    cdef Buffer failure               # the part that speaks for all (MP-08)
    cdef int add(self, Buffer part) except -1
    cdef bint wants_failure(self, int status) noexcept
    cdef int fail(self, Buffer part, int status) except -1
    cdef int put(self, Buffer out, bytes outer) except -1
