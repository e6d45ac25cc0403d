"""Whether a batch may read, decide and start more calls, by what it holds already (AN-05, GW-23, PL-02).

One place for all of them, so that what waits for room can always go on when there is room. Must never hold up the
earliest call without a result of a batch in request order, but for what the client can take: everything behind it waits
for that one. So results that are there and not written hold it up only where their own turn has come.
"""
from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.origin cimport Origin
from libc.stdint cimport uint64_t


cdef class Bounds:
    @staticmethod
    cdef Bounds of(Limits limits, Origin origin, Pending pending, Plan plan, ResultStream results):
        cdef Bounds made = Bounds.__new__(Bounds)
        made.limits = limits
        made.origin = origin
        made.pending = pending
        made.plan = plan
        made.results = results
        return made

    cdef bint may_read(self) noexcept:
        """Whether one more call may be read."""
        cdef Limits limits = self.limits
        if self.pending.calls >= <uint64_t>limits.max_pending or self.bodies_full() or self.output_full():
            return False
        return not self.results.ordered or not (
            self.results.window_full()
            or self.plan.admitted >= self.results.next_number + <uint64_t>limits.reorder_results)

    cdef bint may_start(self, uint64_t number) noexcept:
        """Whether the call of this number may be started."""
        if self.stopping:
            return False
        # The window empties through the earliest call without a result alone.
        if self.results.ordered and number == self.results.next_number:
            return not self.client_first()
        if self.output_full():
            return False
        return not self.results.ordered or not (
            self.results.window_full() or number >= self.results.next_number + <uint64_t>self.limits.reorder_results)

    cdef bint client_first(self) noexcept:
        """Whether not even the earliest call may go on before the front takes results: not those that wait for it."""
        return not self.may_write() or (self.output_full() and not self.results.waits_for_earlier())

    cdef bint may_keep(self, uint64_t number) noexcept:
        """Whether the window has room for the result of this call, if it has to wait for earlier ones."""
        return not self.results.ordered or number <= self.results.next_number or not self.results.window_full()

    cdef int tell(self, Inflow inflow) except -1:
        """Tells who reads answers how much of them waits."""
        cdef ResultStream results = self.results
        inflow.to_take = not self.may_write()
        inflow.ordered = results.ordered
        inflow.may_end = self.whole
        inflow.kept.hold(self.plan.handed())
        if results.one_message and not results.ended:
            return inflow.update(
                results.to_take(), self.answers_held(), results.making, results.most,
                self.client_first(), results.earlier_first(), results.next_number)
        # What waits for nothing but the client leaves as soon as it takes.
        return inflow.update(results.to_take(), self.waiting_bytes(), results.unwritten if inflow.to_take else results.making,
                             0, self.client_first(), results.earlier_first(), results.next_number)
