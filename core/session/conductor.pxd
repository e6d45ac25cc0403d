from batchwire.core.model cimport Call, Result
from batchwire.core.pressure cimport Holder

cdef class Conductor:
    """What the parts of a batch ask of the one who has put them together. See conductor.pyx."""
    cdef int finished_call(self, Call call, Result result, double t) except -1
    cdef int crashed(self, object error) except -1
    cdef int turn(self) except -1
    cdef int rest(self) except -1
    cdef Py_ssize_t stuck(self) noexcept
    cdef int make_way(self) except -1
    cdef Holder taker(self)
    cdef int give_up(self) except -1
    cdef bint is_open(self) noexcept
    cdef bint is_stranded(self) noexcept
    cdef int end_stranded(self) except -1
    cdef int break_off(self, object error) except -1
    cdef int leave_untaken(self, object error) except -1
