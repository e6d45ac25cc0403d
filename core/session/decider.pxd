from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.model cimport Call
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.judge cimport Judge
from batchwire.core.plan.order cimport Plan
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.fills cimport Fills
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.settler cimport Settler
from batchwire.core.session.turns cimport Slice

cdef class Decider:
    """Gives each call that waits for nothing to the dispatcher, or has it answered. See decider.pyx."""
    cdef Plan plan
    cdef Judge judge
    cdef Placement dispatch
    cdef Pending pending
    cdef Bounds bounds
    cdef Fills fills
    cdef Slice slice
    cdef ResultStream results
    cdef Settler settler
    cdef bint settling

    @staticmethod
    cdef Decider of(Plan plan, Placement dispatch, Pending pending, Bounds bounds, Fills fills, Slice slice,
                    ResultStream results, Settler settler)
    cdef bint settle(self) except -1
    cdef bint may_fill(self) except -1
    cdef bint earliest_first(self) except -1
    cdef bint grows(self, Call call) noexcept
    cdef int settle_one(self, Call call) except -1
    cdef bint decide(self, Call call) except -1
    cdef int settle_group(self, Group group) except -1
    cdef bint carried(self, Group group) except -1
    cdef bint has_work(self) noexcept
    cdef bint may_settle(self) except -1
