"""Makes the parts of one batch go on, in their order, and knows the state that it is in (Life).

    bytes -> Intake (Reader, Plan) -> Decider -> Placement -> upstreams -> Settler -> ResultStream -> Outlet -> bytes

Must never let a call go without exactly one result unless the batch is cancelled or broken.
"""
from batchwire.core.alarms cimport alarms_of
from batchwire.core.dialects.base cimport BatchOptions, Summary
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.inheritance cimport names_in
from batchwire.core.model cimport Call, OUTCOME_TIMED_OUT, Refusal, Result, now
from batchwire.core.pressure cimport Holder
from batchwire.core.session.intake cimport Intake, STEP_CALL, STEP_NONE, Step
from batchwire.core.session.taker cimport Taker
from batchwire.core.session.waker cimport SessionListener
from batchwire.core.session.watch import no_room

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


cdef class Batch(Conductor):
    # --- its life

    cdef int opened(self) except -1:
        """It begins."""
        global sessions_open, sessions_made
        sessions_open += 1
        sessions_made += 1
        return 0

    cdef bint is_open(self) noexcept:
        return self.life == LIFE_OPEN

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

    cpdef cancel(self):
        """Stops the batch: running calls are abandoned, nothing more is started or sent. Of one that is over nothing more is
        taken, unless a front passes it on, which says itself when that has ended."""
        if not self.is_over():
            self.dispatch.abandon_all()
            self.results.discard()
            self.close(LIFE_CANCELLED)
        elif self.waker.front is None and self.results.untaken():
            if self.life == LIFE_COMPLETE:
                self.life = LIFE_CANCELLED    # its answer must not pass for whole
            self.drop()

    cdef int drop(self) except -1:
        """Nobody takes what is left of the answer; the batch is over."""
        if self.results.unsent() == 0:
            return 0
        self.results.discard()
        if self.waker.front is None:
            self.results.kept = 0             # else it says so when it has let go of that, too
        return self.dispatch.tell_inflow()

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
        if self.watch is not None:
            self.watch.close()
            self.watch = None
        self.outlet.end()
        return self.wake_input()

    cdef int wake_input(self) except -1:
        self.share.gives_leave(now())
        return self.waker.wake_input()

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
            self.dispatch.end_turn()
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

    cdef bint wants_input(self) noexcept:
        """Whether more of the request may be fed, or never will have to be."""
        return self.life != LIFE_OPEN or (self.share.since == 0 and self.intake.wants_bytes())

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

    cdef bint is_stranded(self) noexcept:
        return self.life == LIFE_OPEN and not self.slice.resting and not self.drive_due and self.share.since == 0 \
            and self.dispatch.running == 0 and self.dispatch.queued == 0 \
            and not self.decider.has_work() and not self.settler.is_writing() \
            and (self.results.untaken() == 0 or self.results.one_message) \
            and (self.intake.ended or not self.wants_input())

    cdef int end_stranded(self) except -1:
        return self.crashed(RuntimeError(f"a batch cannot go on: {self.summary}"))

    # --- slow clients

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

    cdef int leave_untaken(self, object error) except -1:
        """What the client has not taken is gone, and `failure` says why."""
        if self.failure is None:
            self.failure = error
            self.failure.started = self.dispatch.launched
        self.cancel()
        return 0

    cdef int release_taker(self) except -1:
        """Nothing of the answer is to be cut any more."""
        if self.its_taker is not None and self.is_over() and self.waker.front is None:
            self.its_taker.batch = None
        return 0

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
