"""The results of the calls of a batch, whoever they are of: made ready in steps where that is dear, written, and counted.

A result is given in one place, finish(). Must never give a call two of them.
"""
from batchwire.core.asserts cimport must_hold
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.dispatch.bulk_request cimport continued, in_pieces, reading_of, split_answer
from batchwire.core.dialects.plain_body cimport is_coded
from batchwire.core.faults cimport fault
from batchwire.core.model cimport (
    CALL_DONE, CARRIED, Call, OUTCOME_DEPENDENCY_FAILED, OUTCOME_FAILED, OUTCOME_REFUSED, OUTCOME_SUCCEEDED, OUTCOME_TIMED_OUT,
    OUTCOME_UNREACHABLE, Refusal, Result, now,
)
from batchwire.core.session.fills cimport Fills
from batchwire.core.session.late_result cimport LateResult, is_late
from batchwire.core.session.public_result cimport published
from batchwire.core.upstream.base cimport Upstream
from batchwire.core.upstream.native.outcomes cimport bad_answer

import logging
from collections import deque
from heapq import heappop, heappush

cdef enum:
    LONG = 65536              # bytes of a body that are no trifle to write

# Seconds, about, so that the clock is asked for what is dear alone.
cdef double ANSWERED = 8e-6   # of a call that the gateway answers itself
cdef double DROPPED = 1e-6    # of one that has no part in the answer

_log = logging.getLogger("batchwire.core")

# Not written to, so that one serves for all.
cdef Refusal STOPPED = Refusal(424, "BatchStopped", "an earlier call failed and the batch is to stop then",
                               OUTCOME_DEPENDENCY_FAILED)


