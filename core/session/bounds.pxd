from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.plan.order cimport Plan
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.result_stream cimport ResultStream
from libc.stdint cimport uint64_t

cdef class Bounds:
    """Whether a batch may read, decide and start more, by what it holds. See bounds.pyx."""
    cdef Limits limits
    cdef Pending pending
    cdef Plan plan
    cdef ResultStream results
    cdef int stopping                       # errors that end the batch, when they are written: nothing starts before

    cdef bint whole                         # nothing more of the request is to come

    @staticmethod
    cdef Bounds of(Limits limits, Pending pending, Plan plan, ResultStream results)
    cdef bint may_read(self) noexcept
    cdef bint may_start(self, uint64_t number) noexcept
    cdef bint output_full(self) noexcept
    cdef bint client_first(self) noexcept
    cdef bint may_write(self) noexcept
    cdef bint may_keep(self, uint64_t number) noexcept
    cdef bint bodies_full(self) noexcept
    cdef bint is_next(self, uint64_t number) noexcept
    cdef Py_ssize_t waiting_bytes(self) noexcept
    cdef Py_ssize_t answers_held(self) noexcept
    cdef int tell(self, Inflow inflow) except -1
