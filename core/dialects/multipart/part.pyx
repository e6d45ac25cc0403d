"""One part of a multipart batch -> one Call (MB-02..MB-21, GW-02, GW-07, GW-17).

What is wrong with the part alone is put on the Call as a refusal; only an id that cannot be told breaks the
batch. Must never look at other parts: ids, change sets and order are the reader's and the plan's.
"""
from batchwire.core.dialects.identifiers cimport id_characters, is_opaque_id, is_request_id
from batchwire.core.dialects.media cimport MEDIA_JSON, MEDIA_NONE, MediaKind, media_kind
from batchwire.core.dialects.multipart.lines cimport Field, blank, head_of, named, next_field
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.methods cimport is_bodyless, method_of
from batchwire.core.model cimport Buffer, Call
from batchwire.core.origins cimport Origins
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memchr

from batchwire.core.errors import EnvelopeError
from batchwire.core.methods import METHODS

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

cdef enum:
    MAX_OPAQUE_ID = 256       # document
    MAX_CONTENT_ID = 1024     # google: a prefix of the client and a percent-encoded id


cdef PartKind part_kind(const char* p, Py_ssize_t n) noexcept nogil:
    """MB-15: any case, parameters do not matter."""
    cdef Py_ssize_t stop = 0
    while stop < n and p[stop] != c';':
        stop += 1
    while stop and (p[stop - 1] == c' ' or p[stop - 1] == c'\t'):
        stop -= 1
    if stop == 16 and strncasecmp(p, b"application/http", 16) == 0:
        return PART_HTTP
    if stop == 15 and strncasecmp(p, b"multipart/mixed", 15) == 0:
        return PART_MULTIPART
    return PART_OTHER


cdef bint leaves_bytes(const char* p, Py_ssize_t n) noexcept nogil:
    """Whether a content-transfer-encoding is one that means no encoding (MB-03)."""
    return (n == 6 and strncasecmp(p, b"binary", 6) == 0) or (
        n == 4 and (strncasecmp(p, b"8bit", 4) == 0 or strncasecmp(p, b"7bit", 4) == 0))


