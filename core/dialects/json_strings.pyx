"""The inside of JSON strings: escaping of UTF-8, and what an escaped text stands for.

Must never judge: text to escape is valid UTF-8, text to unescape has been validated by the scanner.
"""
from batchwire.core.dialects.json_scan cimport check
from batchwire.core.dialects.scan cimport (
    bw_escape,
    bw_escape_prepare,
    bw_escaped_length,
    bw_has_half_pair,
    bw_unescape,
    bw_unescaped_run,
    bw_utf8_run,
)
from batchwire.core.model cimport Buffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t


cdef enum:
    AT_ONCE = 65536           # bytes for which room is made at once: each may become six
    STEP_MEASURED = 524288

bw_escape_prepare()


cdef int put_escaped(Buffer out, const uint8_t* p, Py_ssize_t n) except -1:
    cdef Py_ssize_t i = 0, plain, length
    while i < n:
        plain = bw_unescaped_run(p, i, n) - i
        if plain == n - i or plain >= AT_ONCE:
            out.put(<const char*>(p + i), plain)
            i += plain
            continue
        length = min(n - i, <Py_ssize_t>AT_ONCE)
        out.grow(6 * length + 16)
        out.size += bw_escape(p + i, length, <uint8_t*>out.data + out.size)
        i += length
    return 0


cdef class EscapedLength(Steps):
    @staticmethod
    cdef EscapedLength of(const uint8_t* data, Py_ssize_t size):
        cdef EscapedLength made = EscapedLength.__new__(EscapedLength)
        made.data = data
        made.size = size
        return made

    cdef bint step(self) except -1:
        cdef Py_ssize_t stop = min(self.size, self.at + <Py_ssize_t>STEP_MEASURED)
        while self.at < stop < self.size and self.data[stop] & 0xC0 == 0x80:
            stop -= 1
        if bw_utf8_run(self.data, self.at, stop) != stop or stop == self.at < self.size:
            self.length = -1
            return True
        self.length += bw_escaped_length(self.data + self.at, stop - self.at)
        self.at = stop
        return self.at == self.size


cdef bint has_half_pair(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    return bw_has_half_pair(p, n)


cdef bytes unescaped(const uint8_t* p, Py_ssize_t n):
    cdef bytes out = PyBytes_FromStringAndSize(NULL, n)
    cdef Py_ssize_t length = bw_unescape(p, n, <uint8_t*>PyBytes_AS_STRING(out))
    return out if length == n else out[:length]


def escape(bytes text not None):
    """UTF-8 as the inside of a JSON string. Raises ValueError when the text is not UTF-8."""
    cdef Buffer out = Buffer()
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t n = PyBytes_GET_SIZE(text)
    if bw_utf8_run(p, 0, n) != n:
        raise ValueError("the text is not UTF-8")
    put_escaped(out, p, n)
    return out.take()


def escaped_length(bytes text not None):
    """How many bytes escape() gives, or -1: the text is not UTF-8. For tests."""
    cdef EscapedLength measuring = EscapedLength.of(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    while not measuring.step():
        pass
    return measuring.length


def unescape(bytes inside not None):
    """The UTF-8 of the inside of a JSON string. Raises ValueError when it is not valid."""
    cdef bytes text = b'"' + inside + b'"'
    if check(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), 1) >= 0:
        raise ValueError("the text is not the inside of a JSON string")
    return unescaped(<const uint8_t*>PyBytes_AS_STRING(inside), PyBytes_GET_SIZE(inside))
