# The two small interfaces that every dialect fulfils. A dialect must never know order, sockets or policies.
from batchwire.core.model cimport Buffer, Call, Result
from libc.stdint cimport uint64_t

cdef class Reader:
    """Bytes in any split -> Calls, each as soon as it is complete.

    feed(data) keeps a reference to data, parses nothing, never raises.
    finish() says that no more bytes come.
    next_call() returns the next Call in document order, or None: more bytes are needed, or `ended` is
    true. Raises EnvelopeError when the batch itself is broken; what is wrong with one call alone is
    put on that call by Call.refuse(400, ...).
    buffered: bytes fed and not yet consumed. calls: Calls returned so far.
    holding: the Calls returned so far belong to a piece that has not been checked whole yet, so that none of
    it may start (GW-21 at the grain of a protobuf message).
    sequential: calls and groups run one after the other, in document order (MP-01).
    result_of: `resultOf(<id>)` in a body stands for a result (document dialect).
    plain: `$<id>` stands for nothing: it is text like any other (document and Google dialects).
    silent_stop: calls that a stop leaves unprocessed get no result (MP-09).
    """
    cdef public bint ended
    cdef readonly bint sequential
    cdef readonly bint silent_stop
    cdef readonly bint result_of
    cdef readonly bint plain
    cdef public bint holding
    cdef readonly uint64_t calls
    cdef int feed(self, bytes data) except -1
    cdef int finish(self) except -1
    cdef Call next_call(self)
    cdef Py_ssize_t buffered(self) noexcept

# Whether the body is all that a call was for: nothing has changed, and without it the call has failed (AN-03).
cdef bint is_read(Call call, Result result) noexcept

cdef class Writer:
    """Results -> bytes appended to `out`. begin() before the first result, end() after the last.

    write() must leave `out` as it was when it raises. write() returns the number of bytes appended.
    `separator` (bytes or None) is put between two results by the session, never by write().
    `lowercase` selects the strict profile's header names (PR-02).
    """
    cdef public bint lowercase
    cdef readonly bytes separator
    cdef int begin(self, Buffer out) except -1
    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1
    cdef int end(self, Buffer out, object summary) except -1
