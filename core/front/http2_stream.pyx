"""One request of HTTP/2 (RFC 9113): what its handler says goes to nghttp2, and its head is put together here.

Must never know how frames come and go.
"""
from batchwire.core.front.nghttp2 cimport *
from batchwire.core.front.stream cimport Stream
from batchwire.core.session.crowd cimport held_by_all
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

cdef enum:
    MAX_STORED = 67108864     # bytes of unfinished messages; one message may always be as long as allowed

cdef unsigned long long streams_open = 0
cdef Py_ssize_t widened = 0   # bytes by which windows of streams that are open have been widened, in the process


cdef void field(nghttp2_nv* nv, const char* name, size_t name_len, const char* value, size_t value_len) noexcept:
    """Fills in a header field; nghttp2 copies what it points to."""
    nv.name = <uint8_t*>name
    nv.namelen = name_len
    nv.value = <uint8_t*>value
    nv.valuelen = value_len
    nv.flags = NGHTTP2_NV_FLAG_NONE


cdef int accepted(int code) except -1:
    """What nghttp2 does not take is a fault of ours, but for what is said of a stream or a connection that is over."""
    if code == NGHTTP2_ERR_NOMEM:
        raise MemoryError()
    if code < 0 and code != NGHTTP2_ERR_STREAM_CLOSED and code != NGHTTP2_ERR_INVALID_STREAM_ID \
            and code != NGHTTP2_ERR_INVALID_STATE:
        raise RuntimeError("nghttp2: " + nghttp2_strerror(code).decode())
    return 0


cdef class Http2Link(Connection):
    cdef int schedule_flush(self) except -1:
        """A stream has something to say: it is asked before the loop waits again."""
        raise NotImplementedError


