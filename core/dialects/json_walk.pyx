"""Finding a value in JSON text by a path of keys and indexes, without building anything from the text.

The text has been validated by json_scan: nothing is judged here. Must never evaluate a path: a segment is a
key of an object, compared byte for byte, or the index of an array in decimal digits, and nothing else.
"""
from batchwire.core.dialects.json_scan cimport check
from batchwire.core.dialects.json_strings cimport unescaped
from batchwire.core.dialects.scan cimport bw_quote_run
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

cdef enum:
    MAX_INDEX_DIGITS = 9


cdef Py_ssize_t string_end(const uint8_t* p, Py_ssize_t i, Py_ssize_t n, bint* escaped) noexcept nogil:
    escaped[0] = False
    while True:
        i = bw_quote_run(p, i, n)
        if i >= n or p[i] == c'"':
            return i
        escaped[0] = True
        i += 2


cdef Py_ssize_t skip_space(const uint8_t* p, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    while i < n and (p[i] == c' ' or p[i] == c'\n' or p[i] == c'\r' or p[i] == c'\t'):
        i += 1
    return i


cdef Py_ssize_t value_end(const uint8_t* p, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    cdef int depth = 0
    cdef bint escaped
    while i < n:
        if p[i] == c'"':
            i = string_end(p, i + 1, n, &escaped) + 1
        elif p[i] == c'{' or p[i] == c'[':
            depth += 1
            i += 1
        elif p[i] == c'}' or p[i] == c']':
            depth -= 1
            i += 1
        elif depth:
            i += 1
            continue
        else:
            while i < n and p[i] not in (c',', c']', c'}', c' ', c'\n', c'\r', c'\t'):
                i += 1
        if depth == 0:
            return i
    return n


cdef Py_ssize_t member(const uint8_t* p, Py_ssize_t i, Py_ssize_t n, bytes name) except -2:
    """Index of the value of a member of the object at i; of several with one name the last counts; -1: none."""
    cdef const char* wanted = PyBytes_AS_STRING(name)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(name)
    cdef Py_ssize_t found = -1, key, stop
    cdef bint escaped
    i = skip_space(p, i + 1, n)
    while i < n and p[i] != c'}':
        key = i + 1
        stop = string_end(p, key, n, &escaped)
        i = skip_space(p, skip_space(p, stop + 1, n) + 1, n)
        if escaped:
            if unescaped(p + key, stop - key) == name:
                found = i
        elif stop - key == length and memcmp(p + key, wanted, length) == 0:
            found = i
        i = skip_space(p, value_end(p, i, n), n)
        if i < n and p[i] == c',':
            i = skip_space(p, i + 1, n)
    return found


cdef Py_ssize_t element(const uint8_t* p, Py_ssize_t i, Py_ssize_t n, bytes index) noexcept:
    """Index of an element of the array at i, counted from 0 in decimal digits; -1: none."""
    cdef const char* digits = PyBytes_AS_STRING(index)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(index), left = 0, k
    if length == 0 or length > MAX_INDEX_DIGITS or (length > 1 and digits[0] == c'0'):
        return -1
    for k in range(length):
        if not c'0' <= digits[k] <= c'9':
            return -1
        left = left * 10 + digits[k] - c'0'
    i = skip_space(p, i + 1, n)
    while i < n and p[i] != c']':
        if left == 0:
            return i
        left -= 1
        i = skip_space(p, value_end(p, i, n), n)
        if i < n and p[i] == c',':
            i = skip_space(p, i + 1, n)
    return -1


cdef bint walk(const uint8_t* p, Py_ssize_t n, list path, Py_ssize_t* start, Py_ssize_t* end) except -1:
    cdef Py_ssize_t i = skip_space(p, 0, n)
    cdef bytes segment
    for segment in path:
        if p[i] == c'{':
            i = member(p, i, n, segment)
        elif p[i] == c'[':
            i = element(p, i, n, segment)
        else:
            return False
        if i < 0:
            return False
    start[0] = i
    end[0] = value_end(p, i, n)
    return True


def text_at(bytes text not None, list path not None):
    """For tests: the text of the value at the end of the path in a JSON document, or None."""
    cdef Py_ssize_t start = 0, end = 0
    if check(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), 512) >= 0:
        raise ValueError("the text is not JSON")
    if not walk(<const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), path, &start, &end):
        return None
    return text[start:end]
