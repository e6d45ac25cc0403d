"""One gRPC call on a stream of HTTP/2: messages in and out, deadline and status (grpc/doc/PROTOCOL-HTTP2.md).

Subclasses say what happens with a message and what is sent. `servicer` is the service behind: servicer.status(error) gives
(code, message, details) of an EnvelopeError. Must never know HTTP but for gRPC's use of it.
"""
from batchwire.core.alarms cimport alarms_of
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.front.grpc_messages cimport empty_messages, MessageReader, put_prefix
from batchwire.core.front.grpc_protocol import CODINGS, percent_encoded, timeout_seconds
from batchwire.core.front.http2_stream cimport field, Http2Stream
from batchwire.core.front.nghttp2 cimport nghttp2_nv
from batchwire.core.front.room cimport Room
from batchwire.core.front.stream cimport copy_part, FILL_TRAILERS, FillEnd, rest_of, Stream
from batchwire.core.front.unpacking cimport Backlog, MessageTaker
from batchwire.core.model cimport now
from batchwire.core.session.client_clock cimport too_slow
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy

cdef bytes CONTENT_TYPE = b"application/grpc"


cdef class Rpc(MessageTaker):
    cdef int expect(self, object servicer, Py_ssize_t max_message) except -1:
        """What a new call has; max_message: bytes of the longest message taken."""
        self.servicer = servicer
        self.timeout = -1
        self.reader = MessageReader(max_message)
        return 0

    cdef int begin(self, Http2Stream stream) except -1:
        """Reads the head. Raises EnvelopeError."""
        self.began = now()
        for name, value in stream.headers:
            if name == b"grpc-timeout":
                self.timeout = timeout_seconds(value)
            elif name == b"grpc-encoding":
                if value not in CODINGS:
                    raise EnvelopeError(501, "UnknownEncoding", "grpc-encoding may be identity, gzip or deflate")
                self.coding = CODINGS[value]
        if stream.too_large:
            raise EnvelopeError(413, "HeadersTooLarge", "the metadata are larger than limits.max_header_bytes "
                                f"({stream.connection.max_header_bytes} bytes)")
        return 0

    cdef Http2Stream http2(self):
        """gRPC goes over nothing else."""
        return <Http2Stream>self.stream

    # --- for subclasses

    cdef int on_half_close(self) except -1:
        """There are no more. May raise EnvelopeError."""
        raise NotImplementedError

    cdef bint may_feed(self) except -1:
        """Whether the client may send more, as far as the call is concerned."""
        return True

    cdef bint passes_over_empty(self) except -1:
        """Whether empty messages bring nothing, and are not handed over."""
        return False

    cdef bint reads_no_more(self) except -1:
        """Whether what comes of the request is of no use any more."""
        return False

    cdef Room new_room(self):
        """What counts that of the request which has come and is not handed over."""
        return Room.of(self, self.http2().connection.request_bound)

    cdef bint next_piece(self) except -1:
        """Puts what is to be sent next into `lead` and `out`; False: nothing now."""
        raise NotImplementedError

    cdef bint at_end(self) except -1:
        """Whether all messages have been sent, and set_status() has been called."""
        return self.done

    cdef int on_gone(self, bint cancelled) except -1:
        """The call has its status, or its client is gone. Called once."""
        return 0

    cdef list initial_headers(self):
        """[(name, value)] of the initial metadata."""
        return None

    cdef int send(self, object message) except -1:
        """Makes `message`, bytes or a list of them, what is sent next; for next_piece()."""
        self.put_out(message)
        self.lead_at = 0
        self.lead_size = put_prefix(self.lead, self.left_out())
        return 0

    cdef int put_out(self, object pieces) except -1:
        """Makes `pieces`, bytes or a list of them, what is sent behind `lead`."""
        cdef bytes piece
        if type(pieces) is list:
            self.more = <list>pieces
            self.more.reverse()
            self.out = self.more.pop()
            for piece in self.more:
                self.more_bytes += PyBytes_GET_SIZE(piece)
        else:
            self.out = pieces
        return 0

    cdef Py_ssize_t left_out(self) noexcept:
        """Bytes that are still to be sent behind `lead`."""
        return 0 if self.out is None else PyBytes_GET_SIZE(self.out) - self.out_at + self.more_bytes

    cdef int answer(self) except -1:
        """There is something to fill in, or the end. Called as often as one likes."""
        cdef nghttp2_nv[2] fields
        cdef list initial
        if self.stream is None:
            return 0
        if self.stream.answered:
            return self.stream.wake()
        if self.at_end():
            return self.trailers_only()
        initial = self.initial_headers()
        if initial:
            return self.stream.start(200, [(b"content-type", CONTENT_TYPE), *initial], True)
        field(&fields[0], ":status", 7, "200", 3)
        field(&fields[1], "content-type", 12, PyBytes_AS_STRING(CONTENT_TYPE), PyBytes_GET_SIZE(CONTENT_TYPE))
        return self.http2().respond(fields, 2, True)

    cdef int set_status(self, int code, str message, bytes details) except -1:
        """Decides the status, which is sent when everything else has been."""
        if self.done:
            return 0
        self.done = True
        self.last_activity = now()        # from here on the client has its time to take what is decided
        self.status = b"0" if code == 0 else b"%d" % code
        self.detail = percent_encoded(message) if message else None
        self.details = details
        self.stop_alarm()
        self.drop()
        if self.stream is not None:
            self.store()
        self.leave_room()
        return self.on_gone(False)

    cdef int end_input(self, object error) except -1:
        """What has come is no request: nothing more of it is read, and the call ends with this error."""
        self.deaf = True
        self.message_began = 0
        self.drop()
        self.store()
        return self.fail(error)

    cdef int refuse(self, object error) except -1:
        """end_input() behind the messages that came before."""
        if not self.waits():
            return self.end_input(error)
        self.deaf = True
        self.flaw = error
        return 0

    cdef bint waits(self) noexcept:
        """Whether messages have come that are still to be handed over."""
        return self.backlog is not None and not self.backlog.empty()

    cdef int drop(self) except -1:
        """What has come and has not been handed over is of no use."""
        self.reader.body = None
        if self.backlog is not None:
            self.backlog.close()
            self.backlog = None
        return self.release()

    cdef int fail(self, object error) except -1:
        """Ends with the status of an error, after what has been filled in already."""
        code, message, details = self.servicer.status(error)
        self.set_status(code, message, details)
        return self.answer()

    cdef int release(self) except -1:
        """What was held back of the request may be replaced by more of it."""
        cdef Py_ssize_t held = self.held
        self.held = 0
        if self.stream is not None:
            self.stream.consume(held)
        return 0

    # --- the stream's side

    cdef int on_data(self, const char* p, Py_ssize_t n) except -1:
        cdef bint complete = False, complete_one = False
        cdef Py_ssize_t empty
        cdef bytes message
        self.held += n
        if self.done or self.deaf:
            return self.release()
        if self.reads_no_more():
            self.deaf = True
            self.message_began = 0
            self.drop()
            self.store()
            return 0
        try:
            while n and not self.done:
                empty = empty_messages(p, n) if not self.reader.partial() and not self.waits() else 0
                if empty and self.passes_over_empty():
                    p += empty
                    n -= empty
                    continue
                used = self.reader.read(p, n, &complete)
                p += used
                n -= used
                if complete:
                    complete_one = True
                    message = self.reader.message
                    self.reader.message = None
                    if not self.reader.compressed and not self.waits():
                        self.on_message(message)
                        continue
                    if self.backlog is None:
                        self.backlog = Backlog.of(self, self.coding, self.reader.limit)
                    self.backlog.put(self.reader.compressed, message)
            if not self.store():
                raise EnvelopeError(413, "TooMuchUnfinished", "too many long messages are unfinished on the connection")
        except EnvelopeError as error:
            self.refuse(error)
        if not self.reader.partial():
            self.message_began = 0
        elif self.message_began == 0 or complete_one:
            self.message_began = now()
        # Where messages follow each other closely one is always unfinished: it waits, too (PL-13), but not by its clock.
        return self.proceed()

    cdef int proceed(self) except -1:
        """Hands over what waits, as far as may be now, and takes more of the request when there is nothing left."""
        cdef Backlog backlog = self.backlog   # a message may be the end of the call, which drops it
        try:
            if self.waits():
                backlog.go_on()
                if self.waits():
                    return self.release() if self.deaf else 0
            if self.flaw is not None:
                error = self.flaw
                self.flaw = None
                return self.end_input(error)
            if self.half_closed and not self.done and not self.deaf:
                self.half_closed = False
                self.on_half_close()
        except EnvelopeError as error:
            return self.end_input(error)
        return self.release() if self.held and self.may_take() else 0

    cdef bint may_take(self) except -1:
        """Whether the client may send more. If not, on_input() follows."""
        return self.may_feed() and (self.room is None or self.room.may_take())

    cdef int hold(self, Py_ssize_t held) except -1:
        held += self.stored
        if self.room is None:
            if held == 0:
                return 0
            self.room = self.new_room()
        return self.room.hold(held)

    cdef bint may_unpack(self, Py_ssize_t held) except -1:
        self.hold(held)
        return self.may_take()

    cdef int leave_room(self) except -1:
        """Nothing of the request is held any more."""
        if self.room is not None:
            self.room.close()
            self.room = None
        return 0

    cdef bint store(self) except -1:
        """Counts what is kept of an unfinished message; whether the connection may keep so much."""
        cdef Py_ssize_t now_stored = 0
        cdef bint fits
        if self.reader.body is not None and not self.done:
            now_stored = self.reader.filled
        fits = self.stream.store(now_stored - self.stored, self.reader.limit)
        self.stored = now_stored
        self.hold(0 if self.backlog is None else self.backlog.held())
        return now_stored == 0 or fits

    cdef int on_end(self) except -1:
        if self.done or self.deaf:
            return 0
        if self.reader.partial():
            return self.refuse(EnvelopeError(400, "BadMessage", "the request ends within a message"))
        self.half_closed = True
        return 0 if self.waits() else self.proceed()

    cdef int on_input(self) except -1:
        if self.message_began:
            self.message_began = now()
        return self.proceed()

    cdef int on_output(self) except -1:
        return self.answer()

    cdef int start_alarm(self, double seconds) except -1:
        self.stop_alarm()
        self.alarm = alarms_of(self.stream.ends.loop).after(seconds, self.on_alarm)
        return 0

    cdef int stop_alarm(self) except -1:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
        return 0

    def on_alarm(self):
        cdef Stream stream = self.stream
        self.alarm = None
        if self.done or stream is None:
            return
        try:
            fault("front.alarm")
            self.on_time_out()
        except Exception as error:
            stream.fail(error)

    cdef int on_time_out(self) except -1:
        self.set_status(STATUS_DEADLINE_EXCEEDED, "the deadline of the call is over", None)
        return self.answer()

    cdef int on_close(self, bint whole) except -1:
        self.stop_alarm()
        if not self.done:
            self.done = True
            self.drop()
            self.store()
            self.leave_room()
            return self.on_gone(True)
        return 0

    cdef int on_sweep(self, double t) except -1:
        cdef object flaw = None if self.done or self.room is None else self.room.flaw(t)
        if flaw is not None:
            return self.end_input(flaw)
        # What is held back is so because of others; may_take() would take its place in their line (PL-13).
        if not self.done and self.message_began and not self.held and too_slow(
                t - self.message_began, self.reader.filled, self.http2().connection.request_rate,
                self.stream.ends.idle_seconds):
            return self.end_input(EnvelopeError(408, "ClientTooSlow", "the message comes too slowly"))
        # A client that takes nothing of what is decided: nobody else looks after it any more.
        if self.done and t - self.last_activity > self.stream.ends.idle_seconds:
            return self.stream.cut()
        return 0

    # --- out

    cdef Py_ssize_t fill(self, char* p, Py_ssize_t size, FillEnd* end) except -1:
        cdef Py_ssize_t n = 0, part
        while n < size:
            if self.lead_at < self.lead_size:
                part = min(size - n, self.lead_size - self.lead_at)
                memcpy(p + n, &self.lead[self.lead_at], part)
                self.lead_at += <int>part
                n += part
            elif self.out is not None:
                n += copy_part(p + n, size - n, self.out, &self.out_at)
                if self.out_at == PyBytes_GET_SIZE(self.out):
                    self.out = None
                    self.out_at = 0
                    if self.more:
                        self.out = self.more.pop()
                        self.more_bytes -= PyBytes_GET_SIZE(self.out)
            elif not self.next_piece():
                break
        if self.out is not None:
            self.out = rest_of(self.out, &self.out_at)
        if n < size and self.at_end():
            self.put_trailers()
            end[0] = FILL_TRAILERS
        return n

    cdef size_t status_fields(self, nghttp2_nv* fields) except 0:
        cdef size_t n = 1
        field(&fields[0], "grpc-status", 11, PyBytes_AS_STRING(self.status), PyBytes_GET_SIZE(self.status))
        if self.detail is not None:
            field(&fields[n], "grpc-message", 12, PyBytes_AS_STRING(self.detail), PyBytes_GET_SIZE(self.detail))
            n += 1
        if self.details is not None:
            field(&fields[n], "grpc-status-details-bin", 23, PyBytes_AS_STRING(self.details),
                  PyBytes_GET_SIZE(self.details))
            n += 1
        return n

    cdef int put_trailers(self) except -1:
        cdef nghttp2_nv[3] fields
        return self.http2().trailers(fields, self.status_fields(fields))

    cdef int trailers_only(self) except -1:
        cdef nghttp2_nv[6] fields
        field(&fields[0], ":status", 7, "200", 3)
        field(&fields[1], "content-type", 12, PyBytes_AS_STRING(CONTENT_TYPE), PyBytes_GET_SIZE(CONTENT_TYPE))
        field(&fields[2], "grpc-accept-encoding", 20, "identity,gzip,deflate", 21)
        return self.http2().respond(fields, 3 + self.status_fields(&fields[3]), False)
