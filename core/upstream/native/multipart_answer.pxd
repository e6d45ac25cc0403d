from batchwire.core.dialects.steps cimport Steps
from batchwire.core.model cimport Result

cdef class PartsReading(Steps):
    """Reads a multipart answer to so many calls."""
    cdef Py_ssize_t count
    cdef object steps                       # a generator; None: it is done
    cdef list answers                       # then [(id or None, Result or None)], or None: it is no batch response
    cdef Py_ssize_t copied

    @staticmethod
    cdef PartsReading of(bytes text, bytes boundary, Py_ssize_t count)

cdef class Taken:
    """What a multipart answer says: a Result or None a member, or one error that speaks for all of them."""
    cdef list found
    cdef Result speaks_for_all              # or None

cdef bytes boundary_of(bytes content_type)                          # None: it is not multipart/mixed with one
cdef Taken responses_in(PartsReading reading, bint atomic)          # of one that is done; None: no batch response
