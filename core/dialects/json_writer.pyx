"""Results -> the JSON batch answer {"responses":[{...},...]} (JR-01..JR-13, PR-02, GW-11).

An upstream's JSON is validated and put in as the bytes it is; nothing is parsed and built again. Must never
leave half of a response object in the output: a body that is beyond a bound raises BadUpstreamBody before a byte of
it counts. A body that is not what its content-type says is put in as what it is (AN-01, AN-02).
"""
from batchwire.core.dialects.base cimport Summary, Writer
from batchwire.core.dialects.body_pieces cimport BodyPieces, FORM_AS_IT_IS, FORM_BASE64, FORM_ESCAPED
from batchwire.core.dialects.header_names cimport put_name
from batchwire.core.dialects.json_scan cimport MAX_DEPTH, check
from batchwire.core.dialects.json_strings cimport EscapedLength, put_escaped
from batchwire.core.dialects.media cimport (
    MEDIA_JSON,
    MEDIA_NONE,
    MEDIA_OTHER,
    MEDIA_TEXT,
    MediaKind,
    charset_of,
    codec_of,
    media_kind,
    put_base64url,
)
from batchwire.core.dialects.plain_body cimport make_plain
from batchwire.core.dialects.scan cimport bw_plain_run, bw_utf8_run
from batchwire.core.model cimport (
    KIND_CONTENT_ENCODING,
    KIND_CONTENT_LANGUAGE,
    KIND_CONTENT_TYPE,
    KIND_HOP,
    KIND_OTHER,
    Buffer,
    Call,
    HeaderSlice,
    Result,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp

import secrets

from batchwire.core.dialects import odd_bodies
from batchwire.core.errors import ConfigError

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)


cdef enum:
    ESCAPED = 6                   # bytes that one of a text may become in JSON
    LETTERS = 3                   # and in UTF-8, where it is in another charset


cdef struct Body:
    const uint8_t* data
    Py_ssize_t size
    bint present                  # the response object has a body; as JSON it is never empty
    MediaKind kind
    const char* media             # value of content-type to write; NULL: as the upstream said, or none
    Py_ssize_t media_size


cdef class JsonBody(BodyPieces):
    """A body that is made in pieces."""
    cdef Body body
    cdef list kept                    # keeps what body points to


