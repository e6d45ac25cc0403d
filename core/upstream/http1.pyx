"""One HTTP/1.1 connection to an upstream: sends a call, reads its answer, then is free for the next.

An asyncio protocol on a uvloop transport. Carries one call at a time (pipelining gains nothing, see
docs/architecture.md). Must never decide which call runs next: that is the pool's and the batch's business.
"""
from batchwire.core.faults cimport fault
from batchwire.core.methods cimport is_repeatable
from batchwire.core.model cimport CARRIED, Buffer, Call, now
from batchwire.core.sending cimport is_quiet, send_now
from batchwire.core.upstream.base cimport COUNTED, CallOwner, Inlet
from batchwire.core.upstream.http1_answer cimport ANSWER_DONE, Answer
from batchwire.core.upstream.read_turns cimport read_turns_of
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

import logging
from ssl import SSLError

_log = logging.getLogger("batchwire.core")

cdef enum:
    INLINE_BODY = 16384        # bodies up to this size are sent in one piece with the head


cdef inline char* added(char* p, bytes b) noexcept:
    memcpy(p, PyBytes_AS_STRING(b), PyBytes_GET_SIZE(b))
    return p + PyBytes_GET_SIZE(b)


cdef bint may_repeat(Call call) except -1:
    """Whether a call may be sent once more when it is not known whether it has been run: where the answer to the
    second is that of the first (GW-15). That of a DELETE, or of a PUT with conditions, would be 404 or 412."""
    cdef bytes block
    if not is_repeatable(call.method) or PyBytes_AS_STRING(call.method)[0] == c'D':
        return False
    if PyBytes_AS_STRING(call.method)[0] == c'P':
        for block in (call.head, call.extra):
            if block and b"\nif-" in b"\n" + block.lower():
                return False
    return True


cdef class ConnectionPool(Upstream):
    cdef int answered(self, HttpConnection connection, Call call) except -1:
        raise NotImplementedError

    cdef int broke(self, HttpConnection connection, Call call, bint unanswered) except -1:
        raise NotImplementedError

    cdef int gone(self, HttpConnection connection) except -1:
        raise NotImplementedError


