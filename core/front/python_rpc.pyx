"""A gRPC method in Python: health, reflection (FR-15). Not for what is hot, and it must never hold an unbounded queue.

Its coroutine is driven here, a step at a time, and not by the loop: it waits for nothing but what its PythonRpc offers. All
methods share two lines, of each of which a turn of the loop takes a few steps (PL-01), so that a Check does not wait for those
that last; to end one is no step. There is no coroutine before the first message has come: a call that has sent nothing
costs what any other does.
"""
from batchwire.core.errors import EnvelopeError
from batchwire.core.front.http2_stream cimport Http2Link
from batchwire.core.front.rpc cimport Rpc, STATUS_DEADLINE_EXCEEDED, STATUS_OK, STATUS_RESOURCE_EXHAUSTED

from collections import deque

cdef enum:
    STEPS = 16                # of each line in one turn of the loop
    LONGEST = 4096            # bytes of a message
    READ_AHEAD = 16           # messages that wait, from which on the client gets no more credit
    MOST_WAITING = 128        # of those that its credit is good for
    MOST_BYTES = 8192         # of these
    MOST_LONG = 16            # calls of a connection that last as long as their clients like

cdef str TOO_MANY = f"a connection may have {<int>MOST_LONG} calls of Watch and ServerReflectionInfo at once"


cdef class Pause:
    """Awaited once: the method goes on with its next step."""
    cdef bint passed

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.passed:
            raise StopIteration
        self.passed = True


cdef class PythonCalls:
    """Those of a listener that are open."""
    cdef object loop
    cdef object line, lasting                 # deques of PythonRpc: those that have something to do; the long ones
    cdef set open
    cdef bint due                             # on_turn() will be called
    cdef bint stopping

    def __init__(self, loop):
        self.loop = loop
        self.line = deque()
        self.lasting = deque()
        self.open = set()

    def stop(self):
        """Whoever waits, now or later, ends as UNAVAILABLE, behind what it has written."""
        cdef PythonRpc rpc
        self.stopping = True
        for rpc in self.open:
            rpc.resume()

    cdef int add(self, PythonRpc rpc) except -1:
        (self.lasting if rpc.long else self.line).append(rpc)
        return self.come_back()

    cdef int come_back(self) except -1:
        if not self.due:
            self.due = True
            self.loop.call_soon(self.on_turn)
        return 0

    def on_turn(self):
        cdef PythonRpc rpc
        self.due = False
        try:
            for line in (self.line, self.lasting):
                for _ in range(min(len(line), <Py_ssize_t>STEPS)):
                    rpc = line.popleft()
                    rpc.turn()
        finally:
            if self.line or self.lasting:
                self.come_back()