cdef bint is_printable_id(bytes value, Py_ssize_t most) noexcept:
    """Printable ASCII: such an id can be written into any answer."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(value)
    cdef Py_ssize_t i
    for i in range(PyBytes_GET_SIZE(value)):
        if p[i] < 32 or p[i] > 126:
            return False
    return 0 < PyBytes_GET_SIZE(value) <= most


cdef bint is_version(const char* p, const char* end) noexcept nogil:
    """HTTP/1.1 and its like: digits and a dot after the slash."""
    if end - p < 6 or strncasecmp(p, b"HTTP/", 5) != 0:
        return False
    p += 5
    while p < end:
        if p[0] != c'.' and not c'0' <= p[0] <= c'9':
            return False
        p += 1
    return True


cdef Py_ssize_t decimal(const char* p, Py_ssize_t n) noexcept nogil:
    """The number that digits say, or -1."""
    cdef Py_ssize_t value = 0
    cdef Py_ssize_t i
    if n == 0 or n > 15:
        return -1
    for i in range(n):
        if not c'0' <= p[i] <= c'9':
            return -1
        value = value * 10 + p[i] - c'0'
    return value


cdef class PartBuilder:
    """
    flavour: of the client's dialect. strict: parts of a change set need a Content-ID (ID-04); otherwise GW-07's
    switch is on. authority: (scheme, host[:port]) of the batch URL, or several; None: a Host is not compared (MB-11).
    max_header_bytes: of one call. block: screens its header lines.
    """

    def __init__(self, int flavour, bint strict, authority, Py_ssize_t max_header_bytes, HeaderBlock block not None):
        self.block = block
        self.scratch = Buffer()
        self.flavour = flavour
        self.strict = strict
        self.max_header_bytes = max_header_bytes
        if authority:
            self.origins = Origins(authority, strict)
        self.begin()

    cdef int begin(self) except -1:
        self.kind = PART_OTHER
        self.plain = True
        self.broken = False
        self.media = None
        self.id = None
        self.ids_differ = False
        self.cr_follows = False
        return 0

    cdef int read_mime(self, const char* p, const char* end) except -1:
        """The headers of the part itself. Its Content-Length is not looked at: the delimiter says where it ends."""
        cdef Field field
        cdef bint typed = False
        head_of(p, end, &end)
        while p < end:
            p = next_field(p, end, &field, self.scratch)
            if field.name_len == 0 or blank(field.name + field.name_len - 1, 1):
                self.broken = True                        # "Content-ID : 1" would pass for a part without an id
            elif named(&field, b"content-type", 12):
                self.kind = PART_OTHER if typed else part_kind(field.value, field.value_len)
                typed = True
                if self.kind == PART_MULTIPART:
                    self.media = field.value[:field.value_len]
            elif named(&field, b"content-transfer-encoding", 25):
                self.plain = self.plain and leaves_bytes(field.value, field.value_len)
            elif self.flavour != FLAVOUR_DOCUMENT and named(&field, b"content-id", 10):
                self.take_id(&field)
        return 0

    cdef int take_id(self, Field* field) except -1:
        """MB-06: the first one counts, that is the one of the part; another one must say the same."""
        cdef bytes value = PyBytes_FromStringAndSize(field.value, field.value_len)
        if self.id is None:
            self.id = value
        elif self.id != value:
            self.ids_differ = True
        return 0

    cdef Call build(self, object owner, const char* p, const char* end, bytes group, uint64_t number):
        """The call whose message is p..end, in bytes that `owner` keeps; group: name of its change set, or None."""
        cdef Call call = Call.__new__(Call)
        call.group = group
        self.length = -1
        self.bodyless = False
        self.block.start(call)
        if self.kind == PART_OTHER:
            call.refuse(400, "BadPart", "a part must be of the type application/http")
        elif self.kind == PART_MULTIPART:
            call.refuse(400, "NestedMultipart", "there must be no multipart here")
        elif not self.plain:
            call.refuse(501, "EncodingNotSupported", "the content-transfer-encoding of the part is not supported")
        elif self.broken:
            call.refuse(400, "BadHeader", "a header line of the part has no name")
        if self.kind == PART_HTTP and self.plain:
            self.read_message(call, owner, p, end)
        self.identify(call, group is not None, number)
        if self.ids_differ:
            call.refuse(400, "ConflictingId", "the part has two ids that differ")
        if group is not None and self.bodyless and call.method != b"DELETE":
            call.refuse(400, "GetInChangeSet", f"a change set must not have a {call.method.decode()}")        # MB-07
        self.block.finish()
        if self.scratch.capacity > 65536:
            self.scratch.clear()
        return call

    cdef int read_message(self, Call call, object owner, const char* p, const char* end) except -1:
        cdef const char* head_end = end
        cdef const char* body
        cdef const char* stop
        cdef Field field
        while p < end and (p[0] == c'\n' or (p[0] == c'\r' and end - p > 1 and p[1] == c'\n')):
            p += 1 if p[0] == c'\n' else 2
        stop = <const char*>memchr(p, c'\n', end - p)
        self.read_request_line(call, p, end if stop == NULL else stop)
        p = end if stop == NULL else stop + 1
        body = head_of(p, end, &head_end)
        if head_end - p > self.max_header_bytes:
            call.refuse(
                400, "HeadersTooLarge",
                f"the headers of the call are larger than limits.max_header_bytes ({self.max_header_bytes} bytes)")
        while p < head_end:
            p = next_field(p, head_end, &field, self.scratch)
            self.read_field(call, &field)
        if self.block.transfer_encoding is not None:
            return call.refuse(501, "UnknownTransferCoding", "a transfer-encoding inside a part is not supported")
        # A line feed alone ends the lines of this message: a carriage return before the delimiter may be the body's.
        self.cr_follows = self.cr_follows and head_end < end and head_end[0] == c'\n'
        return self.read_body(call, owner, body, end - body)

    cdef int read_request_line(self, Call call, const char* p, const char* end) except -1:
        """MB-09. The URL is what lies between the first space and the version, if there is one, or the end."""
        cdef const char* space
        cdef const char* last
        cdef bytes method
        cdef Py_ssize_t n
        while end > p and ((end - 1)[0] == c' ' or (end - 1)[0] == c'\t' or (end - 1)[0] == c'\r'):
            end -= 1
        space = <const char*>memchr(p, c' ', end - p)
        if space == NULL:
            return call.refuse(400, "BadRequestLine", "the part has no request line")
        n = space - p
        method = method_of(p, n)
        if method is None:
            call.refuse(400, "BadMethod", f"the method must be {METHODS}")
        else:
            call.method = method
        self.bodyless = is_bodyless(call.method)
        last = end
        while (last - 1)[0] != c' ':
            last -= 1
        if is_version(last, end):
            end = last
        while space < end and space[0] == c' ':
            space += 1
        while end > space and (end - 1)[0] == c' ':
            end -= 1
        call.url = PyBytes_FromStringAndSize(space, end - space)
        while space < end:
            if <uint8_t>space[0] < 32 or space[0] == 127:
                return call.refuse(400, "BadUrl", "the URL has a control character")
            space += 1
        return 0

    cdef int read_field(self, Call call, Field* field) except -1:
        """What may pass is decided by HeaderBlock; here only what concerns the message as part of a batch."""
        cdef Py_ssize_t length
        if field.name_len == 0:
            return call.refuse(400, "BadHeader", "a header line of the call has no name")
        if field.name_len == 10 and named(field, b"content-id", 10):
            return self.take_id(field) if self.flavour != FLAVOUR_DOCUMENT else 0
        if self.flavour == FLAVOUR_DOCUMENT and field.name_len == 9:
            if named(field, b"requestid", 9):
                return self.take_id(field)
            if named(field, b"dependson", 9):
                if call.depends_on is None:
                    call.depends_on = []
                # Extended in its place: there may be many such lines.
                call.depends_on += [
                    name for name in map(bytes.strip, field.value[:field.value_len].split(b",")) if name]
                return 0
        if field.name_len == 4 and named(field, b"host", 4):
            if self.origins is not None and call.url.startswith(b"/") \
                    and not self.origins.is_host(field.value[:field.value_len]):
                call.refuse(400, "BadHost", "the Host of the call is not that of the batch")   # MB-11
            return 0
        if field.name_len == 14 and named(field, b"content-length", 14) and self.flavour != FLAVOUR_GOOGLE:
            # The google clients count characters, not bytes.
            length = decimal(field.value, field.value_len)
            if length < 0 or (self.length >= 0 and length != self.length):
                return call.refuse(400, "BadLength", "the Content-Length of the call is no number, or two")
            self.length = length
            return 0
        return self.block.add(field.name, field.name_len, field.value, field.value_len)

    cdef int read_body(self, Call call, object owner, const char* p, Py_ssize_t n) except -1:
        """MB-13, MB-16, MB-18. Bytes as they are, but for two tolerances that clients need (GW-07):

        blank lines before a body that is JSON by its media type are left out, because some clients send one too
        many; and a body of nothing but white space is no body where it could not mean anything: with GET and its
        like, as JSON, and without a media type.
        """
        cdef bytes media = self.block.content_type
        cdef MediaKind kind = MEDIA_NONE
        cdef Py_ssize_t skipped = 0
        if media is not None:
            kind = media_kind(PyBytes_AS_STRING(media), PyBytes_GET_SIZE(media))
        if kind == MEDIA_JSON:
            while skipped < n and blank(p + skipped, 1):
                skipped += 1
            p += skipped
            n -= skipped
        if self.length >= 0:
            if self.length == n + skipped + 1 and self.cr_follows:
                n += 1
            if self.length > n + skipped:
                return call.refuse(400, "BadLength", "the body is shorter than its Content-Length")
            if self.length < n:
                n = self.length
        if n == 0 or ((self.bodyless or kind == MEDIA_JSON or kind == MEDIA_NONE) and blank(p, n)):
            return 0
        if self.bodyless:
            return call.refuse(400, "BodyNotAllowed", f"a {call.method.decode()} must not have a body")
        return call.set_body(owner, p, n)

    cdef int identify(self, Call call, bint in_set, uint64_t number) except -1:
        cdef bytes said = self.id
        if said is None:
            # CL-06: some clients of the google flavour go by the order of the answers alone.
            if self.flavour != FLAVOUR_DOCUMENT and not (in_set and self.strict):
                return 0
            raise EnvelopeError(
                400, "BadId",
                "each call needs a RequestId" if self.flavour == FLAVOUR_DOCUMENT else
                "each part of a change set needs a Content-ID",
                f"requests[{number}].id")
        if self.flavour == FLAVOUR_ODATA:
            if not is_request_id(PyBytes_AS_STRING(said), PyBytes_GET_SIZE(said)) and (
                    self.strict or not is_opaque_id(PyBytes_AS_STRING(said), PyBytes_GET_SIZE(said))):
                raise EnvelopeError(
                    400, "BadId", f"a Content-ID must be made of {id_characters(not self.strict)}", f"requests[{number}].id")
        elif not is_printable_id(said, MAX_OPAQUE_ID if self.flavour == FLAVOUR_DOCUMENT else MAX_CONTENT_ID):
            raise EnvelopeError(
                400, "BadId",
                f"an id must be 1 to {MAX_OPAQUE_ID if self.flavour == FLAVOUR_DOCUMENT else MAX_CONTENT_ID} "
                "printable characters of ASCII", f"requests[{number}].id")
        call.id = said
        return 0
