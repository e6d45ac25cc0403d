from batchwire.core.model cimport Result

cdef class Taken:
    """What a multipart answer says: a Result or None a member, or one error that speaks for all of them."""
    cdef list found
    cdef Result speaks_for_all              # or None

cdef bytes boundary_of(bytes content_type)                          # None: it is not multipart/mixed with one
cdef Taken responses_in(bytes text, bytes boundary, Py_ssize_t count, bint atomic)      # None: no batch response
