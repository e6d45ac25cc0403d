# Work on a body in small steps, between which others can be served (PL-01).
cdef class Steps:
    # Goes on for a millisecond or two; whether that was the last step.
    cdef bint step(self) except -1
    # Bytes that it keeps.
    cdef Py_ssize_t held(self) noexcept


cdef class Pieces:
    """Bytes that come in pieces, and are put together in steps, too."""
    cdef list pieces
    cdef Py_ssize_t size                    # of all that have come
    cdef Py_ssize_t first                   # that has not been put in its place
    cdef Py_ssize_t placed                  # bytes that have
    cdef bytes whole                        # where they are put together, or None
    cdef int add(self, bytes piece) except -1
    cdef Py_ssize_t held(self) noexcept
    # A step of putting them together; whether `whole` is all of them.
    cdef bint join(self) except -1
