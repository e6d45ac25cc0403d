from batchwire.core.model cimport Call, Result
from batchwire.core.plan.urls cimport UrlRules

cdef class Kept:
    """What a finished call leaves for those that refer to it."""
    cdef readonly int status
    cdef readonly bytes method
    cdef readonly bytes target              # as sent to the upstream
    cdef readonly bytes origin              # of its upstream
    cdef readonly bytes base_path
    cdef readonly bytes location            # or None
    cdef readonly bytes etag                # or None
    cdef readonly bytes body                # a JSON body within bounds, or None

cdef class References:
    cdef dict kept
    cdef object order
    cdef Py_ssize_t held, budget
    cdef Kept keep(self, Call call, Result result, bint for_later)
    cdef Kept get(self, bytes name)

cdef bytes url_of(Kept kept, UrlRules rules)
cdef bytes etag_of(Kept kept)
cdef bytes etag_reference(bytes head)
cdef bytes put_etag(bytes head, bytes name, bytes etag)
cdef bytes unsupported_reference(Call call, bytes rest)
