# The methods that a call may have, each as one object.
from cpython.bytes cimport PyBytes_AS_STRING

cdef bytes method_of(const char* p, Py_ssize_t n)
cdef bint is_bodyless(bytes method) noexcept

# No two of MERGE, HEAD and OPTIONS begin as another does, and an empty method begins with NUL.

cdef inline bint is_get(bytes method) noexcept:
    return PyBytes_AS_STRING(method)[0] == c'G'

cdef inline bint is_merge(bytes method) noexcept:
    return PyBytes_AS_STRING(method)[0] == c'M'

cdef inline bint is_head(bytes method) noexcept:
    return PyBytes_AS_STRING(method)[0] == c'H'

cdef inline bint is_odata(bytes method) noexcept:
    """Whether the specification has it for a call of a batch (JB-07)."""
    return not is_merge(method) and not is_head(method) and PyBytes_AS_STRING(method)[0] != c'O'

cdef inline bint only_reads(bytes method) noexcept:
    """Whether a call changes nothing (RFC 9110 9.2.1)."""
    return is_get(method) or is_head(method) or PyBytes_AS_STRING(method)[0] == c'O'

cdef inline bint is_repeatable(bytes method) noexcept:
    """Whether a call may be sent once more when it is not known whether it has been run (RFC 9110 9.2.2, GW-15)."""
    cdef const char* p = PyBytes_AS_STRING(method)
    return p[0] == c'G' or p[0] == c'D' or p[0] == c'H' or p[0] == c'O' or (p[0] == c'P' and p[1] == c'U')
