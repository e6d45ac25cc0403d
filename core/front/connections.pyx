"""The connections of a listener: who they are, writing to their sockets, and a look now and then at silent ones.

The same for HTTP/1.1 and HTTP/2. Must never know how a request is framed.
"""
from batchwire.core.front.stream cimport Stream
from batchwire.core.model cimport now
from batchwire.core.sending cimport peer_state, queued, send_now
from cpython.bytes cimport PyBytes_FromStringAndSize

cdef enum:
    FIRST_WRITE = 65536       # bytes; a client that does not take these would be held more in vain
    KEPT_BYTES = 4096         # of the write buffer of a connection that has nothing to write

cdef double LINGER_SECONDS = 5.0


cdef class Connections:
    """
    head_seconds: for a request's head. idle_seconds: for a client that does not read. sweep_seconds: the longest time
    between two looks at all connections.
    """

    def __init__(self, loop, double head_seconds, double idle_seconds, double sweep_seconds):
        self.loop = loop
        self.connections = set()
        self.head_seconds = head_seconds
        self.idle_seconds = idle_seconds
        self.sweep_seconds = sweep_seconds

    def begin_sweeps(self):
        """Looks after silent and stuck connections from now on."""
        cdef double every = min(self.head_seconds / 4, self.idle_seconds / 4, self.sweep_seconds)
        self.sweeper = self.loop.call_later(max(every, 0.05), self.on_sweep)

    def end_sweeps(self):
        """Looks after nothing any more."""
        if self.sweeper is not None:
            self.sweeper.cancel()
            self.sweeper = None

    async def wait_closed(self):
        """Returns when no connection is left."""
        while self.connections:
            self.emptied = self.loop.create_future()
            await self.emptied

    cdef int lost(self, Connection connection) except -1:
        self.connections.discard(connection)
        if self.emptied is not None and not self.connections and not self.emptied.done():
            self.emptied.set_result(None)
        return 0

    def on_sweep(self):
        cdef Connection connection
        cdef double t = now()
        self.begin_sweeps()
        for connection in list(self.connections):
            try:
                connection.sweep(t)
            except Exception as error:
                connection.failed(error)
                connection.abort()


cdef class Connection:
    """An asyncio protocol."""

    def __init__(self, loop):
        self.loop = loop
        self.out = Buffer()
        self.write_bytes = FIRST_WRITE
        self.fd = -1

    def abort(self):
        """Closes at once; what the client has not taken is lost."""
        if self.transport is not None:
            self.transport.abort()

    cdef int sweep(self, double t) except -1:
        """Called now and then: ends what takes too long."""
        raise NotImplementedError

    cdef int tell_stalled(self, Stream stream) except -1:
        """Its client takes nothing and the connection is about to be cut: whoever answers hears why."""
        if stream.handler is not None:
            try:
                stream.handler.on_stalled()
            except BaseException as error:
                self.failed(error)
        return 0

    cdef int failed(self, object error) except -1:
        """Something failed that no client is to blame for: the loop's handler is told."""
        self.loop.call_exception_handler({"message": "a stream failed", "exception": error, "protocol": self})
        return 0

    cdef int write(self) except -1:
        """Writes past the transport while that has nothing unsent."""
        cdef Buffer out = self.out
        cdef Py_ssize_t sent = 0
        self.written += out.size
        if self.handed_over and self.transport.get_write_buffer_size() == 0:
            self.handed_over = False
        if self.fd >= 0 and not self.handed_over:
            sent = send_now(self.fd, out.data, out.size)
            if sent < 0:
                out.size = 0
                self.closed = self.closing = True
                self.transport.abort()
                return 0
        if sent == out.size:
            self.sent_at_once += sent
            if self.sent_at_once >= 4 * self.write_bytes:
                # The system may have taken all of it for a client that takes nothing.
                if self.write_bytes < WRITE_BYTES and self.untaken() < self.write_bytes:
                    self.write_bytes *= 2
                self.sent_at_once = 0
        else:
            self.write_bytes = FIRST_WRITE
            self.sent_at_once = 0
            self.handed_over = True
            self.transport.write(PyBytes_FromStringAndSize(out.data + sent, out.size - sent))
        out.size = 0
        if out.capacity > KEPT_BYTES:
            out.clear()
        return 0

    cdef Py_ssize_t untaken(self) except -1:
        """Bytes that were written and that the client's side has not acknowledged, whoever holds them."""
        return self.transport.get_write_buffer_size() + queued(self.transport.get_extra_info("socket").fileno())

    cdef int64_t taken(self) except -2:
        """Bytes that the client's side has acknowledged; -1: the connection is gone."""
        return -1 if self.transport is None else max(self.written - self.untaken(), 0)

    cdef int state_of_peer(self) except -1:
        """A PeerState; what has been sent to a client that has gone makes it known."""
        return peer_state(self.transport.get_extra_info("socket").fileno())

    cdef bint is_delivered(self) except -1:
        """Whether the system has everything that was written; if not, resume_writing() follows when it has, or the end."""
        if self.closed or self.transport.is_closing():
            return False                  # a write may have failed, and left nothing in the transport
        if self.transport.get_write_buffer_size() == 0:
            return True
        self.delivering = True
        self.transport.set_write_buffer_limits(0)
        return False

    cdef int delivered(self) except -1:
        """The transport may keep something to send again."""
        if self.delivering:
            self.delivering = False
            self.transport.set_write_buffer_limits()
        return 0

    cdef int begin_pause(self) except -1:
        """The client takes less than there is for it: from now on it is looked at whether it takes any."""
        self.paused = True
        self.taken_at = now()
        self.untaken_before = self.untaken()
        return 0

    cdef bint takes(self, double t) except -1:
        """Whether a client that is behind has taken something since the last look. The kernel may hold megabytes for
        it, and a transport that has less to send than before is a matter of minutes then."""
        cdef Py_ssize_t untaken = self.untaken()
        cdef bint some = untaken < self.untaken_before
        self.untaken_before = untaken
        if some:
            self.taken_at = t
        return some