cdef class HttpConnection(Inlet):
    def __init__(self, ConnectionPool pool not None, Py_ssize_t max_head):
        self.pool = pool
        self.turns = read_turns_of(pool.loop)
        self.answer = Answer(max_head, pool.max_response_bytes)
        self.fd = self.socket = -1
        self.slot = -1

    # --- asyncio.Protocol

    def connection_made(self, transport):
        self.transport = transport
        self.socket = transport.get_extra_info("socket").fileno()
        if transport.get_extra_info("ssl_object") is None:
            self.fd = self.socket

    def data_received(self, bytes data):
        cdef Answer answer = self.answer
        if self.call is None:
            # Bytes that nobody asked for: whatever they answer, it is no call of ours.
            self.shut()
            return
        try:
            fault("upstream.data")
            answer.feed(data)
        except Exception as error:
            _log.error("an answer could not be read", exc_info=error, extra={"upstream": self.pool.name})
            answer.broken("the gateway could not read its answer")
        if answer.state >= ANSWER_DONE:
            self.response_complete()
        elif answer.received() >= COUNTED:
            self.length = answer.length()
            (<CallOwner>self.call.owner).incoming(self, self.call, answer.received())
            self.turns.spend(self, PyBytes_GET_SIZE(data))

    cdef int rest(self) except -1:
        if not self.closed:
            self.transport.pause_reading()
        return 0

    cdef int read_on(self) except -1:
        if not self.closed and self.paused_since == 0:
            self.transport.resume_reading()
        return 0

    cdef int pause_reading(self) except -1:
        """AN-05: leaves the rest of the answer to the upstream's and the kernel's buffers."""
        if not self.closed:
            self.transport.pause_reading()
        self.paused_since = now()
        self.delayed = True
        return 0

    cdef int resume_reading(self) except -1:
        if not self.closed and not self.rests:
            self.transport.resume_reading()
        if self.paused_since:
            self.paused += now() - self.paused_since
            self.paused_since = 0
        return 0

    def eof_received(self):
        if self.call is not None:
            self.answer.eof()
            if self.answer.state == ANSWER_DONE:
                self.response_complete()
        return False

    def connection_lost(self, exc):
        cdef Call call = self.call
        self.closed = True
        self.fd = self.socket = -1
        self.transport = None
        try:
            if call is not None:
                # With TLS too, an end that was told has come by eof_received().
                self.answer.lost()
                self.response_complete()
            if self.address is not None and not self.kept and isinstance(exc, SSLError):
                # OP-18: with TLS 1.3 a client hears behind its handshake that its certificate is refused.
                self.pool.connect_log.add(address=self.address, reason=exc.strerror)
        finally:
            self.pool.gone(self)

    def pause_writing(self):
        """The request of the one running call is bounded already (max_call_bytes)."""

    def resume_writing(self):
        pass

    # --- for the pool

    cdef double waited(self, double t) noexcept:
        """Seconds that the running answer was not read for want of room (AN-05)."""
        return self.paused + (t - self.paused_since if self.paused_since else 0)

    cdef bint may_give_back(self) except -1:
        """AN-09: whether its answer waits for room and may be asked for again: that of a GET which travels alone."""
        return self.paused_since > 0 and self.call is not None and self.call.members is None and self.call.method == b"GET"

    cdef bint fits(self, Call call) except -1:
        """Whether the call may have this connection, which was kept for it. One that cannot be sent again (GW-15)
        looks first for what the loop has not told yet: the upstream's end, or bytes that nobody asked for and that
        would pass for its answer. With TLS, whatever has come is one or the other: nothing was asked for."""
        return not self.kept or may_repeat(call) or is_quiet(self.socket)

    cdef int send(self, Call call) except -1:
        """Sends its call; the end reaches pool.answered() or pool.broke(). Raises only while `call` stands."""
        cdef Buffer out = self.pool.scratch
        cdef char* p
        cdef Py_ssize_t sent, body = call.body_len if call.body_owner is not None else 0
        self.handed_over = False
        self.unsent = True
        self.paused = self.paused_since = 0
        self.delayed = False
        self.answer.start(call.method == b"HEAD")
        self.answer.max_body = self.pool.max_response_bytes
        if call.members is not None:
            self.answer.max_body *= CARRIED
        fault("upstream.send")
        out.size = 0
        # Room for all of the head at once; 64 is more than the constant parts take.
        out.grow(PyBytes_GET_SIZE(call.method) + PyBytes_GET_SIZE(call.target) + PyBytes_GET_SIZE(call.head)
                 + PyBytes_GET_SIZE(self.pool.host_line) + 64)
        p = added(out.data, call.method)
        p[0] = 32
        p = added(p + 1, call.target)
        memcpy(p, " HTTP/1.1\r\n", 11)
        p = added(p + 11, self.pool.host_line)
        p = added(p, call.head)
        out.size = p - out.data
        if call.extra is not None:
            out.put_bytes(call.extra)
        # RFC 9110 8.6: a length of 0 is said for methods that usually have a body, not for GET.
        if call.body_owner is not None or call.method == b"POST" or call.method == b"PUT" or call.method == b"PATCH" \
                or call.method == b"MERGE":
            out.put("Content-Length: ", 16)
            out.put_uint(body)
            out.put("\r\n", 2)
        out.put("\r\n", 2)
        if 0 < body <= INLINE_BODY:
            out.put(call.body_ptr, body)
            body = 0
        sent = self.write_now(out.data, out.size)
        fault("upstream.sent")
        if sent < 0:
            # The kernel says that the connection is dead; connection_lost() would come later.
            self.answer.eof()
            return self.response_complete()
        self.unsent = sent == 0 and self.fd >= 0
        if sent < out.size:
            self.hand_over(PyBytes_FromStringAndSize(out.data + sent, out.size - sent))
            if body:
                self.hand_over(memoryview(call.body_owner)[call.body_ptr - PyBytes_AS_STRING(call.body_owner):][:body])
        elif body:
            sent = self.write_now(call.body_ptr, body)
            if sent < 0:
                self.answer.eof()
                return self.response_complete()
            if sent < body:
                sent += call.body_ptr - PyBytes_AS_STRING(call.body_owner)
                body += call.body_ptr - PyBytes_AS_STRING(call.body_owner)
                self.hand_over(memoryview(call.body_owner)[sent:body])
        return 0

    cdef int hand_over(self, object rest) except -1:
        """Leaves to the transport what the kernel does not take now."""
        self.handed_over = True
        self.unsent = False
        self.transport.write(rest)
        return 0

    cdef Py_ssize_t write_now(self, const char* p, Py_ssize_t n) except -2:
        """Writes past the transport, whose buffer is empty between calls; -1: the connection is dead."""
        if self.fd < 0:
            return 0 if not self.closed else -1
        return send_now(self.fd, p, n)

    cdef int response_complete(self) except -1:
        """The answer is whole or broken: frees the connection and hands the call over."""
        cdef Call call = self.call
        cdef Answer answer = self.answer
        cdef bint reusable
        if self.inflow is not None:
            (<CallOwner>call.owner).came_in(self)
        self.call = None
        if answer.state == ANSWER_DONE:
            self.kept = True
            reusable = answer.keep_alive and not self.closed
            # An answer before the whole request was sent leaves the rest of it in the way of the next.
            if reusable and self.handed_over and self.transport.get_write_buffer_size() != 0:
                reusable = False
            if not reusable:
                self.shut()
            return self.pool.answered(self, call)
        self.shut()
        return self.pool.broke(self, call, not answer.begun)

    cdef int shut(self) except -1:
        """Closes at once; gone() follows when the loop says so."""
        if self.inflow is not None:
            (<CallOwner>self.answering.owner).came_in(self)
        if not self.closed:
            self.closed = True
            self.fd = self.socket = -1
            if self.transport is not None:
                self.transport.abort()
        return 0
