# Memory that large bodies have had. See memory.pyx.
cdef class Tide:
    """Gives memory back to the system when most of what was held has been let go of."""
    cdef Py_ssize_t most                    # bytes held at once since it did so
    cdef int tell(self, Py_ssize_t held) except -1
