"""One HTTP/1.1 connection (RFC 9112): bytes of the transport to requests, by httptools.

A bound on the size of a head and of what frames a body, on how many requests wait for their turn and on what of a
request nobody has consumed. An offer to change the protocol is passed over (RFC 9110 7.8). What comes behind a request,
late or no HTTP, is told only after the answers that are due before it (FR-13). Must never know what a request means.
"""
from batchwire.core.errors import EnvelopeError
from batchwire.core.faults cimport fault
from batchwire.core.front.http1_answers cimport connections_open, final_answer, LONG_READ, TURN_BYTES
from batchwire.core.front.http1_stream cimport Http1Stream, streams_open
from batchwire.core.front.stream cimport Handler
from batchwire.core.model cimport now
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import httptools

cdef enum:
    PIECE_BYTES = 16384       # fed to the parser at once, between two looks at how many requests wait
    REQUEST_BYTES = 512       # what a request counts for besides its head
    MOST_WAITING = 16         # requests that wait for the answer before them; the rest of what was read is not parsed

cdef frozenset UPGRADE_FIELDS = frozenset((b"upgrade", b"http2-settings", b"connection"))
cdef bytes HOST_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+;=%:[]"
cdef bytes TOO_LARGE = final_answer(431, "HeadersTooLarge", "The head of the request is larger than allowed (limits.max_header_bytes).")
cdef bytes WRONG_VERSION = final_answer(505, "VersionNotSupported", "The request is not of HTTP/1.0 or 1.1, nor of HTTP/2 with its preface.")
cdef bytes CODED = final_answer(501, "UnknownTransferCoding", "The only Transfer-Encoding that is taken is chunked.")
cdef bytes BAD_HOST = final_answer(400, "MalformedHost", "A request has one Host, which is a host (RFC 9112 3.2).")
cdef bytes NO_HTTP = final_answer(400, "BadRequest", "What came is no HTTP request.")

Upgrade, ParserError = httptools.HttpParserUpgrade, httptools.HttpParserError
InvalidUrl = httptools.HttpParserInvalidURLError


def stats():
    """Debug counters: connections and streams open now."""
    return {"connections": connections_open, "streams": streams_open}


