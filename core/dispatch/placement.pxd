from batchwire.core.dispatch.dispatcher cimport Dispatcher
from batchwire.core.inheritance cimport Inheritance
from batchwire.core.model cimport Call
from batchwire.core.plan.groups cimport Group
from batchwire.core.route cimport Route
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.upstream.base cimport Upstream

cdef class Placement(Dispatcher):
    """Finds the upstream of ready calls. See placement.pyx."""
    cdef Route route
    cdef Inheritance inheritance
    cdef Py_ssize_t grown                   # see take_grown()

    @staticmethod
    cdef Placement of(Conductor batch, Bounds bounds, double began, double deadline, bint by_number, Route route,
                      Inheritance inheritance)
    cdef int place(self, Call call) except -1
    cdef Py_ssize_t take_grown(self) noexcept
    cdef int give_to(self, Call call, Upstream upstream) except -1
    cdef bint carry(self, Group group) except -1
    cdef bint place_member(self, Group group, Call call) except -1
