from batchwire.core.dialects.base cimport BatchOptions, Reader
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.model cimport Buffer, Call

cdef class ProtoReader(Reader):
    cdef object messages                    # deque of messages not yet begun
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
    cdef public object options              # dict of the first message's BatchOptions, or None
    cdef bint continues                     # the call read last says that its body goes on
    cdef Call unfinished                    # a call whose body comes in parts, or None
    cdef Buffer gathered                    # of that body
    cdef int begin_parts(self, Call call) except -1
    cdef Call add_part(self, const char* p, Py_ssize_t n)
    cdef int begin_message(self, bytes message) except -1
    cdef Call read_call(self, const char* p, Py_ssize_t n)
    cdef int read_header(self, const char* p, Py_ssize_t n) except -1
