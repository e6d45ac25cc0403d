"""Ends a batch that has waited too long: for its client, or for room that others hold (FR-05, PL-13, PL-15, AN-05).

Looks at it now and then, by a timer or when a front says so: what ends in time costs nothing.
"""
from batchwire.core.dispatch.inflow cimport Inflow
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.model cimport now
from batchwire.core.session.client_clock cimport GRACE_SECONDS


def no_room(what):
    """The error of a batch that has waited in vain for others to let go of memory (PL-13)."""
    return EnvelopeError(503, "NoRoom", f"{what}: batches hold all of limits.max_request_bytes_in_process")


def no_room_for_answers(double seconds):
    """The error of a batch whose answers have waited in vain for others to let go of memory (AN-05)."""
    return EnvelopeError(503, "NoRoom", f"the answers were not read on for {seconds:g} s: batches hold all of "
                         "limits.max_answer_bytes_in_process")


def not_taken(bint whole):
    """The error of a batch whose client has taken nothing for too long. whole: it has sent all of it."""
    return EnvelopeError(
        408, "ClientStalled", "the client did not take its results" if whole
        else "the client did not take results while it sent its batch (streaming_threshold)")


cdef class Watch:
    @staticmethod
    cdef Watch of(Conductor batch, object loop, Limits limits, Intake intake, Share share, Fills fills, Placement dispatch,
                  Settler settler, ResultStream results, Outlet outlet, ClientClock client):
        cdef Watch made = Watch.__new__(Watch)
        made.batch = batch
        made.loop = loop
        made.limits = limits
        made.intake = intake
        made.share = share
        made.fills = fills
        made.dispatch = dispatch
        made.settler = settler
        made.results = results
        made.outlet = outlet
        made.client = client
        return made

    cdef int go_on(self) except -1:
        """Looks by itself, from now on."""
        self.timer = self.loop.call_later(
            max(min(self.limits.client_idle_seconds / 4, GRACE_SECONDS), 0.05), self.on_watch)
        return 0

    cdef int close(self) except -1:
        """The batch is over."""
        self.batch = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return 0

    def on_watch(self):
        self.timer = None
        self.look()
        if self.batch is not None:
            self.go_on()

    cdef int look(self) except -1:
        cdef Conductor batch = self.batch
        if batch is None:
            return 0
        try:
            fault("check_idle")
            self.cut_idle()
        except Exception as error:
            batch.crashed(error)
        return 0

    cdef int cut_idle(self) except -1:
        cdef Conductor batch = self.batch
        cdef double t = now()
        cdef double idle = self.limits.client_idle_seconds
        if batch.is_stranded():
            batch.end_stranded()
        elif self.outlet.ready and self.results.untaken() and self.client.takes_nothing(t, idle):
            batch.leave_untaken(not_taken(self.intake.ended))
        elif self.holds_all() and t - max(self.dispatch.inflow.moved, self.client.last_take, self.client.last_feed) >= idle:
            # AN-05: the time of its calls does not run, so that nothing else would end it.
            batch.leave_untaken(no_room_for_answers(idle))
        elif self.share.since > 0:
            self.client.goes_on(t)        # it waits, and not its client
            if t - self.share.since >= idle:
                batch.break_off(no_room(f"the batch was not read on for {idle:g} s"))
        elif self.fills.since > 0 and self.dispatch.running == 0:
            self.client.goes_on(t)
            if t - self.fills.since >= idle:
                batch.break_off(EnvelopeError(
                    503, "NoRoom", f"a call was not filled in for {idle:g} s: what references have put into calls holds "
                    "half of limits.max_request_bytes_in_process"))
            else:
                batch.rest()
        # When nothing runs, what is pending waits for the client too: for the end of a group, or of the document.
        elif self.dispatch.running == 0 and self.dispatch.queued == 0 and not self.results.untaken() \
                and not self.intake.ended and self.client.sends_nothing(t, idle):
            if self.outlet.is_behind():
                batch.leave_untaken(not_taken(False))
            else:
                batch.break_off(EnvelopeError(408, "ClientIdle", "the client did not send the rest of its batch"))
        elif batch.is_open() and self.intake.comes_slowly(self.client, t):
            batch.break_off(EnvelopeError(408, "ClientTooSlow", "the batch comes too slowly"))
        return 0

    cdef bint holds_all(self) noexcept:
        """Whether every call that runs waits for being read on, and every result that is left for being written."""
        cdef Inflow inflow = self.dispatch.inflow
        return inflow is not None and self.dispatch.running == inflow.held and (
            inflow.held > 0 or self.settler.unwritten() > 0 or inflow.waits_to_start())
