from batchwire.core.model cimport Call
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.references cimport References
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.plan.value_finder cimport BodyScan, Reference

cdef enum:
    PIECE = 65536             # bytes of a body that are searched in one go

cdef class Dependencies:
    """What a call names of those before it. See dependencies.pyx."""
    cdef UrlRules rules
    cdef CallIndex index
    cdef References references
    cdef bint sequential
    cdef bint result_of
    cdef bint plain
    cdef BodyScan search                    # of the newest call, whose body is long and not searched whole; or None

    @staticmethod
    cdef Dependencies of(UrlRules rules, CallIndex index, References references, bint sequential, bint result_of, bint plain)
    cdef bint enter(self, Call call) except -1
    cdef bint search_on(self, Py_ssize_t most) except -1
    cdef int enter_rest(self, Call call) except -1
    cdef bint names_groups(self, Call call) noexcept
    cdef bint may_ask(self, Call call, bytes name) except -1
    cdef int enter_condition(self, Call call) except -1
    cdef bint is_member(self, Group group, bytes name) except -1
    cdef int enter_value(self, Call call, Reference reference) except -1
    cdef int depend(self, Call call, bytes name, bint listed) except -1
    cdef Call stop_search(self)
