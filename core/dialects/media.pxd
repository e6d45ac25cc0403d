# How a body travels in JSON: its media type decides (JB-23..25, JR-08, GW-11).
from batchwire.core.model cimport Buffer
from libc.stdint cimport uint8_t

cdef enum MediaKind:
    MEDIA_NONE = 0            # no media type given
    MEDIA_JSON = 1            # application/json, .../...+json: the JSON value itself
    MEDIA_TEXT = 2            # text/*: a string
    MEDIA_OTHER = 3           # a base64url string

cdef MediaKind media_kind(const char* p, Py_ssize_t n) noexcept nogil
cdef bytes charset_of(bytes content_type)
cdef bytes with_utf8(bytes content_type)
cdef str codec_of(bytes charset)
cdef int put_base64url(Buffer out, const uint8_t* p, Py_ssize_t n) except -1
cdef bytes base64_decoded(const uint8_t* p, Py_ssize_t n)
