from batchwire.core.front.rest_opener cimport Negotiated
from batchwire.core.front.stream cimport Handler, Stream
from batchwire.core.ledger cimport Batch
from batchwire.core.session.session cimport Session

cdef class RestBatch(Handler):
    cdef object servicer                        # see rest_batch.pyx
    cdef Batch batch                        # None: it is closed
    cdef Negotiated known
    cdef Session session
    cdef object decoder                     # undoes Content-Encoding, or None
    cdef object encoded                     # deque of bytes that are still to be decoded
    cdef object pieces                      # iterator of what is being decoded, or None
    cdef bint whole                         # the request has come to its end
    cdef bint whole_told                    # and the session knows
    cdef bint more_due                      # on_more() will be called
    cdef Py_ssize_t held                    # bytes of the request that are not consumed yet
    cdef bytes out                          # what is being sent
    cdef Py_ssize_t out_at
    cdef int patience                       # see answer()
    cdef bint broken                        # the answer has no end
    cdef bint over                          # nothing follows `out`
    cdef bytes trailing                     # but the error that has cut the answer, or None

    @staticmethod
    cdef RestBatch of(object servicer, Batch batch, Negotiated known)
    cdef int begin(self, Stream stream) except -1
    cdef int feed_decoded(self) except -1
    cdef int end_input(self, object error) except -1
    cdef bint reads_no_more(self) except -1
    cdef int more_soon(self) except -1
    cdef int release(self) except -1
    cdef int answer(self) except -1
    cdef int close(self, str ended) except -1
    cdef int break_off(self, bint stalled) except -1


cdef class PlainAnswer(Handler):
    cdef int status
    cdef list headers
    cdef bytes body
    cdef Py_ssize_t sent
    cdef int begin(self, Stream stream) except -1
