"""Content and transfer codings of a body: gzip, deflate, chunked; always with a bound on what comes out.

A few bytes may stand for gigabytes, and a coding may be put on many times: what comes out is bounded by a number, by a
ratio to what came, and by the number of codings; and it is undone in steps, between which others can be served (PL-01).
Must never inflate without a bound.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcpy

import sys
import zlib

GZIP = 16 + zlib.MAX_WBITS
ZLIB = zlib.MAX_WBITS
RAW = -zlib.MAX_WBITS

MAX_CODINGS = 2
"""Codings that a body may have, one on the other: `gzip, chunked`."""
MAX_RATIO = 200
"""Decoded bytes that a body may have for each of its coded ones, once it has passed FREE_BYTES."""
FREE_BYTES = 1 << 20

cdef enum:
    GZIP_MEMBERS = 64
    MAX_SIZE_LINE = 4096      # bytes of a chunk's size and extensions
    # Of one step, a millisecond or two:
    STEP_IN = 65536
    STEP_OUT = 1048576
    PIECE_IN = 65536          # given to zlib at once, which copies what it leaves
    PIECE_OUT = 262144


class UnknownCoding(ValueError):
    """A coding that is not implemented here."""


class BrokenCoding(ValueError):
    """The bytes are not what the coding's name says."""


class TooLong(ValueError):
    """More bytes would come out than the bound allows."""


class TooDense(TooLong):
    """More bytes would come out than is in proportion to those that came."""


class TooManyCodings(ValueError):
    """More than MAX_CODINGS, one on the other."""


cdef class Undoing(Steps):
    """Undoes the codings of a Content-Encoding or, with `transfer`, a Transfer-Encoding header value, step by step.

    codings: names in the order in which they were applied, separated by commas; any case.
    limit: most bytes to give out; 0 is no limit. Raises UnknownCoding, TooManyCodings.
    """

    def __init__(self, bytes codings not None, bytes data not None, Py_ssize_t limit, bint transfer=False):
        self.names = [name for name in [name.strip() for name in codings.lower().split(b",")]
                      if name not in (b"", b"identity")]
        for name in self.names:
            if name not in (b"gzip", b"x-gzip", b"deflate") and not (name == b"chunked" and transfer):
                raise UnknownCoding("a coding is not supported")
        if len(self.names) > MAX_CODINGS:
            raise TooManyCodings(f"the body has more than {MAX_CODINGS} codings")
        self.data = data
        self.limit = limit or sys.maxsize
        self.most = min(self.limit, max(<Py_ssize_t>FREE_BYTES, PyBytes_GET_SIZE(data) * <Py_ssize_t>MAX_RATIO))

    cdef bint step(self) except -1:
        """Goes on for a millisecond or two; whether all is undone, and `data` is the body.

        Raises BrokenCoding, TooLong, TooDense.
        """
        if not self.names:
            if PyBytes_GET_SIZE(self.data) > self.limit:
                raise TooLong("the decoded body is too long")
            return True
        return self.unchunk() if self.names[len(self.names) - 1] == b"chunked" else self.inflate()

    cdef Py_ssize_t held(self) noexcept:
        """Bytes that it keeps."""
        return PyBytes_GET_SIZE(self.data) + self.size

    cdef bint next(self, bytes data) except -1:
        """One coding is undone."""
        self.names.pop()
        self.data = data
        self.at = self.size = self.members = 0
        self.stream = self.pieces = self.tail = self.scratch = None
        return False

    cdef int put(self, bytes piece) except -1:
        self.size += PyBytes_GET_SIZE(piece)
        if self.size > self.limit:
            raise TooLong("the decoded body is too long")
        if self.size > self.most:
            raise TooDense("the coded body expands beyond all measure")
        if PyBytes_GET_SIZE(piece):
            self.pieces.append(piece)
        return 0

    cdef bint inflate(self) except -1:
        """RFC 1950 to 1952. Of gzip there may be several members, one after the other (RFC 1952 2.2)."""
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.data), begin = self.at, before = self.size
        cdef bint gzip = self.names[len(self.names) - 1] != b"deflate"
        cdef bytes piece
        if self.pieces is None:
            self.pieces = []
            self.tail = b""
            self.window_bits = GZIP if gzip else ZLIB if has_zlib_head(self.data) else RAW
            if gzip and n == 0:
                return self.next(b"")
            self.stream = zlib.decompressobj(self.window_bits)
            self.members = 1
        while self.at - begin < STEP_IN and self.size - before < STEP_OUT:
            if PyBytes_GET_SIZE(self.tail) == 0 and self.at < n:
                self.tail = self.data[self.at:self.at + PIECE_IN]
                self.at += PyBytes_GET_SIZE(self.tail)
            try:
                piece = self.stream.decompress(self.tail, PIECE_OUT)
            except zlib.error as error:
                raise BrokenCoding("the compressed body is broken") from error
            self.put(piece)
            if not self.stream.eof:
                self.tail = self.stream.unconsumed_tail
                if PyBytes_GET_SIZE(self.tail) == 0 and self.at == n and PyBytes_GET_SIZE(piece) < PIECE_OUT:
                    raise BrokenCoding("the compressed body is cut")
                continue
            self.tail = self.stream.unused_data
            if PyBytes_GET_SIZE(self.tail) == 0 and self.at == n:
                return self.next(b"".join(self.pieces))
            if not gzip:
                raise BrokenCoding("bytes follow the compressed body")
            if self.members == GZIP_MEMBERS:
                raise TooLong("the compressed body has too many parts")
            self.members += 1
            self.stream = zlib.decompressobj(self.window_bits)
        return False

    cdef bint unchunk(self) except -1:
        """RFC 9112 7.1; extensions and trailers are dropped."""
        cdef const char* p = PyBytes_AS_STRING(self.data)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.data), begin = self.at, length
        cdef char* out
        if self.scratch is None:
            self.scratch = PyBytes_FromStringAndSize(NULL, n)
        out = PyBytes_AS_STRING(self.scratch)
        while self.at - begin < STEP_OUT:
            length = chunk_size(p, &self.at, n)
            if length < 0:
                raise BrokenCoding("the chunked body is broken")
            if length == 0:
                if not ends_after(p, self.at, n):
                    raise BrokenCoding("the chunked body is cut, or bytes follow it")
                return self.next(self.scratch[:self.size])
            if length > n - self.at - 2 or p[self.at + length] != c'\r' or p[self.at + length + 1] != c'\n':
                raise BrokenCoding("the chunked body is broken")
            memcpy(out + self.size, p + self.at, length)
            self.size += length
            self.at += length + 2
        return False


