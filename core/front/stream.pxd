# A request and who answers it, whatever carries it: see stream.pyx.
from batchwire.core.origin cimport Origin
from batchwire.core.session.waker cimport SessionListener
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memcpy

cdef enum FillEnd:
    FILL_MORE = 0             # more may come: nothing now means that wake() will say so
    FILL_LAST = 1             # what was filled ends the answer
    FILL_TRAILERS = 2         # so it does, and trailers follow, which have been submitted

cdef class Ends:
    cdef readonly object loop
    cdef readonly tuple client, server      # (host, port) or None
    cdef readonly str peer                  # the client, for people; "unix" behind a socket
    cdef Origin origin
    cdef readonly str scheme                # "http" or "https"
    cdef readonly str authority             # host:port of the listener, for requests that name none
    cdef readonly double idle_seconds       # for a client that neither sends nor takes

cdef enum Heard:              # of a session
    HEARD_INPUT = 0
    HEARD_OUTPUT = 1
    HEARD_TOO_SLOW = 2        # the client is, and the session over

cdef class Handler(SessionListener):
    """What answers a request."""
    cdef Stream stream                      # None: the stream is gone
    cdef double last_activity                     # seconds, monotonic: when bytes went either way
    cdef bint hears_out                     # a small rest of a request that is answered early is read away
    cdef int on_data(self, const char* p, Py_ssize_t n) except -1
    cdef int on_end(self) except -1
    cdef bint on_damaged(self, object error) except -1
    cdef int on_settled(self) except -1
    cdef int on_taken(self, double t) except -1
    cdef bint owes_more(self) except -1
    cdef int on_stalled(self) except -1
    cdef int on_close(self, bint whole) except -1
    cdef int on_sweep(self, double t) except -1
    cdef int on_input(self) except -1
    cdef int on_output(self) except -1
    cdef int hear(self, Heard what) except -1
    cdef int stir(self, object waiter) except -1
    cdef Py_ssize_t fill(self, char* p, Py_ssize_t size, FillEnd* end) except -1

cdef class Stream:
    """One request, and the way for its answer."""
    cdef readonly Ends ends
    cdef Handler handler
    cdef readonly str http_version          # "1.0", "1.1" or "2"
    cdef readonly bytes method, path, authority, content_type
    cdef readonly list headers              # [(name, value)], bytes, names in lower case
    cdef readonly bint too_large            # its header section is larger than allowed
    cdef readonly bint ended                # the client has said all
    cdef bint opaque                        # no end of its own shows that its answer is whole: only the connection does
    cdef bint answered                      # the head of the answer has been sent
    cdef bint continued                     # 100 Continue has been said
    cdef int start(self, int status, list headers, bint body) except -1
    cdef int go_ahead(self) except -1
    cdef int wake(self) except -1
    cdef int consume(self, Py_ssize_t n) except -1
    cdef Py_ssize_t unsent(self) except -1
    cdef bint store(self, Py_ssize_t more, Py_ssize_t longest) except -1
    cdef int cut(self) except -1
    cdef int drop(self) except -1
    cdef int64_t client_took(self) except -2
    cdef bint takes_trailers(self) except -1
    cdef int put_trailer(self, bytes name, bytes value) except -1
    cdef int break_off(self) except -1
    cdef int fail(self, object error) except -1
    cdef int leave(self, bint whole) except -1

cdef inline Py_ssize_t copy_part(char* p, Py_ssize_t size, bytes data, Py_ssize_t* at) noexcept:
    """Copies as much as fits of what data has from `at` on, which stands behind that then: bytes. For fill()."""
    cdef Py_ssize_t n = min(size, PyBytes_GET_SIZE(data) - at[0])
    memcpy(p, PyBytes_AS_STRING(data) + at[0], n)
    at[0] += n
    return n

cdef inline bytes rest_of(bytes data, Py_ssize_t* at):
    """What data has from `at` on, as a copy where little is left of much, which would be held for it."""
    cdef Py_ssize_t left = PyBytes_GET_SIZE(data) - at[0]
    if at[0] < 65536 or left > at[0] // 4:
        return data
    data = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + at[0], left)
    at[0] = 0
    return data

cdef Ends ends_of(object loop, object transport, double idle_seconds)
