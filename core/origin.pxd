# Where batches come from: see origin.pyx.

cdef class Origin:
    """A connection, or the client behind a trusted proxy: what its batches hold together, and what they have worked."""
    cdef object __weakref__
    cdef Py_ssize_t requests                # bytes that they hold of their requests (PL-13)
    cdef Py_ssize_t answers                 # and of their answers (AN-13)
    # of core/session/turns.pyx
    cdef double used, begun                 # virtual seconds: up to when it has had its share, and those who begin theirs
    cdef unsigned long long period          # in which that is so

cdef Origin origin_of(str peer)
