from batchwire.core.front.connections cimport Connections

cdef class Http1Acceptor(Connections):
    """What connections have in common: bounds, and who answers a request."""
    cdef object servicer
    cdef object context                     # what is done later begins with it (OP-04)
    cdef Py_ssize_t max_head_bytes
    cdef double keepalive_seconds
    cdef bint retiring                      # the next answer of a connection that begins is its last
