# How the name of a header is spelt in an answer (PR-02).
from batchwire.core.model cimport Buffer

# Appends the name in lower case, or in canonical case. False, and nothing appended: it is not a field name.
cdef bint put_name(Buffer out, const char* name, int n, bint lowercase) except -1

# The value of a header in UTF-8: as it is, or read as Latin-1 (RFC 9110 5.5).
cdef bytes value_in_utf8(bytes value)
