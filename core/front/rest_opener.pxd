from batchwire.core.front.route_entry cimport RouteEntry
from batchwire.core.front.stream cimport Stream
from batchwire.core.ledger cimport Batch, Ledger
from batchwire.core.model cimport Buffer

cdef class Negotiated(RouteEntry):
    """What the head of a batch led to. See rest_opener.pyx."""
    cdef readonly object outcome
    cdef int status
    cdef tuple headers
    cdef str decoding
    cdef bint whole

cdef class RestOpener:
    """Opens batches whose heads are known. See rest_opener.pyx."""
    cdef Ledger ledger
    cdef unsigned long long max_request_bytes
    cdef bint direct
    cdef object kept                        # OrderedDict of key -> Negotiated, the one used last at the end
    cdef Buffer text                        # of the key that is being made
    cpdef bytes key_of(self, Stream stream, str scheme, bytes host)
    cpdef Negotiated known(self, bytes key)
    cpdef Batch begin(self, Negotiated known, list fields, str peer)
    cdef Negotiated find(self, Stream stream)
