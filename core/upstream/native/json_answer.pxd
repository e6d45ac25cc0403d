# {"responses":[...]} -> a Result or None a member; None in all: it is no batch response.
cdef list responses_in(bytes text, Py_ssize_t count, int max_depth)
