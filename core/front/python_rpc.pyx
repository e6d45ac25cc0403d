"""A gRPC method in Python: health, reflection. Not for what is hot, and it must never hold an unbounded queue."""
from batchwire.core.front.rpc cimport Rpc, STATUS_DEADLINE_EXCEEDED, STATUS_OK

from collections import deque

cdef enum:
    QUEUED = 16               # messages each way


cdef class PythonRpc(Rpc):
    """method: async function of this object, which reads, writes, and returns or raises EnvelopeError."""
    cdef object method, task, reading, writing
    cdef object inbound, outbound                 # deques of bytes
    cdef bint no_more

    def __init__(self, servicer, method):
        self.expect(servicer, servicer.max_message)
        self.method = method
        self.inbound = deque()
        self.outbound = deque()

    def start(self):
        """Runs the method."""
        self.task = self.stream.ends.loop.create_task(self.method(self))
        self.task.add_done_callback(self.on_done)

    async def read(self):
        """The next message, or None."""
        while not self.inbound and not self.no_more:
            self.reading = self.stream.ends.loop.create_future()
            await self.reading
        if not self.inbound:
            return None
        message = self.inbound.popleft()
        self.on_input()
        return message

    async def write(self, bytes message not None):
        """Sends a message, when the client takes it."""
        while len(self.outbound) >= QUEUED:
            self.writing = self.stream.ends.loop.create_future()
            await self.writing
        self.outbound.append(message)
        self.answer()

    def on_done(self, task):
        """The method has returned, raised, or was cancelled because nobody waits for it."""
        error = None if task.cancelled() else task.exception()
        self.task = None
        if self.stream is None:
            return
        if error is not None:
            self.fail(error)
        else:
            self.set_status(STATUS_OK, "", None)
            self.answer()

    cdef int on_message(self, bytes message) except -1:
        self.inbound.append(message)
        return self.stir(self.reading)

    cdef int on_half_close(self) except -1:
        self.no_more = True
        return self.stir(self.reading)

    cdef bint may_feed(self) except -1:
        return len(self.inbound) < QUEUED

    cdef int on_settled(self) except -1:
        if self.timeout >= 0 and not self.done:
            self.start_alarm(self.timeout)
        return 0

    cdef int on_sweep(self, double t) except -1:
        cdef double idle = self.stream.ends.idle_seconds
        if self.reading is not None and not self.reading.done() and not self.done and t - self.last_activity > idle:
            self.set_status(STATUS_DEADLINE_EXCEEDED, "the client sends nothing", None)
            return self.answer()
        return Rpc.on_sweep(self, t)

    cdef bint next_piece(self) except -1:
        if not self.outbound:
            return False
        self.send(self.outbound.popleft())
        self.stir(self.writing)
        return True

    cdef bint at_end(self) except -1:
        return self.done and not self.outbound

    cdef int on_gone(self, bint cancelled) except -1:
        if self.task is not None:
            self.task.cancel()
        return 0
