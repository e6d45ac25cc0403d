# The methods that a call may have, each as one object.
from cpython.bytes cimport PyBytes_AS_STRING

cdef bytes method_of(const char* p, Py_ssize_t n)
cdef bint is_bodyless(bytes method) noexcept

# No two of these begin alike, and an empty method begins with NUL.

cdef inline bint is_merge(bytes method) noexcept:
    return PyBytes_AS_STRING(method)[0] == c'M'

cdef inline bint is_head(bytes method) noexcept:
    return PyBytes_AS_STRING(method)[0] == c'H'

cdef inline bint is_odata(bytes method) noexcept:
    """Whether the specification has it for a call of a batch (JB-07)."""
    return not is_merge(method) and not is_head(method) and PyBytes_AS_STRING(method)[0] != c'O'
