# What a client gets to read of an upstream's body: its content-codings are undone first (HD-19).
from batchwire.core.model cimport Call, Result

# The decoded body; None: it cannot be decoded, and the result says so in a note. limit: most bytes of it, 0: no
# limit. BadUpstreamBody when the answer to a GET is longer.
cdef bytes plain_body(Call call, Result result, Py_ssize_t limit)
