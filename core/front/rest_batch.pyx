"""A batch that is an HTTP request: its body goes to a session, and what that says is the answer.

`servicer` is the service behind: `servicer.decoder(coding)` undoes a Content-Encoding, `servicer.batch_error(outcome, session)` is
what is answered in the place of results, `servicer.trailing_error(outcome, session)` what stands behind results that are
cut; outcome: of the negotiation. Must never look into a call or a result.
"""
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.front.stream cimport copy_part, FILL_LAST, FILL_TRAILERS, FillEnd, rest_of, Stream
from batchwire.core.front.stream import http_date
from batchwire.core.model cimport now
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from collections import deque

cdef enum:                    # before the answer of a batch that has failed begins with results that it has
    PATIENCE_FRESH = 0
    PATIENCE_TRIED = 1
    PATIENCE_OVER = 2


cdef class RestBatch(Handler):
    @staticmethod
    cdef RestBatch of(object servicer, Batch batch, Negotiated known):
        cdef RestBatch made = RestBatch.__new__(RestBatch)
        made.servicer = servicer
        made.batch = batch
        made.known = known
        made.session = batch.session
        made.hears_out = True
        if known.decoding:
            made.decoder = servicer.decoder(known.decoding)
            made.encoded = deque()
        return made

    cdef int begin(self, Stream stream) except -1:
        self.stream = stream
        self.session.listen(self)
        self.session.answered_by(self)
        for name, value in stream.headers:
            if name == b"expect" and value.lower() == b"100-continue":
                stream.go_ahead()
        return 0

    # --- in

    cdef int on_data(self, const char* p, Py_ssize_t n) except -1:
        self.held += n
        if self.over or self.reads_no_more():
            return self.release()
        data = PyBytes_FromStringAndSize(p, n)
        if self.decoder is None:
            self.session.feed(data)
        else:
            self.encoded.append(data)
            self.feed_decoded()
        return self.release()

    cdef bint on_damaged(self, object error) except -1:
        self.end_input(error)
        self.release()
        return True

    cdef int end_input(self, object error) except -1:
        """The body is no batch: what had been started gives its results first (GW-21)."""
        self.session.fail(error)
        if self.decoder is not None:
            self.pieces = None
            self.encoded.clear()
        return 0

    cdef bint reads_no_more(self) except -1:
        """Whether what comes of the body is of no use any more."""
        return self.session.is_over() or self.session.failure is not None

    cdef int on_end(self) except -1:
        self.whole = True
        if self.decoder is None:
            self.whole_told = True
            self.session.feed_end()
            return 0
        return self.feed_decoded()

    cdef int feed_decoded(self) except -1:
        """Decodes as much as the session takes now, and as one turn of the loop should bear (PL-01)."""
        cdef double since
        try:
            while self.session.wants_input():
                if self.reads_no_more():
                    self.pieces = None
                    self.encoded.clear()
                    return 0
                if self.session.rests_before_much():
                    return 0              # on_input() follows
                if self.pieces is None:
                    if not self.encoded:
                        break
                    self.pieces = self.decoder.decode(self.encoded.popleft())
                since = now()
                piece = next(self.pieces, None)
                tired = self.session.worked(now() - since)
                if piece is None:
                    self.pieces = None
                elif PyBytes_GET_SIZE(piece):
                    self.session.feed(piece)
                if tired:
                    return 0              # on_input() follows
            if self.whole and self.pieces is None and not self.encoded and not self.whole_told:
                self.whole_told = True
                self.decoder.finish()
                self.session.feed_end()
        except EnvelopeError as error:
            self.end_input(error)
        return 0

    cdef int more_soon(self) except -1:
        if not self.more_due:
            self.more_due = True
            self.stream.ends.loop.call_soon(self.on_more)
        return 0

    def on_more(self):
        cdef Stream stream = self.stream
        self.more_due = False
        if stream is None:
            return
        try:
            fault("front.more")
            self.feed_decoded()
            self.release()
        except Exception as error:
            stream.fail(error)

    cdef int release(self) except -1:
        """Lets the client send as much more as has been used up."""
        cdef Py_ssize_t held = self.held
        if self.stream is None or not self.session.wants_input():
            return 0
        if not self.reads_no_more() and (self.pieces is not None or self.encoded):
            return 0
        self.held = 0
        return self.stream.consume(held)

    cdef int on_input(self) except -1:
        if self.decoder is not None and not self.session.is_over():
            # The session is in the middle of something.
            self.more_soon()
        return self.release()

    # --- out

    cdef int on_output(self) except -1:
        return self.answer()

    cdef int answer(self) except -1:
        """There is something to fill in, or the end."""
        cdef Session session = self.session
        cdef Stream stream = self.stream
        if session.is_over():
            self.last_activity = now()            # from here on the client has its time to take the rest
        if self.over:
            return 0
        if not stream.answered:
            if session.failure is not None and not session.is_over() and self.patience != PATIENCE_OVER:
                # GW-21: what is ready may be of the last call that ran; then the error is the whole answer.
                if self.patience == PATIENCE_FRESH:
                    self.patience = PATIENCE_TRIED
                    stream.ends.loop.call_soon(self.on_patient)
                return 0
            if session.is_over() and (session.failure is not None or session.was_cancelled()):
                # GW-21: nothing of the answer has been said, so that an error can be.
                error = self.servicer.batch_error(self.known.outcome, session)
                self.out = error.body
                self.over = True
                self.close("cancelled" if session.failure is None else "refused")
                stream.start(error.status, [(b"date", http_date()), *error.headers], True)
            else:
                stream.start(self.known.status, [(b"date", http_date()), *self.known.headers], True)
        elif session.was_cancelled():
            # The results that were not taken are gone. A failure says that it was the client who did not take them.
            return self.break_off(session.failure is not None)
        return stream.wake()

    def on_patient(self):
        cdef Stream stream = self.stream
        self.patience = PATIENCE_OVER
        if stream is None or stream.answered or not self.session.has_output():
            return
        try:
            self.answer()
        except Exception as error:
            stream.fail(error)

    cdef Py_ssize_t fill(self, char* p, Py_ssize_t size, FillEnd* end) except -1:
        cdef Session session = self.session
        cdef Py_ssize_t n = 0
        while n < size and not self.broken:
            if self.out is None:
                if self.over or session.unsent() == 0 or not session.has_output():
                    break
                self.out = session.take_chunk(True)
                if self.out is None:
                    break
            n += copy_part(p + n, size - n, self.out, &self.out_at)
            if self.out_at == PyBytes_GET_SIZE(self.out):
                self.out = None
                self.out_at = 0
        if self.out is not None:
            self.out = rest_of(self.out, &self.out_at)
        session.front_keeps(0 if self.out is None else PyBytes_GET_SIZE(self.out) - self.out_at)
        if self.out is None and not self.over and session.is_over() and session.unsent() == 0:
            if session.failure is None and not session.was_cancelled():
                self.over = True
                if not self.whole:
                    self.close("ok")      # the stream may end with a reset, though the client has everything
            elif n == 0:
                self.break_off(False)
            else:
                self.stream.wake()        # what has been filled in is sent before that
        if self.over and self.out is None and not self.broken:
            end[0] = FILL_LAST
            if self.trailing is not None:
                self.stream.put_trailer(b"odata-error", self.trailing)
                end[0] = FILL_TRAILERS
        return n

    cdef int break_off(self, bint stalled) except -1:
        self.over = True
        self.out = None
        self.session.front_keeps(0)
        if not stalled and self.session.failure is not None and self.stream.takes_trailers():
            # GW-21: the body is cut, and who reads trailers learns why.
            self.trailing = self.servicer.trailing_error(self.known.outcome, self.session)
            self.close("broken")
            return self.stream.wake()
        self.broken = True
        self.close("cancelled" if stalled or self.session.failure is None else "broken")
        return self.stream.cut() if stalled else self.stream.break_off()

    # --- the end

    cdef int close(self, str ended) except -1:
        """The batch has ended; what is left to send is in `out`."""
        cdef Batch batch = self.batch
        self.batch = None
        self.last_activity = now()
        self.session.listen(None)
        if batch is not None:
            batch.close(ended)
        return self.release()

    cdef int on_close(self, bint whole) except -1:
        self.stream = None
        self.out = None
        self.session.front_keeps(0)
        self.session.answered_by(None)
        return self.close("ok" if whole and self.over else "cancelled")

    cdef bint owes_more(self) except -1:
        return not self.over

    cdef int on_taken(self, double t) except -1:
        self.last_activity = t
        if self.session is not None:
            self.session.client_takes(t)
        return 0

    cdef int on_sweep(self, double t) except -1:
        cdef Stream stream = self.stream
        if self.batch is not None:
            self.session.check_idle()
        # The session looks after its client until it has finished; what is left to send may be stuck.
        if self.stream is not None and self.session.is_over() and t - self.last_activity > stream.ends.idle_seconds:
            self.on_stalled()
            return stream.cut()
        return 0

    cdef int on_stalled(self) except -1:
        return 0 if self.batch is None else self.batch.stalled()


cdef class PlainAnswer(Handler):
    """An answer that is there at once. headers: whole but for those of the connection."""

    def __init__(self, int status, headers, bytes body not None):
        self.status = status
        self.headers = [(b"date", http_date()), *headers]
        self.body = body
        self.hears_out = True

    cdef int begin(self, Stream stream) except -1:
        self.stream = stream
        return stream.start(self.status, self.headers, PyBytes_GET_SIZE(self.body) > 0 and stream.method != b"HEAD")

    cdef int on_data(self, const char* p, Py_ssize_t n) except -1:
        return self.stream.consume(n)

    cdef int on_end(self) except -1:
        return 0

    cdef int on_close(self, bint whole) except -1:
        return 0

    cdef int on_sweep(self, double t) except -1:
        if t - self.last_activity > self.stream.ends.idle_seconds:
            return self.stream.cut()
        return 0

    cdef Py_ssize_t fill(self, char* p, Py_ssize_t size, FillEnd* end) except -1:
        cdef Py_ssize_t n = copy_part(p, size, self.body, &self.sent)
        if self.sent == PyBytes_GET_SIZE(self.body):
            end[0] = FILL_LAST
        return n
