"""One batch in flight: what a front feeds and takes, and the parts that do everything between.

    bytes -> Intake (Reader, Plan) -> Decider -> Placement -> upstreams -> Settler -> ResultStream -> Outlet -> bytes

A front feeds bytes, says end or cancel, and takes bytes; wait_input() and wait_output() are its back-pressure. The
session makes the parts go on in this order (drive), and says when the batch is over (Life). Must never let a call go
without exactly one result unless the batch is cancelled or broken, nor know which front it serves.
"""
from batchwire.core.alarms cimport alarms_of
from batchwire.core.dialects.base cimport BatchOptions, Reader, Summary, Writer
from batchwire.core.dialects.table cimport reader_of, writer_of
from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.inheritance cimport Inheritance, names_in
from batchwire.core.model cimport (
    Call, OUTCOME_REFUSED, OUTCOME_TIMED_OUT, OUTCOME_UNREACHABLE, Refusal, Result, now,
)
from batchwire.core.plan.order cimport Plan
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.pressure cimport Holder
from batchwire.core.route cimport Route
from batchwire.core.session.batch_head cimport BatchHead
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.client_clock cimport GRACE_SECONDS, ClientClock
from batchwire.core.session.crowd cimport Share
from batchwire.core.session.decider cimport Decider
from batchwire.core.session.fills cimport Fills
from batchwire.core.session.intake cimport Intake, STEP_CALL, STEP_NONE, Step
from batchwire.core.session.outlet cimport Outlet
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.settler cimport Settler
from batchwire.core.session.taker cimport Taker
from batchwire.core.session.turns cimport Slice
from batchwire.core.session.waker cimport SessionListener, Waker
from cpython.bytes cimport PyBytes_GET_SIZE

import logging

_log = logging.getLogger("batchwire.core")
cdef unsigned long long sessions_open = 0
cdef unsigned long long sessions_made = 0

OUTCOMES = ("succeeded", "failed", "refused", "dependency_failed", "unreachable", "timed_out", "abandoned", "not_started")
"""How a call ended, as Session.summary says it. The last two have no result: their batch was cancelled or broke off,
while or before they ran."""


def stats():
    """Debug counters: sessions open now and made since the start."""
    return {"sessions": sessions_open, "sessions_made": sessions_made}


def no_room(what):
    """The error of a batch that has waited in vain for others to let go of memory (PL-13)."""
    return EnvelopeError(503, "NoRoom", f"{what}: batches hold all of limits.max_request_bytes_in_process")


def no_room_for_answers(double seconds):
    """The error of a batch whose answers have waited in vain for others to let go of memory (AN-05)."""
    return EnvelopeError(503, "NoRoom", f"the answers were not read on for {seconds:g} s: batches hold all of "
                         "limits.max_answer_bytes_in_process")


cdef double watch_seconds(Limits limits) noexcept:
    """Between two looks at an idle or slow client."""
    return max(min(limits.client_idle_seconds / 4, GRACE_SECONDS), 0.05)


