from batchwire.core.dialects.proto_options cimport ProtoOptions
from batchwire.core.plan.urls cimport UrlRules
from batchwire.core.route cimport Route

cdef class BatchHead:
    """What is known of a batch before its first byte. See batch_head.pyx."""
    cdef public str dialect, answer
    cdef public bint strict
    cdef public object authority            # (scheme, host[:port]), a list of several, or None
    cdef public list headers                # inherited outer headers [(name, value)], bytes; or None
    cdef public bytes authorization
    cdef public bint continue_on_error, ordered
    cdef public double deadline, answer_deadline
    cdef public int hops
    cdef public bint execute
    cdef public bytes boundary, answer_boundary
    cdef public bint last_only, nested_errors
    cdef public bint watched
    cdef ProtoOptions options               # those of the first message, where they have been read; or None
    cdef UrlRules rules                     # of the route, or None
    cpdef BatchHead copy(self)
    cdef int bind(self, Route route) except -1
