from batchwire.core.dialects.codings cimport Undoing
from batchwire.core.model cimport Call, Result

cdef class LateResult:
    """A result that is not written as soon as it is there. See late_result.pyx."""
    cdef Call call
    cdef Result result
    cdef Undoing undoing                    # of its content-codings, or None
    cdef bint coded                         # they are still to be undone
    cdef Py_ssize_t limit                   # bytes that its body may have then
    cdef Py_ssize_t size                    # bytes that it holds, as far as they are counted

    @staticmethod
    cdef LateResult of(Call call, Result result, bint coded, Py_ssize_t limit)
    cdef Py_ssize_t becomes(self) except -1
    cdef bint step(self) except -1

cdef bint is_late(Call call, Result result, bint plain) noexcept
