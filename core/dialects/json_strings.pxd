# Escaping and unescaping of JSON strings.
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.model cimport Buffer
from libc.stdint cimport uint8_t

cdef class EscapedLength(Steps):
    """How many bytes put_escaped() makes of a text."""
    cdef Py_ssize_t length                  # when all steps are done; -1: it is not UTF-8
    cdef const uint8_t* data                # outlives the last step
    cdef Py_ssize_t size
    cdef Py_ssize_t at

    @staticmethod
    cdef EscapedLength of(const uint8_t* data, Py_ssize_t size)

# Appends valid UTF-8 as the inside of a JSON string, without the quotes.
cdef int put_escaped(Buffer out, const uint8_t* p, Py_ssize_t n) except -1
# Whether the raw inside of a valid JSON string has an escape of half a surrogate pair without the other half (AN-04).
cdef bint has_half_pair(const uint8_t* p, Py_ssize_t n) noexcept nogil
# The UTF-8 of the raw inside of a valid JSON string.
cdef bytes unescaped(const uint8_t* p, Py_ssize_t n)
