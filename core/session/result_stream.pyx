"""The answer of a batch: the results in their order, in the dialect of the client, and what stands around them.

Results leave in the order in which calls finish, or in request order (GW-23): then those that come before their turn
wait in a window of `window_bytes`. Whether a call may start while the window is full is the session's decision.
"""
from batchwire.core.errors import BadUpstreamBody, EnvelopeError
from batchwire.core.dialects.base cimport APART
from batchwire.core.faults cimport fault
from batchwire.core.model cimport Buffer, Call, OUTCOME_UNREACHABLE, Result
from batchwire.core.session.outbox cimport size_of

import logging

cdef enum:
    MOST = 67108864           # bytes of an answer that is one message, where the dialect bounds none

_log = logging.getLogger("batchwire.core")


cdef int spoil(Result result, object error) except -1:
    """BU-03: a result that the gateway could not work on is a failure of this call, and of no other."""
    _log.error("a result could not be worked on", exc_info=error)
    return replace(result, "the gateway could not work on the upstream's answer")


cdef int replace(Result result, str message) except -1:
    """Makes a 502 of it, which says how long the call has taken."""
    cdef uint64_t started = result.started_us, elapsed = result.elapsed_us
    result.reset()
    result.set_error(502, OUTCOME_UNREACHABLE, "BadUpstreamAnswer", message)
    result.started_us = started
    result.elapsed_us = elapsed
    return 0


cdef class ResultStream:
    @staticmethod
    cdef ResultStream of(Writer writer, double began, bint ordered, bint one_message, Py_ssize_t window_bytes):
        """began: when the batch began, seconds of the monotonic clock."""
        cdef ResultStream made = ResultStream.__new__(ResultStream)
        made.writer = writer
        made.outbox = Outbox.of(began)
        made.outbox.splits = writer.splits
        made.outbox.one_message = one_message
        made.ordered = ordered
        made.one_message = one_message
        made.window_bytes = window_bytes
        made.waiting = {}
        made.single = Buffer()
        made.bound(0, False)
        return made

    cdef int bound(self, Py_ssize_t max_message, bint parts) except -1:
        """AN-07: how large a message of the answer may be; 0: as the dialect has it. parts: bodies may come in parts."""
        cdef Py_ssize_t most = self.writer.bound(max_message, parts, self.one_message)
        self.most = most or MOST
        if most and not self.one_message:
            self.outbox.bound(most)
        return 0

    cdef Py_ssize_t unsent(self) noexcept:
        """Bytes that are written, and that the front has not taken or has not sent on."""
        return self.outbox.held + self.kept

    cdef uint64_t taken(self) noexcept:
        """Bytes that the front has taken."""
        return self.outbox.taken

    cdef int keep_order(self) except -1:
        """Results leave in request order: said in the batch itself, before the first of them."""
        self.ordered = True
        return 0

    cdef bint earlier_first(self) noexcept:
        """Whether the window has no room for what is there, so that only the earliest call makes any."""
        return self.ordered and (self.window_full() or (
            self.waits_for_earlier() and self.waiting_bytes + self.unwritten >= self.window_bytes))

    cdef int require_fit(self) except -1:
        """Raises EnvelopeError where the results of the calls that have been read may not fit (AN-07): before they run."""
        if self.writer.fits():
            return 0
        raise EnvelopeError(
            413, "AnswerTooLarge", "the results may not fit one message (options.max_message_bytes); use Batch"
            if self.one_message else "the id of a call does not fit a message (options.max_message_bytes)")

    cdef int put(self, Call call, Result result) except -1:
        """Writes a result."""
        self.open()
        if result.body_len >= APART and self.writer.sets_apart:
            return self.put_written(call, self.apart(call, result))
        if not self.ordered or call.number == self.next_number:
            self.separate()
            self.outbox.added(self.write(self.outbox.tail, call, result))
            self.next_number += 1
            return self.write_waiting() if self.ordered else 0
        self.write(self.single, call, result)
        return self.keep(call, [self.single.take()])

    cdef int put_said(self, Call call, Result result, tuple said, BodyPieces made) except -1:
        """Writes a result of which Writer.said is known, or None, and whose body is made, or None."""
        if made is not None:
            return self.put_made(call, result, made)
        self.writer.said = said
        try:
            return self.put(call, result)
        finally:
            self.writer.said = None

    cdef int put_made(self, Call call, Result result, BodyPieces made) except -1:
        """Writes a result around the pieces of its body, which are not copied."""
        cdef bytes text
        self.open()
        self.writer.made = made
        self.write(self.single, call, result)
        text = self.single.take()
        # Where it could not be written it is an error now, without the body.
        return self.put_written(call, [text] if self.writer.cut < 0 else
                                [text[:self.writer.cut], *made.pieces, text[self.writer.cut:]])

    cdef int put_written(self, Call call, list written) except -1:
        """Adds a result that has been written, in pieces."""
        if self.ordered:
            return self.keep(call, written)
        self.separate()
        self.next_number += 1
        return self.outbox.put(written)

    cdef int pass_by(self, Call call) except -1:
        """The call has no part in the answer."""
        self.open()
        if self.ordered:
            return self.keep(call, [])
        self.next_number += 1
        return 0

    cdef int keep(self, Call call, list written) except -1:
        """Lets a result wait for those of earlier calls, and writes what has its turn now."""
        self.waiting[call.number] = written
        self.waiting_bytes += size_of(written)
        return self.write_waiting()

    cdef int write_waiting(self) except -1:
        cdef list written
        cdef Py_ssize_t size
        while self.waiting:
            written = self.waiting.pop(self.next_number, None)
            if written is None:
                break
            size = size_of(written)
            self.waiting_bytes -= size
            if size:
                self.separate()
            self.outbox.put(written)
            self.next_number += 1
        return 0

    cdef int end(self, const Summary* summary) except -1:
        """All results are written."""
        cdef Py_ssize_t before
        self.open()
        before = self.outbox.tail.size
        self.writer.end(self.outbox.tail, summary)
        self.ended = True
        return self.outbox.added(self.outbox.tail.size - before)

    cdef int forget_waiting(self) except -1:
        """The earlier results that some wait for will never be."""
        self.waiting.clear()
        self.waiting_bytes = 0
        return 0

    cdef int discard(self) except -1:
        """Nobody will take what is written."""
        return self.outbox.clear()

    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1:
        """Returns bytes. A GET whose answer is beyond a bound of the dialect becomes a 502."""
        try:
            fault("writer")
            return self.writer.write(out, call, result)
        except BadUpstreamBody as error:
            replace(result, str(error))
        except Exception as error:
            spoil(result, error)
        self.writer.made = None
        self.writer.cut = -1
        return self.writer.write(out, call, result)

    cdef list apart(self, Call call, Result result):
        """write() of a large result, in pieces."""
        try:
            fault("writer")
            return self.writer.apart(call, result)
        except Exception as error:
            spoil(result, error)
        self.writer.write(self.single, call, result)
        return [self.single.take()]

    cdef int separate(self) except -1:
        """What stands between two results of the dialect."""
        cdef Py_ssize_t before = self.outbox.tail.size
        if self.said and self.writer.separator is not None:
            self.outbox.tail.put_bytes(self.writer.separator)
            self.outbox.held += self.outbox.tail.size - before
        self.said = True
        return 0

    cdef int open(self) except -1:
        cdef Py_ssize_t before = self.outbox.tail.size
        if not self.opened:
            self.opened = True
            self.writer.begin(self.outbox.tail)
            self.outbox.held += self.outbox.tail.size - before
        return 0
