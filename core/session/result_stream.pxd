from batchwire.core.dialects.base cimport Summary, Writer
from batchwire.core.dialects.body_pieces cimport BodyPieces
from batchwire.core.model cimport Buffer, Call, Result
from batchwire.core.session.outbox cimport Outbox
from libc.stdint cimport uint64_t

cdef class ResultStream:
    """The answer of a batch, from results to the bytes that a front takes. See result_stream.pyx."""
    cdef Writer writer
    cdef Outbox outbox

    @staticmethod
    cdef ResultStream of(Writer writer, double began, bint ordered, bint one_message, Py_ssize_t window_bytes)
    cdef readonly bint ordered              # in request order (GW-23)
    cdef bint one_message                   # Execute: all of the answer is one message
    cdef Py_ssize_t most                    # bytes that a message may have
    cdef bint opened                        # the beginning of the document is written
    cdef bint ended                         # and its end
    cdef bint said                          # a result is written
    cdef uint64_t next_number               # in request order that of the earliest call without a result; else a count
    cdef dict waiting                       # number -> list of bytes of a result that waits for earlier ones
    cdef Py_ssize_t waiting_bytes
    cdef Py_ssize_t unwritten               # bytes of results that are there and not written yet
    cdef Py_ssize_t making                  # of these, what those that are in the making become
    cdef uint64_t first_late                # number of the first call whose result waits to be written; 0: maybe none
    cdef Py_ssize_t kept                    # bytes that the front has taken, and that wait with it for the client
    cdef Py_ssize_t window_bytes            # most that they may have; the last may exceed it
    cdef Buffer single                      # one result, before it is known whether it has to wait
    cdef int bound(self, Py_ssize_t max_message, bint parts) except -1
    cdef int require_fit(self) except -1
    cdef int put(self, Call call, Result result) except -1
    cdef int put_said(self, Call call, Result result, tuple said, BodyPieces made) except -1
    cdef int put_made(self, Call call, Result result, BodyPieces made) except -1
    cdef int put_written(self, Call call, list written) except -1
    cdef list apart(self, Call call, Result result)
    cdef int pass_by(self, Call call) except -1
    cdef int end(self, const Summary* summary) except -1
    cdef int forget_waiting(self) except -1
    cdef int discard(self) except -1
    cdef Py_ssize_t unsent(self) noexcept
    cdef uint64_t taken(self) noexcept
    cdef int keep_order(self) except -1
    cdef bint earlier_first(self) noexcept
    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1
    cdef int keep(self, Call call, list written) except -1
    cdef int write_waiting(self) except -1
    cdef int open(self) except -1
    cdef int separate(self) except -1

    # Asked several times a call:

    cdef inline Py_ssize_t untaken(self) noexcept:
        """Bytes that are written and that the front has not taken."""
        return self.outbox.held

    cdef inline Py_ssize_t to_take(self) noexcept:
        """Bytes that wait for the client alone. Nobody can take any before the end of one message."""
        return self.kept if self.one_message and not self.ended else self.outbox.held + self.kept

    cdef inline bint window_full(self) noexcept:
        return self.waiting_bytes >= self.window_bytes

    cdef inline bint waits_for_earlier(self) noexcept:
        """Whether results that are not written wait for that of an earlier call, and not for the client alone."""
        return self.ordered and self.first_late > self.next_number

cdef int spoil(Result result, object error) except -1
cdef int replace(Result result, str message) except -1
