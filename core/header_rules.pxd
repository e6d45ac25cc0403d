# What may pass of the header fields of a call, by name.
from libc.stdint cimport int16_t, uint8_t

cdef enum Verdict:
    PASS = 0
    DROP = 1              # hop-by-hop, ours (GW-08: also what codings we take), or an identity that a client must not claim
    REFUSE = 2            # MB-17, GW-17: must not be in an inner request
    CONTENT_TYPE = 3
    TRANSFER_ENCODING = 4
    CONNECTION = 5

cdef class HeaderRules:
    """See header_rules.pyx."""
    cdef int16_t* steps               # [node][symbol] -> node; 0: no rule goes on like this
    cdef uint8_t* whole               # [node] -> verdict and marks of names that end here
    cdef uint8_t* begun               # [node] -> marks of patterns whose text ends here
    cdef int nodes
    cdef int enter(self, bytes text) except -1
    cdef int verdict(self, const char* name, Py_ssize_t n) noexcept nogil
