"""The methods of BatchService on the native front: a session behind each call, bytes straight through.

`servicer.opener` opens a batch of messages; `servicer.open_document(content type, metadata, peer, seconds left, only JSON)` one of
documents: it gives (batch, content type of the answer's documents, initial metadata). Must never look into a call or a
result.
"""
from batchwire.core.dialects.wire cimport Field, field_at, next_field, varint_at, WIRE_BYTES
from batchwire.core.errors import EnvelopeError
from batchwire.core.front.grpc_messages cimport put_prefix
from batchwire.core.front.room cimport Room
from batchwire.core.front.rpc cimport LEAD, Rpc, STATUS_OK
from batchwire.core.front.stream cimport FillEnd
from batchwire.core.model cimport now
from batchwire.core.session.session cimport Session
from batchwire.core.session.watch import no_room
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

cdef enum:
    CONTENT_TYPE = 1          # fields of google.api.HttpBody
    DATA = 2
    PREFIX = 5
    MAX_CONTENT_TYPE = LEAD - PREFIX - 12  # beside two keys and two lengths


cdef class BatchRpc(Rpc):
    @staticmethod
    cdef BatchRpc of(object servicer, RpcOpener opener, Py_ssize_t max_message, int kind):
        """kind: which method it is. max_message: see Rpc."""
        cdef BatchRpc made = BatchRpc.__new__(BatchRpc)
        made.expect(servicer, max_message)
        made.opener = opener
        made.kind = kind
        return made

    cdef int open(self, bytes first) except -1:
        """Opens the batch that the first message is for. Raises EnvelopeError."""
        cdef double left = -1
        if self.timeout >= 0:
            left = max(self.timeout - (now() - self.began), 0.0)
        if self.kind < KIND_JSON:
            self.batch = self.opener.open(first, self.stream.headers, self.stream.ends.peer, left,
                                          self.kind == KIND_EXECUTE)
        else:
            self.batch, self.content_type, self.metadata = self.servicer.open_document(
                body_field(first, CONTENT_TYPE), self.stream.headers, self.stream.ends.peer, left,
                self.kind == KIND_JSON)
        self.session = self.batch.session
        self.session.listen(self)
        self.session.answered_by(self)
        if self.content_type is not None and PyBytes_GET_SIZE(self.content_type) > MAX_CONTENT_TYPE:
            raise EnvelopeError(500, "InternalError", "the content type of the answer is too long")
        if left >= 0:
            self.start_alarm(left)
        else:
            self.stop_alarm()
        return 0

    cdef int on_settled(self) except -1:
        cdef double idle = self.stream.ends.idle_seconds
        if self.session is None and not self.done:
            self.start_alarm(self.timeout if self.timeout >= 0 else idle)
        return 0

    cdef int on_time_out(self) except -1:
        cdef Batch batch
        cdef double more = self.last_activity + self.stream.ends.idle_seconds - now()
        if self.timeout < 0 and more > 0:
            # A first message that is on its way may take its time.
            return self.start_alarm(more)
        # Settled first: the end of the session would say that the gateway stopped it.
        batch = self.batch
        self.batch = None
        error = EnvelopeError(408, "DeadlineExceeded", "the deadline of the call is over")
        if self.session is None and self.room is not None and self.room.waits():
            error = no_room("the first message was not read on")
        if self.session is None:
            self.refused(error)
        else:
            error.started = self.session.launched
        Rpc.fail(self, error)
        if batch is not None:
            batch.close("deadline")
        return 0

    cdef int fail(self, object error) except -1:
        """Ends the batch so; where there is one, what had been started of it gives its results first (GW-21)."""
        if self.session is None:
            if not self.done:
                self.refused(error)
            return Rpc.fail(self, error)
        self.session.fail(error)
        return 0

    cdef int refused(self, object error) except -1:
        """OP-14: the call ends before it had a batch, whose end would have been told."""
        self.servicer.refused(error, self.stream.ends.peer)
        return 0

    # --- in

    cdef int on_message(self, bytes message) except -1:
        if self.session is None:
            self.open(message)
            if self.room is not None:
                self.room.hand_over(self.session)
        elif self.reads_no_more():
            return 0
        elif self.kind == KIND_EXECUTE:
            raise EnvelopeError(501, "TooManyMessages", "Execute takes one message")
        self.session.feed(message if self.kind < KIND_JSON else body_field(message, DATA))
        return 0

    cdef bint passes_over_empty(self) except -1:
        if self.session is None or self.kind == KIND_EXECUTE:
            return False
        self.session.hears()
        return True

    cdef int on_half_close(self) except -1:
        if self.session is None:
            if self.kind == KIND_EXECUTE:
                raise EnvelopeError(501, "NoMessage", "Execute takes one message")
            self.on_message(b"")
        self.session.feed_end()
        return 0

    cdef bint may_feed(self) except -1:
        return self.session is None or self.session.wants_input()

    cdef bint reads_no_more(self) except -1:
        return self.session is not None and (self.session.is_over() or self.session.failure is not None)

    cdef Room new_room(self):
        cdef Room room = Rpc.new_room(self)
        if self.session is not None:
            room.hand_over(self.session)
        return room

    # --- out

    cdef int on_output(self) except -1:
        if self.session.is_over():
            self.last_activity = now()
            self.check_end()
        return self.answer()

    cdef list initial_headers(self):
        return self.metadata

    cdef bint next_piece(self) except -1:
        cdef Session session = self.session
        if session is None:
            return False
        if self.kind == KIND_EXECUTE:
            # One message, which is known when everything is.
            if not session.is_over() or session.unsent() == 0 or session.failure is not None:
                return False
            if not self.whole:
                self.whole = True
                self.lead_at = 0
                self.lead_size = put_prefix(self.lead, session.unsent())
            self.put_out(session.take_chunk(True))
        else:
            if not session.has_output() or session.unsent() == 0:
                return False
            self.send(session.take_chunk(True))
            if self.content_type is not None:
                self.lead_size = self.wrap(self.left_out())
        if session.is_over():
            self.check_end()
        return True

    cdef Py_ssize_t fill(self, char* p, Py_ssize_t size, FillEnd* end) except -1:
        cdef Py_ssize_t n = Rpc.fill(self, p, size, end)
        if self.session is not None:
            self.session.front_keeps(self.left_out())
        return n

    cdef int wrap(self, Py_ssize_t n) except -1:
        """What stands before n bytes of data in an HttpBody message, its prefix included."""
        cdef char* p = &self.lead[PREFIX]
        p = field_at(p, 0x0a, PyBytes_AS_STRING(self.content_type), PyBytes_GET_SIZE(self.content_type))
        p[0] = 0x12
        p = varint_at(p + 1, n)
        put_prefix(self.lead, p - &self.lead[PREFIX] + n)
        return <int>(p - self.lead)

    cdef int on_taken(self, double t) except -1:
        self.last_activity = t
        if self.session is not None:
            self.session.client_takes(t)
        return 0

    cdef int on_sweep(self, double t) except -1:
        if self.session is not None and not self.done:
            self.session.check_idle()
        if self.batch is not None and self.session.is_over() and t - self.last_activity > self.stream.ends.idle_seconds:
            # The session looks after its client until it has finished; what is left to send may be stuck.
            self.on_stalled()
            return self.stream.cut()
        return Rpc.on_sweep(self, t) if self.stream is not None else 0

    cdef int on_stalled(self) except -1:
        return 0 if self.batch is None else self.batch.stalled()

    # --- the end

    cdef int check_end(self) except -1:
        """The session has finished: its status follows what is left to send."""
        cdef Session session = self.session
        cdef object failure = session.failure
        if self.done:
            return 0
        if failure is None and session.was_cancelled():
            failure = self.servicer.stopped(session)
        if failure is None:
            return self.set_status(STATUS_OK, "", None) if session.unsent() == 0 else 0
        if session.unsent() and self.kind != KIND_EXECUTE:
            return 0
        code, message, details = self.servicer.status(failure)
        return self.set_status(code, message, details)

    cdef int on_gone(self, bint cancelled) except -1:
        if self.session is not None:
            self.session.listen(None)
        if cancelled or self.stream is None or not self.stream.ended:
            # The stream of a request that is not whole may end with a reset, though the client has everything.
            self.close("cancelled" if cancelled else "ok")
        return 0

    cdef int on_close(self, bint whole) except -1:
        Rpc.on_close(self, whole)
        if self.session is not None:
            self.session.answered_by(None)
        return self.close("ok" if whole and self.out is None else "cancelled")

    cdef int close(self, str ended) except -1:
        """The batch is counted, and told."""
        cdef Batch batch = self.batch
        self.batch = None
        if batch is not None:
            batch.close(ended)
        return 0


cdef bytes body_field(bytes message, int number):
    """A field of an HttpBody. Raises EnvelopeError."""
    cdef const char* p = PyBytes_AS_STRING(message)
    cdef const char* end = p + PyBytes_GET_SIZE(message)
    cdef Field found
    cdef bytes data = b""
    while p < end:
        p = next_field(p, end, &found)
        if p == NULL:
            raise EnvelopeError(400, "BadMessage", "the message is not a valid protobuf message")
        if found.number == number and found.type == WIRE_BYTES:
            data = PyBytes_FromStringAndSize(found.data, found.size)
    return data
