from batchwire.core.model cimport Buffer

cdef class Outbox:
    """Results written and not yet taken, in chunks that end where a result ends."""
    cdef Buffer tail
    cdef object chunks                      # deque of bytes
    cdef readonly Py_ssize_t held           # bytes not taken
    cdef readonly unsigned long long taken  # bytes taken so far
    cdef int added(self, Py_ssize_t n) except -1
    cdef bytes take(self)
