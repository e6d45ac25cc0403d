"""One request object of a JSON batch -> one Call (JB-03..JB-28, GW-02, GW-11, GW-12, GW-17, GW-22).

The text has been validated by the scanner, which also noted where each member lies; so nothing is checked
twice here. What is wrong with the object alone is put on the Call as a refusal; only an id that cannot be
told breaks the batch. Must never look at other calls: ids, groups and order are the plan's.
"""
from batchwire.core.dialects.charsets cimport Unescaping
from batchwire.core.dialects.codings cimport Undoing
from batchwire.core.dialects.identifiers cimport MAX_DEPENDENCIES, MAX_ID, id_characters, is_opaque_id, is_request_id
from batchwire.core.dialects.json_scan cimport Mark
from batchwire.core.dialects.json_strings cimport unescaped
from batchwire.core.dialects.media cimport (
    MEDIA_JSON,
    MEDIA_NONE,
    MEDIA_TEXT,
    MediaKind,
    base64_decoded,
    charset_of,
    codec_of,
    media_kind,
)
from batchwire.core.dialects.scan cimport bw_has_half_pair, bw_quote_run, bw_unescape
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.methods cimport is_bodyless, is_odata, method_of
from batchwire.core.model cimport Buffer, Call
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp

from batchwire.core.dialects.codings import BrokenCoding, TooDense, TooLong, TooManyCodings, UnknownCoding
from batchwire.core.errors import EnvelopeError, quoted
from batchwire.core.methods import METHODS

cdef enum:
    AT_ONCE = 65536           # bytes of a string that is read as soon as it is there

cdef enum Member:
    MEMBER_ID = 0
    MEMBER_METHOD = 1
    MEMBER_URL = 2
    MEMBER_HEADERS = 3
    MEMBER_BODY = 4
    MEMBER_DEPENDS_ON = 5
    MEMBER_DEPENDS_ON_ALIAS = 6
    MEMBER_GROUP = 7
    MEMBER_IF = 8
    MEMBER_COUNT = 9
    MEMBER_UNKNOWN = 9

# GW-22: other spellings of what says which calls run, in lower case without "_"; ignored, these would run.
cdef dict MEANT = {b"dependson": "dependsOn", b"atomicitygroup": "atomicityGroup", b"if": "if", b"condition": "if"}
cdef bytes NOTHING = b""
cdef str HALF_PAIR = "a string has half of a surrogate pair"


cdef Member member_named(const uint8_t* name, Py_ssize_t n) noexcept nogil:
    """JB-06: names are case-sensitive."""
    if n == 2:
        if memcmp(name, b"id", 2) == 0:
            return MEMBER_ID
        if memcmp(name, b"if", 2) == 0:
            return MEMBER_IF
    elif n == 3:
        if memcmp(name, b"url", 3) == 0:
            return MEMBER_URL
    elif n == 4:
        if memcmp(name, b"body", 4) == 0:
            return MEMBER_BODY
    elif n == 6:
        if memcmp(name, b"method", 6) == 0:
            return MEMBER_METHOD
    elif n == 7:
        if memcmp(name, b"headers", 7) == 0:
            return MEMBER_HEADERS
    elif n == 9:
        if memcmp(name, b"dependsOn", 9) == 0:
            return MEMBER_DEPENDS_ON
    elif n == 10:
        if memcmp(name, b"depends_on", 10) == 0:
            return MEMBER_DEPENDS_ON_ALIAS
    elif n == 14:
        if memcmp(name, b"atomicityGroup", 14) == 0:
            return MEMBER_GROUP
    return MEMBER_UNKNOWN


cdef str meant_by(bytes name):
    """The member that an unknown name is another spelling of (GW-22), or None."""
    if b"_" in name:
        name = name.replace(b"_", b"")
    return MEANT.get(name.lower())


cdef bytes string_of(Call call, const uint8_t* text, Mark* mark):
    """The UTF-8 of a member whose value is a string. AN-04: half of a surrogate pair has none."""
    if mark.value_escaped:
        if bw_has_half_pair(text + mark.value + 1, mark.value_end - mark.value - 2):
            call.refuse(400, "BadText", HALF_PAIR)
        return unescaped(text + mark.value + 1, mark.value_end - mark.value - 2)
    return PyBytes_FromStringAndSize(<const char*>(text + mark.value + 1), mark.value_end - mark.value - 2)


