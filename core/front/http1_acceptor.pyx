"""What the HTTP/1.1 connections of a listener have in common."""
import contextvars

cdef double SWEEP_SECONDS = 5.0   # the most between looks at all connections


cdef class Http1Acceptor(Connections):
    """
    servicer: see http_requests.pyx. max_head_bytes: of request line and fields. head_seconds: from the connection, or the
    first byte of a further request, to the end of the head. idle_seconds: for a client that takes nothing.
    keepalive_seconds: between two requests.
    """

    def __init__(self, loop, servicer, *, Py_ssize_t max_head_bytes=65536, double head_seconds=60, double idle_seconds=60,
                 double keepalive_seconds=75):
        super().__init__(loop, head_seconds, idle_seconds, min(SWEEP_SECONDS, keepalive_seconds / 4))
        self.servicer = servicer
        self.context = contextvars.copy_context()
        self.max_head_bytes = max_head_bytes
        self.keepalive_seconds = keepalive_seconds

    def retire(self):
        """From now on the next answer of a connection that begins, also of one that is still to come, says that it closes."""
        self.retiring = True
        for connection in self.connections:
            connection.retire()
