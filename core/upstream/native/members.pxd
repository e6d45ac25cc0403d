# What both forms say of a member: its URL, its header lines, its body, with references renamed.
from batchwire.core.model cimport Buffer, Call

cdef dict ordinals_of(list members)                                 # client id -> b"1", b"2", ...
cdef bint fits_in(Call call, bytes base_path, dict inner) except -1
cdef bytes relative_url(Call call, bytes base_path, dict inner)
cdef list fields_of(Call call, dict inner)                          # [(name, value)], without what is lifted
cdef bytes lifted_lines(Call call)                                  # what belongs to the POST and not into a member
cdef dict depends_within(Call call, dict inner)                     # ids in the upstream's batch -> None

cdef class Renaming:
    """A valid JSON text whose links get the references in them renamed, in steps (ID-11, PL-01); every other byte stays.

    Links are `Nav@odata.bind`, `@odata.id` and their 4.01 spellings; what stands elsewhere is text.
    """
    cdef bytes body
    cdef dict inner
    cdef dict waits                         # the members that links have led to: ids in the upstream's batch -> None
    cdef Py_ssize_t at                      # how far it has been gone through
    cdef bint linking                       # what comes next may be a link
    cdef Py_ssize_t done                    # how far it is in `out`
    cdef Buffer out                         # None: nothing has been renamed
    cdef bint step(self) except -1
    cdef int rename(self, Py_ssize_t start, Py_ssize_t stop, bint escaped) except -1
    cdef bytes text(self)

cdef Renaming renaming_of(bytes body, dict inner)
