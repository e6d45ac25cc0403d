"""The body of a result without its content-codings (HD-19).

The client reads the body inside of another document, so codings of the hop before must be gone. Must never
inflate without a bound.
"""
from batchwire.core.dialects.base cimport is_read
from batchwire.core.model cimport Call, KIND_CONTENT_ENCODING, Result

from batchwire.core.dialects.codings import TooLong, decode
from batchwire.core.errors import BadUpstreamBody


cdef bytes plain_body(Call call, Result result, Py_ssize_t limit):
    cdef bytes codings = b",".join([
        result.headers[i].value[:result.headers[i].value_len]
        for i in range(result.header_count) if result.headers[i].kind == KIND_CONTENT_ENCODING
    ])
    try:
        return decode(codings, result.body[:result.body_len], limit)
    except ValueError as error:
        if isinstance(error, TooLong) and is_read(call, result):
            raise BadUpstreamBody(f"content-encoding of the upstream's body: {error}") from None
        # AN-02: what the call has done is done, so the status stays and the client gets the bytes as they are.
        result.add_note(b"the content-encoding cannot be undone: " + codings[:100])
        return None