cdef class JsonWriter(Writer):
    """Writer of JSON batch answers.

    max_body_bytes: bound on a body whose content-encoding is undone; 0: no limit. max_depth: deepest nesting
    taken from an upstream's JSON (1..1024); deeper JSON is a string (AN-03).
    """
    cdef Py_ssize_t max_body_bytes
    cdef int max_depth
    cdef bytes unnamed                # what ids begin with that are made up here, or None: there were none yet

    def __init__(self, Py_ssize_t max_body_bytes=16777216, int max_depth=512):
        if not 1 <= max_depth <= MAX_DEPTH:
            raise ConfigError(f"the nesting limit of JSON must be from 1 to {MAX_DEPTH}")
        self.separator = b","
        self.plain = True
        self.max_body_bytes = max_body_bytes
        self.max_depth = max_depth

    cdef int begin(self, Buffer out) except -1:
        return out.put(b'{"responses":[', 14)

    cdef int end(self, Buffer out, const Summary* summary) except -1:
        return out.put(b"]}", 2)

    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1:
        cdef Py_ssize_t start = out.size
        try:
            self.write_response(out, call, result)
        except BaseException:
            out.size = start
            raise
        return out.size - start

    cdef int write_response(self, Buffer out, Call call, Result result) except -1:
        cdef Body body
        cdef list kept = []               # keeps what body points to
        cdef JsonBody made = self.made
        cdef Py_ssize_t start = out.size
        self.made = None
        self.cut = -1
        if made is None:
            self.prepare(call, result, &body, kept)
        else:
            body = made.body
        out.grow(512 if made is not None else body.size + 512)
        out.put(b'{"id":"', 7)
        if call.id:
            put_escaped(out, <const uint8_t*>PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id))
        else:
            # JR-04: the part of a multipart request had no Content-ID. Its place tells it, behind what no client can
            # have chosen for another part, even one that is still to come.
            if self.unnamed is None:
                self.unnamed = b"~" + secrets.token_hex(8).encode() + b"-"
            out.put_bytes(self.unnamed)
            out.put_uint(call.number)
        if call.group is not None:
            out.put(b'","atomicityGroup":"', 20)
            put_escaped(out, <const uint8_t*>PyBytes_AS_STRING(call.group), PyBytes_GET_SIZE(call.group))
        out.put(b'","status":', 11)
        out.put_uint(result.status)
        out.put(b',"headers":{', 12)
        self.write_headers(out, result, &body)
        if not body.present:
            return out.put(b"}}", 2)
        out.put(b'},"body":', 9)
        if body.kind == MEDIA_JSON:
            if made is None:
                out.put(<const char*>body.data, body.size)
            else:
                self.cut = out.size - start
            return out.put_char(c'}')
        out.put_char(c'"')
        if made is not None:
            self.cut = out.size - start
        elif body.kind == MEDIA_TEXT:
            put_escaped(out, body.data, body.size)
        else:
            put_base64url(out, body.data, body.size)
        return out.put(b'"}', 2)

    cdef Py_ssize_t becomes(self, Result result, Py_ssize_t size) except -1:
        cdef HeaderSlice* media = result.find(KIND_CONTENT_TYPE)
        cdef bint foreign = is_foreign(media)
        if media != NULL and media_kind(media.value, media.value_len) == MEDIA_TEXT:
            return (ESCAPED + 1 if foreign else ESCAPED) * size
        return 2 * LETTERS * size if foreign else size * 4 // 3

    cdef EscapedLength measuring(self, Result result):
        cdef HeaderSlice* media = result.find(KIND_CONTENT_TYPE)
        if media == NULL or media_kind(media.value, media.value_len) != MEDIA_TEXT or is_foreign(media):
            return None
        return EscapedLength.of(<const uint8_t*>result.body, result.body_len)

    cdef object looking(self, Call call, Result result):
        cdef HeaderSlice* media = result.find(KIND_CONTENT_TYPE)
        if media == NULL or result.coded or not is_written(result):
            return None
        return self.look(call, result, media, media_kind(media.value, media.value_len))

    cdef object look(self, Call call, Result result, HeaderSlice* media, MediaKind kind):
        """The steps in finding out what a body is to be written as, or None: its content-type says it."""
        cdef bytes body
        if kind != MEDIA_JSON and kind != MEDIA_TEXT:
            return None
        body = body_of(result, kind)
        if kind == MEDIA_TEXT:
            return odd_bodies.said_as_text(body, media.value[:media.value_len])
        return odd_bodies.said_as_json(body, media.value[:media.value_len], self.max_depth)

    cdef BodyPieces pieces_of(self, Call call, Result result, tuple said):
        cdef JsonBody made = JsonBody.__new__(JsonBody)
        made.kept = [result.body_owner]
        self.said = said
        self.prepare(call, result, &made.body, made.kept)
        if not made.body.present or made.body.size == 0:
            return None
        made.begin(made.body.data, made.body.size, FORM_AS_IT_IS if made.body.kind == MEDIA_JSON else
                   FORM_ESCAPED if made.body.kind == MEDIA_TEXT else FORM_BASE64)
        return made

    cdef int prepare(self, Call call, Result result, Body* body, list kept) except -1:
        """Finds out how the body is to be written, and checks it (JR-08, JR-13, GW-11).

        Of an empty one only text and binary data can be written, as an empty string.
        """
        cdef HeaderSlice* media = result.find(KIND_CONTENT_TYPE)
        cdef tuple said = self.said
        self.said = None
        body.data = <const uint8_t*>result.body
        body.size = result.body_len
        body.media = NULL
        body.present = False
        if not is_written(result):
            body.size = 0
            return 0
        body.kind = MEDIA_NONE if media == NULL else media_kind(media.value, media.value_len)
        if body.size:
            if not make_plain(call, result, self.max_body_bytes):
                body.present = True
                # What is written as base64url must not be said to be JSON or text (JB-25).
                return put_as(body, MEDIA_OTHER, None if body.kind == MEDIA_OTHER else odd_bodies.BYTES)
            body.data = <const uint8_t*>result.body
            body.size = result.body_len
        if body.size == 0:
            body.present = body.kind == MEDIA_TEXT or body.kind == MEDIA_OTHER
            return 0
        body.present = True
        if said is not None and said[0] is result.body_owner:
            return self.put_said(result, body, kept, said[1])
        if body.kind == MEDIA_NONE:
            # RFC 9110 8.3: of an unknown type. Said in the answer, because there no type means JSON (JR-09).
            return put_as(body, MEDIA_OTHER, odd_bodies.BYTES)
        elif body.kind == MEDIA_JSON:
            skip_mark(body)
            if check(body.data, body.size, self.max_depth) < 0:
                if is_trimmed(result, body):
                    result.drop_digests()
                return 0
        elif body.kind != MEDIA_TEXT or (not is_foreign(media)
                                         and bw_utf8_run(body.data, 0, body.size) == body.size):
            return 0
        return self.put_said(result, body, kept, odd_bodies.whole(self.look(call, result, media, body.kind)))

    cdef int put_said(self, Result result, Body* body, list kept, tuple said) except -1:
        """said: see odd_bodies."""
        cdef bytes found, named
        kind, found, named, note = said
        kept += [found, named]
        body.data = <const uint8_t*>PyBytes_AS_STRING(found)
        body.size = PyBytes_GET_SIZE(found)
        if note is not None:
            result.add_note(note)
        if body.size != result.body_len or memcmp(body.data, result.body, body.size) != 0 or (
                kind == odd_bodies.JSON and is_trimmed(result, body)):
            result.drop_digests()
        body.present = body.size > 0 or kind == odd_bodies.TEXT
        return put_as(body, MEDIA_JSON if kind == odd_bodies.JSON else MEDIA_TEXT if kind == odd_bodies.TEXT
                      else MEDIA_OTHER, named)

    cdef int write_headers(self, Buffer out, Result result, Body* body) except -1:
        """JR-07, JR-09: one member a name; content-type whenever there is a body, PR-02: or always."""
        cdef HeaderSlice* header
        cdef Py_ssize_t first = out.size
        cdef bint typed = False
        cdef int i
        for i in range(result.header_count):
            header = &result.headers[i]
            if header.kind == KIND_HOP:
                continue
            if header.kind == KIND_CONTENT_TYPE:
                if typed:
                    continue
                typed = True
                if body.media != NULL:
                    self.write_name(out, header.name, header.name_len, first)
                    self.write_value(out, body.media, body.media_size)
                    out.put_char(c'"')
                    continue
            elif seen_before(result, i):
                continue
            if not self.write_name(out, header.name, header.name_len, first):
                continue
            self.write_value(out, header.value, header.value_len)
            if header.kind == KIND_OTHER or header.kind == KIND_CONTENT_LANGUAGE or header.kind == KIND_CONTENT_ENCODING:
                self.write_more_values(out, result, i)
            out.put_char(c'"')
        if not typed and (body.present or not self.lowercase):
            # PR-02: clients of the compatible profile look for it in every answer.
            self.write_name(out, b"content-type", 12, first)
            if body.media != NULL:
                self.write_value(out, body.media, body.media_size)
            else:
                out.put(b"application/json", 16)
            out.put_char(c'"')
        return 0

    cdef bint write_name(self, Buffer out, const char* name, int n, Py_ssize_t first) except -1:
        """Up to the opening quote of the value. False, and nothing written: this is no field name."""
        cdef Py_ssize_t start = out.size
        if start == first:
            out.put_char(c'"')
        else:
            out.put(b',"', 2)
        if not put_name(out, name, n, self.lowercase):
            out.size = start
            return False
        out.put(b'":"', 3)
        return True

    cdef int write_more_values(self, Buffer out, Result result, int first) except -1:
        """Further fields of the same name, joined as RFC 9110 5.3 allows."""
        cdef HeaderSlice* header = &result.headers[first]
        cdef int i
        for i in range(first + 1, result.header_count):
            if same_name(&result.headers[i], header):
                out.put(b", ", 2)
                self.write_value(out, result.headers[i].value, result.headers[i].value_len)
        return 0

    cdef int write_value(self, Buffer out, const char* value, Py_ssize_t n) except -1:
        """Bytes that are not UTF-8 are read as Latin-1 (RFC 9110 5.5)."""
        cdef const uint8_t* p = <const uint8_t*>value
        cdef bytes text
        if bw_plain_run(p, 0, n) == n:
            return out.put(value, n)
        if bw_utf8_run(p, 0, n) == n:
            return put_escaped(out, p, n)
        text = value[:n].decode("latin-1").encode()
        return put_escaped(out, <const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef bint is_foreign(HeaderSlice* media) except -1:
    """Whether a content-type says another charset than UTF-8. media: NULL: there is none."""
    return media != NULL and codec_of(charset_of(media.value[:media.value_len])) != "utf-8"


cdef bint is_written(Result result) noexcept:
    """Whether the body is a part of the answer."""
    return result.body_owner is not None and result.status != 204 and result.status != 304


cdef int skip_mark(Body* body) noexcept:
    """JSON may begin with a byte order mark."""
    if body.size >= 3 and memcmp(body.data, b"\xef\xbb\xbf", 3) == 0:
        body.data += 3
        body.size -= 3
    return 0


cdef bint is_trimmed(Result result, Body* body) noexcept:
    """AN-11: whether bytes of the JSON do not reach a client: its mark, and white space around it, which is not of its value."""
    return body.size != result.body_len or body.data[0] <= 32 or body.data[body.size - 1] <= 32


cdef bytes body_of(Result result, MediaKind kind):
    """The bytes to look at; not copied where the result has them alone."""
    cdef Body body
    body.data = <const uint8_t*>result.body
    body.size = result.body_len
    if kind == MEDIA_JSON:
        skip_mark(&body)
    if type(result.body_owner) is bytes and PyBytes_GET_SIZE(result.body_owner) == body.size:
        return result.body_owner
    return (<const char*>body.data)[:body.size]


cdef int put_as(Body* body, MediaKind kind, bytes media) except -1:
    """media: outlives the body; None: the content-type stays."""
    body.kind = kind
    if media is not None:
        body.media = PyBytes_AS_STRING(media)
        body.media_size = PyBytes_GET_SIZE(media)
    return 0


cdef inline bint same_name(HeaderSlice* a, HeaderSlice* b) noexcept nogil:
    return a.name_len == b.name_len and strncasecmp(a.name, b.name, a.name_len) == 0


cdef bint seen_before(Result result, int index) noexcept:
    cdef int i
    for i in range(index):
        if same_name(&result.headers[i], &result.headers[index]):
            return True
    return False
