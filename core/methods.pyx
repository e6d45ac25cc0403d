"""The methods that a call may have (JB-07, CL-03): the same for every dialect. Must never know a dialect."""
cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

# Said where a call has another one.
METHODS = "GET, POST, PUT, PATCH, DELETE, MERGE, HEAD or OPTIONS"

cdef bytes GET = b"GET"
cdef bytes POST = b"POST"
cdef bytes PUT = b"PUT"
cdef bytes PATCH = b"PATCH"
cdef bytes DELETE = b"DELETE"
cdef bytes MERGE = b"MERGE"
cdef bytes HEAD = b"HEAD"
cdef bytes OPTIONS = b"OPTIONS"


cdef bytes method_of(const char* p, Py_ssize_t n):
    """The method in upper case, whatever case it is written in; None: no call has it."""
    if n == 3:
        if strncasecmp(p, b"GET", 3) == 0:
            return GET
        if strncasecmp(p, b"PUT", 3) == 0:
            return PUT
    elif n == 4:
        if strncasecmp(p, b"POST", 4) == 0:
            return POST
        if strncasecmp(p, b"HEAD", 4) == 0:
            return HEAD
    elif n == 5:
        if strncasecmp(p, b"PATCH", 5) == 0:
            return PATCH
        if strncasecmp(p, b"MERGE", 5) == 0:
            return MERGE
    elif n == 6:
        if strncasecmp(p, b"DELETE", 6) == 0:
            return DELETE
    elif n == 7:
        if strncasecmp(p, b"OPTIONS", 7) == 0:
            return OPTIONS
    return None


cdef bint is_bodyless(bytes method) noexcept:
    """Whether a call with this method must not have a body (JB-26)."""
    return method is GET or method is DELETE or method is HEAD or method is OPTIONS
