# What every package hands to the next: Call, Result, Buffer. Data only: no order, no sockets, no dialect.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum CallState:
    CALL_NEW = 0          # read, not yet admitted by the plan
    CALL_WAITING = 1      # admitted, has unfinished dependencies or an open group
    CALL_READY = 2        # may start
    CALL_RUNNING = 3      # handed to its upstream
    CALL_DONE = 4         # has its result

cdef enum Outcome:        # numbers are those of proto batchwire.v1.Outcome
    OUTCOME_UNSPECIFIED = 0
    OUTCOME_SUCCEEDED = 1
    OUTCOME_FAILED = 2
    OUTCOME_REFUSED = 3
    OUTCOME_DEPENDENCY_FAILED = 4
    OUTCOME_UNREACHABLE = 5
    OUTCOME_TIMED_OUT = 6

cdef enum HeaderKind:
    KIND_OTHER = 0
    KIND_HOP = 1              # hop-by-hop, content-length (but KIND_LENGTH), set-cookie: never written to a client
    KIND_CONTENT_TYPE = 2
    KIND_CONTENT_ENCODING = 3
    KIND_CONTENT_LANGUAGE = 4
    KIND_LOCATION = 5         # Location
    KIND_ENTITY_ID = 6        # OData-EntityId, Content-Location
    KIND_ETAG = 7
    KIND_ODATA_VERSION = 8
    KIND_LENGTH = 9           # content-length of a body that is not there (AN-10)

cdef enum:
    MAX_RESULT_HEADERS = 128
    CARRIED = 2               # times max_response_bytes, for the answer to calls that travel together (BU-08)

cdef struct HeaderSlice:
    const char* name
    const char* value
    int name_len
    int value_len
    int kind

cdef enum:
    KEPT_BYTES = 262144       # of a buffer that is empty; every batch has two


cdef class Buffer:
    """Growing byte buffer. put() copies; take() hands the content over as bytes and empties it."""
    cdef char* data
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef int grow(self, Py_ssize_t extra) except -1
    cdef int put(self, const char* p, Py_ssize_t n) except -1
    cdef int put_bytes(self, bytes b) except -1
    cdef int put_char(self, char c) except -1
    cdef int put_uint(self, uint64_t n) except -1     # decimal digits
    cdef bytes take(self)
    cdef void clear(self) noexcept

cdef class Refusal:
    """Why the gateway answers a call itself: status, code, message (str), outcome."""
    cdef readonly int status
    cdef readonly int outcome
    cdef readonly str code
    cdef readonly str message

cdef class Holding:
    """Bytes that live as long as one of the calls whose bodies lie in them."""
    cdef const void* owner              # of whom; compared, never looked at
    cdef Py_ssize_t size
    cdef Py_ssize_t calls

