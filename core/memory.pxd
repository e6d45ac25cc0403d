# Memory that large bodies have had. See memory.pyx.
cdef enum:
    HIGH_TIDE = 67108864      # bytes that go back to the system when most of them are let go of

cdef class Tide:
    """Gives memory back to the system when most of what was held has been let go of."""
    cdef Py_ssize_t most                    # bytes held at once since it did so
    cdef int ebb(self, Py_ssize_t held) except -1

    cdef inline int tell(self, Py_ssize_t held) except -1:
        """held: bytes, now."""
        if held > self.most:
            self.most = held
        elif self.most >= HIGH_TIDE and held <= self.most // 16:
            self.ebb(held)
        return 0
