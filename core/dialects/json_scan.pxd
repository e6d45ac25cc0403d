# Strict incremental reading of one JSON value (RFC 8259), resumable at any byte.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    MAX_DEPTH = 1024          # the most that a limit on nesting may be set to

cdef enum ScanState:
    SCAN_VALUE = 0
    SCAN_VALUE_OR_END = 1     # after "["
    SCAN_KEY = 2
    SCAN_KEY_OR_END = 3       # after "{"
    SCAN_COLON = 4
    SCAN_AFTER = 5            # after a member or an element
    SCAN_STRING = 6
    SCAN_ESCAPE = 7           # after a backslash
    SCAN_HEX = 8              # in the four digits of \u
    SCAN_LOW_SLASH = 9        # a high surrogate was read: its low half must follow
    SCAN_LOW_U = 10
    SCAN_UTF8 = 11            # inside a sequence of several bytes
    SCAN_MINUS = 12
    SCAN_ZERO = 13
    SCAN_DIGITS = 14
    SCAN_POINT = 15
    SCAN_FRACTION = 16
    SCAN_EXPONENT = 17
    SCAN_EXPONENT_SIGN = 18
    SCAN_EXPONENT_DIGITS = 19
    SCAN_LITERAL = 20
    SCAN_DONE = 21
    SCAN_BAD = 22

cdef enum ScanError:
    ERROR_NONE = 0
    ERROR_SYNTAX = 1
    ERROR_UTF8 = 2
    ERROR_CONTROL = 3
    ERROR_ESCAPE = 4
    ERROR_SURROGATE = 5
    ERROR_NUMBER = 6
    ERROR_LITERAL = 7
    ERROR_DEPTH = 8
    ERROR_MEMBERS = 9
    ERROR_TRUNCATED = 10

cdef struct Mark:
    # One member of the outermost object; offsets in bytes from the first byte given to scan().
    Py_ssize_t key            # the raw text of the name, without its quotes
    Py_ssize_t key_end
    Py_ssize_t value          # from the first byte of the value ...
    Py_ssize_t value_end      # ... to the byte after its last
    int kind                  # first byte of the value: { [ " t f n - 0..9
    bint key_escaped
    bint value_escaped        # meaningful for a string

cdef struct Scan:
    int state
    int error
    int depth                 # containers open
    int max_depth
    int mark_depth            # 1: note the members of the outermost object; -1: do not
    int mark_count
    int mark_limit
    Mark* marks
    Py_ssize_t offset         # bytes consumed since scan_start()
    bint in_key
    int escaped               # the string read last has an escape
    int left                  # bytes or digits that a sequence, an escape or a literal still needs
    uint32_t code             # of a \u escape
    bint high                 # the escape before was a high surrogate
    uint8_t lowest            # what the next byte of a sequence may be
    uint8_t highest
    const char* literal
    uint64_t objects[17]      # a bit for each depth: object or array

cdef void scan_start(Scan* s, int max_depth, Mark* marks, int mark_limit) noexcept nogil
# Reads on. Returns the bytes consumed; then s.state is SCAN_DONE (the value ended before p + that), SCAN_BAD
# (the byte at p + that is wrong, s.error says how) or anything else: all n bytes are consumed, more are needed.
cdef Py_ssize_t scan(Scan* s, const uint8_t* p, Py_ssize_t n) noexcept nogil
# The input ends: true when the value is complete (a number at the top may end so).
cdef bint scan_end(Scan* s) noexcept nogil
cdef str scan_message(int error)

# Offset of the first wrong byte of a complete document (n: it is cut), or -1 when it is valid.
cdef Py_ssize_t check(const uint8_t* p, Py_ssize_t n, int max_depth) noexcept nogil
