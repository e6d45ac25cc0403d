from batchwire.core.dialects.base cimport BatchOptions
from batchwire.core.headers cimport HeaderBlock

cdef class ProtoOptions(BatchOptions):
    """Those of a BatchRequest or ExecuteRequest. See proto_options.pyx."""
    cdef readonly bint said                 # the message has options; else these are the defaults
    cdef bytes name                         # of the route, as it came
    cdef readonly list pairs                # headers: [(name, value)], bytes; or None
    cdef Py_ssize_t left                    # fields that there may still be
    cdef int merge(self, const char* p, Py_ssize_t n) except -1
    cdef int add_header(self, const char* p, Py_ssize_t n) except -1
    cdef int count(self) except -1
    cdef int screen(self, HeaderBlock headers) except -1

cdef ProtoOptions options_of(bytes message)
