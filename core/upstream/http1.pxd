from batchwire.core.model cimport Buffer, Call
from batchwire.core.upstream.base cimport Inlet, Upstream
from batchwire.core.upstream.http1_answer cimport Answer
from batchwire.core.upstream.read_turns cimport ReadTurns

cdef bint may_repeat(Call call) except -1

cdef class ConnectionPool(Upstream):
    """The pool, as its connections see it."""
    cdef object loop
    cdef Buffer scratch                     # request heads are built here, one at a time
    cdef bytes host_line                    # b"Host: ...\r\n"
    cdef object connect_log                 # ScarceLog of connections that cannot be made (OP-18)
    cdef int answered(self, HttpConnection connection, Call call) except -1
    cdef int broke(self, HttpConnection connection, Call call, bint unanswered) except -1
    cdef int gone(self, HttpConnection connection) except -1


cdef class HttpConnection(Inlet):
    cdef ConnectionPool pool
    cdef ReadTurns turns
    cdef object transport
    cdef int fd                             # for writing without a detour; -1: TLS
    cdef int socket                         # the same with TLS; -1: closed
    cdef Answer answer
    cdef Call call                          # the running one, or None
    cdef bint closed
    cdef bint handed_over                   # part of the request went through the transport's buffer
    cdef bint unsent                        # no byte of the request has left
    cdef bint kept                          # it has carried a call, or waited for one: it may have ended meanwhile
    cdef str address                        # of the upstream; None: the connection is being made
    cdef int era                            # of the pool's TLS context that it was made with
    cdef bint delayed                       # the answer was not read for a while for want of room (AN-05)
    cdef double idle_since
    cdef double paused, paused_since        # seconds that the answer was not read, and since when it is not; 0: it is
    cdef int slot                           # index among the running, or -1
    cdef double waited(self, double t) noexcept
    cdef bint may_give_back(self) except -1
    cdef bint fits(self, Call call) except -1
    cdef int send(self, Call call) except -1
    cdef Py_ssize_t write_now(self, const char* p, Py_ssize_t n) except -2
    cdef int hand_over(self, object rest) except -1
    cdef int response_complete(self) except -1
    cdef int shut(self) except -1
