"""One request of HTTP/1.1 (RFC 9112), and how its answer is framed.

The answer goes into the buffer of the connection, head and first bytes together, as its handler fills it in. Must never
write to a socket, nor know how requests are told apart.
"""
from batchwire.core.front.stream cimport FILL_MORE, FillEnd, Handler
from batchwire.core.model cimport Buffer, now
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memmove

from http import HTTPStatus

cdef enum:
    MOST_CHUNK = 262143       # bytes of a chunk: five digits
    LEAD = 7                  # these, and the end of their line
    TAIL = 7                  # the end of a chunk, and the last one
    FIRST_SIZE = 2592               # of the buffer at first: an answer that is larger gets more
    LEAST_SIZE = 1024
    LARGE_SIZE = 16384

cdef bytes LEAD_LINE = b"1\r\n"            # begins a chunk of one byte
cdef bytes DIGITS = b"0123456789abcdef"
cdef dict status_lines = {int(status): b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}

cdef unsigned long long streams_open = 0


cdef class Http1Link(Connection):
    cdef int schedule_flush(self) except -1:
        """The stream has something to say: it is asked before the loop waits again."""
        raise NotImplementedError

    cdef int continues(self, Http1Stream stream) except -1:
        """Sends 100 Continue."""
        raise NotImplementedError

    cdef int consumed(self, Http1Stream stream) except -1:
        """`unconsumed` of the stream has become less."""
        raise NotImplementedError

    cdef int crashed(self, Http1Stream stream, object error) except -1:
        """An exception costs this stream (BU-04); not at once, as whoever says so may be in the middle of it."""
        raise NotImplementedError


