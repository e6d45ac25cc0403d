# What must hold wherever it is said: the debug build aborts where it does not, the release build does not look.
cdef extern from "<assert.h>" nogil:
    void must_hold "assert"(bint)
