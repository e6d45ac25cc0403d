"""One batch in flight, as a front has it: it feeds bytes, says end or cancel, and takes bytes.

wait_input() and wait_output() are its back-pressure. A session is put together here out of its parts, which Batch makes go
on. Must never know which front it serves.
"""
from batchwire.core.alarms cimport alarms_of
from batchwire.core.dialects.base cimport Reader, Writer
from batchwire.core.dialects.table cimport reader_of, writer_of
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.dispatch.placement cimport Placement
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.inheritance cimport Inheritance
from batchwire.core.model cimport OUTCOME_REFUSED, OUTCOME_UNREACHABLE, Refusal, now
from batchwire.core.origin cimport Origin, origin_of
from batchwire.core.plan.order cimport Plan
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.route cimport Route
from batchwire.core.session.batch cimport LIFE_BROKEN, LIFE_OPEN
from batchwire.core.session.batch_head cimport BatchHead
from batchwire.core.session.bounds cimport Bounds
from batchwire.core.session.client_clock cimport ClientClock
from batchwire.core.session.crowd cimport Share
from batchwire.core.session.decider cimport Decider
from batchwire.core.session.fills cimport Fills
from batchwire.core.session.intake cimport Intake
from batchwire.core.session.outlet cimport Outlet
from batchwire.core.session.pending cimport Pending
from batchwire.core.session.result_stream cimport ResultStream
from batchwire.core.session.settler cimport Settler
from batchwire.core.session.turns cimport Slice
from batchwire.core.session.waker cimport SessionListener, Waker
from batchwire.core.session.watch cimport Watch
from batchwire.core.session.watch import not_taken
from cpython.bytes cimport PyBytes_GET_SIZE


cdef class Session(Batch):
    """head: what is known of the batch; or its fields one by one, see BatchHead. peer: where it comes from, see Origin."""

    def __init__(self, loop, Route route not None, BatchHead head=None, str peer="unix", **fields):
        self.begin(loop, route, BatchHead(**fields) if head is None else head, origin_of(peer))

    cdef int begin(self, object loop, Route route, BatchHead head, Origin origin) except -1:
        """What a new session does first."""
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
        self.results = ResultStream.of(writer, began, head.ordered, head.execute, limits.reorder_bytes)
        self.share = Share.of(self, loop, origin, limits.max_request_bytes_in_process, limits.client_idle_seconds)
        self.fills = Fills.of(self, limits.max_request_bytes_in_process // 2)
        self.client = ClientClock.of(began, self.share.pace)
        self.waker = Waker.of(loop)
        self.outlet = Outlet.of(self, loop, self.results, self.client, self.waker)
        self.slice = Slice.of(loop, origin)
        self.pending = Pending.__new__(Pending)
        # A protobuf message is checked whole in any case.
        self.intake = Intake.of(reader, plan, self.pending, self.slice, limits,
                                0 if reader.takes_messages else route.streaming_threshold, writer)
        self.bounds = Bounds.of(limits, origin, self.pending, plan, self.results)
        self.dispatch = Placement.of(self, self.bounds, began, deadline, head.ordered, route, self.inheritance)
        self.settler = Settler.of(plan, self.dispatch, self.pending, self.bounds, self.fills, self.slice, self.results,
                                  self.outlet, rules, head.continue_on_error, reader.silent_stop)
        self.decider = Decider.of(plan, self.dispatch, self.pending, self.bounds, self.fills, self.slice, self.results,
                                  self.settler)
        if deadline > 0:
            self.alarm = alarms_of(loop).after(deadline, self.on_deadline)
        if head.watched:
            self.watch = self.new_watch()
            self.watch.go_on()
        return self.opened()

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

    cdef int hears(self) except -1:
        """The client has said something that brings nothing: it is there."""
        if self.life == LIFE_OPEN:
            self.client.fed(now())
        return 0

    cdef bint rests_before_much(self) except -1:
        """Whether others are served before the front works long for the batch: as worked()."""
        if self.life != LIFE_OPEN or not self.slice.over_for_much():
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
        if front is None and self.is_over():
            self.drop()
        elif front is None and self.results.kept:
            self.results.kept = 0
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
            if 0 < n < self.results.kept:
                self.client.last_take = now()     # some of a chunk
            self.results.kept = n
            self.dispatch.tell_inflow()
        return 0

    cdef int client_takes(self, double t) except -1:
        """The client has taken some of what the front has taken before."""
        self.client.last_take = t
        return 0

    cdef int stalled(self) except -1:
        """The client has taken nothing for too long."""
        return self.leave_untaken(not_taken(self.intake.ended))

    cdef Watch new_watch(self):
        return Watch.of(self, self.loop, self.limits, self.intake, self.share, self.fills, self.dispatch, self.settler,
                        self.results, self.outlet, self.client)

    cpdef check_idle(self):
        """Cuts a client that neither sends nor takes, so that nobody holds a batch open for nothing."""
        cdef Watch watch = self.watch
        if watch is None and not self.is_over():
            watch = self.watch = self.new_watch()
        if watch is not None:
            watch.look()

    def client_stalled(self):
        """stalled() for a front in Python."""
        self.stalled()

    # --- the front's side: the end

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

    # --- what is known of it

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

    # --- for tests

    def miscount(self):
        """From here on the batch counts a call that it does not have."""
        self.pending.calls += 1
