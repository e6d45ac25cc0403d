"""Calls as one JSON batch for an upstream (JB-01..JB-28), and its JSON answer as Results (JR-01..JR-13).

Bodies travel by their media type as in the JSON dialect; a JSON body goes in and comes out as the bytes it is.
Must never send a body that is not what its content-type says: it would break the batch of all members.
"""
from batchwire.core.dialects.body_pieces cimport BodyPieces, FORM_BASE64, FORM_ESCAPED
from batchwire.core.dialects.charsets cimport Decoding
from batchwire.core.dialects.codings cimport Undoing
from batchwire.core.dialects.header_names cimport put_name
from batchwire.core.dialects.json_scan cimport check
from batchwire.core.dialects.json_strings cimport put_escaped
from batchwire.core.dialects.media cimport (
    MEDIA_JSON,
    MEDIA_NONE,
    MEDIA_TEXT,
    MediaKind,
    charset_of,
    codec_of,
    media_kind,
    with_utf8,
)
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.headers cimport block_get
from batchwire.core.model cimport CARRIED, Buffer, Call, OUTCOME_TIMED_OUT, Result
from batchwire.core.upstream.native.base cimport Encoding, NativeBatch, NativeForm
from batchwire.core.upstream.native.json_answer cimport JsonReading
from batchwire.core.upstream.native.members cimport (
    depends_within,
    fields_of,
    fits_in,
    lifted_lines,
    relative_url,
    renaming_of,
)
from batchwire.core.upstream.native.outcomes cimport bad_answer, refused_batch, settled, whole_body
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

from batchwire.core.dialects.codings import TooDense, TooManyCodings
from batchwire.core.dialects.json_scan import Validator
from batchwire.core.upstream.native.base import UnfitMember

# A service may take 4.0 batches only, and members say their versions themselves: so no OData-Version (GB-05).
cdef bytes HEAD = b"Content-Type: application/json\r\nAccept: application/json\r\n"
# JSON goes on after an error by default (HD-16), but not every service knows that.
cdef bytes GO_ON = b"Prefer: odata.continue-on-error\r\n"


cdef enum:
    LARGE = 65536             # bytes of a body that is no trifle to write
    STEP = 262144             # of JSON that is looked through in one step, a millisecond or two


cdef int put_string(Buffer out, bytes text) except -1:
    """Bytes that are not UTF-8 are read as Latin-1 (RFC 9110 5.5)."""
    try:
        text.decode()
    except UnicodeDecodeError:
        text = text.decode("latin-1").encode()
    out.put_char(c'"')
    put_escaped(out, <const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    return out.put_char(c'"')


cdef class JsonLook(Steps):
    @staticmethod
    cdef JsonLook of(bytes body, tuple kind, int max_depth):
        """kind: see retyped()."""
        cdef JsonLook made = JsonLook.__new__(JsonLook)
        made.json, made.codec = kind
        made.body = body
        if made.json:
            if body.startswith(b"\xef\xbb\xbf"):
                made.body = body[3:]
            made.judge = Validator(max_depth)
        elif made.codec is not None:
            made.decoding = Decoding(body, made.codec)
        return made

    cdef bint step(self) except -1:
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.body)
        if self.decoding is not None:
            if not self.decoding.step():
                return False
            self.body = self.decoding.data
            if self.body is None:
                self.wrong = "the text body is not in the charset it says"
        elif self.json:
            fits = self.judge.feed(self.body[self.at:self.at + STEP]) is None
            if fits and self.at + STEP < n:
                self.at += STEP
                return False
            if not fits or not self.judge.end():
                self.wrong = "the body is not the JSON that its content-type says"
        return True


cdef tuple retyped(dict fields, Py_ssize_t index):
    """(it is JSON, codec of a text or None): JB-23..JB-25. Without a media type it is bytes, and that is said, because no
    type would mean JSON; and a JSON string is UTF-8, so that nothing else must be said of a text."""
    cdef bytes media = fields.setdefault(b"content-type", b"application/octet-stream")
    cdef MediaKind kind = media_kind(PyBytes_AS_STRING(media), PyBytes_GET_SIZE(media))
    cdef str codec
    if kind == MEDIA_NONE:
        fields[b"content-type"] = b"application/octet-stream"
    if kind != MEDIA_TEXT:
        return kind == MEDIA_JSON, None
    codec = codec_of(charset_of(media))
    if codec is None:
        raise UnfitMember(index, "the charset of the text body is not supported")
    if codec != "utf-8":
        fields[b"content-type"] = with_utf8(media)
    return False, codec


