cdef class ForwardedNames:
    """Which header fields of an outer request go to its calls. See forwarded_names.pyx."""
    cdef object wants
    cdef dict verdicts                      # name -> bool
    cdef bint holds(self, bytes name) except -1
