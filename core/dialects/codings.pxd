# Content and transfer codings of a body, undone in small steps and within bounds. See codings.pyx.

from batchwire.core.dialects.steps cimport Steps

cdef class Undoing(Steps):
    cdef list names                         # of codings still to be undone, the next one last
    cdef bytes data                         # what the last one that is undone gave
    cdef Py_ssize_t limit                   # bytes that may come out
    cdef Py_ssize_t most                    # the same of each coding, in proportion to what came
    cdef Py_ssize_t at                      # bytes of data that have been gone through
    # of the coding that is being undone
    cdef object stream                      # zlib's, or None
    cdef int window_bits
    cdef list pieces
    cdef int members
    cdef Py_ssize_t size                    # bytes that have come out
    cdef bytes tail                         # what zlib has not taken yet
    cdef bytes scratch                       # where chunks are put together
    cdef bint unchunk(self) except -1
    cdef bint inflate(self) except -1
    cdef int put(self, bytes piece) except -1
    cdef bint next(self, bytes data) except -1
