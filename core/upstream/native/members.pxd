# What both forms say of a member: its URL, its header lines, its body, with references renamed.
from batchwire.core.model cimport Call

cdef dict ordinals_of(list members)                                 # client id -> b"1", b"2", ...
cdef bint fits_in(Call call, bytes base_path, dict inner) except -1
cdef bytes relative_url(Call call, bytes base_path, dict inner)
cdef list fields_of(Call call, dict inner)                          # [(name, value)], without what is lifted
cdef bytes lifted_lines(Call call)                                  # what belongs to the POST and not into a member
cdef dict depends_within(Call call, dict inner)                     # ids in the upstream's batch -> None
cdef bytes renamed_body(bytes body, dict inner, dict waits)
