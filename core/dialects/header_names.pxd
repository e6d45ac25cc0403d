# How the name of a header is spelt in an answer (PR-02).
from batchwire.core.model cimport Buffer

# Appends the name in lower case, or in canonical case. False, and nothing appended: it is not a field name.
cdef bint put_name(Buffer out, const char* name, int n, bint lowercase) except -1
