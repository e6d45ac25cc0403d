# Strict incremental reading of one JSON value (RFC 8259), resumable at any byte.
from libc.stdint cimport uint8_t, uint64_t

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
    SCAN_UTF8 = 9             # inside a sequence of several bytes
    SCAN_MINUS = 10
    SCAN_ZERO = 11
    SCAN_DIGITS = 12
    SCAN_POINT = 13
    SCAN_FRACTION = 14
    SCAN_EXPONENT = 15
    SCAN_EXPONENT_SIGN = 16
    SCAN_EXPONENT_DIGITS = 17
    SCAN_LITERAL = 18
    SCAN_DONE = 19
    SCAN_BAD = 20

cdef enum ScanError:
    ERROR_NONE = 0
    ERROR_VALUE = 1
    ERROR_UTF8 = 2
    ERROR_CONTROL = 3
    ERROR_ESCAPE = 4
    ERROR_NUMBER = 5
    ERROR_LITERAL = 6
    ERROR_DEPTH = 7
    ERROR_MEMBERS = 8
    ERROR_COMMA = 9           # nothing stands behind it
    ERROR_AFTER = 10
    ERROR_NAME = 11
    ERROR_COLON = 12

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
# Whether a document that is not valid with this limit is so because it is nested too deeply.
cdef bint too_deep(const uint8_t* p, Py_ssize_t n, int max_depth) noexcept nogil
