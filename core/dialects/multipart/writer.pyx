"""Results -> the multipart batch answer (MP-05..MP-15, PR-07, section 2.3; clients.md).

Written for clients that cut the text apart by hand: canonical names, CRLF, no preamble, a Content-Length in each
part. Must never leave half of a part in the output, and never alter a body that is not JSON.
"""
from batchwire.core.dialects.base cimport Summary, Writer, describes_absent
from batchwire.core.dialects.body_pieces cimport BodyPieces, FORM_AS_IT_IS, FORM_ONE_LINE
from batchwire.core.dialects.header_names cimport put_name, value_in_utf8
from batchwire.core.dialects.json_scan cimport MAX_DEPTH, check
from batchwire.core.dialects.media cimport MEDIA_JSON, media_kind
from batchwire.core.dialects.multipart.change_set cimport ChangeSet
from batchwire.core.dialects.multipart.part cimport FLAVOUR_DOCUMENT, FLAVOUR_GOOGLE, FLAVOUR_ODATA
from batchwire.core.dialects.plain_body cimport make_plain
from batchwire.core.headers cimport valid_value
from batchwire.core.model cimport (
    KIND_CONTENT_TYPE,
    KIND_HOP,
    Buffer,
    Call,
    HeaderSlice,
    Result,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memchr

from batchwire.core.dialects.multipart.status_lines import status_lines
from batchwire.core.errors import ConfigError

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

FLAVOURS = {"odata": FLAVOUR_ODATA, "document": FLAVOUR_DOCUMENT, "google": FLAVOUR_GOOGLE}

cdef list STATUS_LINES = status_lines()


cdef bint is_ascii(const char* p, int n) noexcept nogil:
    cdef int i
    for i in range(n):
        if <uint8_t>p[i] >= 0x80:
            return False
    return True


cdef bint has_body(Result result) noexcept:
    """Whether there are bytes of it in the answer."""
    return result.body_owner is not None and result.body_len > 0 and result.status >= 200 and result.status != 204 \
        and result.status != 304


cdef bint is_json(Result result) noexcept:
    cdef HeaderSlice* media = result.find(KIND_CONTENT_TYPE)
    return media != NULL and media_kind(media.value, media.value_len) == MEDIA_JSON


cdef class MultipartWriter(Writer):
    """Writer of multipart batch answers.

    boundary: of the answer (boundaries.new_boundary). flavour: "odata", "document" (status lines without HTTP/1.1,
    ids in RequestId) or "google" (`response-` before the Content-ID). flat: each member of a change set has its
    own part. nested: the request was multipart, so that groups are its change sets; otherwise they do not show
    (MP-12). nested_errors: the error of a change set is nested (CL-07). last_only: the answer is the last result alone. max_body_bytes: bound on a body whose content-coding
    is undone; 0: no limit. max_set_bytes: bound on the answer of one change set, which is kept until its last
    member has finished; 0: no limit.

    With call.group_size the answer of a set is written with its last member; without (0), the gateway has refused
    all the members, and the first one speaks for the set. write() then appends nothing for the other members.
    """
    cdef bytes boundary
    cdef int flavour
    cdef bint gathers                 # change sets have one answer
    cdef bint nested_errors
    cdef bint last_only
    cdef Py_ssize_t max_body_bytes
    cdef Py_ssize_t max_set_bytes
    cdef ChangeSet open_set
    cdef bytes answered               # name of the set that has been answered before its last member
    cdef Buffer last                  # last_only: the part of the last call that has a result
    cdef uint64_t last_number         # last_only: the number of that call

    def __init__(self, bytes boundary not None, *, str flavour="odata", bint flat=False, bint nested=True,
                 bint nested_errors=False, bint last_only=False, Py_ssize_t max_body_bytes=16777216, Py_ssize_t max_set_bytes=16777216):
        if flavour not in FLAVOURS:
            raise ConfigError(f"the flavour of a multipart batch must be one of {', '.join(FLAVOURS)}")
        self.boundary = boundary
        self.plain = True
        self.flavour = FLAVOURS[flavour]
        self.gathers = self.nests = nested and not flat and self.flavour == FLAVOUR_ODATA
        self.nested_errors = nested_errors
        self.last_only = last_only
        self.max_body_bytes = max_body_bytes
        self.max_set_bytes = max_set_bytes
        self.last = Buffer()

    cdef int begin(self, Buffer out) except -1:
        return 0

    cdef int end(self, Buffer out, const Summary* summary) except -1:
        if self.open_set is not None:
            self.put_set(out)
        out.put(self.last.data, self.last.size)
        self.last.clear()
        out.put(b"--", 2)
        out.put_bytes(self.boundary)
        return out.put(b"--\r\n", 4)

    cdef Py_ssize_t write(self, Buffer out, Call call, Result result) except -1:
        cdef Py_ssize_t start = out.size, n
        cdef ChangeSet before = self.open_set
        cdef Buffer part
        try:
            if self.last_only:
                # The last one of the request: results come here as they finish.
                if call.number >= self.last_number:
                    part = Buffer()
                    self.put_part(part, self.boundary, call, result)
                    self.last = part
                    self.last_number = call.number
            elif call.group is not None and self.gathers:
                self.write_member(out, call, result)
            else:
                if self.open_set is not None:
                    self.put_set(out)
                n = out.size
                self.put_part(out, self.boundary, call, result)
                if self.cut >= 0:
                    self.cut += n - start
        except BaseException:
            out.size = start
            self.open_set = before
            raise
        return out.size - start

    def write_member_bytes(self, Call call not None, Result result not None, int group_size):
        """write_bytes() for a member of a set of this size: for tests and tools."""
        call.group_size = group_size
        return self.write_bytes(call, result)

    def end_bytes(self):
        """What end() appends, as bytes: for tests and tools."""
        cdef Buffer out = Buffer()
        self.end(out, NULL)
        return out.take()

    cdef int write_member(self, Buffer out, Call call, Result result) except -1:
        cdef ChangeSet found = self.open_set
        cdef Buffer part
        cdef Result bare
        if call.group == self.answered:
            return 0
        if call.empty_set and result.status < 400:
            if found is not None:
                self.put_set(out)
            return ChangeSet(call.group, self.nested_errors).put(out, self.boundary)
        if found is not None and found.name != call.group:
            self.put_set(out)
            found = None
        if found is None:
            found = ChangeSet(call.group, self.nested_errors)
        # The part comes first: when it cannot be written, the set is as it was.
        if 200 <= result.status < 400:
            part = Buffer()
            if not found.failed:
                self.put_part(part, found.boundary, call, result)
                if self.max_set_bytes and found.parts.size + part.size > self.max_set_bytes:
                    # AN-03: the set has been applied, so it must not show as failed. A note stands in for the rest.
                    bare = Result()
                    bare.reset()
                    bare.status = result.status
                    bare.add_note(b"headers and body left out: the answers to the change set are too large")
                    part.clear()
                    self.put_part(part, found.boundary, call, bare)
            found.add(part)
        elif found.wants_failure(result.status):
            part = Buffer()
            self.put_part(part, found.boundary if self.nested_errors else self.boundary, call, result)
            found.fail(part, result.status)
        else:
            found.fail(None, result.status)
        self.open_set = found
        if found.members >= call.group_size:
            if call.group_size == 0:
                self.answered = call.group
            self.put_set(out)
        return 0

    cdef BodyPieces pieces_of(self, Call call, Result result, tuple said):
        cdef BodyPieces made
        if self.last_only or (call.group is not None and self.gathers) or not has_body(result):
            return None                                   # it does not go out as it is written, or there is none
        made = BodyPieces.__new__(BodyPieces)
        made.begin(<const uint8_t*>result.body, result.body_len,
                   FORM_ONE_LINE if not result.coded and is_json(result) else FORM_AS_IT_IS)
        return made

    cdef int put_set(self, Buffer out) except -1:
        cdef ChangeSet found = self.open_set
        self.open_set = None
        return found.put(out, self.boundary)

    cdef int put_part(self, Buffer out, bytes boundary, Call call, Result result) except -1:
        cdef Py_ssize_t size = 0, start = out.size
        cdef bint coded = False           # in the content-codings that it came in
        cdef bint returns = False         # carriage returns go
        cdef BodyPieces made = self.made
        self.made = None
        self.cut = -1
        if has_body(result):
            coded = not make_plain(call, result, self.max_body_bytes)
            size = result.body_len
        # PR-07: no CRLF in JSON. AN-01: what is no JSON is not altered.
        if made is not None:
            returns = made.form == FORM_ONE_LINE
        elif size and not coded and is_json(result):
            returns = memchr(result.body, c'\r', size) != NULL and check(<const uint8_t*>result.body, size, MAX_DEPTH) < 0
        if returns:
            result.drop_digests()
        out.grow(512 if made is not None else size + 512)
        out.put(b"--", 2)
        out.put_bytes(boundary)
        self.put_part_head(out, call)
        if self.flavour != FLAVOUR_DOCUMENT:
            out.put(b"HTTP/1.1 ", 9)
        if 0 <= result.status < 600:
            out.put_bytes(<bytes>STATUS_LINES[result.status])
        else:
            out.put_uint(result.status)
            out.put(b" Unknown\r\n", 10)
        if self.flavour == FLAVOUR_DOCUMENT:
            out.put(b"RequestId: ", 11)
            out.put_bytes(call.id)
            out.put(b"\r\n", 2)
        self.put_headers(out, result)
        if size or not describes_absent(call, result):    # AN-10: else it is the upstream's to say
            out.put(b"Content-Length: ", 16)
            out.put_uint(size)
            out.put(b"\r\n", 2)
        out.put(b"\r\n", 2)
        if made is not None:
            self.cut = out.size - start
        elif size:
            out.put(result.body, size)
            if returns:
                blank_returns(out.data + out.size - size, size)
        return out.put(b"\r\n", 2)

    cdef int put_part_head(self, Buffer out, Call call) except -1:
        """From the end of the delimiter line to the status line."""
        cdef const char* p = PyBytes_AS_STRING(call.id)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(call.id)
        cdef Py_ssize_t i
        if self.flavour == FLAVOUR_DOCUMENT:
            out.put(b'\r\nContent-Disposition: form-data; name="', 40)
            for i in range(n):
                if p[i] == c'"' or p[i] == c'\\':
                    out.put_char(c'\\')
                out.put_char(p[i])
            return out.put(b'"\r\nContent-Type: application/http; msgtype=response\r\n\r\n', 55)
        out.put(b"\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n", 69)
        if n:
            out.put(b"Content-ID: ", 12)
            if self.flavour == FLAVOUR_GOOGLE:
                if p[0] == c'<':
                    out.put_char(c'<')
                    p += 1
                    n -= 1
                out.put(b"response-", 9)
            out.put(p, n)
            out.put(b"\r\n", 2)
        return out.put(b"\r\n", 2)

    cdef int put_headers(self, Buffer out, Result result) except -1:
        """All fields that may pass, in canonical case; what could break the part apart does not pass."""
        cdef HeaderSlice* header
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
            if self.flavour == FLAVOUR_DOCUMENT and header.name_len == 9 \
                    and strncasecmp(header.name, b"requestid", 9) == 0:
                continue                                  # the client takes the last one for its own
            if not valid_value(header.value, header.value_len) or not put_name(out, header.name, header.name_len, False):
                continue
            out.put(b": ", 2)
            if is_ascii(header.value, header.value_len):
                out.put(header.value, header.value_len)
            else:
                # Some clients decode the whole answer at once.
                out.put_bytes(value_in_utf8(header.value[:header.value_len]))
            out.put(b"\r\n", 2)
        return 0


cdef int blank_returns(char* p, Py_ssize_t size) noexcept nogil:
    """A carriage return of JSON can only be white space, so a space does as well."""
    cdef char* end = p + size
    while p < end:
        p = <char*>memchr(p, c'\r', end - p)
        if p == NULL:
            return 0
        p[0] = c' '
        p += 1
    return 0
