# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The bare client: keep-alive HTTP/1.1 GETs on uvloop transports, one in flight a connection.

It is the floor that batchwire is measured against, so it does what no client can leave out: write a
request, find the end of the answer's head, check the status, read Content-Length, wait for the whole
body. It must never grow features: no URLs, no timeouts, no chunked bodies, no reconnecting.
"""

import asyncio

from libc.string cimport memchr, memcmp

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t length, const void* needle, size_t needle_length)

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* left, const char* right, size_t length)


cdef Py_ssize_t answer_length(const char* text, Py_ssize_t size) except -2:
    """Bytes of the answer at `text`, or -1 while it is incomplete. ValueError for what we cannot read."""
    cdef const char* head_end = <const char*>memmem(text, size, b"\r\n\r\n", 4)
    cdef const char* line
    cdef const char* digit
    cdef Py_ssize_t body = -1
    if head_end == NULL:
        return -1
    if size < 12 or memcmp(text, b"HTTP/1.1 2", 10) != 0:
        raise ValueError("not an HTTP/1.1 answer with status 2xx")
    line = <const char*>memchr(text, c"\n", head_end + 2 - text) + 1
    while line < head_end + 2:
        if strncasecmp(line, b"content-length:", 15) == 0:
            digit = line + 15
            while digit[0] == c" " or digit[0] == c"\t":
                digit += 1
            body = 0
            while c"0" <= digit[0] <= c"9":
                body = body * 10 + (digit[0] - c"0")
                digit += 1
        elif strncasecmp(line, b"transfer-encoding:", 18) == 0:
            raise ValueError("the bare client reads Content-Length only")
        line = <const char*>memchr(line, c"\n", head_end + 2 - line) + 1
    if body < 0:
        raise ValueError("answer without Content-Length")
    body += head_end + 4 - text
    return body if body <= size else -1


cdef class Client:
    """N connections to one server that share a count of calls to make."""

    cdef readonly list connections
    cdef bytes request
    cdef Py_ssize_t to_send
    cdef Py_ssize_t to_finish
    cdef object waiter

    def __init__(self, str host, int port):
        self.request = f"GET /things/1 HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode()
        self.connections = []

    async def connect(self, str host, int port, int count):
        """Opens `count` connections."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, connection = await loop.create_connection(lambda: Connection(self), host, port)
            self.connections.append(connection)

    async def batch(self, Py_ssize_t calls):
        """Makes `calls` GETs over all connections and returns when each has its whole answer."""
        cdef Connection connection
        self.waiter = asyncio.get_running_loop().create_future()
        self.to_send = self.to_finish = calls
        for connection in self.connections:
            if self.to_send == 0:
                break
            self.to_send -= 1
            connection.write(self.request)
        await self.waiter

    cdef finished(self, Connection connection):
        self.to_finish -= 1
        if self.to_send:
            self.to_send -= 1
            connection.write(self.request)
        elif self.to_finish == 0:
            self.waiter.set_result(None)

    cdef failed(self, error):
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(error)

    def close(self):
        """Closes all connections."""
        for connection in self.connections:
            connection.transport.close()


cdef class Connection:
    """One connection: an asyncio protocol by its methods (uvloop asks for no base class)."""

    cdef Client client
    cdef readonly object transport
    cdef object write
    cdef bytes kept

    def __init__(self, Client client):
        self.client = client

    def connection_made(self, transport):
        self.transport = transport
        self.write = transport.write

    def data_received(self, bytes data):
        cdef Py_ssize_t length
        if self.kept is not None:
            data = self.kept + data
            self.kept = None
        try:
            length = answer_length(data, len(data))
        except ValueError as error:
            self.client.failed(error)
            return
        if length < 0:
            self.kept = data
        elif length != len(data):
            self.client.failed(ValueError("bytes after the answer"))
        else:
            self.client.finished(self)

    def eof_received(self):
        return None

    def connection_lost(self, error):
        self.client.failed(error or ConnectionError("the server closed the connection"))

    def pause_writing(self):
        pass

    def resume_writing(self):
        pass
