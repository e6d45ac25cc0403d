cdef enum:
    MAX_PARSED = 256          # a longer condition is parsed again when it is evaluated: parsed it takes far more room

cdef class Expression:
    """A parsed condition. See conditions.pyx."""
    cdef readonly list ids                  # ids and group names that it asks about, each once
    cdef readonly list needs_body           # those of them whose answer's body it needs
    cdef object root                        # (kind, ...)
    cpdef bint evaluate(self, object lookup) except -1

cpdef object number_of(str text)

cpdef Expression parse(bytes text)
