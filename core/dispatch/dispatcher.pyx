"""When a ready call starts: at once, within the bounds of its batch and its upstream.

Batches take turns at a busy upstream through its ring (upstream/base.pyx), so that a batch of a million calls does
not starve a batch of ten. Must never look at what a call says or wait for anything itself.
"""
from batchwire.core.dispatch.inflow cimport Inflow, starts_freely
from batchwire.core.dispatch.kept_answers cimport is_kept_out
from batchwire.core.faults cimport fault
from batchwire.core.model cimport (
    CALL_RUNNING, Call, CallQueue, OUTCOME_FAILED, OUTCOME_TIMED_OUT, Refusal, Result, now,
)
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.conductor cimport Conductor
from batchwire.core.upstream.base cimport COUNTED, CallOwner, Inlet, Upstream
from libc.stdint cimport uint64_t

import logging
from heapq import heappop, heappush

_log = logging.getLogger("batchwire.core")


cdef class Lane:
    def __init__(self, Upstream upstream, bint by_number):
        self.upstream = upstream
        self.by_number = by_number
        self.ready = CallQueue()
        self.heap = []

    cdef int put(self, Call call) except -1:
        self.size += 1
        if self.by_number:
            heappush(self.heap, (call.number, call))
            return 0
        return self.ready.append(call)

    cdef int put_back(self, Call call) except -1:
        """It comes before the others."""
        if self.by_number:
            return self.put(call)
        self.size += 1
        return self.ready.put_back(call)

    cdef Call first(self):
        return self.heap[0][1] if self.by_number else self.ready.first

    cdef Call pop(self):
        self.size -= 1
        return heappop(self.heap)[1] if self.by_number else self.ready.popleft()