cdef class JsonForm(NativeForm):
    cdef bint mixes(self, Call call) except -1:
        # Services exist that refuse the whole batch for one body that is no JSON object (SAP CAP does).
        cdef bytes media
        cdef Py_ssize_t at = 0
        if not NativeForm.mixes(self, call):
            return False
        if call.body_owner is None or call.body_len == 0:
            return True
        if block_get(call.head, b"content-encoding", 16) is not None:
            return False              # PL-01: it would be decoded in one go
        media = block_get(call.head, b"content-type", 12) or b""
        while at < call.body_len and call.body_ptr[at] in (c' ', c'\t', c'\r', c'\n'):
            at += 1
        return at < call.body_len and call.body_ptr[at] == c'{' \
            and media_kind(PyBytes_AS_STRING(media), PyBytes_GET_SIZE(media)) == MEDIA_JSON

    cdef bint joins(self, Call call, bytes base_path, bytes lifted) except -1:
        return fits_in(call, base_path, {}) and lifted_lines(call) == lifted

    cdef Encoding begin(self, list members, bint atomic, bytes base_path):
        cdef Encoding encoding = NativeForm.begin(self, members, atomic, base_path)
        encoding.out.put(b'{"requests":[', 13)
        encoding.begun = encoding.out.size
        return encoding

    cdef NativeBatch end(self, Encoding encoding):
        encoding.out.put(b"]}", 2)
        return NativeBatch(HEAD + (b"" if encoding.atomic else GO_ON) + lifted_lines(encoding.members[0]),
                           encoding.out.take(), encoding.left_out)

    cdef bint put_member(self, Encoding encoding, Call call, Py_ssize_t index) except -1:
        cdef Buffer out = encoding.out
        cdef dict inner = encoding.inner
        cdef dict fields = {}
        cdef dict waits = depends_within(call, inner) if encoding.atomic else {}
        cdef bytes name, value, body
        cdef JsonLook looking = encoding.looking
        if encoding.made is not None:
            return self.put_pieces(encoding, index)
        for name, value in fields_of(call, inner):
            name = name.lower()
            fields[name] = fields[name] + b", " + value if name in fields else value
        body = None
        if encoding.renaming is not None or looking is not None:
            fields.pop(b"content-encoding", None)
        elif call.body_owner is not None:
            if not self.decode_body(encoding, call, fields, index):
                return False
            body = (call.body_ptr[:call.body_len] if encoding.undoing is None else encoding.undoing.data) or None
            encoding.undoing = None
        if body is not None and PyBytes_GET_SIZE(body) > LARGE:
            looking = encoding.looking = JsonLook.of(body, retyped(fields, index), self.max_depth)
        if looking is not None:
            retyped(fields, index)
            if not looking.step():
                return False
            self.looked_through(encoding, looking, index)
            body = looking.body
        elif body is not None:
            body = self.body_text(encoding, fields, index, body)    # which decides on what comes before it
        if encoding.renaming is not None:
            if not encoding.renaming.step():
                return False
            body = encoding.renaming.text()
            waits.update(encoding.renaming.waits)
            encoding.renaming = None
        if index:
            out.put_char(c',')
        out.put(b'{"id":"', 7)
        out.put_uint(index + 1)
        out.put(b'","method":"', 12)
        out.put_bytes(call.method.lower())
        out.put(b'","url":', 8)
        put_string(out, relative_url(call, encoding.base_path, inner))
        if encoding.atomic:
            out.put(b',"atomicityGroup":"g"', 21)
            if waits:
                out.put_bytes(b',"dependsOn":["' + b'","'.join(waits) + b'"]')
        out.put(b',"headers":{', 12)
        first = True
        for name, value in fields.items():
            if not first:
                out.put_char(c',')
            first = False
            out.put_char(c'"')
            put_name(out, PyBytes_AS_STRING(name), <int>PyBytes_GET_SIZE(name), True)
            out.put(b'":', 2)
            put_string(out, value)
        out.put_char(c'}')
        if encoding.made is not None:
            out.put(b',"body":"', 9)
            return False
        if body is not None:
            out.put(b',"body":', 8)
            out.put_bytes(body)
        out.put_char(c'}')
        return True

    cdef bint decode_body(self, Encoding encoding, Call call, dict fields, Py_ssize_t index) except -1:
        """A step in undoing the content-codings, which JSON cannot carry (HD-19); whether all are undone."""
        cdef bytes codings = fields.pop(b"content-encoding", None)
        if codings is None:
            return True
        try:
            if encoding.undoing is None:
                encoding.undoing = Undoing(codings, call.body_ptr[:call.body_len], self.max_body_bytes)
            return encoding.undoing.step()
        except ValueError as error:
            encoding.undoing = None
            raise UnfitMember(index, f"{error}" if isinstance(error, (TooDense, TooManyCodings)) else
                              "the body is not what its content-encoding says") from None

    cdef bytes body_text(self, Encoding encoding, dict fields, Py_ssize_t index, bytes body):
        """The JSON for a short body: JB-23..JB-25, but for links, which encoding.renaming is to rename."""
        cdef Buffer out = Buffer()
        cdef tuple kind = retyped(fields, index)
        cdef JsonLook looking
        cdef BodyPieces made
        if kind[0] and not body.startswith(b"\xef\xbb\xbf") \
                and check(<const uint8_t*>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), self.max_depth) < 0:
            encoding.renaming = renaming_of(body, encoding.inner)
            return body
        looking = JsonLook.of(body, kind, self.max_depth)
        while not looking.step():
            pass
        self.looked_through(encoding, looking, index)
        made = encoding.made
        encoding.made = encoding.body = None
        if made is None:
            return looking.body
        out.put_char(c'"')
        while not made.step():
            pass
        for body in made.pieces:
            out.put_bytes(body)
        out.put_char(c'"')
        return out.take()

    cdef int looked_through(self, Encoding encoding, JsonLook looking, Py_ssize_t index) except -1:
        """What the body is, is known: how it is to be written."""
        encoding.looking = None
        if looking.wrong is not None:
            raise UnfitMember(index, looking.wrong)
        if looking.json:
            encoding.renaming = renaming_of(looking.body, encoding.inner)
            return 0
        encoding.body = looking.body
        encoding.made = BodyPieces.__new__(BodyPieces)
        return encoding.made.begin(<const uint8_t*>PyBytes_AS_STRING(looking.body), PyBytes_GET_SIZE(looking.body),
                                   FORM_BASE64 if looking.codec is None else FORM_ESCAPED)

    cdef bint put_pieces(self, Encoding encoding, Py_ssize_t index) except -1:
        """A step in writing a long body; whether it was the last one of its member."""
        cdef bint last = encoding.made.step()
        cdef bytes piece
        for piece in encoding.made.pieces:
            encoding.out.put_bytes(piece)
        encoding.made.pieces.clear()
        if last or (encoding.atomic and 0 < self.max_body_bytes and encoding.out.size > CARRIED * self.max_body_bytes):
            encoding.made = encoding.body = None          # NativeForm.step() refuses one that is too large
            encoding.out.put(b'"}', 2)
            return True
        return False

    cdef Steps reading(self, Result answer, Py_ssize_t count):
        cdef bytes text = whole_body(answer, CARRIED * self.max_body_bytes) if 200 <= answer.status < 300 else None
        return None if text is None else JsonReading.of(text, count, self.max_depth)

    cdef list decode(self, Result answer, list members, bint atomic, list gathered, Steps reading):
        cdef Py_ssize_t count = len(members)
        cdef list found = refused_batch(answer, count, self.max_body_bytes)
        if found is not None and gathered is not None and answer.outcome != OUTCOME_TIMED_OUT:
            # Said of the request for the rest: these calls have been run, and none is to be told that it was refused.
            found = bad_answer(count, "the rest of the upstream's answer to the batch cannot be had")
        elif found is None:
            found = None if reading is None else (<JsonReading>reading).responses(atomic)
            if found is not None:
                return settled(found if gathered is None else merged(gathered, found), members, atomic, self.max_body_bytes)
            found = bad_answer(count, "the upstream's answer is not a JSON batch response")
        if gathered is None:
            return found
        if atomic:
            return settled(gathered, members, atomic, self.max_body_bytes)
        # The rest cannot be had; what came before it stands.
        return settled([rest if result is None else result for result, rest in zip(gathered, found)],
                       members, atomic, self.max_body_bytes)

    cdef bytes more_at(self, Result answer, Steps reading):
        return None if answer.status != 200 or reading is None else (<JsonReading>reading).link

    cdef list gather(self, list members, list gathered, Steps reading):
        cdef list found = (<JsonReading>reading).responses(True)
        if found is None:
            return gathered if gathered is not None else [None] * len(members)
        return found if gathered is None else merged(gathered, found)


cdef list merged(list earlier, list found):
    """Answered twice: which of them is true cannot be told."""
    return [
        second if first is None else first if second is None else None for first, second in zip(earlier, found)
    ]
