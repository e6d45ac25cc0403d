"""One batch in flight: what a front feeds and takes, and everything between.

A front feeds bytes, says end or cancel, and takes bytes; wait_input() and wait_output() are its back-pressure.
The session owns reader -> plan -> dispatcher -> writer. Must never know which front it serves, and never
let a call of the batch go without exactly one result unless the batch is cancelled or broken.
"""
from batchwire.core.client_clock cimport GRACE_SECONDS, ClientClock
from batchwire.core.dialects.base cimport BatchOptions, Reader
from batchwire.core.dialects.table cimport reader_of, writer_of
from batchwire.core.dispatch.carrier cimport in_pieces, taken_apart
from batchwire.core.dispatch.dispatcher cimport Lane
from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.inheritance cimport Inheritance
from batchwire.core.methods cimport is_head
from batchwire.core.model cimport (
    Call, CallQueue, HeaderSlice, KIND_ENTITY_ID, KIND_LOCATION, OUTCOME_DEPENDENCY_FAILED, OUTCOME_FAILED,
    OUTCOME_REFUSED, OUTCOME_SUCCEEDED, OUTCOME_TIMED_OUT, OUTCOME_UNREACHABLE, Refusal, Result, now,
)
from batchwire.core.outbox cimport LINGER, Outbox
from batchwire.core.pending cimport Pending
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.order cimport DEAR, Plan
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.result_stream cimport ResultStream, spoil
from batchwire.core.route cimport Route
from batchwire.core.turns cimport SLICE, turns_of
from batchwire.core.upstream.base cimport Inlet, Upstream
from batchwire.core.upstream.native.outcomes cimport bad_answer
from batchwire.core.waker cimport Waker
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import logging

cdef enum:
    INPUT_HIGH = 262144       # unread bytes above which the front is asked to wait
    EXECUTE_BYTES = 67108864  # the largest answer in one piece
    SEARCHED = 524288         # bytes of a body that are searched between two looks at the clock
    LOOKED_AT = 8             # members of a group that are decided between two
    LARGE = 4096              # bytes of a call that is no trifle to read

# Seconds, about, so that the clock is asked for what is dear alone.
cdef double DECIDED = 2e-6    # of a call that is decided and has nothing to be filled in
cdef double ANSWERED = 8e-6   # of one that the gateway answers itself

_log = logging.getLogger("batchwire.core")
cdef unsigned long long sessions_open = 0
cdef unsigned long long sessions_made = 0


OUTCOMES = ("succeeded", "failed", "refused", "dependency_failed", "unreachable", "timed_out", "abandoned", "not_started")
"""How a call ended, as Session.summary says it. The last two have no result: their batch was cancelled or broke off,
while or before they ran."""


# A refusal is not written to, so that one serves for all.
cdef Refusal FAILED = Refusal(500, "InternalError", "the gateway failed to work on the call", OUTCOME_FAILED)


def stats():
    """Debug counters: sessions open now and made since the start."""
    return {"sessions": sessions_open, "sessions_made": sessions_made}


cdef double watch_seconds(Limits limits) noexcept:
    """Between two looks at an idle or slow client."""
    return max(min(limits.client_idle_seconds / 4, GRACE_SECONDS), 0.05)


