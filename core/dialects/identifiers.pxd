cdef enum:
    MAX_ID = 1024             # bytes of an id, or of the name of a group (PL-03)
    MAX_DEPENDENCIES = 65536  # ids in one dependsOn (PL-03)

# ID-03: request-id = 1*unreserved.
cdef bint is_request_id(const char* p, Py_ssize_t n) noexcept nogil
# What they may hold, as a refusal says it.
cdef str id_characters(bint opaque)
# PL-09: what the compatible profile takes besides.
cdef bint is_opaque_id(const char* p, Py_ssize_t n) noexcept nogil
