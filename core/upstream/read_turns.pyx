"""How much of large answers is read in one turn of the loop, of all connections together (PL-01).

libuv reads up to 32 times from a connection that has more, so that upstreams that are fast would fill a turn with tens of
megabytes. When a turn has had enough, every connection rests after its next read; in the next turn as many go on as it
has room for, in their order. Must never know what is read.
"""
from collections import deque

cdef enum:
    TURN_READ = 2097152       # bytes
    READ = 262144             # that one read may bring

cdef ReadTurns current = None
cdef unsigned long long rests = 0


def stats():
    """Debug counters: how often a connection has rested, since the start."""
    return {"rests": rests}


cdef class ReadTurns:
    def __init__(self, loop):
        self.loop = loop
        self.line = deque()

    cdef int spend(self, Inlet inlet, Py_ssize_t n) except -1:
        """Counts n bytes that a connection has read of a large answer; it rests when that is enough for this turn."""
        global rests
        if not self.due:
            self.due = True
            self.read = 0
            self.loop.call_soon(self.on_turn)
        self.read += n
        if self.read >= TURN_READ and not inlet.rests:
            rests += 1
            inlet.rests = True
            self.line.append(inlet)
            inlet.rest()
        return 0

    def on_turn(self):
        cdef Py_ssize_t room = TURN_READ
        cdef Inlet inlet
        self.due = False
        self.read = 0
        try:
            while self.line and room > 0:
                inlet = self.line.popleft()
                inlet.rests = False
                inlet.read_on()
                room -= READ
        finally:
            if self.line:
                self.due = True
                self.loop.call_soon(self.on_turn)


cdef ReadTurns read_turns_of(object loop):
    global current
    if current is None or current.loop is not loop:
        current = ReadTurns(loop)
    return current
