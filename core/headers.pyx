"""Builds the header lines of an inner request from its fields.

Lines are assembled here and nowhere else, so that no value of a client can start a line of its own
(background: CVE-2023-37276 and kin). Must never let through a hop-by-hop or identity header.
"""
from batchwire.core.errors import quoted
from batchwire.core.model cimport Buffer, Call
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

# RFC 9110 5.6.2: tchar.
cdef uint8_t[256] TCHAR
for _c in bytearray(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
    TCHAR[_c] = 1

cdef enum Verdict:
    PASS = 0
    DROP = 1              # hop-by-hop, ours (GW-08: also what codings we take), or an identity that a client must not claim
    REFUSE = 2            # MB-17, GW-17: must not be in an inner request
    CONTENT_TYPE = 3
    TRANSFER_ENCODING = 4
    CONNECTION = 5

cdef struct Rule:
    const char* name
    int length
    int verdict

# Identity headers: background/peers: CVE-2022-24112. AspNetCoreOData drops the same names.
cdef Rule[34] RULES = [            # by length, so that a name is compared with few
    Rule("te", 2, REFUSE),
    Rule("via", 3, DROP),
    Rule("from", 4, REFUSE),
    Rule("host", 4, DROP),
    Rule("range", 5, REFUSE),
    Rule("expect", 6, REFUSE),
    Rule("trailer", 7, DROP),
    Rule("upgrade", 7, DROP),
    Rule("forwarded", 9, DROP),
    Rule("x-real-ip", 9, DROP),
    Rule("connection", 10, CONNECTION),
    Rule("keep-alive", 10, DROP),
    Rule("x-client-ip", 11, DROP),
    Rule("content-type", 12, CONTENT_TYPE),
    Rule("max-forwards", 12, REFUSE),
    Rule("authorization", 13, REFUSE),
    Rule("batchwire-hop", 13, DROP),
    Rule("x-rewrite-url", 13, DROP),
    Rule("content-length", 14, DROP),
    Rule("true-client-ip", 14, DROP),
    Rule("x-original-url", 14, DROP),
    Rule("accept-encoding", 15, DROP),
    Rule("x-forwarded-for", 15, DROP),
    Rule("x-original-host", 15, DROP),
    Rule("proxy-connection", 16, DROP),
    Rule("x-forwarded-host", 16, DROP),
    Rule("x-forwarded-port", 16, DROP),
    Rule("transfer-encoding", 17, TRANSFER_ENCODING),
    Rule("x-forwarded-proto", 17, DROP),
    Rule("proxy-authenticate", 18, DROP),
    Rule("x-forwarded-prefix", 18, DROP),
    Rule("x-forwarded-server", 18, DROP),
    Rule("proxy-authorization", 19, REFUSE),
    Rule("x-http-method-override", 22, DROP),
]
cdef int[34] FIRST                 # index of the first rule of a length
_at = 0
for _c in range(34):
    while _at < 34 and RULES[_at].length < _c:
        _at += 1
    FIRST[_c] = _at
# Families of identity headers of proxies; `_` is compared as `-` because CGI-style servers fold the two.
cdef Rule[3] PREFIXES = [
    Rule("x-forwarded-", 12, DROP),
    Rule("x-arr-", 6, DROP),
    Rule("x-ms-client-principal", 21, DROP),
]


cdef int verdict_of(const char* name, Py_ssize_t n) noexcept nogil:
    cdef char folded[32]
    cdef int i
    cdef Py_ssize_t j
    cdef char c
    cdef Py_ssize_t k = n if n < 32 else 32
    for j in range(k):
        c = name[j]
        folded[j] = <char>45 if c == 95 else (<char>(c + 32) if 65 <= c <= 90 else c)
    if n <= 32:
        for i in range(FIRST[n], FIRST[n + 1]):
            if memcmp(RULES[i].name, folded, n) == 0:
                # An underscore spelling is never the header itself, only an attempt to pass for it.
                if RULES[i].verdict > REFUSE and memchr(name, 95, n) != NULL:
                    return DROP
                return RULES[i].verdict
    for i in range(3):
        if n >= PREFIXES[i].length and memcmp(PREFIXES[i].name, folded, PREFIXES[i].length) == 0:
            return PREFIXES[i].verdict
    return PASS


cdef bint block_has(bytes head, const char* name, Py_ssize_t n) noexcept:
    """Whether a block of header lines has a field of this name (any case)."""
    cdef const char* p = head
    cdef const char* end = p + len(head)
    while p < end:
        if end - p > n and p[n] == 58 and strncasecmp(p, name, n) == 0:
            return True
        p = <const char*>memchr(p, 10, end - p)
        if p == NULL:
            return False
        p += 1
    return False


cdef bytes block_get(bytes head, const char* name, Py_ssize_t n):
    """The value of the first field of this name, or None."""
    cdef const char* p = head
    cdef const char* end = p + len(head)
    cdef const char* stop
    while p < end:
        stop = <const char*>memchr(p, 13, end - p)
        if stop == NULL:
            return None
        if end - p > n and p[n] == 58 and strncasecmp(p, name, n) == 0:
            return PyBytes_FromStringAndSize(p + n + 2, stop - p - n - 2)
        p = stop + 2
    return None


cdef bint valid_value(const char* p, Py_ssize_t n) noexcept nogil:
    """RFC 9110 5.5 without the control characters; bytes above 0x7f pass as obs-text."""
    cdef Py_ssize_t i
    for i in range(n):
        if (<uint8_t>p[i] < 32 and p[i] != 9) or p[i] == 127:
            return False
    return True


cdef class HeaderBlock:
    """See headers.pxd for the way of use.

    drop_authorization: instead of refusing a call that has its own Authorization (GW-17), drop the field.
    max_bytes: bound on the lines of one call; a call above it is refused with 431's inner form, 400.
    """

    def __init__(self, bint refuse_duplicates=True, bint drop_authorization=False, Py_ssize_t max_bytes=32768):
        self.out = Buffer()
        self.refuse_duplicates = refuse_duplicates
        self.drop_authorization = drop_authorization
        self.max_bytes = max_bytes

    cdef int start(self, Call call) except -1:
        self.call = call
        self.out.size = 0
        self.names = None
        self.content_type = None
        self.transfer_encoding = None
        return 0

    cdef int add(self, const char* name, Py_ssize_t name_len, const char* value, Py_ssize_t value_len) except -1:
        cdef int verdict
        cdef Py_ssize_t i
        if self.call.refusal is not None:
            return 0
        if name_len == 0:
            return self.call.refuse(400, "BadHeader", "a header has an empty name")
        for i in range(name_len):
            if not TCHAR[<uint8_t>name[i]]:
                return self.call.refuse(400, "BadHeader", "a header name has a character that is not allowed")
        while value_len and (value[0] == 32 or value[0] == 9):
            value += 1
            value_len -= 1
        while value_len and (value[value_len - 1] == 32 or value[value_len - 1] == 9):
            value_len -= 1
        if not valid_value(value, value_len):
            return self.call.refuse(400, "BadHeader", "a header value has a control character")
        if self.out.size + name_len + value_len > self.max_bytes:
            return self.call.refuse(400, "HeadersTooLarge", "the headers of the call are too large")
        verdict = verdict_of(name, name_len)
        if verdict != PASS:
            if verdict == DROP:
                return 0
            if verdict == REFUSE:
                if self.drop_authorization and name_len in (13, 19):
                    return 0
                return self.call.refuse(
                    400, "HeaderNotAllowed", f"the header {quoted(name[:name_len])} must not be in an inner request")
            if verdict == CONTENT_TYPE:
                if self.content_type is not None:
                    return self.call.refuse(400, "DuplicateHeader", "content-type is given twice")
                self.content_type = PyBytes_FromStringAndSize(value, value_len)
            elif verdict == TRANSFER_ENCODING:
                self.transfer_encoding = PyBytes_FromStringAndSize(value, value_len)
                return 0
            elif verdict == CONNECTION:
                return self.name_hop_headers(value[:value_len])
        if self.refuse_duplicates and self.has(name, name_len):
            return self.call.refuse(400, "DuplicateHeader", f"the header {quoted(name[:name_len])} is given twice")
        self.out.grow(name_len + value_len + 4)
        self.out.put(name, name_len)
        self.out.put(": ", 2)
        self.out.put(value, value_len)
        self.out.put("\r\n", 2)
        return 0

    cdef bint has(self, const char* name, Py_ssize_t n) noexcept:
        cdef const char* p = self.out.data
        cdef const char* end = p + self.out.size
        while p != NULL and p < end:
            if end - p > n and p[n] == 58 and strncasecmp(p, name, n) == 0:
                return True
            p = <const char*>memchr(p, 10, end - p)
            if p != NULL:
                p += 1
        return False

    cdef int name_hop_headers(self, bytes value) except -1:
        """Remembers what Connection names: those fields are hop-by-hop too (RFC 9110 7.6.1)."""
        if self.names is None:
            self.names = set()
        for token in value.split(b","):
            token = token.strip().lower()
            if token:
                self.names.add(token)
        return 0

    cdef int finish(self) except -1:
        cdef bytes head
        if self.call.refusal is None:
            head = self.out.take() if self.out.size else b""
            if self.names is not None:
                head = b"".join([
                    line + b"\r\n" for line in head.split(b"\r\n")
                    if line and line.partition(b":")[0].lower() not in self.names
                ])
            self.call.head = head
        self.call = None
        return 0