cdef bint is_integer(const uint8_t* p, Py_ssize_t n) noexcept nogil:
    """Whether a valid number has neither fraction nor exponent."""
    cdef Py_ssize_t i
    for i in range(n):
        if p[i] != c'-' and not c'0' <= p[i] <= c'9':
            return False
    return True


cdef Py_ssize_t skip_space(const uint8_t* p, Py_ssize_t i) noexcept nogil:
    while p[i] == c' ' or p[i] == c'\n' or p[i] == c'\r' or p[i] == c'\t':
        i += 1
    return i


cdef Py_ssize_t string_end(const uint8_t* p, Py_ssize_t i, Py_ssize_t n, bint* escaped) noexcept nogil:
    """Index of the quote that closes the string whose inside starts at i."""
    while True:
        i = bw_quote_run(p, i, n)
        if p[i] == c'"':
            return i
        escaped[0] = True
        i += 2


cdef class CallBuilder:
    def __init__(self, HeaderBlock block not None, Py_ssize_t max_body, bint integer_ids):
        self.block = block
        self.integer_ids = integer_ids
        self.scratch = Buffer()
        self.max_body = max_body

    cdef Call build(self, bytes owner, const uint8_t* text, Mark* marks, int count, uint64_t number):
        cdef Mark* known[MEMBER_COUNT]
        cdef Call call = Call.__new__(Call)
        cdef set others = None
        cdef bint twice = False
        cdef Mark* mark
        cdef Member member
        cdef bytes name
        cdef int i
        for i in range(<int>MEMBER_COUNT):
            known[i] = NULL
        for i in range(count):
            mark = &marks[i]
            name = None
            if mark.key_escaped:
                name = unescaped(text + mark.key, mark.key_end - mark.key)
                member = member_named(<const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
            else:
                member = member_named(text + mark.key, mark.key_end - mark.key)
            if member == MEMBER_UNKNOWN:
                if name is None:
                    name = text[mark.key:mark.key_end]
                meant = meant_by(name)
                if meant is not None:
                    call.refuse(400, "UnknownMember", f"{quoted(name)} is no member of a request object: {meant} is")
                if others is None:
                    others = set()
                twice = twice or name in others
                others.add(name)
            elif known[<int>member] == NULL:
                known[<int>member] = mark
            elif member == MEMBER_ID:
                raise EnvelopeError(
                    400, "DuplicateMember", "a request object has two ids", f"requests[{number}].id")
            else:
                twice = True
        self.identify(call, text, known[<int>MEMBER_ID], number)
        if twice:
            call.refuse(400, "DuplicateMember", "the request object has a member twice")
        self.read_method(call, text, known[<int>MEMBER_METHOD])
        self.read_url(call, text, known[<int>MEMBER_URL])
        # Read whatever else is wrong: a refused call still belongs to its group and fails its dependents.
        if known[<int>MEMBER_DEPENDS_ON] != NULL or known[<int>MEMBER_DEPENDS_ON_ALIAS] != NULL:
            self.read_depends_on(
                call, text, known[<int>MEMBER_DEPENDS_ON], known[<int>MEMBER_DEPENDS_ON_ALIAS])
        if known[<int>MEMBER_GROUP] != NULL:
            self.read_group(call, text, known[<int>MEMBER_GROUP])
        if known[<int>MEMBER_IF] != NULL:
            self.read_condition(call, text, known[<int>MEMBER_IF])
        mark = known[<int>MEMBER_BODY]
        if mark != NULL and mark.kind == c'n':
            mark = NULL                                   # JB-22
        if known[<int>MEMBER_HEADERS] != NULL or mark != NULL:
            self.block.start(call)
            if known[<int>MEMBER_HEADERS] != NULL:
                self.read_headers(call, text, known[<int>MEMBER_HEADERS])
            if mark != NULL and call.refusal is None:
                self.read_body(call, owner, text, mark)
            self.block.finish()
        return call

    cdef int identify(self, Call call, const uint8_t* text, Mark* mark, uint64_t number) except -1:
        """JB-08, ID-03. The compatible profile takes an integer as the string of its digits, and PL-09."""
        if mark != NULL:
            if mark.kind == c'"':
                call.id = string_of(call, text, mark)
                if call.refusal is not None:
                    return 0
            elif self.integer_ids and is_integer(text + mark.value, mark.value_end - mark.value):
                call.id = text[mark.value:mark.value_end]
            if is_request_id(PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id)) or (
                    self.integer_ids and is_opaque_id(PyBytes_AS_STRING(call.id), PyBytes_GET_SIZE(call.id))):
                return 0
        raise EnvelopeError(
            400, "BadId",
            f"each request object needs an id of {id_characters(self.integer_ids)}" if mark != NULL else
            "a request object has no id",
            f"requests[{number}].id")

    cdef int read_method(self, Call call, const uint8_t* text, Mark* mark) except -1:
        """JB-07, CL-03."""
        cdef bytes said
        cdef const char* p
        cdef Py_ssize_t n
        if mark != NULL and mark.kind == c'"':
            p = <const char*>(text + mark.value + 1)
            n = mark.value_end - mark.value - 2
            if mark.value_escaped:
                said = string_of(call, text, mark)
                p = PyBytes_AS_STRING(said)
                n = PyBytes_GET_SIZE(said)
            said = method_of(p, n)
            if said is None:
                return call.refuse(400, "BadMethod", f"method must be {METHODS}")
            if not self.integer_ids and not is_odata(said):
                # CL-03: what the specification does not name is for clients that do not go by it.
                return call.refuse(400, "BadMethod", "method must be one of delete, get, patch, post, put")
            call.method = said
            return 0
        return call.refuse(400, "BadMethod", "method must be given, as a string")

    cdef int read_url(self, Call call, const uint8_t* text, Mark* mark) except -1:
        cdef const uint8_t* p
        cdef Py_ssize_t i
        if mark == NULL or mark.kind != c'"':
            return call.refuse(400, "BadUrl", "url must be given, as a string")
        call.url = string_of(call, text, mark)
        if mark.value_escaped:                            # a raw control character cannot be in a JSON string
            p = <const uint8_t*>PyBytes_AS_STRING(call.url)
            for i in range(PyBytes_GET_SIZE(call.url)):
                if p[i] < 0x20 or p[i] == 0x7F:
                    return call.refuse(400, "BadUrl", "url has a control character")
        return 0

    cdef int read_depends_on(self, Call call, const uint8_t* text, Mark* mark, Mark* alias) except -1:
        """JB-14, GW-22. null is as good as absent."""
        cdef list said = None if mark == NULL else self.names_in(call, text, mark)
        cdef list also = None if alias == NULL else self.names_in(call, text, alias)
        if said is not None and also is not None and said != also:
            call.refuse(400, "BadDependsOn", "dependsOn and depends_on differ")
        call.depends_on = also if said is None else said
        return 0

    cdef list names_in(self, Call call, const uint8_t* text, Mark* mark):
        cdef list names = []
        cdef Py_ssize_t i
        cdef Py_ssize_t start
        cdef bint escaped
        if mark.kind == c'n':
            return None
        if mark.kind != c'[':
            call.refuse(400, "BadDependsOn", "dependsOn must be an array of ids")
            return None
        i = skip_space(text, mark.value + 1)
        while text[i] != c']':
            if len(names) == MAX_DEPENDENCIES:
                call.refuse(400, "BadDependsOn", f"dependsOn must not have more than {MAX_DEPENDENCIES} ids")
                return names
            start = i
            if text[i] == c'"':
                escaped = False
                i = string_end(text, i + 1, mark.value_end, &escaped)
                if i - start > 6 * MAX_ID:
                    call.refuse(400, "BadDependsOn", "dependsOn has an id that is too long")
                    return names
                if escaped and bw_has_half_pair(text + start + 1, i - start - 1):
                    call.refuse(400, "BadDependsOn", HALF_PAIR)
                names.append(unescaped(text + start + 1, i - start - 1) if escaped else text[start + 1:i])
                i += 1
            else:
                while text[i] not in (c',', c']', c' ', c'\n', c'\r', c'\t'):
                    i += 1
                if not self.integer_ids or not (text[start] == c'-' or c'0' <= text[start] <= c'9') \
                        or not is_integer(text + start, i - start):
                    call.refuse(400, "BadDependsOn", "dependsOn must hold ids only")
                    return names
                names.append(text[start:i])               # JB-08: integer ids are echoed as strings
            i = skip_space(text, i)
            if text[i] == c',':
                i = skip_space(text, i + 1)
        return names

    cdef int read_group(self, Call call, const uint8_t* text, Mark* mark) except -1:
        """JB-12. null is as good as absent."""
        cdef bytes name
        if mark.kind == c'n':
            return 0
        if mark.kind == c'"':
            name = string_of(call, text, mark)
            if is_request_id(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)):
                call.group = name
                return 0
        return call.refuse(400, "BadAtomicityGroup", "atomicityGroup must be a string of letters, digits and -._~")

    cdef int read_condition(self, Call call, const uint8_t* text, Mark* mark) except -1:
        """JB-18. Never lenient: a condition that is not understood must not be passed over. null is as good as absent."""
        if mark.kind == c'n':
            return 0
        if mark.kind != c'"':
            return call.refuse(400, "BadCondition", "if must be a string")
        call.condition = string_of(call, text, mark)
        return 0

    cdef int read_headers(self, Call call, const uint8_t* text, Mark* mark) except -1:
        """JB-20; what may pass is decided by HeaderBlock. null is as good as absent."""
        cdef Py_ssize_t i
        cdef Py_ssize_t end = mark.value_end
        cdef Py_ssize_t name
        cdef Py_ssize_t name_end
        cdef Py_ssize_t value
        cdef bint escaped
        if mark.kind == c'n':
            return 0
        if mark.kind != c'{':
            return call.refuse(400, "BadHeader", "headers must be an object")
        i = skip_space(text, mark.value + 1)
        while text[i] != c'}':
            escaped = False
            name = i + 1
            name_end = string_end(text, name, end, &escaped)
            i = skip_space(text, skip_space(text, name_end + 1) + 1)
            if text[i] != c'"':
                return call.refuse(400, "BadHeader", "each value in headers must be a string")
            value = i + 1
            i = string_end(text, value, end, &escaped)
            if escaped:
                if bw_has_half_pair(text + name, name_end - name) or bw_has_half_pair(text + value, i - value):
                    return call.refuse(400, "BadHeader", HALF_PAIR)
                self.add_unescaped(text + name, name_end - name, text + value, i - value)
            else:
                self.block.add(<const char*>(text + name), name_end - name, <const char*>(text + value), i - value)
            if call.refusal is not None:
                return 0
            i = skip_space(text, i + 1)
            if text[i] == c',':
                i = skip_space(text, i + 1)
        return 0

    cdef int add_unescaped(self, const uint8_t* name, Py_ssize_t name_len,
                           const uint8_t* value, Py_ssize_t value_len) except -1:
        self.scratch.size = 0
        self.scratch.grow(name_len + value_len)
        name_len = bw_unescape(name, name_len, <uint8_t*>self.scratch.data)
        value_len = bw_unescape(value, value_len, <uint8_t*>self.scratch.data + name_len)
        self.block.add(self.scratch.data, name_len, self.scratch.data + name_len, value_len)
        if self.scratch.capacity > 65536:
            self.scratch.clear()
        return 0

    cdef int read_body(self, Call call, bytes owner, const uint8_t* text, Mark* mark) except -1:
        """JB-21..26. The media type decides how the value is to be read."""
        cdef bytes media = self.block.content_type
        cdef MediaKind kind = MEDIA_NONE
        if is_bodyless(call.method):
            return call.refuse(400, "BodyNotAllowed", f"a {call.method.decode()} request must not have a body")
        if media is not None:
            kind = media_kind(PyBytes_AS_STRING(media), PyBytes_GET_SIZE(media))
        if kind == MEDIA_NONE:
            if media is not None:
                return call.refuse(400, "BadHeader", "content-type is empty")
            self.block.add("content-type", 12, "application/json", 16)
        if kind == MEDIA_JSON or kind == MEDIA_NONE:
            return call.set_body(owner, <const char*>(text + mark.value), mark.value_end - mark.value)
        if mark.kind != c'"':
            return call.refuse(400, "BadBody", "a body that is not JSON by its content-type must be a string")
        self.transfer_encoding = self.block.transfer_encoding
        if kind == MEDIA_TEXT:
            return self.read_text(call, owner, text, mark)
        if mark.value_escaped:                            # some encoders write "\/" and "\u002b"
            return self.read_string(call, owner, text, mark, None)
        return self.read_binary(call, text + mark.value + 1, mark.value_end - mark.value - 2)

    cdef int read_text(self, Call call, bytes owner, const uint8_t* text, Mark* mark) except -1:
        """JB-24: sent in the charset that content-type names, UTF-8 if it names none."""
        cdef str codec = codec_of(charset_of(self.block.content_type))
        if codec is None:
            return call.refuse(400, "BadBody", "the charset of the text body is not supported")
        if codec == "utf-8" and not mark.value_escaped:
            return call.set_body(owner, <const char*>(text + mark.value + 1), mark.value_end - mark.value - 2)
        return self.read_string(call, owner, text, mark, codec)

    cdef int read_string(self, Call call, bytes owner, const uint8_t* text, Mark* mark, str codec) except -1:
        """A body with escapes, or in a charset: a short one at once. codec: None for binary data."""
        cdef Py_ssize_t n = mark.value_end - mark.value - 2
        call.undoing = Unescaping.of(owner, text + mark.value + 1, n, codec)
        while n <= AT_ONCE and type(call.undoing) is Unescaping and not self.read_on(call):
            pass
        return 0

    cdef int read_binary(self, Call call, const uint8_t* p, Py_ssize_t n) except -1:
        """JB-25, JB-27."""
        cdef bytes body = base64_decoded(p, n)
        if body is None:
            return call.refuse(
                400, "BadBody",
                f"the body is not base64url, as a body of content-type {quoted(self.block.content_type)} is to be")
        if self.transfer_encoding is None:
            return call.set_body(body, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        try:
            call.undoing = Undoing(self.transfer_encoding, body, self.max_body, True)
        except UnknownCoding:
            return call.refuse(501, "UnknownTransferCoding", "the transfer-encoding is not supported")
        except TooManyCodings as error:
            return call.refuse(400, "BadBody", f"{error}")
        return 0

    cdef bint read_on(self, Call call) except -1:
        if call.undoing is None:
            return True
        if type(call.undoing) is Unescaping:
            return self.read_string_on(call, call.undoing)
        return self.undo_on(call, call.undoing)

    cdef bint read_string_on(self, Call call, Unescaping string) except -1:
        cdef bytes body
        if not string.step():
            return False
        call.undoing = None
        body = string.data
        if string.binary:
            self.read_binary(call, <const uint8_t*>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
            return call.undoing is None
        if string.half:
            call.refuse(400, "BadText", HALF_PAIR)        # AN-04
        elif string.unfit:
            call.refuse(400, "BadBody", "the text body has characters that its charset has not")
        else:
            call.set_body(body, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        return True

    cdef bint undo_on(self, Call call, Undoing undoing) except -1:
        try:
            if not undoing.step():
                return False
            call.set_body(undoing.data, PyBytes_AS_STRING(undoing.data), PyBytes_GET_SIZE(undoing.data))
        except TooDense as error:
            call.refuse(413, "CompressionRatio", f"{error}")
        except TooLong:
            call.refuse(
                413, "BodyTooLarge", f"the decoded body is larger than limits.max_call_bytes ({self.max_body} bytes)")
        except BrokenCoding:
            call.refuse(400, "BadBody", "the body is not what transfer-encoding says")
        call.undoing = None
        return True
