"""Lines of a multipart document: which of them are delimiters, and the header fields they make.

Line ends are CRLF or a bare LF. Must never decide what a field means, and never look beyond `end`.
"""
from batchwire.core.model cimport Buffer
from libc.string cimport memchr, memcmp

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)


cdef Delimiter delimiter_of(const char* p, Py_ssize_t n, const char* boundary, Py_ssize_t size) noexcept nogil:
    """The whole line counts, so that the delimiter of `b1` is none of `b`."""
    cdef Delimiter found = DELIMITER_OPEN
    if n < size + 2 or p[0] != c'-' or p[1] != c'-' or memcmp(p + 2, boundary, size) != 0:
        return DELIMITER_NONE
    p += size + 2
    n -= size + 2
    if n >= 2 and p[0] == c'-' and p[1] == c'-':
        found = DELIMITER_CLOSE
        p += 2
        n -= 2
    if n > MAX_PADDING:
        return DELIMITER_NONE
    while n:
        n -= 1
        if p[n] != c' ' and p[n] != c'\t':
            return DELIMITER_NONE
    return found


cdef const char* next_field(const char* p, const char* end, Field* field, Buffer scratch) except NULL:
    cdef const char* stop = <const char*>memchr(p, c'\n', end - p)
    cdef const char* line_end = end if stop == NULL else stop
    cdef const char* colon
    cdef const char* begin
    cdef const char* after = end if stop == NULL else stop + 1
    if line_end > p and (line_end - 1)[0] == c'\r':
        line_end -= 1
    colon = <const char*>memchr(p, c':', line_end - p)
    field.name = p
    field.name_len = 0 if colon == NULL else colon - p
    field.value = line_end if colon == NULL else colon + 1
    field.value_len = line_end - field.value
    if after < end and (after[0] == c' ' or after[0] == c'\t'):
        # RFC 5322 2.2.3: a folded value goes on in the next line; only the line end is taken out.
        scratch.size = 0
        scratch.put(field.value, field.value_len)
        while after < end and (after[0] == c' ' or after[0] == c'\t'):
            begin = after
            stop = <const char*>memchr(begin, c'\n', end - begin)
            line_end = end if stop == NULL else stop
            after = end if stop == NULL else stop + 1
            if line_end > begin and (line_end - 1)[0] == c'\r':
                line_end -= 1
            scratch.put(begin, line_end - begin)
        field.value = scratch.data
        field.value_len = scratch.size
    while field.value_len and (field.value[0] == c' ' or field.value[0] == c'\t'):
        field.value += 1
        field.value_len -= 1
    while field.value_len and (field.value[field.value_len - 1] == c' ' or field.value[field.value_len - 1] == c'\t'):
        field.value_len -= 1
    return after


cdef const char* head_of(const char* p, const char* end, const char** head_end) noexcept nogil:
    cdef const char* stop
    while p < end:
        if p[0] == c'\n' or (p[0] == c'\r' and end - p > 1 and p[1] == c'\n'):
            head_end[0] = p
            return p + 1 if p[0] == c'\n' else p + 2
        stop = <const char*>memchr(p, c'\n', end - p)
        if stop == NULL:
            break
        p = stop + 1
    head_end[0] = end
    return end


cdef bint named(Field* field, const char* name, Py_ssize_t n) noexcept nogil:
    return field.name_len == n and strncasecmp(field.name, name, n) == 0


cdef bint blank(const char* p, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        if p[i] != c' ' and p[i] != c'\t' and p[i] != c'\r' and p[i] != c'\n':
            return False
    return True
