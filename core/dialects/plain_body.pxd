# What a client gets to read of an upstream's body: its content-codings are undone first (HD-19).
from batchwire.core.model cimport Result

# The decoded body. BadUpstreamBody when it cannot be decoded; limit: most bytes of it, 0: no limit.
cdef bytes plain_body(Result result, Py_ssize_t limit)