cdef class Session(Placement):
    """
    dialect, answer: of the request and of the answer, by the names of dialects/table.pyx. strict: the profile
    (PR-01). boundary, answer_boundary: of multipart request and answer, or None. last_only: the answer is the last
    result alone (document dialect). nested_errors: the error of a change set has the form of its answer (CL-07).
    authority: (scheme, host[:port]) of the batch URL, several that it has, or None. headers: inherited outer headers
    [(name, value)], bytes. authorization: value of the outer Authorization, or None.
    continue_on_error, ordered (GW-23), deadline (seconds, 0: the route's): of the batch. answer_deadline: seconds from the
    end of the request, 0: none.
    watched: the session has a timer of its own for idle clients; else the front calls look().
    hops: number that the hop header of the calls says. execute: answer in one piece at the end.
    """

    def __init__(self, loop, Route route not None, *, str dialect="json", str answer=None, bint strict=True,
                 authority=None, list headers=None, bytes authorization=None, bint continue_on_error=True,
                 bint ordered=False, double deadline=0, double answer_deadline=0, int hops=1, bint execute=False, bytes boundary=None,
                 bytes answer_boundary=None, bint last_only=False, bint nested_errors=False, bint watched=True):
        global sessions_open, sessions_made
        cdef Limits limits = route.limits
        if deadline <= 0 or 0 < limits.batch_deadline_seconds < deadline:
            deadline = limits.batch_deadline_seconds
        inheritance = Inheritance(headers or [], authorization, hops, (answer or dialect) == "multipart")
        super().__init__(route, inheritance, deadline, ordered)
        self.loop = loop
        self.strict = strict
        self.execute = execute
        self.continue_on_error = continue_on_error
        self.answer_deadline = answer_deadline
        self.reader = reader_of(dialect, limits, route.header_rules, route.inner_authorization, authorization, strict,
                                authority, boundary)
        writer = writer_of(answer or dialect, dialect, limits, answer_boundary, route.flat_change_sets, last_only,
                           nested_errors)
        writer.lowercase = strict
        self.results = ResultStream(writer, self.began, ordered, execute, limits.reorder_bytes)
        # A protobuf message is checked whole in any case.
        self.threshold = 0 if dialect == "proto" else route.streaming_threshold
        self.validating = self.threshold > 0
        self.rules = UrlRules(route.root, authority, strict, route.prefixes, route.bare_batch)
        self.plan = Plan(
            self.rules, limits.reference_bytes, limits.max_call_bytes, limits.max_depth,
            self.reader.sequential, route.transactional, limits.max_group_calls)
        self.plan.result_of = self.reader.result_of
        self.plan.plain = self.reader.plain
        self.own = Result()
        self.held = Pending()
        self.turns = turns_of(loop)
        self.client = ClientClock(self.began)
        self.waker = Waker(loop)
        if deadline > 0:
            self.alarm = loop.call_later(deadline, self.on_deadline)
        if watched:
            self.watcher = loop.call_later(watch_seconds(limits), self.on_watch)
        sessions_open += 1
        sessions_made += 1

    # --- the front's side: in

    def feed(self, bytes data not None):
        """Takes bytes of the request: any cut of a document, whole messages of the protobuf dialect."""
        if self.finished or self.failure is not None:
            return
        self.client.fed(now())
        self.fed += PyBytes_GET_SIZE(data)
        if self.limits.max_request_bytes and self.fed > self.limits.max_request_bytes:
            self.break_off(self.limits.batch_too_large())
            return
        if self.validating and self.fed > <uint64_t>self.threshold:
            self.validating = False
        try:
            fault("feed")
            self.reader.feed(data)
            self.go_on()
            if self.wants_input():
                self.client.may_feed(now())
        except Exception as error:
            self.crashed(error)

    def feed_end(self):
        """Says that the request is complete."""
        if self.finished or self.failure is not None or self.input_ended:
            return
        self.input_ended = True
        try:
            fault("feed_end")
            if self.answer_deadline > 0:
                self.end_by(now() + self.answer_deadline)
            self.reader.finish()
            self.go_on()
        except Exception as error:
            self.crashed(error)

    async def wait_input(self):
        """Returns when more of the request may be fed."""
        while not self.wants_input():
            await self.waker.input_future()

    cdef bint wants_input(self) noexcept:
        """Whether more of the request may be fed, or never will have to be."""
        return not self.stalled or self.finished or self.failure is not None or self.reader.buffered() < INPUT_HIGH

    # --- the front's side: out

    async def wait_output(self):
        """Returns when take() has something worth sending, or the batch is finished."""
        while not self.has_output():
            await self.waker.output_future()

    cdef bint has_output(self) noexcept:
        """Whether take() has something worth sending, or the batch is finished."""
        return self.finished or (self.flush and self.results.outbox.held > 0)

    cdef Py_ssize_t unsent(self) noexcept:
        """Bytes of the answer that have not been taken."""
        return self.results.outbox.held

    def take(self):
        """One chunk of the answer, or None. Protobuf: one message."""
        cdef Outbox outbox = self.results.outbox
        cdef bytes chunk = outbox.take()
        self.client.last_take = outbox.last_taken = now()
        if self.inflow is not None:
            self.tell_inflow()
        if outbox.held == 0:
            self.flush = False
        elif not outbox.chunks and self.pending and not self.finished:
            # What came behind the full chunks waits for more, as it would have without them.
            self.flush = False
            if self.linger is None:
                self.linger = self.loop.call_later(LINGER, self.on_linger)
        if chunk is not None and not self.finished:
            try:
                fault("take")
                self.pump()
                if self.stalled or self.plan.decided.first is not None:
                    self.go_on()
            except Exception as error:
                self.crashed(error)
        return chunk

    def fail(self, error):
        """Breaks the batch off for a reason that the front has found (an EnvelopeError): GW-21."""
        if not self.finished and self.failure is None:
            try:
                self.break_off(error)
            except Exception as raised:
                self.crashed(raised)

    cdef int crashed(self, object error) except -1:
        """BU-04: the batch breaks off at once. What has been written is complete results; no end follows them."""
        _log.error("the gateway failed in a batch", exc_info=error)
        if self.finished:
            return 0
        if self.failure is None:
            self.failure = EnvelopeError(500, "InternalError", "the gateway failed in the middle of the batch")
        try:
            self.abandon_all()
            self.plan.decided.clear()
            self.plan.waiting.clear()
        except Exception as second:
            _log.error("a failed batch could not be cleared", exc_info=second)
        try:
            self.close()
        except Exception as second:
            # Its front did not hear of it now; it sees that the batch is finished whenever it looks.
            _log.error("a failed batch could not tell its front", exc_info=second)
        return 0

    def stop(self):
        """The gateway stops (FR-03): results that are there are delivered, every other call is told so with 503.

        A batch of which nothing was started is cancelled: its client may try it elsewhere. What is still read of the
        request is answered so too; the front calls end_reading() when it has waited long enough for the rest.
        """
        cdef Refusal running = Refusal(503, "Stopping", "the gateway stopped before the upstream had answered",
                                       OUTCOME_UNREACHABLE)
        cdef Refusal rest = Refusal(503, "Stopping", "the gateway stopped before the call was started",
                                    OUTCOME_REFUSED)
        if self.finished:
            return
        if self.launched == 0:
            self.cancel()
            return
        try:
            if self.failure is not None:
                self.cut_running(running)
                return
            self.end_early(running, rest)
        except Exception as error:
            self.crashed(error)

    def end_reading(self):
        """After stop(): a batch whose request has not come whole is broken off (FR-03)."""
        if not self.finished and self.failure is None and not self.reader.ended:
            self.fail(EnvelopeError(500, "Stopping", "the gateway stopped before its client had taken the results"
                                    if self.input_ended else "the gateway stopped before the batch had been read"))

    def cancel(self):
        """Stops the batch: running calls are abandoned, nothing more is started or sent."""
        if not self.finished:
            self.cancelled = True
            self.abandon_all()
            self.results.discard()
            self.close()

    @property
    def summary(self):
        """Counts of calls, all and by OUTCOMES, and elapsed seconds."""
        cdef uint64_t[8] told
        cdef uint64_t admitted = self.tell(told)
        cdef int n
        summary = {"calls": admitted}
        for n in range(8):
            summary[OUTCOMES[n]] = told[n]
        summary["elapsed"] = now() - self.began
        return summary

    cdef uint64_t tell(self, uint64_t* told) noexcept:
        """How many calls ended in each of the OUTCOMES; returns how many there were."""
        cdef uint64_t admitted = self.plan.admitted, known = self.abandoned
        cdef int n
        told[0] = self.counts[<int>OUTCOME_SUCCEEDED]
        told[1] = self.counts[<int>OUTCOME_FAILED]
        told[2] = self.counts[<int>OUTCOME_REFUSED]
        told[3] = self.counts[<int>OUTCOME_DEPENDENCY_FAILED]
        told[4] = self.counts[<int>OUTCOME_UNREACHABLE]
        told[5] = self.counts[<int>OUTCOME_TIMED_OUT]
        told[6] = self.abandoned
        for n in range(6):
            known += told[n]
        told[7] = admitted - known if admitted > known else 0
        return admitted

    cdef uint64_t taken(self) noexcept:
        """Bytes of the answer that the front has taken."""
        return self.results.outbox.taken

    @property
    def holds_group(self):
        """Whether the end of the request would let a group go."""
        return self.plan.holding_group()

    @property
    def sent_bytes(self):
        """Bytes taken so far."""
        return self.results.outbox.taken

    @property
    def fed_bytes(self):
        """Bytes fed so far."""
        return self.fed

    # --- reading

    cdef int pull(self) except -1:
        """Reads calls while the bounds allow, and admits them."""
        cdef Call call
        cdef Reader reader = self.reader
        cdef bint whole
        cdef double t, since = now()
        self.stalled = False
        if reader.ended:
            return 0
        while True:
            if self.plan.search is not None:
                whole = self.plan.search_on(SEARCHED)
                t = now()
                self.worked += t - since
                since = t
                if whole and not self.validating and not reader.holding:
                    self.settle()
            if self.worked >= SLICE or self.resting:
                self.stalled = True
                return self.rest()
            if self.plan.search is not None:
                continue
            # What must be checked whole is read whole: it is bounded by the threshold or the message.
            whole = self.validating or reader.holding
            if not whole and not self.plan.holding_group() and (
                self.pending >= <uint64_t>self.limits.max_pending
                or self.bodies_full()
                or self.output_full()
                or (self.results.ordered and (
                    self.results.window_full()
                    or self.plan.admitted >= self.results.next_number + <uint64_t>self.limits.reorder_results))
            ):
                self.stalled = True
                return 0
            fault("reader")
            call = reader.next_call()
            if reader.calls == 1 and call is not None:
                self.take_options()
            if call is None:
                break
            if self.limits.max_calls and reader.calls > self.limits.max_calls:
                raise self.limits.too_many_calls()
            self.limits.refuse_long_url(call)
            fault("plan.admit")
            whole = self.plan.admit(call)
            self.pending += 1
            self.held.charge(call)
            if whole and not self.validating and not reader.holding:
                self.settle()
            if reader.calls & 15 == 0 or call.charged + call.body_len > LARGE:
                t = now()
                self.worked += t - since
                since = t
        if reader.ended:
            self.take_options()
            self.validating = False
            self.plan.end_of_calls()
        return 0

    cdef int take_options(self) except -1:
        """The options that came inside the batch itself."""
        cdef BatchOptions options = self.reader.take_options()
        if options is None:
            return 0
        self.continue_on_error = options.continue_on_error
        self.results.bound(options.max_message, options.takes_parts)
        if options.ordered:
            self.results.ordered = self.by_number = True
        if options.deadline > 0:
            self.end_by(self.began + options.deadline)
        if options.headers is not None:
            for line in options.headers.split(b"\r\n"):
                if line:
                    name, _, value = line.partition(b": ")
                    self.inheritance.add(name, value)
            self.inheritance.freeze()
        return 0

    cdef int end_by(self, double deadline) except -1:
        """The batch has less time than was known when it began, unless it had less already."""
        if deadline >= self.batch_deadline:
            return 0
        self.batch_deadline = deadline
        if self.alarm is not None:
            self.alarm.cancel()
        self.alarm = self.loop.call_later(max(deadline - now(), 0.0), self.on_deadline)
        return 0

    cdef int go_on(self) except -1:
        """Reads, decides and starts what the bounds allow now."""
        if self.settling or self.finished or self.resting:
            return 0
        try:
            if self.failure is None:
                self.pull()
        except EnvelopeError as error:
            return self.break_off(error)
        if self.failure is None and not self.validating and not self.reader.holding:
            self.settle()
            self.advance()
        self.check_end()
        if self.waker.is_input_awaited() and self.wants_input():
            self.wake_input()
        return 0

    # --- work in slices

    cdef int rest(self) except -1:
        """Enough has been done in one go: others are served before it goes on (PL-01)."""
        if not self.resting:
            self.resting = True
            self.turns.add(self)
        return 0

    cdef int turn(self) except -1:
        self.resting = False
        self.worked = 0
        try:
            fault("turn")
            if self.failure is not None:
                return self.check_end()
            return self.go_on()
        except Exception as error:
            return self.crashed(error)

    # --- deciding and starting

    cdef int settle(self) except -1:
        """Takes calls whose dependencies are finished to the dispatcher, or answers them.

        All of them, but for two bounds: what the gateway answers itself has no upstream to be slow, and waits for the
        front as everything else does; and results that are put into bodies can make these large, so that the rest
        waits until some are gone.
        """
        cdef Call call
        cdef Group group
        cdef CallQueue decided = self.plan.decided
        cdef bint progress = False
        if self.settling:
            return 0
        self.settling = True
        try:
            while decided.first is not None and not self.resting and not self.output_full():
                if self.worked >= SLICE:
                    self.rest()
                    break
                if self.bodies_full() and (progress or self.running):
                    break
                progress = True
                call = decided.popleft()
                group = self.plan.spoken_for(call)
                if group is not None:
                    self.settle_group(group)
                    continue
                if self.stopped:
                    self.drop(call)
                    continue
                if self.verdict is not None and call.refusal is None:
                    call.refusal = self.verdict
                if call.empty_set and call.refusal is None:
                    self.pass_over(call)
                    continue
                self.decide(call)
                if call.refusal is None:
                    self.worked += DECIDED
                    self.push(call)
                else:
                    self.worked += ANSWERED
                    self.refused(call)
        finally:
            self.settling = False
        return 0

    cdef int decide(self, Call call) except -1:
        """Makes a call ready for its upstream, or refuses it; what fails here fails this call alone (BU-03)."""
        cdef double since
        try:
            fault("plan.decide")
            if call.flags & DEAR:
                since = now()
                self.plan.decide(call)
                self.held.charge_body(call)
                self.worked += now() - since
            else:
                self.plan.decide(call)
            if call.refusal is None:
                fault("place")
                self.place(call)
        except Exception as error:
            _log.error("a call could not be decided", exc_info=error)
            call.refusal = FAILED
            self.plan.references.let_go(call)
            call.values = None
        return 0

    cdef int settle_group(self, Group group) except -1:
        """GW-04: a group of several runs as one request to an upstream with transactions, or not at all."""
        cdef list members = group.members
        cdef Call call, carrier = None
        cdef double since = now()
        if self.stopped:
            for call in members:
                self.drop(call)
            return 0
        if self.verdict is not None:
            group.fail_members(self.verdict)
        try:
            fault("plan.decide_group")
            while not self.plan.decide_group(group, LOOKED_AT):
                if self.worked + now() - since >= SLICE:
                    self.worked = SLICE
                    return self.plan.decided.append(members[0])
            for call in members:
                self.held.charge_body(call)
            if (<Call>members[0]).refusal is None:
                fault("place_group")
                carrier = self.group_carrier(group)
        except Exception as error:
            _log.error("a group could not be decided", exc_info=error)
            carrier = None
            for call in members:
                if call.refusal is None:
                    call.refusal = FAILED
                self.plan.references.let_go(call)
                call.values = None
        if carrier is not None:
            return self.push(carrier)
        for call in members:
            self.refused(call)
        return 0

    # --- answers that are being read (AN-05)

    cdef int incoming(self, Inlet inlet, Call call, Py_ssize_t size) except -1:
        if self.inflow is None:
            self.inflow = Inflow(self, self.limits.max_answer_bytes_in_flight,
                                 self.limits.max_answer_bytes_in_process, self.batch_deadline)
            self.tell_inflow()
        return self.inflow.grew(inlet, call, size)

    cdef int came_in(self, Inlet inlet) except -1:
        return self.inflow.ended(inlet)

    cdef bint may_overtake(self) except -1:
        cdef Call call
        for call in self.started:
            if call.number == self.results.next_number:
                return call.position < 0
        return True

    cdef int tell_inflow(self) except -1:
        return self.inflow.update(self.results.outbox.held, self.results.waiting_bytes, self.output_full(),
                                  self.results.ordered and self.results.window_full(), self.results.next_number)

    cdef bint output_full(self) noexcept:
        """Whether results wait that the front should take first. Nobody takes any before the end of execute."""
        return self.results.outbox.held >= self.limits.output_high_bytes and not self.execute

    cdef bint bodies_full(self) noexcept:
        """Whether the calls that have been read and not finished hold all that they may."""
        return self.held.bytes >= self.limits.max_pending_bytes

    cdef bint stuck(self) except -1:
        """Whether nothing runs, nor will by itself, though calls are decided."""
        cdef Lane lane
        if self.running or self.plan.decided.first is None or self.output_full() or self.failure is not None \
                or self.finished or self.resting:
            return False
        for lane in self.lanes:
            if lane.size and self.may_start(lane):
                return False
        return True

    cdef int advance(self) except -1:
        """Starts what may start. The call that all others wait for may be one that is still to be settled."""
        self.pump()
        while self.stuck() and not self.settling:
            self.settle()
            self.pump()
        return 0

    cdef bint may_start(self, Lane lane) except -1:
        cdef uint64_t number
        if self.running >= self.max_running or self.failure is not None or self.finished:
            return False
        if self.output_full():
            return False
        if self.inflow is not None and self.inflow.held and not self.results.ordered:
            return False                  # more answers would only wait as well
        if self.results.ordered:
            number = lane.first().number
            # The earliest unanswered call may always start: the window empties through it alone.
            if number != self.results.next_number and (
                    self.results.window_full()
                    or number >= self.results.next_number + <uint64_t>self.limits.reorder_results):
                return False
        return True

    # --- results

    cdef int refused(self, Call call) except -1:
        """The gateway answers a call itself."""
        cdef Result result = self.own
        self.clock = now()
        result.reset()
        result.set_error(call.refusal.status, call.refusal.outcome, call.refusal.code, call.refusal.message)
        return self.conclude(call, result)

    cdef int drop(self, Call call) except -1:
        """MP-09: a call that a stop leaves unprocessed has no part in the answer."""
        cdef Result result = self.own
        result.reset()
        result.status = 424
        self.results.pass_by(call)
        self.counts[<int>OUTCOME_DEPENDENCY_FAILED] += 1
        self.pending -= 1
        self.held.discharge(call)
        return self.plan.finish(call, result, False)

    cdef int pass_over(self, Call call) except -1:
        """PL-10: a change set without calls has its answer, which is as empty."""
        cdef Result result = self.own
        self.clock = now()
        result.reset()
        result.status = 204
        if self.results.writer.nests:
            self.results.put(call, result, self.pending)
        else:
            self.results.pass_by(call)
        self.counts[<int>OUTCOME_SUCCEEDED] += 1
        self.pending -= 1
        self.held.discharge(call)
        self.plan.finish(call, result, True)
        return self.output_added()

    cdef int finished_call(self, Call call, Result result) except -1:
        cdef Call member
        cdef list results
        if call.members is None:
            self.conclude(call, result)
        else:
            try:
                fault("taken_apart")
                if self.verdict is None and self.failure is None:
                    for member in in_pieces(call, result) or ():
                        self.push(member)
                results = taken_apart(call, result)
                if call.group_size:
                    self.plan.references.place(call.members, results, self.rules)
            except Exception as error:
                _log.error("the answer to a batch could not be taken apart", exc_info=error)
                results = bad_answer(len(call.members), "the upstream's answer to the batch could not be read")
            for member, result in zip(call.members, results):
                self.conclude(member, result)
        if self.inflow is not None:
            self.tell_inflow()
        if self.settling:
            return 0
        if self.failure is None:
            self.settle()
            if (self.queued or self.stalled or self.plan.decided.first is not None) and not self.pump_due:
                self.pump_due = True
                self.loop.call_soon(self.on_pump)
        return self.check_end()

    def on_pump(self):
        """Starts what has become ready in this turn of the loop: together, so that an upstream is woken up once."""
        self.pump_due = False
        try:
            fault("pump")
            if self.failure is None and not self.finished:
                self.advance()
                if self.stalled:
                    self.go_on()
        except Exception as error:
            self.crashed(error)

    cdef int conclude(self, Call call, Result result) except -1:
        """The one place where a call gets its result."""
        cdef list _owners                 # keep what the headers point to
        try:
            fault("conclude")
            _owners = self.publish(call, result)
        except Exception as error:
            spoil(result, error)
        self.results.put(call, result, self.pending)
        self.counts[result.outcome] += 1
        self.pending -= 1
        self.held.discharge(call)
        fault("plan.finish")
        self.plan.finish(call, result, 200 <= result.status < 300)
        if result.status >= 400 and not self.continue_on_error:
            if self.verdict is None:
                self.stop_rest(Refusal(424, "BatchStopped", "an earlier call failed and the batch is to stop then",
                                       OUTCOME_DEPENDENCY_FAILED))
            self.stopped = self.reader.silent_stop
        return self.output_added()

    cdef list publish(self, Call call, Result result):
        """Rewrites what names the upstream (GW-10). The owners of what the headers point to then, or None."""
        cdef HeaderSlice* header
        cdef int i
        cdef bytes moved, links
        cdef list owners = None
        cdef Upstream upstream = call.upstream
        if is_head(call.method):
            result.body_owner = None      # CL-03: of an error of the gateway's, too
            result.body = NULL
            result.body_len = 0
        if upstream is not None:
            for i in range(result.header_count):
                header = &result.headers[i]
                if header.kind == KIND_LOCATION or header.kind == KIND_ENTITY_ID:
                    moved = self.rules.public(
                        header.value[:header.value_len], upstream.origin, upstream.base_path, call.mount)
                    header.value = PyBytes_AS_STRING(moved)
                    header.value_len = <int>PyBytes_GET_SIZE(moved)
                    if owners is None:
                        owners = []
                    owners.append(moved)
            if result.body_owner is not None:
                links = self.rules.public_links(
                    result.body, result.body_len, upstream.origin, upstream.base_path, call.mount)
                if links is not None:
                    result.body_owner = links
                    result.body = PyBytes_AS_STRING(links)
                    result.body_len = PyBytes_GET_SIZE(links)
        return owners

    # --- stopping and ending

    cdef int stop_rest(self, Refusal verdict) except -1:
        """Every call that has not started, now or later, gets this answer."""
        cdef Call call, carrier
        cdef Lane lane
        self.verdict = verdict
        self.plan.stop(verdict)
        for lane in self.lanes:
            while lane.size:
                carrier = lane.pop()
                self.queued -= 1
                for call in carrier.members or (carrier,):
                    call.upstream = None
                    call.refusal = verdict
                    if call.group_state is not None:
                        (<Group>call.group_state).members = None
                    self.plan.decided.append(call)
            lane.upstream.forget(self)
        return 0

    def on_deadline(self):
        cdef Refusal late = Refusal(504, "BatchTimeout", "the batch did not finish in time", OUTCOME_TIMED_OUT)
        self.alarm = None
        if self.finished or self.failure is not None:
            return
        try:
            fault("deadline")
            self.end_early(late, late)
        except Exception as error:
            self.crashed(error)

    cdef int end_early(self, Refusal running, Refusal rest) except -1:
        """Every call that has no result gets one of these now: those that run, and those that do not."""
        self.stop_rest(rest)
        self.validating = False
        # Before what has not begun is answered: MP-09, the first error is the last result.
        self.cut_running(running)
        self.settle()
        return self.go_on()

    def on_watch(self):
        self.watcher = None
        self.look()
        if not self.finished:
            self.watcher = self.loop.call_later(watch_seconds(self.limits), self.on_watch)

    def look(self):
        """Cuts a client that neither sends nor takes, so that nobody holds a batch open for nothing."""
        if self.finished:
            return
        try:
            fault("look")
            self.cut_idle()
        except Exception as error:
            self.crashed(error)

    cdef int cut_idle(self) except -1:
        cdef double t = now()
        cdef double idle = self.limits.client_idle_seconds
        if self.flush and self.results.outbox.held and self.client.takes_nothing(t, idle):
            self.failure = EnvelopeError(408, "ClientStalled", "the client did not take its results")
            self.cancel()
        # When nothing runs, what is pending waits for the client too: for the end of a group, or of the document.
        elif self.running == 0 and self.queued == 0 and not self.results.outbox.held \
                and not self.input_ended and self.client.sends_nothing(t, idle):
            self.break_off(EnvelopeError(408, "ClientIdle", "the client did not send the rest of its batch"))
        elif self.slow(t):
            self.break_off(EnvelopeError(408, "ClientTooSlow", "the batch comes too slowly"))
        return 0

    cdef bint slow(self, double t) noexcept:
        """FR-05; of whole messages the front sees the pace."""
        return not self.input_ended and self.failure is None and not self.reader.takes_messages and self.client.is_slow(
            t, self.fed, self.plan.admitted, self.limits.min_request_rate, self.limits.client_idle_seconds)

    cdef int break_off(self, object error) except -1:
        """The envelope is broken (GW-21): start nothing more, let what runs finish, end without an end."""
        cdef Lane lane
        if self.launched:
            error.message += f" ({self.launched} calls had been started)"
        self.failure = error
        self.plan.decided.clear()
        self.plan.waiting.clear()
        self.plan.search = None
        for lane in self.lanes:
            lane.clear()
            lane.upstream.forget(self)
        self.queued = 0
        self.wake_input()
        return self.check_end()

    cdef int check_end(self) except -1:
        if self.finished:
            return 0
        if self.failure is not None:
            if self.running == 0:
                self.close()
            return 0
        if self.pending == 0 and self.reader.ended and not self.settling:
            self.results.end(self.summary)
            self.close()
        return 0

    cdef int close(self) except -1:
        global sessions_open
        if self.finished:
            return 0
        self.finished = True
        sessions_open -= 1
        if self.inflow is not None:
            self.tell_inflow()
            self.inflow.close()
        for timer in (self.alarm, self.watcher, self.linger):
            if timer is not None:
                timer.cancel()
        self.alarm = self.watcher = self.linger = None
        self.flush = True
        self.wake_output()
        return self.wake_input()

    # --- waking the front

    cdef int output_added(self) except -1:
        """A result was written: it is sent at once, or with those that are near (design: gRPC messages are dear)."""
        cdef Outbox outbox = self.results.outbox
        cdef double wait = outbox.wait_for_more(self.clock, self.running)
        if self.execute:
            if outbox.held > EXECUTE_BYTES and self.failure is None:
                self.break_off(EnvelopeError(413, "AnswerTooLarge", "the answer does not fit one message; use Batch"))
            return 0
        # A result that waits in the reordering window is nothing to send yet: the front must not be woken for it.
        if self.flush or outbox.held == 0:
            return 0
        if wait <= 0 or self.pending == 0:
            self.flush = True
            self.client.offered = now()
            return self.wake_output()
        if self.linger is None:
            self.linger = self.loop.call_later(wait, self.on_linger)
        return 0

    def on_linger(self):
        self.linger = None
        try:
            fault("linger")
            if self.results.outbox.held and not self.finished:
                self.flush = True
                self.client.offered = now()
                self.wake_output()
        except Exception as error:
            self.crashed(error)

    cdef int wake_output(self) except -1:
        if self.linger is not None:
            self.linger.cancel()
            self.linger = None
        return self.waker.wake_output()

    cdef int wake_input(self) except -1:
        self.client.may_feed(now())
        return self.waker.wake_input()
