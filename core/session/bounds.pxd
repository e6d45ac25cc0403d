from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.origin cimport Origin
from batchwire.core.plan.order cimport Plan
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.result_stream cimport ResultStream
from libc.stdint cimport uint64_t

cdef class Bounds:
    """Whether a batch may read, decide and start more, by what it holds. See bounds.pyx."""
    cdef Limits limits
    cdef Origin origin                      # where the batch comes from
    cdef Pending pending
    cdef Plan plan
    cdef ResultStream results
    cdef int stopping                       # errors that end the batch, when they are written: nothing starts before

    cdef bint whole                         # nothing more of the request is to come

    @staticmethod
    cdef Bounds of(Limits limits, Origin origin, Pending pending, Plan plan, ResultStream results)
    cdef bint may_read(self) noexcept
    cdef bint may_start(self, uint64_t number) noexcept
    cdef bint client_first(self) noexcept
    cdef bint may_keep(self, uint64_t number) noexcept
    cdef int tell(self, Inflow inflow) except -1

    # Asked several times a call:

    cdef inline bint output_full(self) noexcept:
        """Whether results wait that the front should take first. Nobody takes any before the end of one message."""
        return self.results.untaken() + self.results.unwritten >= self.limits.output_high_bytes \
            and not self.results.one_message

    cdef inline bint may_write(self) noexcept:
        """Whether results that are not written yet may be."""
        return self.results.untaken() < self.limits.output_high_bytes or self.results.one_message

    cdef inline bint bodies_full(self) noexcept:
        """Whether the calls that have been read and not finished hold all that they may."""
        return self.pending.bytes >= self.limits.max_pending_bytes

    cdef inline bint is_next(self, uint64_t number) noexcept:
        """Whether all results before that of this call are written; of a batch in request order."""
        return number == self.results.next_number

    cdef inline Py_ssize_t waiting_bytes(self) noexcept:
        """Bytes of answers that wait: their results for being written or for earlier ones, or calls for their values."""
        return self.results.waiting_bytes + self.results.unwritten + self.plan.handed()

    cdef inline Py_ssize_t answers_held(self) noexcept:
        """Bytes of answers, and of what is made of them."""
        return self.waiting_bytes() + self.results.untaken()
