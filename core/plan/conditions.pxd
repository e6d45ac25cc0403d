cdef class Expression:
    cdef public list ids
    cdef public list needs_body
    cpdef object evaluate(self, lookup)
cpdef Expression parse(bytes text)
