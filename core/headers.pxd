# Builds the header lines of an inner request from fields, so that nothing can be injected.
from batchwire.core.header_rules cimport HeaderRules
from batchwire.core.model cimport Buffer, Call

cdef bint block_has(bytes head, const char* name, Py_ssize_t n) noexcept
cdef bytes block_get(bytes head, const char* name, Py_ssize_t n)
cdef bint valid_value(const char* p, Py_ssize_t n) noexcept nogil

cdef class HeaderBlock:
    """Collects the header fields of one call; reused from call to call.

    start(call); add(...) for each field; finish() stores call.head. Screening (MB-17, GW-17, GW-12 and
    the hop-by-hop and identity rules of the design) happens here, for every dialect alike: a field that
    must not pass is dropped, or the call is refused with 400.
    content_type: the value of content-type (bytes), or None.
    transfer_encoding: the value of transfer-encoding, or None (JB-27).
    """
    cdef Buffer out
    cdef Call call
    cdef readonly bytes content_type
    cdef readonly bytes transfer_encoding
    cdef bint refuse_duplicates      # GW-12: the JSON dialects
    cdef HeaderRules rules
    cdef bint drop_authorization     # GW-17's switch
    cdef str hint                    # of a refused Authorization
    cdef bytes authorization         # of the batch: a call may repeat it (CL-09); None: it may not
    cdef Py_ssize_t max_bytes
    cdef set names
    cdef dict places                 # name in lower case -> (start, length) of the value, of the first `indexed` bytes
    cdef Py_ssize_t indexed
    cdef int start(self, Call call) except -1
    cdef int add(self, const char* name, Py_ssize_t name_len, const char* value, Py_ssize_t value_len) except -1
    cdef bint may_drop(self, Py_ssize_t name_len, const char* value, Py_ssize_t value_len) noexcept
    cdef bint find(self, const char* name, Py_ssize_t n, const char** value, Py_ssize_t* value_len) except -1
    cdef bint find_among_many(self, const char* name, Py_ssize_t n, const char** value, Py_ssize_t* value_len) except -1
    cdef bint find_among_few(self, const char* name, Py_ssize_t n, const char** value, Py_ssize_t* value_len) noexcept
    cdef int drop_content_type(self) except -1
    cdef int name_hop_headers(self, bytes value) except -1
    cdef int finish(self) except -1
