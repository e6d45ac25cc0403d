"""Text in other charsets and behind escapes, read and written in small steps (PL-01).

Some codecs take a hundred times as long as a copy. Must never judge in another way than str.encode() and
bytes.decode() of the whole text would.
"""
from batchwire.core.dialects.scan cimport bw_unescape_part, bw_utf8_run
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8

import codecs
import sys

cdef enum:
    # Bytes of one step, a millisecond or two:
    STEP_CODED = 65536        # through a codec
    STEP_PLAIN = 262144       # of UTF-8

# The whole of a text is read in the byte order that its mark says, else in the machine's own; a codec that reads piece by
# piece wants a mark.
cdef dict MARKS = {
    "utf-8-sig": ((codecs.BOM_UTF8, "utf-8"), (b"", "utf-8")),
    "utf-16": ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"), (b"", f"utf-16-{sys.byteorder[0]}e")),
    "utf-32": ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (b"", f"utf-32-{sys.byteorder[0]}e")),
}


cdef class Unescaping(Steps):
    @staticmethod
    cdef Unescaping of(bytes owner, const uint8_t* inside, Py_ssize_t size, str codec):
        cdef Unescaping made = Unescaping.__new__(Unescaping)
        made.owner = owner
        made.inside = inside
        made.size = size
        made.pieces = Pieces.__new__(Pieces)
        made.binary = codec is None
        if not made.binary and codec != "utf-8":
            made.encoder = codecs.getincrementalencoder(codec)()
        return made

    cdef bint step(self) except -1:
        cdef Py_ssize_t stop, length, begin = self.at
        cdef int half = 0
        cdef char* out
        if self.owner is None:
            return self.finish()
        stop = begin + (<Py_ssize_t>STEP_PLAIN if self.encoder is None else <Py_ssize_t>STEP_CODED)
        if stop < self.size:
            while self.inside[stop] & 0xC0 == 0x80:
                stop -= 1
        else:
            stop = self.size
        if self.scratch is None:
            # An escape that begins before `stop` may end behind it: twelve bytes at most.
            self.scratch = PyBytes_FromStringAndSize(NULL, min(self.size, <Py_ssize_t>STEP_PLAIN) + 12)
        out = PyBytes_AS_STRING(self.scratch)
        length = bw_unescape_part(self.inside, &self.at, stop, self.size, <uint8_t*>out, &half)
        self.half = self.half or half
        if self.encoder is None:
            self.pieces.add(out[:length])
        elif not self.unfit:
            try:
                self.pieces.add(self.encoder.encode(PyUnicode_DecodeUTF8(out, length, NULL), self.at == self.size))
            except UnicodeEncodeError:
                self.unfit = True             # goes on all the same: half of a pair comes first
        if self.at < self.size:
            return False
        self.owner = self.scratch = None
        return (self.half and not self.binary) or self.unfit or self.finish()

    cdef bint finish(self) except -1:
        if not self.pieces.join():
            return False
        self.data = self.pieces.whole
        return True

    cdef Py_ssize_t held(self) noexcept:
        return self.pieces.held() + (0 if self.owner is None else PyBytes_GET_SIZE(self.owner))


cdef class Decoding(Steps):
    def __init__(self, bytes body not None, str codec not None):
        self.body = body
        self.trims = codec.startswith("utf-") and codec != "utf-8"
        for mark, name in MARKS.get(codec, ()):
            if body.startswith(mark):
                self.at = self.skipped = len(mark)
                codec = name
                break
        self.pieces = Pieces.__new__(Pieces)
        if codec != "utf-8":
            self.decoder = codecs.getincrementaldecoder(codec)()

    cdef bint step(self) except -1:
        cdef Py_ssize_t stop
        cdef bytes text
        if self.decoder is None:
            return self.read_utf8()
        if not self.ended:
            stop = min(PyBytes_GET_SIZE(self.body), self.at + STEP_CODED)
            self.ended = stop == PyBytes_GET_SIZE(self.body)
            try:
                text = self.decoder.decode(self.body[self.at:stop], self.ended).encode()
            except UnicodeError:
                return True
            self.at = stop
            if self.trims and text:
                self.trims = False
                text = text.removeprefix(codecs.BOM_UTF8)
            self.pieces.add(text)
            if not self.ended:
                return False
        if not self.pieces.join():
            return False
        self.data = self.pieces.whole
        return True

    cdef bint read_utf8(self) except -1:
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.body), begin = self.at
        cdef Py_ssize_t stop = min(n, begin + STEP_PLAIN)
        self.at = bw_utf8_run(<const uint8_t*>PyBytes_AS_STRING(self.body), begin, stop)
        if self.at == n:
            self.data = self.body[self.skipped:]
            if self.trims:
                self.data = self.data.removeprefix(codecs.BOM_UTF8)
            return True
        # What is cut at `stop` is read again from its first byte.
        return self.at < stop and (stop == n or stop - self.at > 3)

    cdef Py_ssize_t held(self) noexcept:
        return self.pieces.held()

    def go_on(self):
        """step() for Python."""
        return self.step()


def unescaped_in(bytes inside not None, str codec not None):
    """For tests: all steps of Unescaping: (the text in that charset or None, half of a pair, unfit, steps)."""
    cdef Unescaping unescaping = Unescaping.of(
        inside, <const uint8_t*>PyBytes_AS_STRING(inside), PyBytes_GET_SIZE(inside), codec)
    cdef int count = 1
    while not unescaping.step():
        count += 1
    return unescaping.data, unescaping.half, unescaping.unfit, count
