"""The body of a result without its content-codings (HD-19).

The client reads the body inside of another document, so codings of the hop before must be gone. Must never
inflate without a bound.
"""
from batchwire.core.dialects.base cimport is_read
from batchwire.core.dialects.codings cimport Undoing
from batchwire.core.model cimport Call, KIND_CONTENT_ENCODING, KIND_HOP, Result
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from batchwire.core.dialects.codings import TooLong
from batchwire.core.errors import BadUpstreamBody


cdef bytes codings_of(Result result):
    return b",".join([
        result.headers[i].value[:result.headers[i].value_len]
        for i in range(result.header_count) if result.headers[i].kind == KIND_CONTENT_ENCODING
    ])


cdef bint is_coded(Result result) noexcept:
    return result.body_len > 0 and not result.coded and result.find(KIND_CONTENT_ENCODING) != NULL


cdef Undoing undoing_of(Call call, Result result, Py_ssize_t limit):
    try:
        return Undoing(codings_of(result), result.body[:result.body_len], limit)
    except ValueError as error:
        leave_coded(call, result, error)
        return None


cdef bint go_on_undoing(Undoing undoing, Call call, Result result) except -1:
    cdef int i
    try:
        if not undoing.step():
            return False
    except ValueError as error:
        leave_coded(call, result, error)
        return True
    result.body_owner = undoing.data
    result.body = PyBytes_AS_STRING(undoing.data)
    result.body_len = PyBytes_GET_SIZE(undoing.data)
    for i in range(result.header_count):
        if result.headers[i].kind == KIND_CONTENT_ENCODING:
            result.headers[i].kind = KIND_HOP           # of the hop before, and gone
    result.drop_digests()
    return True


cdef int leave_coded(Call call, Result result, object error) except -1:
    if call is not None and isinstance(error, TooLong) and is_read(call, result):
        raise BadUpstreamBody(f"content-encoding of the upstream's body: {error}")
    # AN-02: what the call has done is done, so the status stays and the client gets the bytes as they are.
    result.coded = True
    return result.add_note(b"the content-encoding cannot be undone: " + codings_of(result)[:100])


cdef bint make_plain(Call call, Result result, Py_ssize_t limit) except -1:
    cdef Undoing undoing
    if is_coded(result):
        undoing = undoing_of(call, result, limit)
        while undoing is not None and not go_on_undoing(undoing, call, result):
            pass
    return not result.coded
