from batchwire.core.model cimport Call, Result
from batchwire.core.plan.urls cimport UrlRules

cdef class Kept:
    """What a finished call leaves for those that refer to it."""
    cdef readonly int status
    cdef readonly bytes method
    cdef readonly bytes target              # as sent to the upstream
    cdef readonly bytes origin              # of its upstream
    cdef readonly bytes base_path
    cdef readonly bytes mount               # of its call, or None
    cdef readonly bytes location            # or None
    cdef readonly bytes etag                # or None
    cdef readonly bytes body                # a JSON body within bounds, or None
    cdef bytes content                      # the whole body of any type, or None
    cdef int checked                        # whether body is valid JSON: 0 not known, 1 yes, -1 no
    cdef int holders                        # waiting calls that it was handed to

cdef class References:
    cdef dict kept
    cdef object order
    cdef Py_ssize_t held, budget            # for calls still to come
    cdef Py_ssize_t handed                  # bytes of bodies that waiting calls hold
    cdef Kept keep(self, Call call, Result result, bint for_later, bint whole)
    cdef int place(self, list members, list results, UrlRules rules) except -1
    cdef int hand(self, Call call, bytes name, Kept kept) except -1
    cdef int let_go(self, Call call) except -1
    cdef Kept get(self, bytes name)

cdef bytes url_of(Kept kept, UrlRules rules)
cdef bytes etag_of(Kept kept)
cdef list etag_references(bytes head)
cdef bytes put_etag(bytes head, bytes name, bytes etag)
cdef bytes resource_url(Kept kept, bytes tail, UrlRules rules)
cdef bytes without_mount(bytes url, Kept kept)
cdef bint is_json(Kept kept) noexcept
