"""The two small interfaces that every dialect fulfils: Reader and Writer.

A dialect says how bytes look. It must never know order, sockets or policies.
"""
from batchwire.core.dialects.body_pieces cimport BodyPieces
from batchwire.core.dialects.json_strings cimport EscapedLength
from batchwire.core.methods cimport is_head
from batchwire.core.model cimport Buffer, Call, Result


cdef bint is_read(Call call, Result result) noexcept:
    return 200 <= result.status < 300 and call.method == b"GET"


cdef bint describes_absent(Call call, Result result) noexcept:
    return is_head(call.method) or result.status == 304


cdef class BatchOptions:
    """What a batch says about itself inside its own document."""


cdef class Reader:
    cdef int feed(self, bytes data) except -1:
        raise NotImplementedError

    cdef int finish(self) except -1:
        raise NotImplementedError

    cdef Call next_call(self):
        raise NotImplementedError

    cdef bint read_on(self, Call call) except -1:
        return True

    cdef BatchOptions take_options(self):
        return None

    cdef Py_ssize_t buffered(self) noexcept:
        return 0

    def feed_bytes(self, bytes data not None):
        """feed() for tests and tools."""
        self.feed(data)

    def end(self):
        """finish() for tests and tools."""
        self.finish()

    def next(self):
        """next_call() for tests and tools: a Call or None."""
        cdef Call call = self.next_call()
        if call is not None:
            while not self.read_on(call):
                pass
        return call


cdef class Writer:
    def __cinit__(self):
        self.splits = True

    cdef Py_ssize_t bound(self, Py_ssize_t max_message, bint parts, bint one_message) except -1:
        return 0

    cdef int expect(self, Call call) except -1:
        return 0

    cdef bint fits(self) noexcept:
        return True

    cdef Py_ssize_t becomes(self, Result result, Py_ssize_t size) except -1:
        return size

    cdef EscapedLength measuring(self, Result result):
        return None

    cdef object looking(self, Call call, Result result):
        return None

    cdef BodyPieces pieces_of(self, Call call, Result result, tuple said):
        return None

    cdef list apart(self, Call call, Result result):
        raise NotImplementedError

    cdef int begin(self, Buffer out) except -1:
        raise NotImplementedError

    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1:
        raise NotImplementedError

    cdef int end(self, Buffer out, const Summary* summary) except -1:
        raise NotImplementedError

    def bound_to(self, Py_ssize_t max_message, bint parts=False, bint one_message=False):
        """bound() for tests and tools."""
        return self.bound(max_message, parts, one_message)

    def expect_all(self, list calls not None):
        """expect() of each, and then fits(): for tests and tools."""
        for call in calls:
            self.expect(<Call?>call)
        return self.fits()

    def write_pieces(self, Call call not None, Result result not None):
        """What write() appends around the pieces of a body, as a list; None: it has none. For tests."""
        cdef Buffer out = Buffer()
        cdef BodyPieces made
        cdef bytes text
        looking = self.looking(call, result)
        said = None
        while looking is not None:
            try:
                next(looking)
            except StopIteration as end:
                said = (result.body_owner, end.value)
                looking = None
        made = self.pieces_of(call, result, said)
        if made is None:
            return None
        while not made.step():
            pass
        self.made = made
        self.write(out, call, result)
        text = out.take()
        return [text[:self.cut], *made.pieces, text[self.cut:]]

    def write_apart(self, Call call not None, Result result not None):
        """apart() for tests and tools."""
        return self.apart(call, result)

    def write_bytes(self, Call call not None, Result result not None):
        """What write() appends, as bytes: for tests and tools."""
        cdef Buffer out = Buffer()
        self.write(out, call, result)
        return out.take()
