# What a client gets to read of an upstream's body: its content-codings are undone first (HD-19).
from batchwire.core.dialects.codings cimport Undoing
from batchwire.core.model cimport Call, Result

# The codings of a result, all its fields in one value.
cdef bytes codings_of(Result result)

# Whether the body has content-codings that are to be undone.
cdef bint is_coded(Result result) noexcept

# What undoes them, or None: they cannot be undone, and the result says so in a note. limit: most bytes of the body,
# 0: no limit.
cdef Undoing undoing_of(Call call, Result result, Py_ssize_t limit)

# A step of it; whether it was the last one: the body is plain then, or the result says in a note why it is not.
# BadUpstreamBody when the answer to a GET is too long. call: None for an answer that is no call's own.
cdef bint go_on_undoing(Undoing undoing, Call call, Result result) except -1

# All steps, for a result that has not been through them. False: the codings stay.
cdef bint make_plain(Call call, Result result, Py_ssize_t limit) except -1
