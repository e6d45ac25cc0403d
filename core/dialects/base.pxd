# The two small interfaces that every dialect fulfils. A dialect must never know order, sockets or policies.
from batchwire.core.dialects.body_pieces cimport BodyPieces
from batchwire.core.dialects.json_strings cimport EscapedLength
from batchwire.core.model cimport Buffer, Call, Result
from libc.stdint cimport uint64_t

cdef class BatchOptions:
    cdef readonly bint continue_on_error
    cdef readonly bint ordered          # GW-23
    cdef readonly bint takes_parts               # bodies that do not fit a message may come in parts (AN-07)
    cdef readonly Py_ssize_t max_message    # most bytes of a message of the answer; 0: not said
    cdef readonly double deadline       # seconds; 0: not said
    cdef bytes headers                  # lines that all calls inherit, b"Name: value\r\n...", or None


cdef struct Summary:
    # Of a whole batch.
    uint64_t calls
    uint64_t[8] outcomes                # in the order of session.OUTCOMES
    double elapsed                      # seconds


cdef class Reader:
    """Bytes in any split -> Calls, each as soon as it is complete.

    feed(data) keeps a reference to data, parses nothing, never raises.
    finish() says that no more bytes come.
    next_call() returns the next Call in document order, or None: more bytes are needed, or `ended` is
    true. Raises EnvelopeError when the batch itself is broken; what is wrong with one call alone is
    put on that call by Call.refuse(400, ...).
    take_options(): what the batch says about itself, once, when it has been read; else None. Raises EnvelopeError.
    buffered: bytes fed and not yet consumed. calls: Calls returned so far.
    holding: the Calls returned so far belong to a piece that has not been checked whole yet, so that none of
    it may start (GW-21 at the grain of a protobuf message).
    sequential: calls and groups run one after the other, in document order (MP-01).
    result_of: `resultOf(<id>)` in a body stands for a result (document dialect).
    plain: `$<id>` stands for nothing: it is text like any other (document and Google dialects).
    read_on(call): goes on with a call whose `undoing` is there, as next_call() left it; whether it is complete now.
    takes_messages: feed() is given whole messages, so that their pace says nothing about the client (FR-05).
    silent_stop: calls that a stop leaves unprocessed get no result (MP-09).
    """
    cdef public bint ended
    cdef readonly bint sequential
    cdef readonly bint silent_stop
    cdef readonly bint result_of
    cdef readonly bint plain
    cdef readonly bint takes_messages
    cdef public bint holding
    cdef readonly uint64_t calls
    cdef int feed(self, bytes data) except -1
    cdef int finish(self) except -1
    cdef Call next_call(self)
    cdef bint read_on(self, Call call) except -1
    cdef BatchOptions take_options(self)
    cdef Py_ssize_t buffered(self) noexcept

# Whether the body is all that a call was for: nothing has changed, and without it the call has failed (AN-03).
cdef bint is_read(Call call, Result result) noexcept

# AN-10: whether the answer has no body, by its method or status, while its headers speak of the one that GET would have.
cdef bint describes_absent(Call call, Result result) noexcept

cdef enum:
    APART = 131072                      # bytes of a body that is dear to copy

cdef class Writer:
    """Results -> bytes appended to `out`. begin() before the first result, end() after the last.

    write() must leave `out` as it was when it raises. write() returns the number of bytes appended.
    `separator` (bytes or None) is put between two results by the session, never by write().
    `splits`: the answer is a document that may be cut anywhere; else only between two results.
    bound(): how large a message of the answer may be (0: as the dialect has it), whether a body may come in parts,
    and whether all results share one message. Returns the most bytes of a message, 0 where there are none.
    expect(call): the call has been read, so that its result will be written. fits(): whether the results of all calls
    that are expected can be written within the bound, whatever they are; asked before any of them runs.
    `lowercase` selects the strict profile's header names (PR-02).
    """
    cdef public bint lowercase
    cdef readonly bytes separator
    cdef readonly bint splits
    cdef readonly bint sets_apart       # there is apart()
    cdef readonly bint plain            # content-codings of bodies are undone
    cdef readonly bint nests            # change sets have answers of their own, also those without calls
    # Bytes at most that write() makes of a body of so many, and what it holds beside them until then. What tells it exactly
    # of a body whose content-codings are undone, or None: nothing does.
    cdef Py_ssize_t becomes(self, Result result, Py_ssize_t size) except -1
    cdef EscapedLength measuring(self, Result result)
    # What write() needs to know of a large body, found out in steps: an iterator of them whose value is for `said`; None:
    # nothing. The result is as write() will get it.
    cdef object looking(self, Call call, Result result)
    # (body_owner, what was found out): for the next write(), if it is of that body.
    cdef tuple said
    # A large body as it will be written, made in steps; None: write() does it. said: as above, or None. Raises
    # BadUpstreamBody.
    cdef BodyPieces pieces_of(self, Call call, Result result, tuple said)
    # For the next write(), of the same result: it leaves the body out and says in `cut` at which byte of what it has
    # appended the pieces stand; -1: nowhere.
    cdef BodyPieces made
    cdef Py_ssize_t cut
    # What write() would append of a result whose body has at least APART bytes, which is not copied where it need not be:
    # a list of bytes, or of lists of bytes, each of which is a message then.
    cdef list apart(self, Call call, Result result)
    cdef int begin(self, Buffer out) except -1
    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1
    cdef int end(self, Buffer out, const Summary* summary) except -1
    cdef Py_ssize_t bound(self, Py_ssize_t max_message, bint parts, bint one_message) except -1
    cdef int expect(self, Call call) except -1
    cdef bint fits(self) noexcept
