"""`resultOf(<id>)`: the body of an earlier call's answer, any media type, in place of a call's own bytes.

It is understood where it is the whole body of a call, or the whole content of a part of a multipart/form-data
body, and nowhere else; only when the plan has been told so, because to most clients these are mere bytes. Must
never look for it inside bytes that were put in.
"""
from batchwire.core.dialects.media import PARAMETER
from batchwire.core.errors import quoted
from batchwire.core.headers cimport block_get
from batchwire.core.model cimport Call
from batchwire.core.plan.references cimport Kept, size_of, why_missing
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import re

cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t k)

cdef enum:
    MAX_FILLED = 64 << 20     # bytes of a multipart body after it is filled
    MAX_WHOLE = 300           # bytes of a body that may be nothing but one resultOf

_ID = rb"resultOf\(([A-Za-z0-9._~-]{1,256})\)"
_WHOLE = re.compile(_ID)
# Between the blank line after the part's headers and the next delimiter (RFC 2046 5.1.1; or bare LF), whose boundary is
# no part of the pattern: re keeps the patterns that it has compiled, and a client's text could make them large.
_IN_PART = re.compile(rb"(?<=\n)(\r?\n)" + _ID + rb"(?=(\r?\n--)|\Z)")


cdef bytes part_boundary(Call call):
    """What stands between the parts of the body, or None when it has none."""
    cdef bytes media = block_get(call.head, "content-type", 12)
    if media is None or not media.lower().startswith(b"multipart/form-data"):
        return None
    for name, value in PARAMETER.findall(media):
        if name.lower() == b"boundary":
            return re.sub(rb"\\(.)", rb"\1", value[1:len(value) - 1]) if value.startswith(b'"') else value
    return None


cdef list occurrences(Call call):
    """(start, end, id) of each resultOf in the body, in order."""
    cdef list found = []
    cdef bytes body, boundary
    if call.body_owner is None or memmem(call.body_ptr, call.body_len, b"resultOf(", 9) == NULL:
        return found
    if call.body_len <= MAX_WHOLE:
        whole = _WHOLE.fullmatch(call.body_ptr[:call.body_len])
        if whole is not None:
            return [(0, call.body_len, whole.group(1))]
    boundary = part_boundary(call)
    if boundary is not None:
        body = call.body_ptr[:call.body_len]
        found = [(one.end(1), one.end(), one.group(2)) for one in _IN_PART.finditer(body)
                 if one.end(3) < 0 or body.startswith(boundary, one.end(3))]
    return found


cdef list result_of_ids(Call call):
    """The ids that the body asks the results of, each once, in order."""
    return list(dict.fromkeys([one[2] for one in occurrences(call)]))


cdef Py_ssize_t most_of_results(Call call, dict lookup) except -1:
    """Bytes that the results have which are to be put in, if these are no more than may be."""
    cdef Py_ssize_t size = 0
    cdef Kept kept
    for _, _, name in occurrences(call):
        kept = lookup.get(name)
        if kept is not None:
            size += size_of(kept.content)
    return min(size, MAX_FILLED)


cdef int fill_result_of(Call call, dict lookup) except -1:
    """Puts the results in. lookup: id -> Kept with its content, or None."""
    cdef list pieces = []
    cdef list found = occurrences(call)
    cdef Py_ssize_t at = 0, size = 0, start, end
    cdef Kept kept
    cdef bytes body = None
    for start, end, name in found:
        kept = None if lookup is None else lookup.get(name)
        if kept is None or kept.content is None or not 200 <= kept.status < 300:
            why = why_missing(kept) if kept is not None and kept.missing else "has no result to give"
            return call.refuse(400, "UnresolvedReference", f"resultOf({quoted(name)}) {why}")
        if end - start == call.body_len:
            body = kept.content
            break
        size += start - at + PyBytes_GET_SIZE(kept.content)
        if size > MAX_FILLED:
            return call.refuse(400, "UnresolvedReference", "the results put in make the body too large")
        pieces += [call.body_ptr[at:start], kept.content]
        at = end
    if body is None:
        pieces.append(call.body_ptr[at:call.body_len])
        body = b"".join(pieces)
    return call.set_body(body, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))


def ids_in(Call call not None):
    """result_of_ids() for tests."""
    return result_of_ids(call)


def filled(Call call not None, dict results not None):
    """For tests: the body with the results (id -> bytes) put in; ValueError says why not."""
    cdef dict lookup = {}
    cdef Kept kept
    for name, content in results.items():
        kept = Kept.__new__(Kept)
        kept.status = 200
        kept.content = content
        lookup[name] = kept
    fill_result_of(call, lookup)
    if call.refusal is not None:
        raise ValueError(call.refusal.message)
    return call.body_ptr[:call.body_len]
