# One part of a multipart batch -> one Call.
from batchwire.core.dialects.multipart.lines cimport Field
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.model cimport Buffer, Call
from batchwire.core.origins cimport Origins
from libc.stdint cimport uint64_t

cdef enum Flavour:
    FLAVOUR_ODATA = 0
    FLAVOUR_DOCUMENT = 1
    FLAVOUR_GOOGLE = 2

cdef enum PartKind:
    PART_OTHER = 0            # MB-02: no type, or one that is not known here
    PART_HTTP = 1             # application/http
    PART_MULTIPART = 2        # multipart/mixed

cdef class PartBuilder:
    """begin() and read_mime() for the headers of a part, then build() for what follows them."""
    cdef HeaderBlock block
    cdef Buffer scratch
    cdef int flavour
    cdef bint strict
    cdef Origins origins              # of the batch URL, or None
    cdef Py_ssize_t max_header_bytes
    # what the headers of the part say
    cdef int kind
    cdef bint plain                   # MB-03: no content-transfer-encoding that changes the bytes
    cdef bint broken                  # a line is no header field
    cdef bytes media                  # of PART_MULTIPART
    cdef bytes id                     # Content-ID or, in the document flavour, RequestId
    cdef bint ids_differ
    cdef bint cr_follows              # behind the part, before the line feed of its delimiter, there is a carriage return
    # what the head of the message says
    cdef Py_ssize_t length            # -1: no Content-Length
    cdef bint bodyless                # GET, DELETE and their like
    cdef int begin(self) except -1
    cdef int read_mime(self, const char* p, const char* end) except -1
    cdef Call build(self, object owner, const char* p, const char* end, bytes group, uint64_t number)
    cdef int read_message(self, Call call, object owner, const char* p, const char* end) except -1
    cdef int read_request_line(self, Call call, const char* p, const char* end) except -1
    cdef int read_field(self, Call call, Field* field) except -1
    cdef int read_body(self, Call call, object owner, const char* p, Py_ssize_t n) except -1
    cdef int take_id(self, Field* field) except -1
    cdef int identify(self, Call call, bint in_set, uint64_t number) except -1
