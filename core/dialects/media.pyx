"""How a body travels inside JSON: media types, charsets, base64.

The reader and the writer must decide alike, so the decision lives here. Must never look at a body to guess
its type: the media type alone decides.
"""
from batchwire.core.model cimport Buffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

import codecs
import re
from encodings import normalize_encoding
from encodings.aliases import aliases

cdef extern from "base64.h" nogil:
    void bw_base64_prepare()
    void bw_base64_encode(const uint8_t* p, Py_ssize_t n, uint8_t* out)
    int bw_base64_decode(const uint8_t* p, Py_ssize_t n, uint8_t* out)

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

# RFC 9110 5.6.6: parameters, with quoted strings taken whole so that nothing inside them is mistaken for one.
PARAMETER = re.compile(rb';[ \t]*([^=;\s"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;\s"]*)')
# The character sets of text that are read and written.
CODECS = frozenset(
    "utf-8 utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be ascii cp866 cp874 cp932 cp949 cp1250 cp1251 cp1252 "
    "cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859-1 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 "
    "iso8859-8 iso8859-9 iso8859-10 iso8859-11 iso8859-13 iso8859-14 iso8859-15 iso8859-16 koi8-r koi8-u mac-roman "
    "shift_jis euc_jp iso2022_jp euc_kr gb2312 gbk gb18030 big5 big5hkscs tis-620".split())
# All names that Python's registry may be asked for: it keeps every name that it is asked for, known or not, for ever.
NAMES = frozenset(normalize_encoding(name).replace(".", "_") for name in {*aliases, *aliases.values(), *CODECS})
LONGEST_NAME = max(len(name) for name in NAMES)

bw_base64_prepare()


cdef MediaKind media_kind(const char* p, Py_ssize_t n) noexcept nogil:
    """The kind of a content-type value, whose parameters are ignored."""
    cdef Py_ssize_t stop = 0
    while stop < n and p[stop] != c';':
        stop += 1
    while stop and (p[stop - 1] == c' ' or p[stop - 1] == c'\t'):
        stop -= 1
    if stop == 0:
        return MEDIA_NONE
    if stop == 16 and strncasecmp(p, "application/json", 16) == 0:
        return MEDIA_JSON
    if stop >= 5 and strncasecmp(p, "text/", 5) == 0:
        return MEDIA_TEXT
    if stop > 5 and strncasecmp(p + stop - 5, "+json", 5) == 0:
        return MEDIA_JSON
    return MEDIA_OTHER


cdef bytes charset_of(bytes content_type):
    """The charset parameter, without quotes, or None."""
    if b";" not in content_type:
        return None
    for name, value in PARAMETER.findall(content_type):
        if name.lower() == b"charset":
            return value.strip(b'"')
    return None


def _say_utf8(parameter):
    return b";charset=utf-8" if parameter[1].lower() == b"charset" else parameter[0]


cdef bytes with_utf8(bytes content_type):
    """The same content-type with its charset parameter saying utf-8."""
    return PARAMETER.sub(_say_utf8, content_type)


cdef str codec_of(bytes charset):
    """The name of the Python codec for a charset of CODECS, or None for any other."""
    cdef str name
    if charset is None:
        return "utf-8"
    if PyBytes_GET_SIZE(charset) > LONGEST_NAME or not charset.isascii():
        return None
    name = normalize_encoding(charset.decode("ascii").lower())
    if name.replace(".", "_") not in NAMES:
        return None
    try:
        name = codecs.lookup(name).name
    except LookupError:                   # an alias of a codec that this platform has not
        return None
    return name if name in CODECS else None


def charset(bytes content_type not None):
    """charset_of() for Python."""
    return charset_of(content_type)


def in_utf8(bytes content_type not None):
    """with_utf8() for Python."""
    return with_utf8(content_type)


def codec_named(bytes name):
    """codec_of() for Python."""
    return codec_of(name)


cdef int put_base64url(Buffer out, const uint8_t* p, Py_ssize_t n) except -1:
    """Appends base64url without padding."""
    cdef Py_ssize_t length = (n * 4 + 2) // 3
    out.grow(length)
    bw_base64_encode(p, n, <uint8_t*>out.data + out.size)
    out.size += length
    return 0


cdef bytes base64_decoded(const uint8_t* p, Py_ssize_t n):
    """Decodes base64 or base64url, padded or not; None when it is neither."""
    cdef bytes out
    if n % 4 == 0:
        if n and p[n - 1] == c'=':
            n -= 2 if p[n - 2] == c'=' else 1
    if n % 4 == 1:
        return None
    out = PyBytes_FromStringAndSize(NULL, n * 3 // 4)
    return out if bw_base64_decode(p, n, <uint8_t*>PyBytes_AS_STRING(out)) else None
