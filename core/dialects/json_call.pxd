# One request object -> one Call.
from batchwire.core.dialects.charsets cimport Unescaping
from batchwire.core.dialects.codings cimport Undoing
from batchwire.core.dialects.json_scan cimport Mark
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.model cimport Buffer, Call
from libc.stdint cimport uint8_t, uint64_t

cdef class CallBuilder:
    cdef HeaderBlock block
    cdef Buffer scratch
    cdef Py_ssize_t max_body
    cdef bytes transfer_encoding          # of the binary body whose escapes are read, or None
    cdef bint integer_ids                 # JB-08: integers for ids; PL-09
    # `owner` keeps `text`, a validated request object; marks: its members, in document order.
    # Goes on with its body: the escapes and the charset of a text (JB-24), transfer-codings (JB-27); whether the call is
    # complete now.
    cdef bint read_on(self, Call call) except -1
    cdef Call build(self, bytes owner, const uint8_t* text, Mark* marks, int count, uint64_t number)
    cdef int identify(self, Call call, const uint8_t* text, Mark* mark, uint64_t number) except -1
    cdef int read_method(self, Call call, const uint8_t* text, Mark* mark) except -1
    cdef int read_url(self, Call call, const uint8_t* text, Mark* mark) except -1
    cdef int read_depends_on(self, Call call, const uint8_t* text, Mark* mark, Mark* alias) except -1
    cdef list names_in(self, Call call, const uint8_t* text, Mark* mark)
    cdef int read_group(self, Call call, const uint8_t* text, Mark* mark) except -1
    cdef int read_condition(self, Call call, const uint8_t* text, Mark* mark) except -1
    cdef int read_headers(self, Call call, const uint8_t* text, Mark* mark) except -1
    cdef int add_unescaped(self, const uint8_t* name, Py_ssize_t name_len,
                           const uint8_t* value, Py_ssize_t value_len) except -1
    cdef int read_body(self, Call call, bytes owner, const uint8_t* text, Mark* mark) except -1
    cdef int read_text(self, Call call, bytes owner, const uint8_t* text, Mark* mark) except -1
    cdef int read_string(self, Call call, bytes owner, const uint8_t* text, Mark* mark, str codec) except -1
    cdef int read_binary(self, Call call, const uint8_t* p, Py_ssize_t n) except -1
    cdef bint read_string_on(self, Call call, Unescaping string) except -1
    cdef bint undo_on(self, Call call, Undoing undoing) except -1