cdef class Session(Conductor):
    """head: what is known of the batch; or its fields one by one, see BatchHead."""

    def __init__(self, loop, Route route not None, BatchHead head=None, **fields):
        self.begin(loop, route, BatchHead(**fields) if head is None else head)

    cdef int begin(self, object loop, Route route, BatchHead head) except -1:
        """What a new session does first."""
        global sessions_open, sessions_made
        cdef Limits limits = route.limits
        cdef Reader reader = reader_of(head, limits, route.header_rules, route.inner_authorization)
        cdef Writer writer = writer_of(head, limits, route.flat_change_sets)
        cdef UrlRules rules
        cdef Plan plan
        cdef double began = now()
        cdef double deadline = head.deadline
        if head.rules is None:
            head.bind(route)
        rules = head.rules
        plan = Plan.of(rules, limits.reference_bytes, limits.max_call_bytes, limits.max_depth, reader.sequential,
                       route.transactional, limits.max_group_calls, limits.max_header_bytes,
                       limits.max_reference_bytes_in_process, reader.result_of, reader.plain)
        if deadline <= 0 or 0 < limits.batch_deadline_seconds < deadline:
            deadline = limits.batch_deadline_seconds
        writer.lowercase = head.strict
        self.loop = loop
        self.limits = limits
        self.answer_deadline = head.answer_deadline
        self.inheritance = Inheritance(head.headers, head.authorization, head.hops, head.answer_boundary is not None)
        self.results = ResultStream(writer, began, head.ordered, head.execute, limits.reorder_bytes)
        self.share = Share(self, loop, limits.max_request_bytes_in_process, limits.client_idle_seconds)
        self.fills = Fills(self, limits.max_request_bytes_in_process // 2)
        self.client = ClientClock(began, self.share.pace)
        self.waker = Waker(loop)
        self.outlet = Outlet.of(self, loop, self.results, self.client, self.waker)
        self.slice = Slice.of(loop)
        self.pending = Pending.__new__(Pending)
        # A protobuf message is checked whole in any case.
        self.intake = Intake.of(reader, plan, self.pending, self.slice, limits,
                                0 if reader.takes_messages else route.streaming_threshold, writer)
        self.bounds = Bounds.of(limits, self.pending, plan, self.results)
        self.dispatch = Placement.of(self, self.bounds, began, deadline, head.ordered, route, self.inheritance)
        self.settler = Settler.of(plan, self.dispatch, self.pending, self.bounds, self.fills, self.slice, self.results,
                                  self.outlet, rules, head.continue_on_error, reader.silent_stop)
        self.decider = Decider.of(plan, self.dispatch, self.pending, self.bounds, self.fills, self.slice, self.results,
                                  self.settler)
        if deadline > 0:
            self.alarm = alarms_of(loop).after(deadline, self.on_deadline)
        if head.watched:
            self.watcher = loop.call_later(watch_seconds(limits), self.on_watch)
        sessions_open += 1
        sessions_made += 1
        return 0

    # --- the front's side: in

    cpdef feed(self, bytes data):
        """Takes bytes of the request: any cut of a document, whole messages of the protobuf dialect. What is wrong
        with them is in `failure`, then."""
        cdef double t = now()
        if data is None:
            raise TypeError("bytes are fed")
        if self.life != LIFE_OPEN:
            return
        self.client.fed(t)
        self.share.came(PyBytes_GET_SIZE(data), t)
        try:
            self.intake.feed(data)
            self.drive()
            if self.wants_input():
                self.share.gives_leave(now())
            elif self.share.since > 0 and self.share.has_leave():
                self.share.pace.turn(now())
        except EnvelopeError as error:
            self.fail(error)
        except Exception as error:
            self.crashed(error)

    cdef bint worked(self, double seconds) except -1:
        """The front has worked so long for the batch; whether others are served before it goes on: its listener is told
        when it may (PL-01)."""
        self.slice.add(seconds)
        if self.life != LIFE_OPEN or not self.slice.over():
            return False
        self.rest()
        return True

    cpdef feed_end(self):
        """Says that the request is complete."""
        if self.life != LIFE_OPEN or self.intake.ended:
            return
        try:
            if self.answer_deadline > 0:
                self.end_by(now() + self.answer_deadline)
            self.intake.end()
            self.bounds.whole = True
            self.dispatch.tell_inflow()
            self.drive()
        except Exception as error:
            self.crashed(error)

    async def wait_input(self):
        """Returns when more of the request may be fed."""
        while not self.wants_input():
            await self.waker.input_future()

    cdef bint wants_input(self) noexcept:
        """Whether more of the request may be fed, or never will have to be."""
        return self.life != LIFE_OPEN or (self.share.since == 0 and self.intake.wants_bytes())

    cdef bint may_unpack(self, Py_ssize_t ahead) except -1:
        """Whether the front may get more out of what it has for the batch and has not fed: so many bytes, which count
        for it from now on. If not, its listener is told when it may."""
        if self.life != LIFE_OPEN:
            return True
        self.hold(ahead)
        if not self.wants_input() or not self.share.may_read():
            return False
        self.share.gives_leave(now())
        return True

    cdef int hold(self, Py_ssize_t ahead) except -1:
        """The front has so many bytes for the batch that it has not fed."""
        cdef double t
        if self.life != LIFE_OPEN:
            return 0
        if ahead > self.intake.ahead:
            t = now()
            self.client.goes_on(t)
            self.share.came(ahead - self.intake.ahead, t)
        self.intake.ahead = ahead
        return self.count()

    cdef int take_over(self, Share before) except -1:
        """before: has counted what the front had of the request before there was the batch."""
        return before.pass_on(self.share)

    cdef int listen(self, SessionListener listener) except -1:
        """Who is told of input and output that have become possible; None: nobody any more."""
        self.waker.listener = listener
        return 0

    cdef int answered_by(self, SessionListener front) except -1:
        """Who passes the answer on to the client; None: that has it all, or is gone."""
        self.waker.front = front
        if front is None and self.results.unsent():
            self.results.kept = 0
            if self.is_over():
                self.results.discard()
            self.dispatch.tell_inflow()       # others may wait for the room
        return self.release_taker()

    # --- the front's side: out

    async def wait_output(self):
        """Returns when take() has something worth sending, or the batch is finished."""
        while not self.has_output():
            await self.waker.output_future()

    cdef bint has_output(self) noexcept:
        """Whether take() has something worth sending, or the batch is finished."""
        return self.is_over() or (self.outlet.ready and self.results.untaken() > 0)

    cdef Py_ssize_t unsent(self) noexcept:
        """Bytes of the answer that have not been taken."""
        return self.results.untaken()

    def take(self, bint keeps=False):
        """One chunk of the answer, or None. Protobuf: one message; of Execute, whose answer is one, a part of it.

        keeps: it counts until the front says what it keeps (front_keeps); else with who takes it.
        """
        chunk = self.take_chunk(keeps)
        return b"".join(chunk) if type(chunk) is list else chunk

    cdef object take_chunk(self, bint keeps):
        """take() without putting together what is in pieces: bytes, a list of bytes, or None."""
        cdef Py_ssize_t held = self.results.untaken()
        cdef object chunk = self.outlet.take(self.pending.calls)
        if keeps:
            # Else others would get its room before the front has said that it still keeps it.
            self.results.kept += held - self.results.untaken()
        self.dispatch.tell_inflow()
        if chunk is not None and not self.is_over():
            try:
                fault("take")
                if self.life == LIFE_OPEN:
                    self.dispatch.start_queued()
                if self.intake.waits or self.decider.has_work() or self.settler.is_writing():
                    self.drive()
            except Exception as error:
                self.crashed(error)
        return chunk

    cdef int front_keeps(self, Py_ssize_t n) except -1:
        """So many bytes of what the front has taken wait with it for the client: they still count (AN-05)."""
        if n != self.results.kept:
            self.results.kept = n
            self.dispatch.tell_inflow()
        return 0

    cdef int client_takes(self, double t) except -1:
        """The client has taken some of what the front has taken before."""
        self.client.last_take = t
        return 0

    cdef int stalled(self) except -1:
        """The client has taken nothing for too long."""
        return self.leave_untaken(EnvelopeError(
            408, "ClientStalled", "the client did not take its results" if self.intake.ended
            else "the client did not take results while it sent its batch (streaming_threshold)"))

    cdef int leave_untaken(self, object error) except -1:
        """What the client has not taken is gone, and `failure` says why."""
        if self.failure is None:
            self.failure = error
            self.failure.started = self.dispatch.launched
        self.cancel()
        return 0

    def client_stalled(self):
        """stalled() for a front in Python."""
        self.stalled()

    # --- the front's side: the end

    cdef bint is_over(self) noexcept:
        return self.life >= LIFE_COMPLETE

    cdef bint was_cancelled(self) noexcept:
        return self.life == LIFE_CANCELLED

    @property
    def finished(self):
        """Whether the batch is over: what is still to be taken is all that there is."""
        return self.is_over()

    @property
    def cancelled(self):
        """Whether it is over because it was cancelled."""
        return self.was_cancelled()

    def fail(self, error):
        """Breaks the batch off for a reason that the front has found (an EnvelopeError): GW-21."""
        if self.life == LIFE_OPEN:
            try:
                self.break_off(error)
            except Exception as raised:
                self.crashed(raised)

    def stop(self):
        """The gateway stops (FR-03): results that are there are delivered, every other call is told so with 503.

        A batch of which nothing was started is cancelled: its client may try it elsewhere. What is still read of the
        request is answered so too; the front calls end_reading() when it has waited long enough for the rest.
        """
        cdef Refusal running = Refusal(503, "Stopping", "the gateway stopped before the upstream had answered",
                                       OUTCOME_UNREACHABLE)
        cdef Refusal rest = Refusal(503, "Stopping", "the gateway stopped before the call was started",
                                    OUTCOME_REFUSED)
        if self.is_over():
            return
        if self.dispatch.launched == 0:
            self.cancel()
            return
        try:
            if self.life == LIFE_BROKEN:
                self.dispatch.cut_running(running)
            else:
                self.end_early(running, rest)
        except Exception as error:
            self.crashed(error)

    def end_reading(self):
        """After stop(): a batch whose request has not come whole is broken off (FR-03)."""
        if not self.intake.whole():
            self.fail(EnvelopeError(500, "Stopping", "the gateway stopped before its client had taken the results"
                                    if self.intake.ended else "the gateway stopped before the batch had been read"))

    def cancel(self):
        """Stops the batch: running calls are abandoned, nothing more is started or sent."""
        if not self.is_over():
            self.dispatch.abandon_all()
            self.results.discard()
            self.close(LIFE_CANCELLED)

    # --- what is known of it

    @property
    def summary(self):
        """Counts of calls, all and by OUTCOMES, and elapsed seconds."""
        cdef Summary known
        self.sum_up(&known)
        summary = {"calls": known.calls}
        for n in range(8):
            summary[OUTCOMES[n]] = known.outcomes[n]
        summary["elapsed"] = known.elapsed
        return summary

    cdef void sum_up(self, Summary* summary) noexcept:
        summary.calls = self.tell(summary.outcomes)
        summary.elapsed = now() - self.dispatch.began

    cdef uint64_t tell(self, uint64_t* told) noexcept:
        """How many calls ended in each of the OUTCOMES; returns how many there were."""
        return self.settler.tell(told)

    cdef uint64_t taken(self) noexcept:
        """Bytes of the answer that the front has taken."""
        return self.results.taken()

    cdef uint64_t fed(self) noexcept:
        """Bytes of the request that have come."""
        return self.intake.fed

    @property
    def holds_group(self):
        """Whether the end of the request would let a group go."""
        return self.intake.holds_group()

    @property
    def launched(self):
        """How many calls were handed to upstreams."""
        return self.dispatch.launched

    @property
    def sent_bytes(self):
        """Bytes taken so far."""
        return self.taken()

    @property
    def fed_bytes(self):
        """Bytes fed so far."""
        return self.fed()

    # --- going on

    cdef int drive(self) except -1:
        """Reads, settles and starts what the bounds allow now. Whoever is in the middle of settling goes on itself."""
        if self.is_over() or self.decider.settling:
            return 0
        self.write()
        if self.life != LIFE_OPEN:
            return self.check_end()
        while True:
            if not self.slice.resting:
                try:
                    self.read()
                except EnvelopeError as error:
                    return self.break_off(error)
            if self.intake.checked():
                self.settle()
                self.start()
            # Reading had to wait, and what has been settled since may be what it waited for: nobody else would tell.
            if not self.may_read_on():
                break
        self.check_end()
        self.count()
        if self.waker.is_input_awaited() and self.wants_input():
            return self.wake_input()
        return 0

    cdef int read(self) except -1:
        """Reads calls while the bounds allow. Raises EnvelopeError."""
        cdef Intake intake = self.intake
        cdef Step step
        intake.waits = False
        self.slice.begin()
        while not intake.whole() and self.life == LIFE_OPEN:
            if self.slice.over():
                intake.waits = True
                return self.rest()
            self.count()
            if not self.share.may_read():
                intake.waits = True
                return 0
            if self.bounds.bodies_full():
                intake.skip_check()       # GW-21: what is checked whole is bounded, too
            if not intake.must_go_on() and not self.bounds.may_read():
                intake.waits = True
                self.slice.measure()
                return 0
            step = intake.step()
            if intake.options is not None:
                self.apply(intake.options)
                intake.options = None
            if step == STEP_NONE:
                return 0
            self.results.require_fit()
            if step == STEP_CALL and intake.checked():
                self.settle()
        return 0

    cdef bint may_read_on(self) noexcept:
        """Whether read() had to stop, and need not any more."""
        return self.intake.waits and not self.slice.resting and self.life == LIFE_OPEN and self.share.since == 0 \
            and (self.intake.must_go_on() or self.bounds.may_read())

    cdef bint is_stranded(self) noexcept:
        """Whether its client can do no more for it, and there is nothing in it that goes on by itself: whatever it counts,
        it would never end. Asked by timers alone: in between, nothing is under way but what is looked at here.
        """
        return self.life == LIFE_OPEN and not self.slice.resting and not self.drive_due and self.share.since == 0 \
            and self.dispatch.running == 0 and self.dispatch.queued == 0 \
            and not self.decider.has_work() and not self.settler.is_writing() \
            and (self.results.untaken() == 0 or self.results.one_message) \
            and (self.intake.ended or not self.wants_input())

    cdef int end_stranded(self) except -1:
        return self.crashed(RuntimeError(f"a batch cannot go on: {self.summary}"))

    cdef int count(self) except -1:
        """Tells what the batch holds of its request."""
        cdef Py_ssize_t held = self.pending.bytes + self.intake.held()
        return self.share.tell(held) if held != self.share.held and not self.is_over() else 0

    cdef int write(self) except -1:
        """Writes results that had to wait."""
        return self.rest() if not self.slice.resting and self.settler.write(self.life == LIFE_OPEN) else 0

    cdef int settle(self) except -1:
        return self.rest() if not self.slice.resting and self.decider.settle() else 0

    cdef int start(self) except -1:
        """Starts what may start. The call that all others wait for may be one that is still to be settled."""
        self.dispatch.start_queued()
        while not self.slice.resting and self.fills.since == 0 and self.decider.may_settle() and self.dispatch.stuck():
            self.settle()
            self.dispatch.start_queued()
        return 0

    cdef int rest(self) except -1:
        """Enough has been done in one go: others are served before it goes on (PL-01)."""
        return self.slice.rest(self)

    cdef int turn(self) except -1:
        self.slice.reset()
        try:
            fault("turn")
            self.drive()
            self.dispatch.tell_inflow()
            return self.check_end()
        except Exception as error:
            return self.crashed(error)

    cdef int apply(self, BatchOptions options) except -1:
        """The options that came inside the batch itself."""
        self.settler.go_on_after_errors(options.continue_on_error)
        self.results.bound(options.max_message, options.takes_parts)
        if options.ordered:
            self.results.keep_order()
            self.dispatch.keep_order()
        if options.deadline > 0:
            self.end_by(self.dispatch.began + options.deadline)
        if options.headers is not None:
            self.inheritance.drop(names_in(options.headers))     # what metadata say of the same is less special
            for line in options.headers.split(b"\r\n"):
                if line:
                    name, _, value = line.partition(b": ")
                    self.inheritance.add(name, value)
            self.inheritance.freeze()
        return 0

    cdef int finished_call(self, Call call, Result result, double t) except -1:
        self.settler.give(call, result, t, self.life == LIFE_OPEN)
        self.count()
        self.dispatch.tell_inflow()
        if self.decider.settling:
            return self.drive_soon() if self.settler.is_writing() else 0
        self.write()
        if self.life == LIFE_OPEN:
            self.settle()
            if call.members is not None:
                self.dispatch.tell_inflow()
            # Together with what else becomes ready in this turn of the loop, so that an upstream is woken up once.
            if self.dispatch.queued or self.intake.waits or self.decider.has_work():
                self.drive_soon()
        return self.check_end()

    cdef int drive_soon(self) except -1:
        if not self.drive_due:
            self.drive_due = True
            self.loop.call_soon(self.on_drive)
        return 0

    def on_drive(self):
        self.drive_due = False
        try:
            fault("start_queued")
            self.drive()
        except Exception as error:
            self.crashed(error)

    # --- time

    cdef int end_by(self, double deadline) except -1:
        """The batch has less time than was known when it began, unless it had less already."""
        if not self.dispatch.end_by(deadline):
            return 0
        if self.alarm is not None:
            self.alarm.cancel()
        self.alarm = alarms_of(self.loop).after(deadline - now(), self.on_deadline)
        return 0

    def on_deadline(self):
        cdef Refusal late = Refusal(504, "BatchTimeout", "the batch did not finish in time", OUTCOME_TIMED_OUT)
        self.alarm = None
        if self.life != LIFE_OPEN:
            return
        try:
            fault("deadline")
            if self.share.since > 0:
                # What it has not read must not be read for nothing.
                self.dispatch.cut_running(late)
                if self.life == LIFE_OPEN:
                    self.break_off(no_room("the batch did not finish in time"))
                return
            self.end_early(late, late)
            if self.is_stranded():
                self.end_stranded()
        except Exception as error:
            self.crashed(error)

    cdef int end_early(self, Refusal running, Refusal rest) except -1:
        """Every call that has no result gets one of these now: those that run, and those that do not."""
        self.settler.stop(rest)
        self.intake.skip_check()
        # Before what has not begun is answered: MP-09, the first error is the last result.
        self.dispatch.cut_running(running)
        self.settle()
        return self.drive()

    def on_watch(self):
        self.watcher = None
        self.check_idle()
        if not self.is_over():
            self.watcher = self.loop.call_later(watch_seconds(self.limits), self.on_watch)

    cpdef check_idle(self):
        """Cuts a client that neither sends nor takes, so that nobody holds a batch open for nothing."""
        if self.is_over():
            return
        try:
            fault("check_idle")
            self.cut_idle()
        except Exception as error:
            self.crashed(error)

    cdef int cut_idle(self) except -1:
        cdef double t = now()
        cdef double idle = self.limits.client_idle_seconds
        if self.is_stranded():
            self.end_stranded()
        elif self.outlet.ready and self.results.untaken() and self.client.takes_nothing(t, idle):
            self.stalled()
        elif self.holds_all() and t - max(self.dispatch.inflow.moved, self.client.last_take, self.client.last_feed) >= idle:
            # AN-05: the time of its calls does not run, so that nothing else would end it.
            if self.failure is None:
                self.failure = no_room_for_answers(idle)
                self.failure.started = self.dispatch.launched
            self.cancel()
        elif self.share.since > 0:
            self.client.goes_on(t)        # it waits, and not its client
            if t - self.share.since >= idle:
                self.break_off(no_room(f"the batch was not read on for {idle:g} s"))
        elif self.fills.since > 0 and self.dispatch.running == 0:
            self.client.goes_on(t)
            if t - self.fills.since >= idle:
                self.break_off(EnvelopeError(
                    503, "NoRoom", f"a call was not filled in for {idle:g} s: what references have put into calls holds "
                    "half of limits.max_request_bytes_in_process"))
            else:
                self.rest()
        # When nothing runs, what is pending waits for the client too: for the end of a group, or of the document.
        elif self.dispatch.running == 0 and self.dispatch.queued == 0 and not self.results.untaken() \
                and not self.intake.ended and self.client.sends_nothing(t, idle):
            self.break_off(EnvelopeError(408, "ClientIdle", "the client did not send the rest of its batch"))
        elif self.life == LIFE_OPEN and self.intake.comes_slowly(self.client, t):
            self.break_off(EnvelopeError(408, "ClientTooSlow", "the batch comes too slowly"))
        return 0

    cdef bint holds_all(self) noexcept:
        """Whether every call that runs waits for being read on, and every result that is left for being written."""
        cdef Inflow inflow = self.dispatch.inflow
        return inflow is not None and self.dispatch.running == inflow.held and (
            inflow.held > 0 or self.settler.unwritten() > 0 or inflow.waits_to_start())

    cdef Py_ssize_t stuck(self) noexcept:
        if self.life != LIFE_OPEN or self.intake.ended or (self.intake.waits and self.share.since == 0):
            return 0
        # Of calls that run their upstreams decide how long they are held.
        return self.intake.held() if self.dispatch.running or self.dispatch.queued else self.share.held

    cdef int make_way(self) except -1:
        try:
            fault("make_way")
            return self.break_off(EnvelopeError(408, "ClientTooSlow", "the batch comes too slowly, and others wait for it"))
        except Exception as error:
            return self.crashed(error)

    cdef Holder taker(self):
        if self.its_taker is None:
            self.its_taker = Taker.of(self, self.loop, self.results, self.waker, self.limits.client_idle_seconds)
        return self.its_taker

    cdef int give_up(self) except -1:
        cdef SessionListener front = self.waker.front if self.is_over() else None
        try:
            fault("give_up")
            self.leave_untaken(EnvelopeError(408, "ClientTooSlow", "the client took its results too slowly, and others waited"))
        except Exception as error:
            self.crashed(error)
        # One that is not over tells its front by the usual way, and may be told why.
        return 0 if front is None else front.give_up()

    cdef int release_taker(self) except -1:
        """Nothing of the answer is to be cut any more."""
        if self.its_taker is not None and self.is_over() and self.waker.front is None:
            self.its_taker.batch = None
        return 0

    # --- the end

    cdef int break_off(self, object error) except -1:
        """The envelope is broken (GW-21): start nothing more, let what runs finish, end without an end."""
        if self.dispatch.launched:
            error.message += f" ({self.dispatch.launched} calls had been started)"
        error.started = self.dispatch.launched
        self.failure = error
        self.life = LIFE_BROKEN
        self.intake.ahead = 0             # its front drops it
        self.bounds.whole = True
        self.share.leave()
        self.settler.conclude_told()
        self.settler.clear()
        self.wake_input()
        return self.check_end()

    cdef int crashed(self, object error) except -1:
        """BU-04: the batch breaks off at once. What has been written is complete results; no end follows them."""
        _log.error("the gateway failed in a batch", exc_info=error)
        if self.is_over():
            return 0
        if self.failure is None:
            self.failure = EnvelopeError(500, "InternalError", "the gateway failed in the middle of the batch")
            self.failure.started = self.dispatch.launched
        try:
            self.dispatch.abandon_all()
            self.settler.clear()
        except Exception as second:
            _log.error("a failed batch could not be cleared", exc_info=second)
        try:
            self.close(LIFE_CUT)
        except Exception as second:
            # Its front did not hear of it now; it sees that the batch is finished whenever it looks.
            _log.error("a failed batch could not tell its front", exc_info=second)
        return 0

    cdef int check_end(self) except -1:
        cdef Summary summary
        if self.life == LIFE_OPEN:
            if self.pending.calls == 0 and self.intake.whole() and not self.decider.settling:
                self.sum_up(&summary)
                self.results.end(&summary)
                self.close(LIFE_COMPLETE)
        elif self.life == LIFE_BROKEN and self.dispatch.running == 0 and not self.settler.is_writing():
            self.close(LIFE_CUT)
        return 0

    cdef int close(self, Life life) except -1:
        """The batch is over. It lets its parts go, and they let it go."""
        global sessions_open
        if self.is_over():
            return 0
        self.life = life
        sessions_open -= 1
        self.share.close()
        self.settler.close()
        self.dispatch.close()
        self.release_taker()
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
        if self.watcher is not None:
            self.watcher.cancel()
            self.watcher = None
        self.outlet.end()
        return self.wake_input()

    cdef int wake_input(self) except -1:
        self.share.gives_leave(now())
        return self.waker.wake_input()

    # --- for tests

    def miscount(self):
        """From here on the batch counts a call that it does not have."""
        self.pending.calls += 1
