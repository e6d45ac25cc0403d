from batchwire.core.model cimport Call
from batchwire.core.upstream.base cimport Upstream

cdef class Inheritance:
    """Header lines that the calls of a batch inherit. See inheritance.pyx."""
    cdef list lines                         # [(name in lower case, line)]
    cdef bint at_once                       # every answer must be final
    cdef bytes always                       # lines that every call gets
    cdef bytes with_authorization
    cdef bytes all_lines
    cdef bytes all_with_authorization
    cdef bytes said, tail                   # of the call before: its own lines, and those of every call
    cdef bytes head, joined                 # and what came of them
    cdef dict preferences                   # {name: b", " + text} of the inherited Prefer, or None: not read yet
    cdef bytes all_preferences              # the texts of all of them
    cdef int add(self, bytes name, bytes value) except -1
    cdef int drop(self, set names) except -1
    cdef int freeze(self) except -1
    cdef bytes lines_for(self, Call call, Upstream upstream)
    cdef int join(self, Call call, bytes tail) except -1
    cdef bytes with_preferences(self, bytes head)
    cdef int read_preferences(self) except -1
    cdef bint is_large(self) noexcept
    cdef bint is_shared(self, bytes lines) noexcept
    cdef bint is_dear(self, Call call) noexcept


cdef set names_in(bytes head)
