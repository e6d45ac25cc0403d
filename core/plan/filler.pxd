from batchwire.core.model cimport Call
from batchwire.core.plan.references cimport References
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.plan.values cimport Filling

cdef class Filler:
    """Puts what earlier calls gave into calls that refer to them. See filler.pyx."""
    cdef UrlRules rules
    cdef References references
    cdef Py_ssize_t max_body, max_line
    cdef int max_depth
    cdef Filling filling                    # of the call that is being filled in, or None

    @staticmethod
    cdef Filler of(UrlRules rules, References references, Py_ssize_t max_body, int max_depth, Py_ssize_t max_line)
    cdef bint step(self, Call call, set ids) except -1
    cdef bint is_within(self, Call call) noexcept
    cdef int fill_url(self, Call call, set ids) except -1
    cdef int refer_within(self, Call call, bytes name) except -1
    cdef bint fill_etag(self, Call call, Filling filling, set ids) except -1
    cdef int refuse_long(self, Call call) except -1

cdef Py_ssize_t most_filled(Call call, References given, Py_ssize_t max_body, Py_ssize_t max_line) except -1
cdef Py_ssize_t filled_bytes(Call call) noexcept
cdef int leave_to_upstream(Call call, set ids) except -1
