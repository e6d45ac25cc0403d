"""What stands for a large body in an answer, made in pieces, between which others can be served (PL-01).

The pieces go to the client as they are: nothing is put together again. Must never differ from what is written in one go.
"""
from batchwire.core.dialects.json_strings cimport put_escaped
from batchwire.core.dialects.media cimport put_base64url
from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

from batchwire.core.dialects.json_scan import Validator

cdef enum:
    # Bytes of one step, a millisecond at most. None makes a piece that is larger than a chunk of an answer may be, nor one
    # so small that it is copied there (Outbox.is_chunk); of one that is sent in part all is held.
    STEP = 131072
    STEP_BASE64 = 98304       # three bytes are four letters
    STEP_JUDGED = 393216


cdef class BodyPieces(Steps):
    cdef int begin(self, const uint8_t* data, Py_ssize_t size, Form form) except -1:
        self.data = data
        self.size = size
        self.form = form
        self.pieces = []
        if form == FORM_ONE_LINE:
            if memchr(data, c'\r', size) == NULL:
                self.form = FORM_AS_IT_IS
            else:
                self.judge = Validator(1024)
        return 0

    cdef bint step(self) except -1:
        cdef const uint8_t* p = self.data + self.at
        cdef Py_ssize_t n = min(self.size - self.at, <Py_ssize_t>(STEP_BASE64 if self.form == FORM_BASE64 else STEP))
        cdef bytes piece
        if self.judge is not None:
            return self.judge_some()
        if self.form == FORM_ESCAPED or self.form == FORM_BASE64:
            if self.scratch is None:
                self.scratch = Buffer()
            if self.form == FORM_ESCAPED:
                put_escaped(self.scratch, p, n)
            else:
                put_base64url(self.scratch, p, n)
            piece = PyBytes_FromStringAndSize(self.scratch.data, self.scratch.size)
            self.scratch.size = 0
        else:
            piece = PyBytes_FromStringAndSize(<const char*>p, n)
            if self.form == FORM_ONE_LINE:
                piece = piece.replace(b"\r", b" ")
        self.at += n
        self.length += PyBytes_GET_SIZE(piece)
        self.pieces.append(piece)
        if self.at < self.size:
            return False
        self.scratch = None
        return True

    cdef int judge_some(self) except -1:
        """A carriage return can only be white space in JSON; what is no JSON is not altered (PR-07, AN-01)."""
        cdef Py_ssize_t n = min(self.size - self.judged, <Py_ssize_t>STEP_JUDGED)
        cdef const char* p = <const char*>self.data + self.judged
        self.judged += n
        if self.judge.feed(p[:n]) is not None or (self.judged == self.size and not self.judge.end()):
            self.form = FORM_AS_IT_IS
        elif self.judged < self.size:
            return False
        self.judge = None
        return False

    cdef Py_ssize_t held(self) noexcept:
        return self.length