cdef class PythonRpc(Rpc):
    """method.run: async function of this object, which reads, writes, waits, and returns or raises EnvelopeError.
    method.long: whether it lasts as long as its client likes."""
    cdef PythonCalls calls
    cdef object method
    cdef object coroutine                     # None: it has not begun, or is over
    cdef bint running                         # in the middle of a step
    cdef bint queued                          # in the line
    cdef bint reading                         # it is the client's turn
    cdef bint long                            # counted so
    cdef list inbound                         # of bytes
    cdef Py_ssize_t inbound_bytes
    cdef object written                       # bytes or a list of them: what has been written and is not being sent yet
    cdef bint no_more

    def __init__(self, servicer, PythonCalls calls not None, method):
        self.expect(servicer, LONGEST)
        self.calls = calls
        self.method = method
        self.reading = True
        self.inbound = []

    def start(self):
        """The call is there."""
        cdef Http2Link connection = self.http2().connection
        if self.method.long:
            if connection.long_calls >= MOST_LONG:
                # Without details, which would cost more than the call.
                self.set_status(STATUS_RESOURCE_EXHAUSTED, TOO_MANY, None)
                return self.answer()
            connection.long_calls += 1
            self.long = True
        self.calls.open.add(self)

    # --- for the method

    async def read(self):
        """The next message, when what was written before is on its way, or None."""
        cdef bytes message
        while self.written is not None or not self.inbound and not self.no_more:
            self.reading = self.written is None
            await self.wait()
        self.reading = False
        if not self.inbound:
            return None
        message = self.inbound.pop(0)
        self.inbound_bytes -= len(message)
        self.on_input()
        return message

    async def sent(self):
        """Returns when what was written is on its way."""
        while self.written is not None:
            await self.wait()

    async def write(self, message):
        """Sends a message, bytes or a list of them, behind what was written before."""
        await self.sent()
        self.written = message
        self.answer()

    async def wait(self):
        """Returns after resume(), or for no reason. Raises EnvelopeError when the gateway stops."""
        if self.calls.stopping:
            raise EnvelopeError(503, "Stopping", "the gateway is stopping")
        await Pause()

    # --- its steps

    cpdef resume(self):
        """What the method waits for may have come."""
        if not self.queued and not self.done:
            self.queued = True
            self.calls.add(self)

    cdef int turn(self) except -1:
        """The next step."""
        self.queued = False
        if self.done or self.stream is None:
            return 0
        try:
            if self.coroutine is None:
                self.coroutine = self.method.run(self)
            self.step()
        except Exception as error:
            if self.stream is not None:
                self.stream.fail(error)
        return 0

    cdef int step(self) except -1:
        self.running = True
        try:
            self.coroutine.send(None)
        except StopIteration:
            self.coroutine = None
            self.set_status(STATUS_OK, "", None)
            return self.answer()
        except Exception as error:
            self.coroutine = None
            return self.fail(error)
        finally:
            self.running = False
        return self.on_gone(False) if self.done else 0

    # --- the stream's side

    cdef int on_message(self, bytes message) except -1:
        self.inbound_bytes += len(message)
        if len(self.inbound) >= MOST_WAITING or self.inbound_bytes > MOST_BYTES:
            raise EnvelopeError(429, "TooManyMessages", "too many messages wait for their answers: at most "
                                f"{MOST_WAITING}, of {MOST_BYTES} bytes")
        self.inbound.append(message)
        self.resume()
        return 0

    cdef int on_half_close(self) except -1:
        self.no_more = True
        self.resume()
        return 0

    cdef int end_input(self, object error) except -1:
        if error.code == "MessageTooLarge":   # not the bound that it names
            error = EnvelopeError(413, "MessageTooLarge", f"a message of this method has at most {LONGEST} bytes")
        return Rpc.end_input(self, error)

    cdef bint may_feed(self) except -1:
        return len(self.inbound) < READ_AHEAD

    cdef int on_settled(self) except -1:
        if self.timeout >= 0 and not self.done:
            self.start_alarm(self.timeout)
        return 0

    cdef int on_sweep(self, double t) except -1:
        if not self.done and t - self.last_activity > self.stream.ends.idle_seconds:
            if self.out is not None or self.written is not None:
                return self.stream.cut()      # the client takes nothing
            if self.reading and not self.inbound and not self.no_more:
                self.set_status(STATUS_DEADLINE_EXCEEDED, "the client sends nothing", None)
                return self.answer()
        return Rpc.on_sweep(self, t)

    cdef bint next_piece(self) except -1:
        if self.written is None:
            return False
        self.send(self.written)
        self.written = None
        self.resume()
        return True

    cdef bint at_end(self) except -1:
        return self.done and self.written is None

    cdef int drop(self) except -1:
        self.inbound.clear()
        return Rpc.drop(self)

    cdef int on_gone(self, bint cancelled) except -1:
        cdef object coroutine = self.coroutine
        if coroutine is not None and not self.running:
            self.coroutine = None
            coroutine.close()
        return 0

    cdef int on_close(self, bint whole) except -1:
        self.calls.open.discard(self)
        if self.long:
            self.long = False
            self.http2().connection.long_calls -= 1
        return Rpc.on_close(self, whole)
