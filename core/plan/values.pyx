"""Puts values of earlier calls where a call refers to them (ID-11, ID-12, GW-14, HD-20).

A value is found by walking keys and indexes in what the earlier call answered; nothing is ever evaluated
(background: CVE-2014-7205). Into a body goes the JSON text of the value, byte for byte as the upstream sent it.
Into a query go scalars only, percent-encoded: in OData expressions a string becomes a literal ('it''s'), in
$search a phrase, elsewhere it is put in as it is. null, false and 0 are values; a missing key, an index out of
range and an answer that is not JSON or was too large to be kept are not. Must never let a reference through.
"""
from batchwire.core.dialects.json_index cimport FOUND_VALUE
from batchwire.core.dialects.json_scan cimport check
from batchwire.core.dialects.json_strings cimport has_half_pair, put_escaped, unescaped
from batchwire.core.errors import quoted
from batchwire.core.model cimport Buffer, Call
from batchwire.core.plan.references cimport (
    Kept, References, all_missing, resource_url, text_of, why_missing, without_mount,
)
from batchwire.core.plan.urls cimport UrlRules, reference_of
from batchwire.core.plan.value_finder import body_references, query_references
from batchwire.core.plan.value_finder cimport AS_LITERAL, AS_PHRASE, AS_PLAIN, AS_URL, Reference
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

from urllib.parse import quote_from_bytes

cdef enum:
    MAX_INSERTED = 65536      # bytes put into one query


cdef bint place_of(References given, Kept kept, list path, const uint8_t** value, Py_ssize_t* size) except -1:
    """Where the text of a value lies in what was kept, or false."""
    cdef Py_ssize_t start = 0, end = 0
    if given.find(kept, path, &start, &end) != FOUND_VALUE:
        return False
    value[0] = <const uint8_t*>PyBytes_AS_STRING(text_of(kept)) + start
    size[0] = end - start
    return True


cdef bytes in_query(const uint8_t* p, Py_ssize_t n, int kind):
    """A scalar as it stands in a query, or None for what cannot stand there."""
    cdef bytes text
    if p[0] == c'{' or p[0] == c'[':
        return None
    if p[0] != c'"':
        return quote_from_bytes(p[:n], "").encode()
    if has_half_pair(p + 1, n - 2):
        return None                                       # AN-04: it cannot be said in a URL
    text = unescaped(p + 1, n - 2)
    if kind == AS_LITERAL:
        return b"'" + quote_from_bytes(text.replace(b"'", b"''"), "'").encode() + b"'"
    if kind == AS_PHRASE:
        text = b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return quote_from_bytes(text, "").encode()


cdef str said(Reference reference):
    """The reference as the client may know it again, shortened."""
    cdef bytes text = reference.name if reference.kind == AS_URL else b"/".join([reference.name, *reference.path])
    return "$" + quoted(text)


cdef int fill_values(Call call, References given, UrlRules rules, Py_ssize_t max_body, int max_depth) except -1:
    """Fills call.values in; refuses the call when one of them cannot be had."""
    cdef list in_target = [], in_body = []
    cdef Reference reference
    for reference in call.values:
        (in_target if reference.kind >= AS_PLAIN else in_body).append(reference)
    if in_target:
        fill_query(call, in_target, given)
    if in_body and call.refusal is None:
        fill_body(call, in_body, given, rules, max_body, max_depth)
    return 0


cdef int unresolved(Call call, Reference reference, str why) except -1:
    return call.refuse(400, "UnresolvedReference", f"{said(reference)} {why}")


cdef str why_none(Kept kept):
    """Why a value cannot be had."""
    if kept is None:
        return "has no value"
    if kept.missing:
        return why_missing(kept)
    return "has no value" if kept.body is not None else "has no value: the call gave no JSON (application/json)"


cdef Kept kept_for(Call call, Reference reference):
    return None if call.inputs is None else call.inputs.get(reference.name)


