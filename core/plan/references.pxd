from batchwire.core.dialects.json_index cimport JsonIndex
from batchwire.core.model cimport Call, Result
from batchwire.core.plan.urls cimport UrlRules
from cpython.bytes cimport PyBytes_GET_SIZE

cdef enum Missing:
    MISSING_NOT = 0
    MISSING_LARGE = 1         # the body is larger than what is kept of one, or cannot be decoded
    MISSING_CROWDED = 2       # waiting calls hold too much already
    MISSING_FORGOTTEN = 3     # all of it: later answers took its place

cdef class Kept:
    """What a finished call leaves for those that refer to it."""
    cdef readonly int status
    cdef readonly bytes method
    cdef readonly bytes target              # as sent to the upstream
    cdef readonly bytes origin              # of its upstream
    cdef readonly bytes base_path
    cdef readonly bytes group               # name of its group, or None
    cdef readonly bytes mount               # of its call, or None
    cdef readonly bytes location            # or None
    cdef readonly bytes entity_id           # OData-EntityId, or None
    cdef readonly bytes etag                # or None
    cdef readonly bytes body                # a JSON body within bounds, or None
    cdef bytes media                        # its content-type
    cdef bytes text                         # the body in UTF-8, where it is in another charset; else None
    cdef bytes content                      # the whole body of any type, or None
    cdef Missing missing                    # why there is no `body`, though the call may have answered JSON
    cdef bint not_json                      # the body was looked at, and is none
    cdef JsonIndex index                    # of the body, once a value of it was asked for; or None
    cdef Py_ssize_t holders                 # waiting calls that it was handed to
    cdef bint later                         # calls still to come may refer to it

cdef class References:
    cdef dict kept
    cdef object order
    cdef Py_ssize_t held, budget            # for calls still to come
    cdef Py_ssize_t process_budget          # for those of all batches
    cdef dict given                         # of Kepts that waiting calls hold
    cdef Py_ssize_t handed                  # their bytes
    cdef dict indexed                       # of Kepts that have an index, the oldest first
    cdef Py_ssize_t index_bytes
    cdef int count(self, Py_ssize_t more) except -1
    cdef int forget_oldest(self) except -1
    cdef Kept keep(self, Call call, Result result, bint for_later, bint whole)
    cdef int place(self, list members, list results, UrlRules rules, Py_ssize_t longest) except -1
    cdef int hand(self, Call call, bytes name, Kept kept) except -1
    cdef int let_go(self, Call call) except -1
    cdef Kept get(self, bytes name)
    cdef Kept forgotten                     # stands for each that is not kept any more
    cdef int no_more(self) except -1
    cdef int close(self) except -1
    cdef int find(self, Kept kept, list path, Py_ssize_t* start, Py_ssize_t* end) except -1
    cdef JsonIndex index_of_odd(self, Kept kept)
    cdef int drop_index(self, Kept kept) except -1
    cdef bytes etag_of(self, Kept kept)

cdef inline Py_ssize_t size_of(bytes text) noexcept:
    return 0 if text is None else PyBytes_GET_SIZE(text)

cdef Py_ssize_t cost(Kept kept) noexcept
cdef Py_ssize_t lines_of(Kept kept) noexcept
cdef str why_missing(Kept kept)
cdef bint all_missing(Kept kept) noexcept
cdef bytes text_of(Kept kept)
cdef bytes url_of(Kept kept, UrlRules rules)
cdef list etag_references(bytes head)
cdef bytes put_etags(bytes head, dict etags)
cdef bytes resource_url(Kept kept, bytes tail, UrlRules rules)
cdef bytes without_mount(bytes url, Kept kept)
