"""One HTTP request for who answers it in Python, bit by bit.

Flow control both ways: what read() has not taken stops the client, and drain() waits until the client has
taken what was written. Must never know what is asked for.
"""
from batchwire.core.front.stream cimport copy_part, FILL_LAST, FillEnd, Handler, rest_of, Stream
from batchwire.core.model cimport now
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import asyncio
from collections import deque

cdef enum:
    UNSENT_HIGH = 65536       # bytes above which drain() waits


cdef class HttpExchange(Handler):
    """`on_lost` is called when the client goes before the answer has ended."""

    def __init__(self, Stream request not None):
        self.request = request
        request.opaque = True
        self.hears_out = True
        self.inbound = deque()
        self.outbound = deque()

    # --- the request

    async def read(self):
        """The next bytes of the body; b"" at its end, None when the client is gone or the answer has ended.

        Raises EnvelopeError where `hears_damage` and what follows is framed wrongly.
        """
        while not self.inbound and not self.request.ended and not self.lost and not self.finished \
                and self.damage is None:
            # An application may wait in several tasks, and cancel one of them: all wait for the same.
            if self.reading is None or self.reading.done():
                self.reading = self.request.ends.loop.create_future()
            await asyncio.shield(self.reading)
        if self.inbound:
            data = self.inbound.popleft()
            self.unread -= len(data)
            if self.stream is not None:
                self.stream.consume(len(data))
            return data
        if self.damage is not None and not self.lost and not self.finished:
            raise self.damage
        return None if self.lost or self.finished else b""

    async def gone(self):
        """Returns when the client is gone or the answer has ended: nothing more is to be read."""
        while not self.lost and not self.finished:
            if self.reading is None or self.reading.done():
                self.reading = self.request.ends.loop.create_future()
            await asyncio.shield(self.reading)

    def store(self, Py_ssize_t size, Py_ssize_t longest):
        """Whether the connection may keep `size` bytes, in place of those said before, of an unfinished message.

        longest: bytes that one message may have.
        """
        cdef Py_ssize_t more = size - self.stored
        if self.stream is None or self.finished:
            return True
        self.stored = size
        self.count()
        return self.stream.store(more, longest) or size == 0

    def bound_memory(self, Py_ssize_t bound):
        """What has come of the request counts from now on (PL-13). bound: bytes of requests in the process."""
        self.room = Room.of(self, bound)
        self.count()

    def hand_over(self, Session session not None):
        """It counts for this batch from now on, as does what the client has not taken of the answer (AN-05). Before the
        batch is fed."""
        self.session = session
        if self.stream is not None:
            session.answered_by(self)
        if self.room is not None:
            self.room.hand_over(session)

    def at_work(self):
        """What has come is worked at: up to wait_room() nobody waits for the client (PL-13)."""
        if self.room is not None:
            self.room.hold_up()

    def let_go(self):
        """Whoever read the request has let go of it: with bound_memory() this follows, whatever has come to an end."""
        if self.room is not None:
            self.room.close()
            self.room = None

    async def wait_room(self):
        """Returns when more should be read. Raises EnvelopeError where that will never be."""
        while not self.lost and not self.finished:
            if self.damage is not None and self.session is None:
                raise self.damage
            if self.room is None:
                return
            if self.room.may_take():
                if self.unread:
                    self.room.leaves_unread(self.unread)
                return
            if self.session is not None:
                await self.session.wait_input()
                continue
            if self.reading is None or self.reading.done():
                self.reading = self.request.ends.loop.create_future()
            await asyncio.shield(self.reading)

    # --- the answer

    def owe(self, Py_ssize_t size):
        """So many bytes of the answer are there and are still to be written."""
        self.owed = size
        self.count_answer()

    def go_ahead(self):
        """Says 100 Continue (RFC 9110 10.1.1)."""
        if self.stream is not None:
            self.stream.go_ahead()

    def start(self, int status, list headers not None, bint body):
        """Sends the head; headers: [(name, value)], bytes, names in lower case. body: one follows."""
        if self.stream is None:
            return
        self.stream.start(status, headers, body)
        self.last_activity = now()
        if not body:
            self.finish()

    def write(self, bytes data not None):
        """Sends bytes of the body."""
        if data and self.stream is not None and not self.finished:
            self.outbound.append(data)
            self.unsent += len(data)
            self.count_answer()
            self.stream.wake()

    async def drain(self):
        """Returns when more should be written."""
        while self.unsent > UNSENT_HIGH and not self.lost:
            if self.writing is None or self.writing.done():
                self.writing = self.request.ends.loop.create_future()
            await asyncio.shield(self.writing)

    def end(self):
        """There is no more body."""
        if self.stream is not None and not self.finished:
            self.finish()
            self.stream.wake()

    def end_broken(self):
        """Ends the answer in such a way that nobody takes it for complete, after what has been written (ER-07)."""
        self.on_lost = None
        if self.stream is not None and not self.finished:
            self.broken = True
            self.finish()
            if self.stream.answered:
                self.stream.wake()
            else:
                self.stream.break_off()  # there is no head yet, so nothing is ever filled in

    def unsent_bytes(self):
        """Bytes of the answer that the client has not taken."""
        return self.unsent if self.stream is None else self.unsent + self.stream.unsent()

    def abort(self):
        """Ends the stream at once; what the client has not taken is lost."""
        self.on_lost = None
        if self.stream is not None:
            self.stream.cut()

    # --- the stream's side

    cdef int finish(self) except -1:
        """The answer has no more; what has come of the request is wanted by nobody."""
        self.finished = True
        self.last_activity = now()            # from here on the client has its time to take the rest
        if self.stream is not None:
            self.forget_stored()
            self.stream.consume(sum(map(len, self.inbound)))
        self.inbound.clear()
        return self.stir(self.reading)

    cdef int forget_stored(self) except -1:
        self.stream.store(-self.stored, 0)
        if self.room is not None:
            self.room.part(self.stored)
        self.stored = self.unread = 0
        return 0

    cdef int count(self) except -1:
        """Of the request."""
        return 0 if self.room is None else self.room.hold(self.stored + self.unread)

    cdef int count_answer(self) except -1:
        # Who writes it may still be at work on what nobody will be sent.
        return 0 if self.session is None else self.session.front_keeps(0 if self.stream is None else self.unsent + self.owed)

    cdef int on_data(self, const char* p, Py_ssize_t n) except -1:
        if self.finished:
            return self.stream.consume(n)
        self.inbound.append(PyBytes_FromStringAndSize(p, n))
        self.unread += n
        self.count()
        return self.stir(self.reading)

    cdef bint on_damaged(self, object error) except -1:
        if not self.hears_damage or self.finished:
            return False
        self.damage = error
        self.stir(self.reading)
        return True

    cdef int on_end(self) except -1:
        return self.stir(self.reading)

    cdef int on_input(self) except -1:
        return self.stir(self.reading)

    cdef int on_taken(self, double t) except -1:
        self.last_activity = t
        return 0 if self.session is None else self.session.client_takes(t)

    cdef int on_stalled(self) except -1:
        self.stalled = True
        return 0

    cdef int on_close(self, bint whole) except -1:
        on_lost, self.on_lost = self.on_lost, None
        self.lost = not (self.finished and whole)
        self.inbound.clear()
        self.outbound.clear()
        self.unsent = self.owed = 0
        self.count_answer()
        if self.session is not None:
            self.session.answered_by(None)
        self.forget_stored()
        self.stir(self.reading)
        self.stir(self.writing)
        if self.lost and on_lost is not None:
            on_lost()
        return 0

    cdef int on_sweep(self, double t) except -1:
        if self.room is not None and self.damage is None:
            self.damage = self.room.flaw(t)
            if self.damage is not None:
                return self.stir(self.reading)
        # A client that takes nothing of an answer that has ended: nobody else looks after it any more.
        if self.finished and t - self.last_activity > self.stream.ends.idle_seconds:
            self.on_stalled()
            return self.stream.cut()
        return 0

    cdef Py_ssize_t fill(self, char* p, Py_ssize_t size, FillEnd* end) except -1:
        cdef Py_ssize_t n = 0
        cdef bytes data
        while n < size and self.outbound:
            data = self.outbound[0]
            n += copy_part(p + n, size - n, data, &self.sent)
            if self.sent == PyBytes_GET_SIZE(data):
                self.outbound.popleft()
                self.sent = 0
        if self.outbound:
            self.outbound[0] = rest_of(self.outbound[0], &self.sent)
        self.unsent -= n
        self.count_answer()
        if self.unsent <= UNSENT_HIGH:
            self.stir(self.writing)
        if self.finished and not self.outbound:
            if self.broken:
                if n == 0:
                    self.stream.break_off()
                else:
                    self.stream.wake()
            else:
                end[0] = FILL_LAST
        return n
