"""What a request is for those that answer it, the same over every version of HTTP.

A Stream carries one request; its Handler takes the body and fills in the answer. Both ways have flow control: what the
handler has not consumed stops the client, and fill() is asked for no more than the client takes.
"""
from batchwire.core.faults cimport fault
from batchwire.core.origin cimport origin_of
from batchwire.core.peers import peer_name
from libc.time cimport time

from email.utils import formatdate

cdef long dated = -1
cdef bytes date = b""


def http_date():
    """The value of the field Date (RFC 9110 6.6.1), which is the same for a second."""
    global dated, date
    cdef long second = time(NULL)
    if second != dated:
        dated = second
        date = formatdate(second, usegmt=True).encode()
    return date


cdef class Ends:
    """What all requests of a connection have in common."""


cdef class Handler(SessionListener):
    cdef int on_data(self, const char* p, Py_ssize_t n) except -1:
        """Bytes of the request's body. The handler must consume() n bytes, now or later."""
        raise NotImplementedError

    cdef int on_end(self) except -1:
        """The request is complete."""
        raise NotImplementedError

    cdef bint on_damaged(self, object error) except -1:
        """What comes of the body is framed wrongly (an EnvelopeError), and nothing more of it will come.

        Whether the handler ends its answer itself, with this error; if not, the stream is gone.
        """
        return False

    cdef int on_settled(self) except -1:
        """All that came together with the head has been handed over."""
        return 0

    cdef int on_taken(self, double t) except -1:
        """The client, which takes less than there is for it, has taken some of what was filled in before."""
        self.last_activity = t
        return 0

    cdef bint owes_more(self) except -1:
        """Whether at least one more byte of the body comes before an end that is whole."""
        return False

    cdef int on_stalled(self) except -1:
        """The client has taken nothing for too long: the stream is about to be cut. on_close() follows."""
        return 0

    cdef int on_close(self, bint whole) except -1:
        """The stream is gone, at its end (whole) or before; the last call."""
        raise NotImplementedError

    cdef int on_sweep(self, double t) except -1:
        """Called now and then, for what must not take for ever."""
        return 0

    cdef int on_input(self) except -1:
        """Its session may be fed again."""
        return 0

    cdef int on_output(self) except -1:
        """Its session may have something to say."""
        return 0

    # What a session calls must not fail it, and not the batch whose upstream is behind the call (BU-04).

    cdef int input_ready(self) except -1:
        return self.hear(HEARD_INPUT)

    cdef int output_ready(self) except -1:
        return self.hear(HEARD_OUTPUT)

    cdef int64_t client_took(self) except -2:
        cdef Stream stream = self.stream
        return -1 if stream is None else stream.client_took()

    cdef int give_up(self) except -1:
        return self.hear(HEARD_TOO_SLOW)

    cdef int hear(self, Heard what) except -1:
        cdef Stream stream = self.stream
        if stream is None:
            return 0
        try:
            if what == HEARD_OUTPUT:
                fault("front.output_ready")
                self.on_output()
            elif what == HEARD_INPUT:
                fault("front.input_ready")
                self.on_input()
            else:
                fault("front.give_up")
                self.on_stalled()
                stream.drop()
        except Exception as error:
            stream.fail(error)
        return 0

    cdef int stir(self, object waiter) except -1:
        """Wakes up a coroutine that waits on a future, if one does."""
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        return 0

    cdef Py_ssize_t fill(self, char* p, Py_ssize_t size, FillEnd* end) except -1:
        """Writes at most `size` bytes of the answer's body to p; how many."""
        raise NotImplementedError


cdef class Stream:
    cdef int start(self, int status, list headers, bint body) except -1:
        """Sends the head of the answer; headers: [(name, value)], bytes, names in lower case; the stream adds
        what frames the body and drops what its version of HTTP has not. body: fill() gives the rest, else this is all."""
        raise NotImplementedError

    cdef int go_ahead(self) except -1:
        """Says 100 Continue (RFC 9110 10.1.1), once, unless the answer has begun."""
        raise NotImplementedError

    cdef int wake(self) except -1:
        """fill() has something to say again."""
        raise NotImplementedError

    cdef int consume(self, Py_ssize_t n) except -1:
        """n bytes of the body have been used up: the client may send as many more."""
        raise NotImplementedError

    cdef Py_ssize_t unsent(self) except -1:
        """Bytes that were filled in and that the client has not taken, where that is known."""
        return 0

    cdef bint store(self, Py_ssize_t more, Py_ssize_t longest) except -1:
        """Counts `more` bytes (below 0: fewer) that are kept of an unfinished message of at most `longest` bytes.

        Whether the connection may keep so many: one that carries a request at a time keeps one message.
        """
        return True

    cdef int cut(self) except -1:
        """Ends the stream at once, because of its client; what that has not taken is lost. on_close() follows."""
        raise NotImplementedError

    cdef int drop(self) except -1:
        """cut(), so that the handler lets go of what it has, however long its connection takes to say so."""
        return self.cut()

    cdef int64_t client_took(self) except -2:
        """Bytes that the client has taken of its connection, while that is what holds it up; else -1."""
        raise NotImplementedError

    cdef bint takes_trailers(self) except -1:
        """Whether the client has said that it reads trailers (RFC 9110 6.5.1), and this version of HTTP has them."""
        if self.http_version == "1.0":
            return False
        for name, value in self.headers:
            if name == b"te":
                for coding in value.lower().split(b","):
                    if coding.partition(b";")[0].strip() == b"trailers":
                        return True
        return False

    cdef int put_trailer(self, bytes name, bytes value) except -1:
        """A field behind the body; called in fill(), which then says FILL_TRAILERS."""
        raise NotImplementedError

    cdef int break_off(self) except -1:
        """Ends the answer without its end, so that nobody takes it for complete (ER-07); what was filled in is sent."""
        raise NotImplementedError

    cdef int fail(self, object error) except -1:
        """BU-04: a failure outside of the connection's own callbacks costs the stream that it belongs to."""
        raise NotImplementedError

    # --- for the connection

    cdef int leave(self, bint whole) except -1:
        """The stream is gone, at its end (whole) or before: its handler hears of it, once."""
        cdef Handler handler = self.handler
        self.handler = None
        if handler is not None:
            try:
                fault("front.close")
            finally:
                try:
                    handler.on_close(whole)
                finally:
                    handler.stream = None
        return 0


cdef Ends ends_of(object loop, object transport, double idle_seconds):
    """The Ends of a connection that an asyncio transport carries."""
    cdef Ends ends = Ends.__new__(Ends)
    ends.loop = loop
    ends.idle_seconds = idle_seconds
    ends.client = _address(transport.get_extra_info("peername"))
    ends.server = _address(transport.get_extra_info("sockname"))
    ends.peer = peer_name(*ends.client) if ends.client is not None else "unix"
    ends.origin = origin_of(ends.peer)
    ends.authority = peer_name(*ends.server) if ends.server is not None and ends.server[1] else "localhost"
    ends.scheme = "http" if transport.get_extra_info("ssl_object") is None else "https"
    return ends


def _address(name):
    """(host, port) of a socket's name, or None."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