cdef class Http1Connection(Http1Answers):
    """An asyncio protocol. acceptor: what it has in common with the others."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.head_open = True
        self.renew_parser()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.parser = None                # which holds this connection

    def data_received(self, bytes data):
        if self.deaf():
            return
        self.received = now()
        self.receiving = True
        if PyBytes_GET_SIZE(data) >= LONG_READ:
            self.rest()
        try:
            self.take_in(data)
        except BaseException as error:
            self.failed(error)
            self.abort()
        finally:
            self.end_receiving()
        self.flush()

    def on_backlog(self):
        if self.backlog and not self.closed and not self.waiting:
            self.data_received(b"")

    def renew_parser(self):
        self.parser = httptools.HttpRequestParser(self)
        # Behind the last request of a connection something may follow, which is not answered. White space between the
        # size of a chunk and what ends it (FR-12) leaves no doubt where the chunk begins.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True, lenient_spaces_after_chunk_size=True)

    cdef bint deaf(self) noexcept:
        """Whether nothing that comes is taken for a request any more."""
        return self.ended or self.refusal is not None

    cdef int take_in(self, bytes data) except -1:
        """Parses what has come, but for what is beyond the requests that may wait."""
        cdef Py_ssize_t at = 0, size
        if self.backlog:
            data = self.backlog + data
            self.backlog = b""
        size = PyBytes_GET_SIZE(data)
        if size <= PIECE_BYTES and not self.waiting:
            return self.take(data)
        while at < size and not self.deaf():
            if len(self.waiting) >= MOST_WAITING or (self.waiting and at >= TURN_BYTES):
                self.backlog = data[at:]
                break
            self.take(data[at:at + PIECE_BYTES])
            at += PIECE_BYTES
        return 0

    cdef int take(self, bytes data) except -1:
        cdef bytes rest = data
        self.shared_chunk = False
        self.unframed_bytes += PyBytes_GET_SIZE(data)
        while rest is not None and not self.deaf():
            rest = self.parse(rest)
        if self.deaf() or self.closed:
            return 0
        # A chunk that began with another request is bounded by what is parsed at once.
        if self.head_open:
            if not self.shared_chunk:
                self.head_bytes += PyBytes_GET_SIZE(data)
                if self.head_bytes > self.acceptor.max_head_bytes:
                    return self.refuse(TOO_LARGE)
        elif self.unframed_bytes > self.acceptor.max_head_bytes:
            return self.refuse_bytes()
        return 0

    cdef bytes parse(self, bytes data):
        """Feeds the parser; what is to be fed next, where the parser stopped at an offer to change the protocol."""
        try:
            self.parser.feed_data(data)
        except Upgrade as stop:
            if self.upgrading:
                return self.without_upgrade() + data[stop.args[0]:]
        except ParserError:
            if not self.deaf():
                self.refuse_bytes()
        return None

    cdef bytes without_upgrade(self):
        """The head once more, without the offer, for a new parser: this one takes what follows for no HTTP."""
        cdef list lines = [b"%s %s HTTP/%s" % (
            self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.fields:
            if name not in UPGRADE_FIELDS:
                lines.append(b"%s: %s" % (name, value))
            elif name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() not in UPGRADE_FIELDS]
                lines.append(b"connection: " + b",".join(kept))
        self.upgrading = False
        self.renew_parser()
        return b"\r\n".join([*lines, b"", b""])

    # --- httptools' callbacks. An exception in one would be taken for a fault of the client.

    def on_message_begin(self):
        if self.deaf():
            return
        self.head_open = self.head_begun = True
        self.url = self.content_type = b""
        self.fields = []
        self.hosts = 0
        self.coded = self.trailed = False
        self.field_bytes = 0
        if self.head_since == 0:
            self.head_since = self.received

    def on_url(self, bytes url):
        self.field_bytes += PyBytes_GET_SIZE(url)
        self.url += url

    def on_header(self, bytes name, bytes value):
        if not self.head_open or self.deaf():
            self.trailed = True
            return  # it is no field of the head, and nothing here asks for it (RFC 9110 6.5.1)
        self.field_bytes += PyBytes_GET_SIZE(name) + PyBytes_GET_SIZE(value) + 4
        name = name.lower()
        if PyBytes_GET_SIZE(name) == 4 and name == b"host":
            # RFC 9112 3.2: one that is no host counts as if there were several.
            self.hosts += 2 if value.translate(None, HOST_BYTES) else 1
        elif PyBytes_GET_SIZE(name) == 12 and name == b"content-type":
            self.content_type = value
        elif PyBytes_GET_SIZE(name) == 17 and name == b"transfer-encoding" and value.lower() != b"chunked":
            self.coded = True
        self.fields.append((name, value))

    def on_headers_complete(self):
        self.head_open = self.head_begun = False
        self.head_bytes = self.unframed_bytes = 0
        self.head_since = 0
        if self.deaf():
            return
        try:
            self.head_complete()
        except BaseException as error:
            self.failed(error)
            self.abort()

    def on_body(self, bytes body):
        cdef Http1Stream stream = self.newest
        cdef Handler handler
        self.unframed_bytes = 0
        if self.deaf() or stream is None:
            return
        stream.body_begun = True
        handler = stream.handler
        if handler is not None and not stream.crashed:
            try:
                stream.unconsumed += PyBytes_GET_SIZE(body)
                handler.last_activity = self.received
                fault("front.data")
                handler.on_data(PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
            except BaseException as error:
                self.crashed(stream, error)
        elif stream.waiting is not None:
            stream.unconsumed += PyBytes_GET_SIZE(body)
            stream.waiting.append(body)

    def on_message_complete(self):
        cdef Http1Stream stream = self.newest
        if self.deaf() or self.upgrading or stream is None:
            return
        self.shared_chunk = True
        self.unframed_bytes = 0
        if self.linger_timer is not None:
            self.linger_timer.cancel()
            self.linger_timer = None
        stream.ended = True
        if self.trailed and not self.parser.should_keep_alive():
            stream.keeps = False          # a Connection in the trailer: the parser hears nothing behind this request
            if stream.complete and stream is not self.current and not self.waiting:
                self.end_whole(stream)
                return
        if stream.handler is not None and not stream.crashed:
            try:
                fault("front.end")
                stream.handler.on_end()
            except BaseException as error:
                self.crashed(stream, error)

    # --- heads

    cdef int head_complete(self) except -1:
        cdef str version = self.parser.get_http_version()
        if self.field_bytes > self.acceptor.max_head_bytes:
            return self.refuse(TOO_LARGE)
        if version != "1.1" and version != "1.0":
            # The parser lets "HTTP/2.0" pass, and a line without a version for HTTP/0.9.
            return self.refuse(WRONG_VERSION)
        if self.hosts > 1 or (version == "1.1" and self.hosts == 0):
            return self.refuse(BAD_HOST)  # RFC 9112 3.2
        if self.coded:
            return self.refuse(CODED)     # RFC 9112 6.1
        self.upgrading = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        return 0 if self.upgrading else self.request(version)

    cdef int request(self, str version) except -1:
        cdef bytes path = self.target()
        cdef Http1Stream stream
        if path is None:
            return self.refuse(NO_HTTP)
        stream = Http1Stream.__new__(Http1Stream)
        stream.begin(version)
        stream.link = self
        stream.ends = self.ends
        stream.method = self.parser.get_method()
        stream.path = path
        stream.authority = b""                # its Host is one of the fields
        stream.content_type = self.content_type
        stream.headers = self.fields
        stream.weight = self.field_bytes + REQUEST_BYTES
        # Behind a CONNECT the parser passes over what it has read: nothing of the rest can be taken for a request.
        stream.keeps = version == "1.1" and self.parser.should_keep_alive() and stream.method != b"CONNECT"
        self.newest = stream
        if self.current is None and not self.waiting and not self.paused:
            return self.begin(stream)
        stream.waiting = []
        self.waiting.append(stream)
        return 0

    cdef bytes target(self):
        """Path and query of the request, whatever form its target has (RFC 9112 3.2); None: it has none."""
        cdef bytes url = self.url
        if url.startswith(b"/") and b"#" not in url and url.isascii():
            return url
        try:
            parsed = httptools.parse_url(url)
        except InvalidUrl:
            return None
        if parsed.path is None or not parsed.path.isascii():
            return None
        if parsed.schema is not None:
            # RFC 9112 3.2.2: what the target says of the host counts, and not the field.
            if parsed.schema.lower() not in (b"http", b"https") or parsed.host is None:
                return None
            authority = b"[%s]" % parsed.host if b":" in parsed.host else parsed.host
            if parsed.port is not None:
                authority = b"%s:%d" % (authority, parsed.port)
            self.fields = [*((name, value) for name, value in self.fields if name != b"host"), (b"host", authority)]
        return parsed.path if parsed.query is None else parsed.path + b"?" + parsed.query

    cdef int refuse_bytes(self) except -1:
        """What came is no HTTP: a further head, or the body of the newest request."""
        cdef Http1Stream newest = self.newest
        if newest is not None and not newest.ended:
            if newest is self.current:
                if self.tell_damaged(newest):
                    return 0
                return self.end_broken() if newest.answered else self.end_with(NO_HTTP)
            if newest.waiting is None:
                return self.end_broken()  # it has its answer
            self.drop_newest()      # it waits for an answer before it, and will never be whole
        return self.refuse(NO_HTTP)

    cdef bint tell_damaged(self, Http1Stream stream) except -1:
        """Whether the handler of the request that is no HTTP any more ends its answer itself (GW-21)."""
        cdef Handler handler = stream.handler
        if handler is None or stream.crashed:
            return False
        try:
            if not handler.on_damaged(EnvelopeError(400, "BadFraming", "the body is not framed as HTTP/1.1 has it")):
                return False
        except BaseException as error:
            self.crashed(stream, error)
        self.refusal = NO_HTTP            # never said: the connection ends behind this answer
        stream.keeps = False
        return True
