"""What becomes of a call when all that it waited for has finished: it goes to the dispatcher, or is answered at once.

Must never let one call fail another that does not depend on it (BU-03), nor work on longer than its slice (PL-01).
"""
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.faults cimport fault
from batchwire.core.model cimport Call, CallQueue, OUTCOME_FAILED, Refusal, now
from batchwire.core.plan.groups cimport Group, spoken_for
from batchwire.core.plan.order cimport Plan
from batchwire.core.plan.plan_flags cimport DEAR
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.fills cimport Fills
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.settler cimport COURSE_SILENT, Settler
from batchwire.core.session.turns cimport Slice

import logging

cdef enum:
    LOOKED_AT = 1             # member of a group that is decided between two looks at the clock: it may have a long body

cdef double DECIDED = 2e-6    # seconds, about, of a call that is decided and has nothing to be filled in

_log = logging.getLogger("batchwire.core")

# Not written to, so that one serves for all.
cdef Refusal FAILED = Refusal(500, "InternalError", "the gateway failed to work on the call", OUTCOME_FAILED)


cdef class Decider:
    @staticmethod
    cdef Decider of(Plan plan, Placement dispatch, Pending pending, Bounds bounds, Fills fills, Slice slice,
                    ResultStream results, Settler settler):
        cdef Decider made = Decider.__new__(Decider)
        made.plan = plan
        made.judge = plan.judge
        made.dispatch = dispatch
        made.pending = pending
        made.bounds = bounds
        made.fills = fills
        made.slice = slice
        made.results = results
        made.settler = settler
        return made

    cdef bint has_work(self) noexcept:
        """Whether calls are decided that are not settled, or have results that are not written."""
        return self.plan.decided.first is not None or self.settler.has_told()

    cdef bint may_settle(self) except -1:
        """Whether it may settle some of them now."""
        # What is not written yet leaves only by being written, so that it must not keep itself from that.
        if self.settler.has_told():
            return self.settler.may_conclude_first()
        # One of them may be the earliest call without a result, which those that are not written wait for.
        return self.plan.decided.first is not None and not self.bounds.client_first() and self.bounds.stopping == 0

    cdef bint settle(self) except -1:
        """Settles the calls that are decided; whether the slice was over before all were.

        All of them, but for two bounds: what the gateway answers itself has no upstream to be slow, and waits for the
        front as everything else does; and results that are put into bodies can make these large, so that the rest
        waits until some are gone.
        """
        cdef CallQueue decided = self.plan.decided
        cdef bint progress = False
        if self.settling:
            return False
        self.settling = True
        try:
            while self.may_settle():
                if self.slice.over():
                    return True
                if self.settler.has_told():
                    self.settler.conclude_first()
                    continue
                if self.bounds.bodies_full() and (progress or self.dispatch.running) and self.grows(decided.first):
                    break
                if not self.may_fill():
                    return False
                progress = True
                self.settle_one(decided.popleft())
        finally:
            self.settling = False
        self.fills.leave()                # it waits for something else
        return False

    cdef bint may_fill(self) except -1:
        """PL-15: whether there is room for what the first of those that are decided is filled in with. If not, turn()
        follows when there is."""
        cdef Call call = self.plan.decided.first
        cdef Py_ssize_t most
        cdef bint fits, idle
        if call.inputs is None and call.group_state is None:
            return True                   # it is filled in with nothing
        most = 0 if call.growth or self.settler.verdict is not None else self.judge.most_growth(call)
        if most == 0:
            return True
        fits = self.fills.fits(most)
        if not fits:
            # GW-23: all others of a batch in request order may wait for the earliest, which is never behind them.
            idle = self.dispatch.stuck() and (not self.results.ordered or self.earliest_first())
            if not idle or not self.fills.may_let_in():
                self.fills.wait(most, idle)
                return False
            call = self.plan.decided.first
            most = self.judge.most_growth(call)
            if most == 0:
                return True
        self.fills.begin(call, most, self.judge.filled(call), fits)
        return True

    cdef bint earliest_first(self) except -1:
        """Puts the earliest call without a result first; whether it is there."""
        return self.plan.decided.put_first(self.results.next_number)

    cdef bint grows(self, Call call) noexcept:
        """Whether what the call holds may become more when it is decided."""
        return call.flags & DEAR != 0 or call.group_state is not None or self.dispatch.inheritance.is_large()

    cdef int settle_one(self, Call call) except -1:
        cdef Group group = spoken_for(call)
        if group is not None:
            return self.settle_group(group)
        if self.settler.course == COURSE_SILENT and call.started == 0:
            return self.settler.drop(call)
        if self.settler.verdict is not None and call.refusal is None:
            call.refusal = self.settler.verdict
        if call.empty_set and call.refusal is None:
            return self.settler.pass_over(call)
        if not self.decide(call):
            return self.plan.decided.put_back(call)
        if call.refusal is None:
            self.slice.add(DECIDED)
            return self.dispatch.push(call)
        return self.settler.refuse(call)

    cdef bint decide(self, Call call) except -1:
        """Makes a call ready for its upstream, or refuses it; what fails here fails this call alone (BU-03).

        False: the slice was over before that.
        """
        cdef bint dear = call.flags & DEAR or self.dispatch.inheritance.is_dear(call)
        cdef double since = now() if dear else 0
        try:
            fault("plan.decide")
            while not self.judge.decide(call):
                if self.slice.spend_since(&since):
                    return False
            if call.growth:
                self.fills.end(call, self.judge.filled(call))
            if call.flags & DEAR:
                self.pending.charge_again(call)
            if call.refusal is None:
                fault("place")
                self.dispatch.place(call)
                self.pending.charge_more(call, self.dispatch.take_grown())
            if dear:
                self.slice.add(now() - since)
        except Exception as error:
            _log.error("a call could not be decided", exc_info=error)
            call.refusal = FAILED
            self.judge.let_inputs_go(call)
        return True

    cdef int settle_group(self, Group group) except -1:
        """GW-04: a group of several runs as one request to an upstream with transactions, or not at all."""
        cdef list members = group.members
        cdef Call call, bulk = None
        cdef double since = now()
        if self.settler.course == COURSE_SILENT:
            for call in members:
                self.settler.drop(call)
            return 0
        if self.settler.verdict is not None:
            group.fail_members(self.settler.verdict)
        try:
            fault("plan.decide_group")
            while not self.judge.decide_group(group, LOOKED_AT):
                if self.slice.spend_since(&since):
                    return self.plan.decided.put_back(members[0])
            if group.placed == 0:
                for call in members:
                    self.pending.charge_again(call)
            if (<Call>members[0]).refusal is None:
                fault("place_group")
                while not self.carried(group):
                    if self.slice.spend_since(&since):
                        return self.plan.decided.put_back(members[0])
                bulk = group.bulk
                group.bulk = None
        except Exception as error:
            _log.error("a group could not be decided", exc_info=error)
            bulk = None
            for call in members:
                if call.refusal is None:
                    call.refusal = FAILED
                self.judge.let_inputs_go(call)
        self.slice.add(now() - since)
        if bulk is not None:
            if (<Call>members[0]).growth:
                self.fills.end(members[0], self.judge.filled(members[0]))
            return self.dispatch.push(bulk)
        for call in members:
            self.settler.refuse(call)
        return 0

    cdef bint carried(self, Group group) except -1:
        """Placement.carry(), with what its members hold more then; whether that was the last step."""
        cdef bint last = self.dispatch.carry(group)
        self.pending.charge_more(group.members[0], self.dispatch.take_grown())
        return last
