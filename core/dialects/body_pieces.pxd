# What stands for a body in an answer, made in pieces. See body_pieces.pyx.
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.model cimport Buffer
from libc.stdint cimport uint8_t

cdef enum Form:
    FORM_AS_IT_IS = 0
    FORM_ESCAPED = 1          # as the inside of a JSON string; the body is valid UTF-8
    FORM_BASE64 = 2           # base64url
    FORM_ONE_LINE = 3         # JSON without carriage returns; what is no JSON, or has none, is FORM_AS_IT_IS in the end

cdef class BodyPieces(Steps):
    cdef list pieces                        # bytes; all of them, when all steps are done
    cdef const uint8_t* data
    cdef Py_ssize_t size
    cdef Form form
    cdef Py_ssize_t at                      # bytes of it that stand in pieces
    cdef Py_ssize_t length                  # bytes of pieces
    cdef object judge                       # FORM_ONE_LINE: of what is looked at before the first piece, or None
    cdef Py_ssize_t judged                  # bytes that it has seen
    cdef Buffer scratch
    # data: outlives the last step.
    cdef int begin(self, const uint8_t* data, Py_ssize_t size, Form form) except -1
    cdef int judge_some(self) except -1
