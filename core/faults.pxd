# Places where a test may make the core fail. What nobody has armed costs a load and a branch.
cdef int armed
cdef int strike(const char* place) except -1

cdef inline int fault(const char* place) except -1:
    return strike(place) if armed else 0