cdef int fill_query(Call call, list references, References given) except -1:
    cdef list pieces = []
    cdef Py_ssize_t at = 0, size = 0, inserted = 0
    cdef const uint8_t* value = NULL
    cdef Reference reference
    cdef bytes text
    for reference in references:
        if not place_of(given, kept_for(call, reference), reference.path, &value, &size):
            return unresolved(call, reference, why_none(kept_for(call, reference)))
        if size > MAX_INSERTED:
            return unresolved(call, reference, "is too long for a URL")
        text = in_query(value, size, reference.kind)
        if text is None:
            return unresolved(call, reference, "is not a text, a number, a boolean or null")
        inserted += PyBytes_GET_SIZE(text)
        if inserted > MAX_INSERTED:
            return unresolved(call, reference, "is too long for a URL")
        pieces += [call.target[at:reference.start], text]
        at = reference.end
    pieces.append(call.target[at:])
    call.target = b"".join(pieces)
    return 0


cdef bint is_beside(Call call, Kept kept) except -1:
    """Whether a call goes to where `kept` came from: its links are relative to the root of that upstream."""
    cdef bytes name = reference_of(call.target)
    cdef Kept other = None
    if name is None:
        return call.target.startswith(kept.mount)
    if call.inputs is not None:
        other = call.inputs.get(name)
    return other is None or other.mount == kept.mount       # None: another member of its group


cdef int fill_body(Call call, list references, References given, UrlRules rules, Py_ssize_t max_body,
                   int max_depth) except -1:
    cdef Buffer out = Buffer()
    cdef Py_ssize_t at = 0, size = 0
    cdef const uint8_t* value = NULL
    cdef Reference reference
    cdef bytes url, body
    cdef Kept kept
    if len(references) > 1:
        # PL-01: what does not fit is refused before anything is copied.
        size = 0
        for reference in references:
            if reference.kind != AS_URL and place_of(given, kept_for(call, reference), reference.path, &value, &at):
                size += at
                if size > max_body:
                    return unresolved(call, reference, "makes the body too large")
        at = 0
    for reference in references:
        kept = kept_for(call, reference)
        out.put(call.body_ptr + at, reference.start - at)
        at = reference.end
        if reference.kind == AS_URL:
            url = None if kept is None else resource_url(kept, reference.tail, rules)
            if url is None:
                return unresolved(call, reference, why_none(kept) if kept is not None and all_missing(kept)
                                  else "gave no usable URL")
            if kept.mount is not None and is_beside(call, kept):
                url = without_mount(url, kept) or url
            out.put_char(c'"')
            put_escaped(out, <const uint8_t*>PyBytes_AS_STRING(url), PyBytes_GET_SIZE(url))
            out.put_char(c'"')
        elif place_of(given, kept, reference.path, &value, &size):
            if out.size + size > max_body:
                return unresolved(call, reference, "makes the body too large")
            out.put(<const char*>value, size)
        else:
            return unresolved(call, reference, why_none(kept))
    out.put(call.body_ptr + at, call.body_len - at)
    if out.size > max_body:
        return call.refuse(400, "UnresolvedReference", "the references make the body too large")
    body = out.take()
    if check(<const uint8_t*>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), max_depth) >= 0:
        return call.refuse(400, "UnresolvedReference", "the references make the body nested too deeply")
    return call.set_body(body, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))


# --- for tests

cdef Call call_with(list references, dict results):
    cdef Call call = Call.__new__(Call)
    cdef Kept kept
    call.values = [reference for reference in references if reference.name in results]
    call.inputs = {}
    for name, body in results.items():
        kept = Kept.__new__(Kept)
        kept.body = body
        call.inputs[name] = kept
    return call


def filled_query(bytes target not None, dict results not None):
    """The target with values of JSON results (id -> bytes) put in; ValueError says why not."""
    cdef Call call = call_with(list(query_references(target)), results)
    call.target = target
    fill_values(call, References(0), UrlRules(b"/"), 0, 0)
    if call.refusal is not None:
        raise ValueError(call.refusal.message)
    return call.target


def filled_body(bytes body not None, dict results not None, Py_ssize_t max_body=1 << 20, int max_depth=64):
    """The JSON body with values of JSON results (id -> bytes) put in; ValueError says why not."""
    cdef Call call = call_with(body_references(body, set(results)), results)
    call.set_body(body, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
    fill_values(call, References(0), UrlRules(b"/"), max_body, max_depth)
    if call.refusal is not None:
        raise ValueError(call.refusal.message)
    return call.body_ptr[:call.body_len]
