cdef class Expression:
    """A parsed condition. See conditions.pyx."""
    cdef readonly list ids                  # ids and group names that it asks about, each once
    cdef readonly list needs_body           # those of them whose answer's body it needs
    cdef object root                        # _Node
    cpdef bint evaluate(self, object lookup) except -1

cpdef Expression parse(bytes text)
