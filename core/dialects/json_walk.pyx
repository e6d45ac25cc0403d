"""Finding one's way in JSON text. The text has been validated by json_scan: nothing is judged here."""
from batchwire.core.dialects.scan cimport bw_quote_run
from libc.stdint cimport uint8_t


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