cdef class Http2Stream(Stream):
    # --- for handlers

    cdef int start(self, int status, list headers, bint body) except -1:
        cdef bytes code = b"%d" % status
        cdef bytes name, value
        cdef size_t n = 1
        cdef nghttp2_nv* fields = <nghttp2_nv*>PyMem_Malloc((1 + len(headers)) * sizeof(nghttp2_nv))
        if fields == NULL:
            raise MemoryError()
        try:
            field(&fields[0], ":status", 7, PyBytes_AS_STRING(code), PyBytes_GET_SIZE(code))
            for name, value in headers:
                if name == b"connection":
                    continue              # RFC 9113 8.2.2: it has no place in HTTP/2
                field(&fields[n], PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
                      PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
                n += 1
            return self.respond(fields, n, body)
        finally:
            PyMem_Free(fields)

    cdef int respond(self, const nghttp2_nv* fields, size_t n, bint body) except -1:
        """start() with the fields as nghttp2 has them, `:status` first."""
        cdef nghttp2_data_provider provider
        provider.source.ptr = NULL
        provider.read_callback = self.connection.read
        self.answered = True
        accepted(nghttp2_submit_response(self.connection.session, self.id, fields, n, &provider if body else NULL))
        return self.connection.schedule_flush()

    cdef int go_ahead(self) except -1:
        cdef nghttp2_nv[1] fields
        if self.answered or self.continued:
            return 0
        self.continued = True
        field(&fields[0], ":status", 7, "100", 3)
        accepted(nghttp2_submit_headers(self.connection.session, NGHTTP2_FLAG_NONE, self.id, NULL, fields, 1, NULL))
        return self.connection.schedule_flush()

    cdef int trailers(self, const nghttp2_nv* fields, size_t n) except -1:
        """Ends the answer with trailers; called in fill(), which then says FILL_TRAILERS."""
        return accepted(nghttp2_submit_trailer(self.connection.session, self.id, fields, n))

    cdef int put_trailer(self, bytes name, bytes value) except -1:
        cdef nghttp2_nv one
        field(&one, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        return self.trailers(&one, 1)

    cdef int cut(self) except -1:
        return self.reset(NGHTTP2_CANCEL)

    cdef int drop(self) except -1:
        self.cut()
        return self.leave(False)

    cdef int64_t client_took(self) except -2:
        cdef Http2Link connection = self.connection
        return connection.taken() if connection.paused or nghttp2_session_get_remote_window_size(connection.session) <= 0 \
            else -1

    cdef int break_off(self) except -1:
        return self.reset(NGHTTP2_INTERNAL_ERROR)

    cdef int reset(self, uint32_t code) except -1:
        accepted(nghttp2_submit_rst_stream(self.connection.session, NGHTTP2_FLAG_NONE, self.id, code))
        return self.connection.schedule_flush()

    cdef int wake(self) except -1:
        # It is no fault where nothing is deferred, the only other reason for it to refuse.
        if nghttp2_session_resume_data(self.connection.session, self.id) == NGHTTP2_ERR_NOMEM:
            raise MemoryError()
        return self.connection.schedule_flush()

    cdef int consume(self, Py_ssize_t n) except -1:
        if n:
            accepted(nghttp2_session_consume_stream(self.connection.session, self.id, n))
            self.used += n
            if self.used > NARROW // 2 and not self.wide and not self.ended:
                self.widen()
            if nghttp2_session_want_write(self.connection.session):
                self.connection.schedule_flush()
        return 0

    cdef int widen(self) except -1:
        """Lets the client send more at once, where there is room for it: leave to send cannot be taken back (PL-13)."""
        global widened
        cdef Py_ssize_t more = self.connection.stream_window - NARROW
        if more <= 0 or held_by_all() + widened + more > self.connection.request_bound // 2:
            return 0
        self.wide = True
        widened += more
        return accepted(nghttp2_session_set_local_window_size(
            self.connection.session, NGHTTP2_FLAG_NONE, self.id, self.connection.stream_window))

    cdef bint store(self, Py_ssize_t more, Py_ssize_t longest) except -1:
        self.connection.stored += more
        return self.connection.stored <= max(<Py_ssize_t>MAX_STORED, longest)

    cdef int fail(self, object error) except -1:
        self.connection.failed(error)
        return 0 if self.connection.closed else self.reset(NGHTTP2_INTERNAL_ERROR)

    # --- for the connection and its callbacks

    cdef int begin(self, Http2Link connection, int32_t stream_id) except -1:
        """Its head begins to come; close() follows."""
        global streams_open
        streams_open += 1
        self.connection = connection
        self.http_version = "2"
        self.id = stream_id
        self.headers = []
        self.method = self.path = self.authority = self.content_type = b""
        return 0

    cdef int add(self, const char* name, size_t name_len, const char* value, size_t value_len) except -1:
        cdef bytes said
        self.header_bytes += name_len + value_len + 32
        if self.too_large:
            return 0
        if self.header_bytes > self.connection.max_header_bytes:
            self.too_large = True
            self.headers.clear()
            return 0
        if name[0] != b":":
            # FR-08: RFC 9110 5.5, what is around a value is none of it.
            while value_len and (value[0] == b" " or value[0] == b"\t"):
                value += 1
                value_len -= 1
            while value_len and (value[value_len - 1] == b" " or value[value_len - 1] == b"\t"):
                value_len -= 1
        said = PyBytes_FromStringAndSize(value, value_len)
        if name[0] == b":":
            if name_len == 5 and memcmp(name, ":path", 5) == 0:
                self.path = said
            elif name_len == 7 and memcmp(name, ":method", 7) == 0:
                self.method = said
            elif name_len == 10 and memcmp(name, ":authority", 10) == 0:
                self.authority = said
            return 0
        if name_len == 12 and memcmp(name, "content-type", 12) == 0:
            self.content_type = said
        self.headers.append((PyBytes_FromStringAndSize(name, name_len), said))
        return 0

    cdef int close(self, uint32_t code) except -1:
        global streams_open, widened
        streams_open -= 1
        if self.wide:
            widened -= self.connection.stream_window - NARROW
        return self.leave(code == NGHTTP2_NO_ERROR)
