"""Compressed messages of a gRPC call: they wait as they came, and are unpacked in steps, as far as their batch may go.

A few bytes may stand for megabytes, so that one read of a connection may stand for gigabytes. Messages that come behind a
compressed one wait with it, in their order. Must never unpack two at once, nor without a bound.
"""
from batchwire.core.dialects.codings import GZIP
from batchwire.core.errors import EnvelopeError
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from collections import deque

import zlib

cdef enum:
    PIECE = 65536             # bytes that a step gives to zlib, which copies what it leaves, and takes from it (PL-13)
    MEMBER_PIECE = 4096       # given to it behind the first member of gzip: there may be one each 20 bytes
    MOST_RATIO = 1100         # of deflate: 1032


cdef class MessageTaker(Handler):
    cdef int on_message(self, bytes message) except -1:
        """A message, in plain. May raise EnvelopeError."""
        raise NotImplementedError

    cdef int hold(self, Py_ssize_t held) except -1:
        """So many bytes wait for being unpacked or handed over."""
        return 0

    cdef bint may_unpack(self, Py_ssize_t held) except -1:
        """Whether more may be unpacked or handed over, where so many bytes wait for it. If not, on_input() follows."""
        return True


cdef class Inflating(Steps):
    """window_bits: of zlib. limit: bytes of the message in plain. Raises EnvelopeError."""

    def __init__(self, bytes packed not None, int window_bits, Py_ssize_t limit):
        if window_bits == 0:
            # INTERNAL, by the test cases of grpc/doc/compression.md.
            raise EnvelopeError(500, "BadMessage", "a compressed message came without its grpc-encoding")
        self.stream = zlib.decompressobj(window_bits)
        self.window_bits = window_bits
        self.given = PIECE
        self.packed = packed
        self.tail = b""
        self.limit = limit
        # The kernel gives memory as it is written to; pieces would be left behind, all over the heap.
        self.room = PyBytes_FromStringAndSize(NULL, min(limit, PyBytes_GET_SIZE(packed) * <Py_ssize_t>MOST_RATIO))

    cpdef bint step(self) except -1:
        """Unpacks at most PIECE bytes more; whether `message` is whole. Raises EnvelopeError.

        Of gzip there may be several members, one after the other (RFC 1952 2.2); a step ends with a member."""
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.packed)
        cdef bytes piece
        if PyBytes_GET_SIZE(self.tail) == 0 and self.at < n:
            self.tail = self.packed[self.at:self.at + self.given]
            self.at += PyBytes_GET_SIZE(self.tail)
        try:
            piece = self.stream.decompress(self.tail, PIECE)
        except zlib.error as error:
            raise damaged() from error
        if PyBytes_GET_SIZE(piece) > PyBytes_GET_SIZE(self.room) - self.size:
            raise EnvelopeError(
                413, "MessageTooLarge",
                f"the message is larger than limits.grpc_max_message_bytes ({self.limit} bytes) when unpacked")
        memcpy(PyBytes_AS_STRING(self.room) + self.size, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
        self.size += PyBytes_GET_SIZE(piece)
        if self.stream.eof:
            self.at -= len(self.stream.unused_data)
            if self.at == n:
                self.message = self.room[:self.size]
                return True
            if self.window_bits != <int>GZIP:
                raise damaged()
            self.stream = zlib.decompressobj(self.window_bits)
            self.given = MEMBER_PIECE
            self.tail = b""
            return False
        self.tail = self.stream.unconsumed_tail
        if PyBytes_GET_SIZE(self.tail) == 0 and self.at == n and PyBytes_GET_SIZE(piece) < PIECE:
            raise damaged()
        return False

    cdef Py_ssize_t held(self) noexcept:
        return PyBytes_GET_SIZE(self.packed) + self.size


cdef object damaged():
    return EnvelopeError(400, "BadMessage", "the compressed message is damaged")


cdef class Backlog(Conductor):
    @staticmethod
    cdef Backlog of(MessageTaker taker, int coding, Py_ssize_t limit):
        cdef Backlog made = Backlog.__new__(Backlog)
        made.taker = taker
        made.coding = coding
        made.limit = limit
        made.slice = Slice.of(taker.stream.ends.loop, taker.stream.ends.origin)
        made.messages = deque()
        return made

    cdef int put(self, bint compressed, bytes message) except -1:
        """One more message. go_on() follows."""
        self.messages.append((compressed, message))
        self.bytes += PyBytes_GET_SIZE(message)
        return 0

    cdef bint empty(self) noexcept:
        return self.inflating is None and not self.messages

    cdef Py_ssize_t held(self) noexcept:
        """Bytes of what waits, and of what is being unpacked."""
        return self.bytes + (0 if self.inflating is None else self.inflating.held())

    cdef int go_on(self) except -1:
        """Hands over what may be now, as far as one turn of the loop should bear; on_input() of the taker follows, else.
        Raises EnvelopeError."""
        cdef bytes message
        if self.busy or self.slice.resting:
            return 0
        self.busy = True
        try:
            self.slice.begin()
            while not self.empty() and self.taker.may_unpack(self.held()):
                if self.slice.over() if self.inflating is None else self.slice.over_for_much():
                    self.rest()
                    break
                if self.inflating is None:
                    compressed, message = self.messages.popleft()
                    self.bytes -= PyBytes_GET_SIZE(message)
                    if compressed:
                        self.inflating = Inflating(message, self.coding, self.limit)
                    else:
                        self.hand_over(message)
                elif self.inflating.step():
                    message = self.inflating.message
                    self.inflating = None
                    self.hand_over(message)
                self.slice.measure()
        finally:
            self.busy = False
        return 0

    cdef int hand_over(self, bytes message) except -1:
        cdef MessageTaker taker = self.taker  # close() may come before it returns
        taker.on_message(message)
        if self.taker is not None:
            # It was counted twice for a moment: if it was not at all, the batch would lose its turn before others (PL-13).
            taker.hold(self.held())
        return 0

    cdef int close(self) except -1:
        """Nobody wants them any more."""
        self.messages.clear()
        self.inflating = None
        self.bytes = 0
        self.taker = None                 # which holds this one: it must not wait for the garbage collector
        return 0

    cdef int rest(self) except -1:
        return self.slice.rest(self)

    cdef int turn(self) except -1:
        cdef MessageTaker taker = self.taker
        self.slice.reset()
        return 0 if taker is None else taker.input_ready()
