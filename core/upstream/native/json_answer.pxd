# {"responses":[...]} -> a Result or None a member; None in all: it is no batch response. whole: it must be valid as a
# whole; else one that is not is read as far as each response is.
cdef list responses_in(bytes text, Py_ssize_t count, int max_depth, bint whole)
cdef bytes link_in(bytes text, int max_depth)           # its @nextLink, or None
