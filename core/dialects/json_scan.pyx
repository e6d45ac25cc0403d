"""Strict incremental reading of one JSON value (RFC 8259).

The one place that decides what valid JSON is: requests and upstream answers alike. Refuses ill-formed UTF-8
(overlong forms, surrogates, above U+10FFFF), raw control characters, and nesting beyond a limit. An escape of half
a surrogate pair is valid by the grammar; who needs the text of a string looks for it (AN-04). Must never build
values: text is found and checked here, and travels as it is.
"""
from batchwire.core.dialects.scan cimport bw_string_run
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t

cdef tuple MESSAGES = (
    "",
    "a value is expected, which begins with one of { [ \" - 0 to 9, true, false, null",
    "the text is not valid UTF-8",
    "a string has a control character that is not escaped",
    "a string has an unknown escape",
    "a number is ill-formed",
    "a literal is ill-formed",
    "the nesting is too deep",
    "an object has too many members",
    "a value or member is expected behind the comma",
    "a comma is expected, or the end of the object or array",
    "a member name in double quotes is expected",
    "a colon is expected behind the member name",
)


cdef str scan_message(int error):
    return <str>MESSAGES[error]


cdef void scan_start(Scan* s, int max_depth, Mark* marks, int mark_limit) noexcept nogil:
    s.state = SCAN_VALUE
    s.error = ERROR_NONE
    s.depth = 0
    s.max_depth = max_depth if max_depth < MAX_DEPTH else MAX_DEPTH
    s.mark_depth = -1 if marks == NULL else 1
    s.mark_count = 0
    s.mark_limit = mark_limit
    s.marks = marks
    s.offset = 0


cdef inline int value_ended(Scan* s, int depth, Py_ssize_t at) noexcept nogil:
    """Notes the end of a value that lies in `depth` containers; the state that follows."""
    if depth == s.mark_depth:
        s.marks[s.mark_count - 1].value_end = s.offset + at
        s.marks[s.mark_count - 1].value_escaped = s.escaped
    return SCAN_AFTER if depth else SCAN_DONE


cdef inline int bad(Scan* s, int error) noexcept nogil:
    s.error = error
    return SCAN_BAD


cdef int start_of_sequence(Scan* s, uint8_t c) noexcept nogil:
    """RFC 3629 section 4: how many bytes follow c, and what the first of them may be."""
    s.lowest = 0x80
    s.highest = 0xBF
    if 0xC2 <= c <= 0xDF:
        s.left = 1
    elif 0xE0 <= c <= 0xEF:
        s.left = 2
        if c == 0xE0:
            s.lowest = 0xA0
        elif c == 0xED:
            s.highest = 0x9F
    elif 0xF0 <= c <= 0xF4:
        s.left = 3
        if c == 0xF0:
            s.lowest = 0x90
        elif c == 0xF4:
            s.highest = 0x8F
    else:
        return bad(s, ERROR_UTF8)
    return SCAN_UTF8


cdef int special_in_string(Scan* s, uint8_t c) noexcept nogil:
    """What the string run would not decide: a control character, or the start of something cut or broken."""
    if c == c'\\':
        s.escaped = 1
        return SCAN_ESCAPE
    if c < 0x20:
        return bad(s, ERROR_CONTROL)
    return start_of_sequence(s, c)


cdef int escape_byte(Scan* s, int state, uint8_t c) noexcept nogil:
    """One byte of an escape that lies across two chunks, or is wrong."""
    if state == SCAN_ESCAPE:
        if c == c'u':
            s.left = 4
            return SCAN_HEX
        if c in (c'"', c'\\', c'/', c'b', c'f', c'n', c'r', c't'):
            return SCAN_STRING
        return bad(s, ERROR_ESCAPE)
    if not (c'0' <= c <= c'9' or c'a' <= (c | 0x20) <= c'f'):
        return bad(s, ERROR_ESCAPE)
    s.left -= 1
    return SCAN_HEX if s.left else SCAN_STRING


