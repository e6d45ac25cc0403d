# Where a call refers to values of earlier calls. See value_finder.pyx.
from batchwire.core.dialects.json_scan cimport Scan
from batchwire.core.model cimport Call
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    MAX_REFERENCES = 64       # of one call
    MAX_PATH = 32             # segments
    MAX_TAIL = 8192           # bytes behind the id where a reference stands for a URL

cdef enum ReferenceKind:
    AS_JSON = 0               # in a body: the JSON text of the value
    AS_URL = 1                # in a body: the URL of the resource, as a JSON string
    AS_PLAIN = 2              # in a query: the value itself
    AS_LITERAL = 3            # in a query: an OData literal
    AS_PHRASE = 4             # in a query: a phrase of $search

cdef class Reference:
    """`$<id>` or `$<id>/path` at one place of a query or a body."""
    cdef readonly bytes name
    cdef readonly list path                 # keys and indexes, decoded; unless AS_URL
    cdef readonly bytes tail                # AS_URL: what follows the id
    cdef readonly int kind
    cdef readonly bint needed               # refused when no earlier call bears the name; else it is text then
    cdef readonly Py_ssize_t start          # in the target or the body
    cdef readonly Py_ssize_t end

cdef class BodyScan:
    """The possible references of a JSON body, one after the other, in pieces of bounded work."""
    cdef Call call
    cdef const uint8_t* p
    cdef Py_ssize_t n, at
    cdef Py_ssize_t stop                    # next() goes no further for now
    cdef frozenset names                    # whose values may be asked for, or None
    cdef bint all_names                     # of any other name, too, for all that is known here
    cdef Scan validity
    cdef Py_ssize_t checked                 # how far the body is known to be JSON
    cdef bint valid
    cdef int depth
    cdef bint link                          # the member being read holds links
    cdef uint64_t[17] objects               # a bit for each depth: object or array
    cdef uint64_t[17] links                 # a bit for each depth: an array of links
    cdef bint step(self, Py_ssize_t most) except -1
    cdef bint over(self) noexcept
    cdef Reference next(self)
    cdef Reference string(self, Py_ssize_t start, Py_ssize_t stop, bint escaped, bint link)

cdef bint query_may_refer(bytes target) noexcept
cdef bint body_may_refer(Call call) except -1
cdef BodyScan scan_body(Call call, frozenset names, bint all_names)
