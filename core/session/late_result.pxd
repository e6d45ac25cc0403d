from batchwire.core.dialects.base cimport Writer
from batchwire.core.dialects.body_pieces cimport BodyPieces
from batchwire.core.dialects.codings cimport Undoing
from batchwire.core.dialects.json_strings cimport EscapedLength
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.model cimport Call, Result
from batchwire.core.plan.urls cimport UrlRules

cdef class LateResult:
    """A result that is not written as soon as it is there. See late_result.pyx."""
    cdef Call call
    cdef Result result
    cdef Writer writer
    cdef UrlRules rules
    cdef Undoing undoing                    # of its content-codings, or None
    cdef bint coded                         # they are still to be undone
    cdef EscapedLength measuring            # of what it becomes, or None
    cdef bint measured                      # that is known as well as it can be
    cdef Py_ssize_t written                 # bytes that it becomes; -1: not known
    cdef list owners                        # of what its headers point to, or None
    cdef bint published                     # it is as its client is to see it
    cdef object looking                     # steps of its writer, or None
    cdef tuple said                         # Writer.said, when it has been looked at
    cdef bint judged                        # all is known that its writer needs to know
    cdef BodyPieces made                    # its body as it will be written, or None
    cdef Steps reading                      # of the answer to calls that travelled together, or None
    cdef bint stops                         # the batch stops when it is written
    cdef bint goes_first                    # it has room already, or must not wait for any
    cdef Py_ssize_t limit                   # bytes that its body may have then
    cdef Py_ssize_t size                    # bytes that it holds, as far as they are counted
    cdef Py_ssize_t making                  # of these, what is being made of it; it waits for no room any more then

    @staticmethod
    cdef LateResult of(Call call, Result result, bint coded, Py_ssize_t limit, Writer writer, UrlRules rules)
    cdef Py_ssize_t becomes(self) except -1
    cdef Py_ssize_t written_of(self, Py_ssize_t size) except -1
    cdef bint step(self) except -1
    cdef int undo(self) except -1
    cdef bint look(self) except -1
    cdef bint read(self) except -1
    cdef bint make(self) except -1
    cdef bint is_still_coded(self) except -1
    cdef bint is_to_measure(self) except -1
    cdef int measure(self) except -1

cdef bint is_late(Call call, Result result, bint plain) noexcept