cdef class Call:
    # --- said by the client, filled by a dialect reader
    cdef readonly bytes id              # UTF-8; b"" where the dialect allows none
    cdef readonly bytes method          # upper case
    cdef readonly bytes url             # as the client wrote it, UTF-8
    cdef readonly bytes head            # header lines as sent upstream: b"Name: value\r\n..." (HeaderBlock)
    cdef readonly object body_owner     # keeps body_ptr alive; None: no body
    cdef const char* body_ptr
    cdef Py_ssize_t body_len
    cdef readonly list depends_on       # list[bytes] or None
    cdef readonly bytes group           # or None
    cdef readonly bytes condition       # or None
    cdef readonly double timeout        # seconds; 0: the upstream's default
    cdef readonly Refusal refusal       # the reader's verdict (GW-02), or None
    cdef object undoing                 # core.dialects.codings.Undoing of a body that is still coded, or None
    cdef readonly bint empty_set        # no call: it stands for a change set without any (PL-10)
    # --- the plan's
    cdef readonly int group_size        # calls of its group, once that is known; 0: not known
    cdef readonly uint64_t number       # position in the batch, from 0
    cdef uint64_t id_hash
    cdef int state
    cdef int waiting                    # unfinished things this call waits for
    cdef int position                   # index among the upstream's running calls, or -1
    cdef list dependents                # calls that wait for this one, or None
    cdef object group_state             # plan.groups.Group or None
    cdef object expression              # plan.conditions.Expression or None
    cdef dict inputs                    # id -> plan.references.Kept, for references and conditions
    cdef list values                    # plan.value_finder.References in query and body, or None
    cdef uint32_t flags                 # plan's own bits
    # --- the dispatcher's
    cdef bytes target                   # path and query for the upstream
    cdef bytes mount                    # what a mount took from the front of its path, or None
    cdef bytes extra                    # header lines of the batch that this call inherits, or None
    cdef object upstream                # core.upstream.base.Upstream
    cdef object owner                   # core.upstream.base.CallOwner: gets the result
    cdef double started                 # seconds, monotonic; 0: never started
    cdef double deadline                # seconds, monotonic
    cdef list members                   # the calls that this one carries to an upstream that takes batches, or None
    cdef bint retried                   # sent once more after a stale connection
    cdef bint alone                     # must not share a request with calls that it has nothing to do with
    cdef list gathered                  # a bulk request's results so far, of answers that went on elsewhere, or None
    cdef Py_ssize_t charged             # bytes of its own that the session counts
    cdef Holding holding                # and those that its body keeps, with the bodies of others
    cdef bint wanted                    # calls take something out of its answer
    cdef Py_ssize_t keeps               # bytes that have been promised to what they take; below 0: no room is needed for it
    cdef Py_ssize_t growth              # bytes that references have put into it, or may: they count until it has its result
    cdef int rank                       # index among the dispatcher's started calls
    cdef Call behind                    # the next one of the CallQueue that this call stands in
    cdef int set_body(self, object owner, const char* p, Py_ssize_t n) except -1
    cdef int refuse(self, int status, str code, str message) except -1

cdef class CallQueue:
    """First in, first out. A call stands in one queue at a time; nothing is allocated for its place."""
    cdef Call first
    cdef Call last
    cdef int append(self, Call call) except -1
    cdef int put_back(self, Call call) except -1
    cdef bint put_first(self, uint64_t number) except -1
    cdef Call popleft(self)
    cdef int clear(self) except -1

cdef class Result:
    # Filled by an upstream or by the gateway, read at once by the writer. Pointers live as long as the owners.
    cdef readonly int status
    cdef readonly int outcome
    cdef int header_count
    cdef HeaderSlice headers[MAX_RESULT_HEADERS]
    cdef object head_owner
    cdef object body_owner              # None: no body
    cdef const char* body
    cdef Py_ssize_t body_len
    cdef bint oversized                 # the gateway's own: the answer was larger than the upstream's may be
    cdef bint body_left_out             # the upstream's, but for a body that could not be kept
    cdef bint coded                     # its content-codings cannot be undone, and stay
    cdef readonly uint64_t started_us
    cdef readonly uint64_t elapsed_us
    cdef void reset(self) noexcept
    cdef void let_go(self) noexcept
    cdef Result copy(self)
    cdef int add_header(self, const char* name, int name_len, const char* value, int value_len) except -1
    cdef HeaderSlice* add_header_or_replace(self, const char* name, int name_len, const char* value,
                                            int value_len) except? NULL
    cdef HeaderSlice* replace_other(self, const char* name, int name_len, const char* value,
                                    int value_len) except? NULL
    cdef void move_headers(self, const char* before, const char* after, Py_ssize_t n) noexcept
    cdef int add_note(self, bytes note) except -1
    cdef int show_length(self) except -1
    cdef int drop_digests(self) except -1
    cdef int set_error(self, int status, int outcome, str code, str message) except -1
    cdef HeaderSlice* find(self, int kind) noexcept

cdef int header_kind(const char* name, int n) noexcept nogil
cdef double now() noexcept nogil