cdef class Dispatcher(CallOwner):
    cdef int begin(self, Conductor batch, Bounds bounds, double began, double deadline, bint by_number) except -1:
        """
        began, deadline: of the batch, seconds of the monotonic clock, and how many it has from then on; 0: any.
        by_number: among the ready calls the earliest of the batch starts first (GW-23: request order).
        """
        self.batch = batch
        self.bounds = bounds
        self.lanes = []
        self.by_number = by_number
        self.started = []
        self.max_running = bounds.limits.max_in_flight
        self.began = began
        self.batch_deadline = began + deadline if deadline > 0 else 1e300
        return 0

    cdef bint end_by(self, double deadline) except -1:
        """The batch is to end at this time, seconds of the monotonic clock; false: it ends before that anyway."""
        if deadline >= self.batch_deadline:
            return False
        self.batch_deadline = deadline
        return True

    cdef int keep_order(self) except -1:
        """by_number, said in the batch itself before its first call is ready."""
        self.by_number = True
        return 0

    # --- starting

    cdef bint may_start(self, Lane lane) except -1:
        """Whether nothing but the bounds of its upstream keeps the first call of a lane from starting now."""
        cdef Inflow inflow = self.inflow
        if self.running >= self.max_running:
            return False
        if inflow is None and not starts_freely(self.bounds.limits.max_answer_bytes_in_process):
            inflow = self.counting()
        if inflow is not None:
            if inflow.held and not self.by_number:
                return False              # more answers would only wait as well
            # GW-23: all others of a batch in request order wait for the earliest.
            if not inflow.may_start(0 if self.by_number and self.bounds.is_next(lane.first().number) else self.running):
                return False
        return self.bounds.may_start(lane.first().number if self.by_number else 0)

    cdef bint stuck(self) except -1:
        """Whether nothing runs, nor may any ready call start."""
        cdef Lane lane
        if self.running:
            return False
        for lane in self.lanes:
            if lane.size and self.may_start(lane):
                return False
        return True

    cdef Lane lane_of(self, Upstream upstream):
        cdef Lane lane
        if self.only is not None and self.only.upstream is upstream:
            return self.only
        for lane in self.lanes:
            if lane.upstream is upstream:
                return lane
        lane = Lane(upstream, self.by_number)
        self.lanes.append(lane)
        self.only = lane if len(self.lanes) == 1 else None
        return lane

    cdef int push(self, Call call) except -1:
        """A call is ready: it starts at the next start_queued()."""
        self.lane_of(call.upstream).put(call)
        self.queued += 1
        return 0

    cdef int start_queued(self) except -1:
        """Starts what may start. Reentrant calls return at once: the outer one goes on."""
        cdef Lane lane
        cdef bint progress = True
        if self.pumping or self.queued == 0:
            return 0
        self.pumping = True
        try:
            while progress and self.queued:
                progress = False
                for lane in self.lanes:
                    while lane.size and self.may_start(lane):
                        if not lane.upstream.has_room():
                            lane.upstream.wait(self)
                            break
                        self.launch(lane)
                        progress = True
                        if self.only is None:
                            break
        finally:
            self.pumping = False
        return 0

    cdef Call next_of(self, Lane lane):
        """Takes what is to be started now out of a lane: one call, or a bulk request of several."""
        cdef Call call = lane.pop()
        self.queued -= 1
        return call

    cdef int launch(self, Lane lane) except -1:
        return self.send(self.next_of(lane))

    cdef int send(self, Call call) except -1:
        """Starts a call, for which its upstream has room."""
        cdef Upstream upstream = call.upstream
        cdef double timeout = call.timeout if call.timeout > 0 else upstream.call_timeout
        if call.started == 0:
            self.launched += 1
        call.owner = self
        call.started = now()
        call.deadline = call.started + timeout
        # The batch ends its calls itself, all at the same moment; its upstream does if that is ever forgotten.
        if call.deadline > self.batch_deadline + 1:
            call.deadline = self.batch_deadline + 1
        call.state = CALL_RUNNING
        self.running += 1
        call.rank = <int>len(self.started)
        self.started.append(call)
        try:
            return upstream.start(call)
        except Exception as error:
            _log.error("a call could not be started", exc_info=error)
        return self.not_started(call)

    cdef int not_started(self, Call call) except -1:
        """BU-03: what fails before the call is on its way fails this call alone."""
        cdef Result result
        (<Upstream>call.upstream).abandon(call)
        if call.owner is self:
            result = Result()
            result.reset()
            result.set_error(500, OUTCOME_FAILED, "InternalError", "the gateway failed to send the call")
            self.complete(call, result)
        return 0

    cdef int on_capacity(self, Upstream upstream) except -1:
        """Our turn at a busy upstream: start one call, say whether there are more. Never raises (BU-04)."""
        cdef Lane lane
        try:
            fault("on_capacity")
            lane = self.lane_of(upstream)
            if lane.size == 0 or not self.may_start(lane):
                return 0
            self.launch(lane)
            return 1 if lane.size and self.may_start(lane) else 0
        except Exception as error:
            if self.batch is not None:
                self.batch.crashed(error)
        return 0

    cdef list recall(self):
        """Takes back what is ready and has not started: calls, and those that carry several."""
        cdef list calls = []
        cdef Lane lane
        self.starts_no_more = True
        for lane in self.lanes:
            while lane.size:
                calls.append(lane.pop())
            lane.upstream.forget(self)
        self.queued = 0
        return calls

    cdef int clear(self) except -1:
        """Forgets what is ready and has not started."""
        cdef Call call, member
        for call in self.recall():
            for member in call.members or (call,):
                if member.started > 0:
                    self.abandoned += 1         # it was to be sent again (BU-08)
        return 0

    # --- ending

    cdef int complete(self, Call call, Result result) except -1:
        """Never raises: whoever hands over a result serves other batches, too (BU-04)."""
        cdef double t = now()
        if call.owner is not self:
            return 0                        # abandoned in the meantime
        self.leave(call)
        if self.running == 0 and self.queued and self.inflow is not None and self.inflow.ends_first():
            # Else those that wait for it to end might have all connections in the end.
            (<Upstream>call.upstream).wait_first(self)
        result.started_us = <uint64_t>((call.started - self.began) * 1e6)
        result.elapsed_us = <uint64_t>((t - call.started) * 1e6)
        try:
            fault("complete")
            return self.batch.finished_call(call, result, t)
        except Exception as error:
            return self.batch.crashed(error)

    cdef int leave(self, Call call) except -1:
        """The call does not run any more."""
        cdef Call last = self.started.pop()
        self.running -= 1
        call.owner = None
        if last is not call:
            # Taken out in O(1): the last one moves into its place.
            self.started[call.rank] = last
            last.rank = call.rank
        return 0

    cdef int cut_running(self, Refusal why) except -1:
        """Gives every running call its result now; what its upstream would still say is lost."""
        cdef Call call
        cdef Lane lane
        cdef Upstream upstream
        cdef Result result
        for call in list(self.started):
            if call.owner is not self:
                continue                        # it ended with one before it
            upstream = call.upstream
            result = upstream.cut(call)
            if why.outcome == OUTCOME_TIMED_OUT:
                upstream.timeouts += 1
            if result is None:
                result = Result()
                result.reset()
                result.set_error(why.status, why.outcome, why.code, why.message)
            self.complete(call, result)
        for lane in self.lanes:
            lane.upstream.give_room()
        return 0

    cdef int abandon_all(self) except -1:
        """Stops every running call and forgets the ready ones; nobody hears of them again."""
        cdef Call call
        cdef Lane lane
        cdef list started = self.started
        self.started = []
        for call in started:
            try:
                (<Upstream>call.upstream).abandon(call)     # its inlet gives back to the owner what it had counted
            except Exception as error:
                _log.error("a call could not be given up", exc_info=error)
            call.owner = None
            self.abandoned += 1 if call.members is None else len(call.members)
        self.running = 0
        self.clear()
        # The room that this leaves is for the batches that wait in the ring.
        for lane in self.lanes:
            lane.upstream.give_room()
        return 0

    cdef int close(self) except -1:
        """The batch has ended. What its front has not taken still counts."""
        self.batch = None
        if self.inflow is not None:
            self.tell_inflow()
            self.inflow.close()
        return 0

    # --- answers that are being read (AN-05)

    cdef int incoming(self, Inlet inlet, Call call, Py_ssize_t size) except -1:
        return self.counting().grew(inlet, call, size)

    cdef Inflow counting(self):
        if self.inflow is None:
            self.inflow = Inflow(self, None if self.batch is None else self.batch.taker(), self.bounds.origin,
                                 self.bounds.limits.max_answer_bytes_in_flight,
                                 self.bounds.limits.max_answer_bytes_in_process, self.batch_deadline)
            self.tell_inflow()
        return self.inflow

    cdef bint leads(self, Call call) except -1:
        """Whether its result reaches the client when it is written, or something that an earlier one waits for does."""
        return not self.by_number or call.members is not None or self.bounds.is_next(call.number) or self.may_overtake()

    cdef bint may_write(self, Py_ssize_t most, bint leads) except -1:
        """Whether a result that becomes so many bytes at most may be made ready to be written. If not, there is a turn()
        for the batch when it may."""
        return self.counting().may_write(most, leads)

    cdef int room_to_write(self) except -1:
        return 0 if self.batch is None else self.batch.rest()

    cdef int came_in(self, Inlet inlet) except -1:
        return self.inflow.ended(inlet)

    cdef int calls_running(self) noexcept:
        return self.running

    cdef bint may_take_back(self, Call call) noexcept:
        cdef Call other
        if self.starts_no_more or self.bounds.stopping:
            return False
        if self.by_number and self.bounds.is_next(call.number):
            # GW-23: the results of those behind it only wait for it.
            for other in self.started:
                if other is not call and other.position >= 0:
                    return False
        return True

    cdef int kept(self, Call call) except -1:
        """What calls take out of its answer counts as such from now on, or the answer is given up."""
        return 0 if self.inflow is None else self.inflow.kept.has_kept(call, self.bounds.plan.handed())

    cdef int take_back(self, Call call) except -1:
        self.kept(call)
        if is_kept_out(call):
            self.inflow.kept.given_up = call
        self.leave(call)
        self.lane_of(call.upstream).put_back(call)
        self.queued += 1
        self.inflow.taken_back = True
        return self.batch.rest()

    cdef bint may_overtake(self) except -1:
        cdef Call call
        cdef Lane lane
        for call in self.started:
            if self.bounds.is_next(call.number):
                return call.position < 0
        if self.inflow is not None and self.inflow.taken_back:
            for lane in self.lanes:
                # One that was taken back is asked again when there is room.
                if lane.size and self.bounds.is_next(lane.first().number):
                    return lane.first().started == 0
        return True

    cdef int end_turn(self) except -1:
        """The batch has done what it has had room for."""
        if self.inflow is not None:
            self.inflow.grant(0)
        return self.tell_inflow()

    cdef int tell_inflow(self) except -1:
        """Answers may be read on when results have been taken, or have ended."""
        if self.inflow is not None:
            self.inflow.goes_on = self.bounds.results.unwritten > 0 or (
                (self.running > 0 or self.queued > 0)
                and (self.running != self.inflow.held or not self.inflow.has_only_what_waits()))
            return self.bounds.tell(self.inflow)
        if self.bounds.answers_held() >= COUNTED:
            self.counting()
        return 0
