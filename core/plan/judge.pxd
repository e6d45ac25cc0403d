from batchwire.core.model cimport Call
from batchwire.core.plan.filler cimport Filler
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.references cimport References
from batchwire.core.plan.urls cimport UrlRules

cdef class Judge:
    """Decides the calls for which all that they waited for has finished. See judge.pyx."""
    cdef UrlRules rules
    cdef CallIndex index
    cdef References references
    cdef Py_ssize_t max_body                # of a call after references are filled in
    cdef int max_depth                      # of its JSON
    cdef Py_ssize_t max_line                # of its URL and of its header lines after references are filled in
    cdef Filler filler                      # None: nothing has been filled in yet

    @staticmethod
    cdef Judge of(UrlRules rules, CallIndex index, References references, Py_ssize_t max_body, int max_depth,
                  Py_ssize_t max_line)
    cdef bint decide(self, Call call) except -1
    cdef bint decide_group(self, Group group, int most) except -1
    cdef Py_ssize_t most_growth(self, Call call) except -1
    cdef Py_ssize_t filled(self, Call call) noexcept
    cdef bint is_filling(self, Call call) noexcept
    cdef bint fill(self, Call call, set ids) except -1
    cdef int let_inputs_go(self, Call call) except -1
    cdef int drop(self) except -1

cdef int judge(Call call, CallIndex index, References references) except -1
cdef str why_not(Call call, CallIndex index, References references)