cdef int number_byte(int state, uint8_t c) noexcept nogil:
    """The state after c in a number; SCAN_AFTER: c is not part of it; SCAN_BAD: the number is ill-formed."""
    cdef bint digit = c'0' <= c <= c'9'
    if state == SCAN_MINUS:
        return SCAN_ZERO if c == c'0' else SCAN_DIGITS if digit else SCAN_BAD
    if state == SCAN_POINT:
        return SCAN_FRACTION if digit else SCAN_BAD
    if state == SCAN_EXPONENT:
        if c == c'+' or c == c'-':
            return SCAN_EXPONENT_SIGN
        return SCAN_EXPONENT_DIGITS if digit else SCAN_BAD
    if state == SCAN_EXPONENT_SIGN:
        return SCAN_EXPONENT_DIGITS if digit else SCAN_BAD
    if state == SCAN_EXPONENT_DIGITS:
        return SCAN_EXPONENT_DIGITS if digit else SCAN_AFTER
    if digit:
        return state if state != SCAN_ZERO else SCAN_BAD
    if c == c'.' and state != SCAN_FRACTION:
        return SCAN_POINT
    return SCAN_EXPONENT if c == c'e' or c == c'E' else SCAN_AFTER


cdef Py_ssize_t scan(Scan* s, const uint8_t* p, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef int state = s.state
    cdef int depth = s.depth
    cdef int step
    cdef uint8_t c
    cdef Mark* mark
    while i < n:
        c = p[i]
        if state == SCAN_VALUE or state == SCAN_VALUE_OR_END:
            if c == c' ' or c == c'\n' or c == c'\r' or c == c'\t':
                i += 1
                continue
            if depth == s.mark_depth:
                s.marks[s.mark_count - 1].value = s.offset + i
                s.marks[s.mark_count - 1].kind = c
            i += 1
            if c == c'"':
                s.in_key = False
                s.escaped = 0
                state = SCAN_STRING
            elif c == c'{' or c == c'[':
                if depth >= s.max_depth:
                    i -= 1
                    state = bad(s, ERROR_DEPTH)
                    break
                depth += 1
                if c == c'{':
                    s.objects[depth >> 6] |= <uint64_t>1 << (depth & 63)
                    state = SCAN_KEY_OR_END
                else:
                    s.objects[depth >> 6] &= ~(<uint64_t>1 << (depth & 63))
                    state = SCAN_VALUE_OR_END
                    if depth == s.mark_depth:
                        s.mark_depth = -1         # BU-02: an array has no members, and so no mark to write to
            elif c'1' <= c <= c'9':
                state = SCAN_DIGITS
            elif c == c'0':
                state = SCAN_ZERO
            elif c == c'-':
                state = SCAN_MINUS
            elif c == c't':
                s.literal = "rue"
                s.left = 3
                state = SCAN_LITERAL
            elif c == c'f':
                s.literal = "alse"
                s.left = 4
                state = SCAN_LITERAL
            elif c == c'n':
                s.literal = "ull"
                s.left = 3
                state = SCAN_LITERAL
            elif c == c']' and state == SCAN_VALUE_OR_END:
                depth -= 1
                state = value_ended(s, depth, i)
                if state == SCAN_DONE:
                    break
            else:
                i -= 1
                state = bad(s, ERROR_COMMA if c == c']' and depth and not s.objects[depth >> 6] >> (depth & 63) & 1
                            else ERROR_VALUE)
                break
        elif state == SCAN_STRING:
            i = bw_string_run(p, i, n, &s.escaped)
            if i >= n:
                break
            c = p[i]
            if c != c'"':
                state = special_in_string(s, c)
                if state == SCAN_BAD:
                    break
                i += 1
            elif s.in_key:
                if depth == s.mark_depth:
                    mark = &s.marks[s.mark_count - 1]
                    mark.key_end = s.offset + i
                    mark.key_escaped = s.escaped
                i += 1
                state = SCAN_COLON
                if i < n and p[i] == c':':
                    i += 1
                    state = SCAN_VALUE
            else:
                i += 1
                state = value_ended(s, depth, i)
                if state == SCAN_DONE:
                    break
        elif state == SCAN_AFTER:
            i += 1
            if c == c',':
                state = SCAN_KEY if s.objects[depth >> 6] >> (depth & 63) & 1 else SCAN_VALUE
            elif c == (c'}' if s.objects[depth >> 6] >> (depth & 63) & 1 else c']'):
                depth -= 1
                state = value_ended(s, depth, i)
                if state == SCAN_DONE:
                    break
            elif c != c' ' and c != c'\n' and c != c'\r' and c != c'\t':
                i -= 1
                state = bad(s, ERROR_AFTER)
                break
        elif state == SCAN_KEY or state == SCAN_KEY_OR_END:
            if c == c'"':
                if depth == s.mark_depth:
                    if s.mark_count == s.mark_limit:
                        state = bad(s, ERROR_MEMBERS)
                        break
                    s.marks[s.mark_count].key = s.offset + i + 1
                    s.mark_count += 1
                i += 1
                s.in_key = True
                s.escaped = 0
                state = SCAN_STRING
            elif c == c'}' and state == SCAN_KEY_OR_END:
                i += 1
                depth -= 1
                state = value_ended(s, depth, i)
                if state == SCAN_DONE:
                    break
            elif c == c' ' or c == c'\n' or c == c'\r' or c == c'\t':
                i += 1
            else:
                state = bad(s, ERROR_COMMA if c == c'}' else ERROR_NAME)
                break
        elif state == SCAN_COLON:
            if c == c':':
                state = SCAN_VALUE
            elif c != c' ' and c != c'\n' and c != c'\r' and c != c'\t':
                state = bad(s, ERROR_COLON)
                break
            i += 1
        elif state == SCAN_LITERAL:
            if c != <uint8_t>s.literal[0]:
                state = bad(s, ERROR_LITERAL)
                break
            s.literal += 1
            s.left -= 1
            i += 1
            if s.left == 0:
                state = value_ended(s, depth, i)
                if state == SCAN_DONE:
                    break
        elif state == SCAN_UTF8:
            if c < s.lowest or c > s.highest:
                state = bad(s, ERROR_UTF8)
                break
            s.lowest = 0x80
            s.highest = 0xBF
            s.left -= 1
            i += 1
            if s.left == 0:
                state = SCAN_STRING
        elif state == SCAN_ESCAPE or state == SCAN_HEX:
            state = escape_byte(s, state, c)
            if state == SCAN_BAD:
                break
            i += 1
        elif state == SCAN_DONE or state == SCAN_BAD:
            break
        else:
            if state == SCAN_DIGITS or state == SCAN_FRACTION:
                while i < n and c'0' <= p[i] <= c'9':
                    i += 1
                if i >= n:
                    break
                c = p[i]
            step = number_byte(state, c)
            if step == SCAN_AFTER:
                state = value_ended(s, depth, i)
                if state == SCAN_DONE:
                    break
            elif step == SCAN_BAD:
                state = bad(s, ERROR_NUMBER)
                break
            else:
                state = step
                i += 1
    s.state = state
    s.depth = depth
    s.offset += i
    return i


cdef bint scan_end(Scan* s) noexcept nogil:
    if s.depth == 0 and s.state in (SCAN_ZERO, SCAN_DIGITS, SCAN_FRACTION, SCAN_EXPONENT_DIGITS):
        s.state = SCAN_DONE
    return s.state == SCAN_DONE


cdef Py_ssize_t check(const uint8_t* p, Py_ssize_t n, int max_depth) noexcept nogil:
    cdef Scan s
    cdef Py_ssize_t i
    scan_start(&s, max_depth, NULL, 0)
    i = scan(&s, p, n)
    if s.state != SCAN_DONE and not scan_end(&s):
        return i
    while i < n and (p[i] == c' ' or p[i] == c'\n' or p[i] == c'\r' or p[i] == c'\t'):
        i += 1
    return i if i < n else -1


cdef bint too_deep(const uint8_t* p, Py_ssize_t n, int max_depth) noexcept nogil:
    cdef Scan s
    scan_start(&s, max_depth, NULL, 0)
    scan(&s, p, n)
    return s.error == ERROR_DEPTH


cdef class Validator:
    """The scanner for Python: feed() bytes in any split, then end()."""
    cdef Scan state
    cdef Py_ssize_t seen

    def __init__(self, int max_depth=512):
        scan_start(&self.state, max_depth, NULL, 0)

    def feed(self, bytes data not None):
        """Offset of the first wrong byte since the beginning, or None: all is well so far."""
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(data)
        cdef Py_ssize_t i = scan(&self.state, p, n)
        if self.state.state == SCAN_DONE:
            while i < n and p[i] in (32, 9, 10, 13):
                i += 1
        self.seen += i
        return None if i == n else self.seen

    @property
    def too_deep(self):
        """Whether the bytes fed are wrong because they are nested too deeply."""
        return self.state.error == ERROR_DEPTH

    def end(self):
        """Whether the bytes fed are one complete JSON document."""
        return scan_end(&self.state)


def validate(bytes data not None, int max_depth=512):
    """Offset of the first wrong byte of a complete JSON document (its length: the text is cut), or None."""
    cdef Py_ssize_t at = check(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), max_depth)
    return None if at < 0 else at
