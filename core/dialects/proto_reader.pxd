from batchwire.core.dialects.base cimport BatchOptions, Reader
from batchwire.core.dialects.proto_options cimport ProtoOptions
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.model cimport Buffer, Call

cdef class ProtoReader(Reader):
    cdef bytes upcoming                     # a message not yet begun, or None
    cdef object later                       # deque of those behind it, or None: a batch is often one message
    cdef Py_ssize_t waiting_bytes
    cdef bytes message                      # the one being read
    cdef const char* at
    cdef const char* end
    cdef Py_ssize_t left                    # calls of it still to be returned
    cdef bint finished
    cdef bint any
    cdef HeaderBlock headers
    cdef Py_ssize_t max_call_bytes
    cdef Py_ssize_t max_calls
    cdef ProtoOptions options               # of the first message, until they are taken; or None
    cdef bint continues                     # the call read last says that its body goes on
    cdef Call unfinished                    # a call whose body comes in parts, or None
    cdef Buffer gathered                    # of that body
    cdef int begin_parts(self, Call call) except -1
    cdef bytes next_message(self)
    cdef Call add_part(self, const char* p, Py_ssize_t n)
    cdef int begin_message(self, bytes message) except -1
    cdef Call read_call(self, const char* p, Py_ssize_t n)
    cdef int read_header(self, const char* p, Py_ssize_t n) except -1
