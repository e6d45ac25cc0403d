"""Work on a body in small steps, between which others can be served (PL-01)."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

cdef enum:
    STEP_COPIED = 1048576     # bytes that are put together in one step


cdef class Steps:
    cdef bint step(self) except -1:
        raise NotImplementedError

    cdef Py_ssize_t held(self) noexcept:
        return 0


cdef class Pieces:
    def __cinit__(self):
        self.pieces = []

    cdef int add(self, bytes piece) except -1:
        if PyBytes_GET_SIZE(piece):
            self.size += PyBytes_GET_SIZE(piece)
            self.pieces.append(piece)
        return 0

    cdef Py_ssize_t held(self) noexcept:
        return self.size if self.whole is None else 2 * self.size - self.placed

    cdef bint join(self) except -1:
        cdef Py_ssize_t end = self.placed + STEP_COPIED
        cdef bytes piece
        if self.whole is None:
            if len(self.pieces) < 2:
                self.whole = self.pieces[0] if self.pieces else b""
                self.placed = self.size
                return True
            self.whole = PyBytes_FromStringAndSize(NULL, self.size)
        while self.placed < self.size:
            if self.placed >= end:
                return False
            piece = self.pieces[self.first]
            self.pieces[self.first] = None
            self.first += 1
            memcpy(PyBytes_AS_STRING(self.whole) + self.placed, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
            self.placed += PyBytes_GET_SIZE(piece)
        self.pieces = None
        return True