cdef class Settler:
    @staticmethod
    cdef Settler of(Plan plan, Placement dispatch, Pending pending, Bounds bounds, Fills fills, Slice slice,
                    ResultStream results, Outlet outlet, UrlRules rules, bint continue_on_error, bint stops_silently):
        cdef Settler made = Settler.__new__(Settler)
        made.plan = plan
        made.dispatch = dispatch
        made.pending = pending
        made.bounds = bounds
        made.fills = fills
        made.slice = slice
        made.results = results
        made.outlet = outlet
        made.rules = rules
        made.continue_on_error = continue_on_error
        made.stops_silently = stops_silently
        made.told = deque()
        return made

    cdef int go_on_after_errors(self, bint wanted) except -1:
        """Whether a call that fails ends the batch is said in the batch itself."""
        self.continue_on_error = wanted
        return 0

    # --- results

    cdef Result own_result(self):
        """An empty one, for an answer of the gateway's own."""
        if self.own is None:
            self.own = Result()           # large, and most batches need none
        else:
            self.own.reset()
        return self.own

    cdef int refuse(self, Call call) except -1:
        """The gateway answers a call itself."""
        cdef Result result = self.own_result()
        self.slice.add(ANSWERED)
        result.set_error(call.refusal.status, call.refusal.outcome, call.refusal.code, call.refusal.message)
        return self.conclude(call, result, now())

    cdef int drop(self, Call call) except -1:
        """MP-09: a call that a stop leaves unprocessed has no part in the answer."""
        cdef Result result = self.own_result()
        result.status = 424
        result.outcome = OUTCOME_DEPENDENCY_FAILED
        self.slice.add(DROPPED)
        self.results.pass_by(call)
        return self.finish(call, result, False, 0)

    cdef int pass_over(self, Call call) except -1:
        """PL-10: a change set without calls has its answer, which is as empty."""
        cdef Result result = self.own_result()
        result.status = 204
        result.outcome = OUTCOME_SUCCEEDED
        if self.results.writer.nests:
            self.slice.add(ANSWERED)
            self.results.put(call, result)
        else:
            self.slice.add(DROPPED)
            self.results.pass_by(call)
        return self.finish(call, result, True, now())

    cdef int give(self, Call call, Result result, double t, bint goes_on) except -1:
        """An upstream has given a result; goes_on: more calls may be sent."""
        cdef Py_ssize_t limit = self.bounds.limits.max_response_bytes
        cdef LateResult late
        if call.members is not None:
            if not is_coded(result) and result.body_len <= LONG:
                return self.split(call, result, goes_on, None)
            limit = CARRIED * (<Upstream>call.upstream).max_response_bytes
        elif not is_late(call, result, self.results.writer.plain):
            return self.conclude(call, result, t)
        late = LateResult.of(
            call, result, is_coded(result) and (call.members is not None or self.results.writer.plain), limit,
            self.results.writer, self.rules)
        if call.members is None:
            # The batch stops at an error: so nothing is started until it is written, and it waits for nothing.
            late.goes_first = late.stops = result.status >= 400 and not self.continue_on_error
        elif not is_coded(result):
            late.goes_first = True
            late.stops = not self.continue_on_error           # there may be one in it
        if late.stops:
            self.bounds.stopping += 1
        return self.put_late(late, late.goes_first)

    cdef int put_late(self, LateResult late, bint first) except -1:
        """In request order the earliest comes first: those behind it wait for it in any case."""
        if self.late is None:
            self.late = []
        self.late_count += 1
        heappush(self.late, (-1 if first else late.call.number if self.results.ordered else 0, self.late_count, late))
        self.results.unwritten += late.size
        self.results.making += late.making
        return self.tell_first_late()

    cdef int take_late(self) except -1:
        """The first of them is none any more."""
        cdef LateResult late = heappop(self.late)[2]
        self.results.unwritten -= late.size
        self.results.making -= late.making
        return self.tell_first_late()

    cdef int tell_first_late(self) except -1:
        self.results.first_late = (<LateResult>self.late[0][2]).call.number if self.late else 0
        return 0

    cdef bint is_writing(self) noexcept:
        """Whether there are results that are made ready to be written."""
        return self.late is not None and len(self.late) > 0

    cdef bint write(self, bint goes_on) except -1:
        """Goes on with the results that are not written yet; whether the slice was over before all were that may."""
        cdef LateResult late
        cdef double since = now()
        cdef bint last
        while self.late:
            if self.slice.over():
                return True
            late = self.late[0][2]
            if late.making == 0 and not self.may_make(late):
                break
            last = self.step(late)
            if last:
                self.take_late()
                self.conclude_late(late, since, goes_on)
            elif late.making and self.late[0][0] >= 0:
                # No other is begun before it is written: it would wait for the room that this one has.
                self.take_late()
                self.put_late(late, True)
            self.dispatch.tell_inflow()
            self.slice.spend_since(&since)
        return False

    cdef bint may_make(self, LateResult late) except -1:
        """Whether there is room for the next step; if not, turn() follows, or the client takes first."""
        if late.is_to_measure():
            return True
        if not late.goes_first and not (self.bounds.may_keep(late.call.number) and self.bounds.may_write()):
            return False
        return self.dispatch.may_write(late.becomes(), self.dispatch.leads(late.call))

    cdef bint step(self, LateResult late) except -1:
        """A step in making a result ready, and what it holds then; whether that was the last one."""
        cdef Py_ssize_t size = late.size, making = late.making
        cdef bint last = late.step()
        self.results.unwritten += late.size - size
        self.results.making += late.making - making
        return last

    cdef int conclude_late(self, LateResult late, double t, bint goes_on) except -1:
        if late.stops:
            self.bounds.stopping -= 1
        if late.call.members is not None:
            return self.split(late.call, late.result, goes_on, late.reading)
        self.results.put_said(late.call, late.result, late.said, late.made)
        return self.finish(late.call, late.result, 200 <= late.result.status < 300, t)

    cdef int close(self) except -1:
        """The batch is over: nobody will take what is not written, nor refer to anything."""
        self.lost = self.unwritten()
        self.late = None
        self.told.clear()
        self.first_told = None
        self.results.unwritten = self.results.making = 0
        self.results.first_late = 0
        self.results.forget_waiting()
        self.fills.close()
        return self.plan.close()

    cdef int conclude(self, Call call, Result result, double t) except -1:
        """Writes a result that is no trouble to write."""
        cdef double since = now() if result.body_len > LONG else 0
        cdef list _owners = published(call, result, self.rules)     # keep what the headers point to
        self.results.put(call, result)
        if since > 0:
            self.slice.add(now() - since)
        return self.finish(call, result, 200 <= result.status < 300, t)

    cdef int finish(self, Call call, Result result, bint succeeded, double t) except -1:
        """The one place where a call ends: its result is written, at the time t; 0: it has none."""
        must_hold(call.state != CALL_DONE)
        self.counts[result.outcome] += 1
        self.pending.discharge(call)
        self.fills.done(call)
        fault("plan.finish")
        self.plan.finish(call, result, succeeded)
        if call.keeps:
            self.dispatch.kept(call)
        if t == 0:
            return 0
        if result.status >= 400 and not self.continue_on_error:
            if self.verdict is None:
                self.stop(STOPPED)
            if self.stops_silently:
                self.course = COURSE_SILENT
        return self.outlet.added(t, self.dispatch.running, self.pending.calls)

    cdef int split(self, Call bulk, Result result, bint goes_on, Steps reading) except -1:
        """The result of a request that carried several calls, which conclude_first() takes one by one: a thousand of
        them, each with the one error of all, are no work for one go, nor all for a client that takes nothing (PL-01, AN-05).

        goes_on: some of the calls may be sent again; else nobody settles any more, and all of them are concluded.
        reading: of the result, done; None: it is short.
        """
        cdef Call call
        cdef list results
        try:
            fault("split_answer")
            if reading is None:
                reading = reading_of(bulk, result)
                while reading is not None and not reading.step():
                    pass
            call = continued(bulk, result, reading)
            if call is not None:
                return self.dispatch.send(call)   # at once: what the batch has begun goes on, whatever stops it
            if self.verdict is None and goes_on:
                for call in in_pieces(bulk, result) or ():
                    self.dispatch.push(call)
            results = split_answer(bulk, result, reading)
            if bulk.group_size:
                self.plan.references.place(bulk.members, results, self.rules, self.bounds.limits.max_header_bytes)
        except Exception as error:
            _log.error("the answer to a batch could not be taken apart", exc_info=error)
            results = bad_answer(len(bulk.members), "the upstream's answer to the batch could not be read")
        for call, result in zip(bulk.members, results):
            self.told.append((call, result))
            self.results.unwritten += result.body_len
        if bulk.keeps:
            self.dispatch.kept(bulk)
        return 0 if goes_on else self.conclude_told()

    cdef bint may_conclude_first(self) except -1:
        """Whether the first of the results that split() has found may be worked on: the others wait for it."""
        if not self.bounds.may_write():
            return False
        self.begin_first()
        return self.first_told is None or self.first_told.making > 0 or self.first_told.is_to_measure() \
            or self.dispatch.may_write(self.first_told.becomes(), True)

    cdef int begin_first(self) except -1:
        """Looks whether the first of them is made ready in steps."""
        cdef Call call
        cdef Result result
        if self.first_told is None:
            call, result = self.told[0]
            if is_late(call, result, self.results.writer.plain):
                self.first_told = LateResult.of(call, result, is_coded(result), self.bounds.limits.max_response_bytes,
                                                self.results.writer, self.rules)
        return 0

    cdef int conclude_first(self) except -1:
        """The first of the results that split() has found, or a step in making it ready."""
        cdef double since = now()
        cdef Call call
        cdef Result result
        cdef LateResult late = self.first_told
        if late is None:
            call, result = self.told.popleft()
            self.results.unwritten -= result.body_len
            self.conclude(call, result, since)
        elif self.step(late):
            self.told.popleft()
            self.first_told = None
            self.results.unwritten -= late.size
            self.results.making -= late.making
            self.conclude_late(late, since, True)
        self.dispatch.tell_inflow()
        self.slice.add(now() - since)
        return 0

    cdef int conclude_told(self) except -1:
        """All of them, in one go."""
        while self.told:
            self.begin_first()
            self.conclude_first()
        return 0

    cdef uint64_t unwritten(self) noexcept:
        """Calls that have been run and whose results are not written."""
        cdef uint64_t calls = self.lost + len(self.told)
        cdef LateResult late
        if self.late is not None:
            for _, _, late in self.late:
                calls += 1 if late.call.members is None else len(late.call.members)
        return calls

    cdef uint64_t tell(self, uint64_t* told) noexcept:
        """How many calls ended in each of session.OUTCOMES; returns how many there were."""
        cdef uint64_t admitted = self.plan.admitted, abandoned = self.dispatch.abandoned + self.unwritten(), known = abandoned
        cdef int n
        told[0] = self.counts[<int>OUTCOME_SUCCEEDED]
        told[1] = self.counts[<int>OUTCOME_FAILED]
        told[2] = self.counts[<int>OUTCOME_REFUSED]
        told[3] = self.counts[<int>OUTCOME_DEPENDENCY_FAILED]
        told[4] = self.counts[<int>OUTCOME_UNREACHABLE]
        told[5] = self.counts[<int>OUTCOME_TIMED_OUT]
        told[6] = abandoned
        for n in range(6):
            known += told[n]
        told[7] = admitted - known if admitted > known else 0
        return admitted

    # --- stopping

    cdef int stop(self, Refusal verdict) except -1:
        """Every call that has not started, now or later, gets this answer."""
        self.verdict = verdict
        if self.course == COURSE_ON:
            self.course = COURSE_STOPPED
        self.plan.stop(verdict)
        for call in self.dispatch.recall():
            self.plan.stop_ready(call, verdict)
        return 0

    cdef int clear(self) except -1:
        """No call that has not started gets a result: the batch is broken."""
        self.plan.clear()
        self.fills.leave()
        return self.dispatch.clear()