cdef bint has_zlib_head(bytes data) except -1:
    """RFC 9110 8.4.1.2 means the zlib format, and notes that some send raw deflate."""
    return len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0


cdef Py_ssize_t chunk_size(const char* p, Py_ssize_t* at, Py_ssize_t n) noexcept nogil:
    """Reads the line of a chunk's size; -1: it is none."""
    cdef Py_ssize_t i = at[0], stop, length = 0
    cdef int digits = 0, c
    cdef const char* end = <const char*>memchr(p + i, c'\n', min(n - i, <Py_ssize_t>MAX_SIZE_LINE)) if i < n else NULL
    if end == NULL or end == p + i or (end - 1)[0] != c'\r':
        return -1
    stop = end - p - 1
    at[0] = stop + 2
    while i < stop and (p[i] == c' ' or p[i] == c'\t'):
        i += 1
    while i < stop and digits < 16:
        c = p[i]
        if c'0' <= c <= c'9':
            length = length * 16 + c - c'0'
        elif c'a' <= (c | 0x20) <= c'f':
            length = length * 16 + (c | 0x20) - c'a' + 10
        else:
            break
        digits += 1
        i += 1
    while i < stop and (p[i] == c' ' or p[i] == c'\t'):
        i += 1
    if not 0 < digits < 16 or (i < stop and p[i] != c';'):
        return -1
    return length


cdef bint ends_after(const char* p, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Whether trailers and the blank line after them are all that follows the last chunk."""
    cdef const char* end
    while True:
        end = <const char*>memchr(p + at, c'\n', n - at) if at < n else NULL
        if end == NULL or end == p + at or (end - 1)[0] != c'\r':
            return False
        if end == p + at + 1:
            return end + 1 == p + n
        at = end + 1 - p


def decode(bytes codings not None, bytes data not None, Py_ssize_t limit, bint transfer=False):
    """All steps of Undoing: for what is small, or has been bounded."""
    cdef Undoing undoing = Undoing(codings, data, limit, transfer)
    while not undoing.step():
        pass
    return undoing.data


def steps_of(bytes codings not None, bytes data not None):
    """For tests: the steps that a transfer-coded body takes."""
    cdef Undoing undoing = Undoing(codings, data, 0, True)
    cdef int count = 1
    while not undoing.step():
        count += 1
    return count