cdef class Http1Stream(Stream):
    cdef int begin(self, str version) except -1:
        """Counts it as open; close() follows."""
        global streams_open
        streams_open += 1
        self.http_version = version
        self.left = -1
        return 0

    # --- for handlers

    cdef int start(self, int status, list headers, bint body) except -1:
        cdef Buffer out = self.link.out
        cdef Py_ssize_t before = out.size
        if self.answered:
            raise RuntimeError("the answer was started twice")
        out.grow(FIRST_SIZE)
        try:
            self.put_head(status, headers, body)
        except BaseException:
            out.size = before
            raise
        self.answered = True
        self.filling = body
        self.complete = not body
        return self.link.schedule_flush()

    cdef int put_head(self, int status, list headers, bint body) except -1:
        cdef Buffer out = self.link.out
        cdef bytes name, value, line = status_lines.get(status)
        cdef Py_ssize_t name_len
        cdef bint says_close = False
        if line is None:
            line = b"HTTP/1.1 %d \r\n" % status
        self.bodiless = status == 204 or status == 304 or self.method == b"HEAD"
        out.put_bytes(line)
        for name, value in headers:
            name_len = PyBytes_GET_SIZE(name)
            if name_len == 17 and name == b"transfer-encoding":
                continue                  # how the answer is framed is said here alone
            if name_len == 14 and name == b"content-length":
                if status == 204:
                    continue              # RFC 9110 8.6
                self.left = int(value)
            elif name_len == 10 and name == b"connection" \
                    and b"close" in [token.strip() for token in value.lower().split(b",")]:
                self.keeps = False
                says_close = True
            put_field(out, name, value)
        self.keeps = self.keeps and self.link.lasts
        if not self.bodiless:
            if not body:
                if self.left > 0:
                    raise RuntimeError("an answer without a body says that it has one")
                if self.left < 0:
                    put_field(out, b"content-length", b"0")
            elif self.left < 0:
                if self.http_version == "1.1":
                    self.chunked = True
                    put_field(out, b"transfer-encoding", b"chunked")
                else:
                    self.keeps = False    # the end of the connection is the end of the answer
        if not self.keeps and not says_close:
            put_field(out, b"connection", b"close")
        return out.put(b"\r\n", 2)

    cdef int go_ahead(self) except -1:
        if self.answered or self.continued or self.http_version != "1.1":
            return 0
        self.continued = True
        return self.link.continues(self)

    cdef int wake(self) except -1:
        return self.link.schedule_flush()

    cdef int consume(self, Py_ssize_t n) except -1:
        self.unconsumed -= n
        return self.link.consumed(self) if n else 0

    cdef Py_ssize_t unsent(self) except -1:
        cdef object transport = self.link.transport
        return 0 if transport is None else transport.get_write_buffer_size()

    cdef int cut(self) except -1:
        self.link.abort()
        return 0

    cdef int64_t client_took(self) except -2:
        return self.link.taken() if self.link.paused else -1

    cdef bint takes_trailers(self) except -1:
        return self.chunked and Stream.takes_trailers(self)

    cdef int put_trailer(self, bytes name, bytes value) except -1:
        self.closing_field = b"%s: %s\r\n" % (name, value)
        self.keeps = False                # the request may not have been read to its end
        return 0

    cdef int break_off(self) except -1:
        self.broken = True
        return self.link.schedule_flush()

    cdef int fail(self, object error) except -1:
        return self.link.crashed(self, error)

    # --- for the connection

    cdef bint looks_whole(self) noexcept:
        """Whether the end of the connection would pass for the end of an answer that has broken off."""
        return self.opaque and self.answered and not self.complete and not self.bodiless and not self.chunked \
            and self.left < 0

    cdef bint fill_from_handler(self) except -1:
        """Lets the handler fill in some of its answer; whether there may be more of it now."""
        cdef Buffer out = self.link.out
        cdef Handler handler = self.handler
        cdef FillEnd end = FILL_MORE
        cdef Py_ssize_t lead = LEAD if self.chunked else 0
        cdef Py_ssize_t at = out.size, size, n = 0, part
        cdef Py_ssize_t most = min(max(self.link.write_bytes - at, LEAST_SIZE), <Py_ssize_t>MOST_CHUNK)
        out.grow(FIRST_SIZE - at)
        size = min(out.capacity - at - LEAD - TAIL, most)
        if size < LEAST_SIZE:
            size = LARGE_SIZE
        while True:
            out.grow(LEAD + n + size + TAIL)
            part = handler.fill(out.data + at + lead + n, size, &end)
            n += part
            if part < size or end != FILL_MORE or n >= most:
                break
            size = min(max(LARGE_SIZE, n), most - n)
        if self.broken and n == 0:
            return False
        handler.last_activity = now()
        self.frame(at, n, end != FILL_MORE)
        if end != FILL_MORE:
            self.filling = False
            self.complete = True
            return False
        return n > 0

    cdef bint may_lead(self) except -1:
        """Whether lead() may be called: a chunk is sure to follow, and no more of it has been sent ahead than there is."""
        return self.chunked and self.answered and self.filling and not self.bodiless and not self.broken \
            and not self.crashed and self.led < PyBytes_GET_SIZE(LEAD_LINE) and self.handler.owes_more()

    cdef int lead(self) except -1:
        """Sends a byte of what frames the next byte of the answer, so that a client that has gone makes itself known.

        An answer that ends here is as incomplete as before.
        """
        self.link.out.put(PyBytes_AS_STRING(LEAD_LINE) + self.led, 1)
        self.led += 1
        return 0

    cdef int follow_lead(self, Py_ssize_t at, Py_ssize_t n) except -1:
        """Gives the chunk that lead() began its byte, and moves the rest of what was filled in behind it."""
        cdef Buffer out = self.link.out
        cdef char first = out.data[at + LEAD] if n else b" "  # white space at the end means nothing where bytes are owed
        cdef Py_ssize_t ahead = PyBytes_GET_SIZE(LEAD_LINE) - self.led
        out.grow(ahead + LEAD + n + TAIL + 3)
        if n > 1:
            memmove(out.data + at + ahead + 3 + LEAD, out.data + at + LEAD + 1, n - 1)
        out.put(PyBytes_AS_STRING(LEAD_LINE) + self.led, ahead)
        out.put(&first, 1)
        out.put(b"\r\n", 2)
        self.led = 0
        return 0

    cdef int frame(self, Py_ssize_t at, Py_ssize_t n, bint last) except -1:
        """Makes what was filled in behind `at` a part of the answer."""
        cdef Buffer out = self.link.out
        cdef const char* digits = PyBytes_AS_STRING(DIGITS)
        cdef Py_ssize_t wanted = LEAD - 2
        if self.bodiless:
            return 0
        if not self.chunked:
            if self.left >= 0:
                if n > self.left or (last and n < self.left):
                    raise RuntimeError("the body of an answer has not the length that it said")
                self.left -= n
            out.size = at + n
            return 0
        if self.led and (n or last):
            self.follow_lead(at, n)
            at = out.size
            n = max(n - 1, <Py_ssize_t>0)
        if n:
            while wanted > 1 and n < <Py_ssize_t>1 << 4 * (wanted - 1):
                wanted -= 1
            if wanted < LEAD - 2:         # a chunk below 64 KiB
                memmove(out.data + at + wanted + 2, out.data + at + LEAD, n)
            for place in range(wanted):
                out.data[at + place] = digits[n >> 4 * (wanted - 1 - place) & 15]
            out.data[at + wanted] = b"\r"
            out.data[at + wanted + 1] = b"\n"
            out.size = at + wanted + 2 + n
            out.put(b"\r\n", 2)
        if last and self.closing_field is None:
            out.put(b"0\r\n\r\n", 5)
        elif last:
            out.put(b"0\r\n", 3)
            out.put_bytes(self.closing_field)
            out.put(b"\r\n", 2)
        return 0

    cdef int close(self, bint whole) except -1:
        """The answer has ended, or the connection."""
        global streams_open
        streams_open -= 1
        return self.leave(whole)


cdef int put_field(Buffer out, bytes name, bytes value) except -1:
    """A field of a head. Raises where it would be more than one."""
    cdef Py_ssize_t from_, at
    from_ = out.size
    out.put_bytes(name)
    out.put(b": ", 2)
    out.put_bytes(value)
    for at in range(from_, out.size):
        if out.data[at] == b"\r" or out.data[at] == b"\n" or out.data[at] == 0:
            raise RuntimeError("a field of an answer with the end of a line in it")
    return out.put(b"\r\n", 2)
