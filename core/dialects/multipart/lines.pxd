# Lines of a multipart document: delimiters, header fields.
from batchwire.core.model cimport Buffer

cdef enum:
    MAX_PADDING = 256         # white space taken after a delimiter; a longer line is no delimiter
    LONGEST_DELIMITER = 340   # "--", a boundary of 70, "--", padding, the line ends around it

cdef enum Delimiter:
    DELIMITER_NONE = 0
    DELIMITER_OPEN = 1        # a part begins
    DELIMITER_CLOSE = 2       # the document ends

cdef struct Field:
    const char* name
    Py_ssize_t name_len       # 0: the line has no colon, or begins with one
    const char* value
    Py_ssize_t value_len

# What a line (without its line end) is to the document with this boundary (section 2.1, MB-14).
cdef Delimiter delimiter_of(const char* p, Py_ssize_t n, const char* boundary, Py_ssize_t size) noexcept nogil

# Reads the field that begins at p, unfolded, and returns what follows it. `scratch` holds an unfolded value:
# it is good until the next call.
cdef const char* next_field(const char* p, const char* end, Field* field, Buffer scratch) except NULL

# The first byte after the empty line that ends a head, or `end` when there is none (MB-18).
# head_end: where the lines of the head end.
cdef const char* head_of(const char* p, const char* end, const char** head_end) noexcept nogil

cdef bint named(Field* field, const char* name, Py_ssize_t n) noexcept nogil
cdef bint blank(const char* p, Py_ssize_t n) noexcept nogil
