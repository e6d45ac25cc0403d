"""Puts values of earlier calls where a call refers to them (ID-11, ID-12, GW-14, HD-20).

A value is found by walking keys and indexes in what the earlier call answered; nothing is ever evaluated
(background: CVE-2014-7205). Into a body goes the JSON text of the value, byte for byte as the upstream sent it.
Into a query go scalars only, percent-encoded: in OData expressions a string becomes a literal ('it''s'), in
$search a phrase, elsewhere it is put in as it is. null, false and 0 are values; a missing key, an index out of
range and an answer that is not JSON or was too large to be kept are not. Must never let a reference through.
"""
from batchwire.core.dialects.json_index cimport FOUND_VALUE
from batchwire.core.dialects.json_scan cimport SCAN_BAD, SCAN_DONE, scan, scan_start
from batchwire.core.dialects.json_strings cimport has_half_pair, put_escaped, unescaped
from batchwire.core.errors import quoted
from batchwire.core.model cimport Buffer, Call
from batchwire.core.plan.references cimport (
    Kept, References, all_missing, resource_url, text_of, why_missing, without_mount,
)
from batchwire.core.plan.urls cimport UrlRules, reference_of
from batchwire.core.plan.value_finder import body_references, query_references
from batchwire.core.plan.value_finder cimport AS_LITERAL, AS_PHRASE, AS_PLAIN, AS_URL, Reference
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from urllib.parse import quote_from_bytes

cdef enum:
    MAX_INSERTED = 65536      # bytes put into one query
    CHECKED = 1 << 20         # bytes of a filled body that are checked in one go


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


cdef bint is_beside(Call call, Kept kept) except -1:
    """Whether a call goes to where `kept` came from: its links are relative to the root of that upstream."""
    cdef bytes name = reference_of(call.target)
    cdef Kept other = None
    if name is None:
        return call.target.startswith(kept.mount)
    if call.inputs is not None:
        other = call.inputs.get(name)
    return other is None or other.mount == kept.mount       # None: another member of its group


cdef Filling filling_of(Call call):
    cdef Filling made = Filling.__new__(Filling)
    cdef list in_body = []
    cdef Reference reference
    made.call = call
    made.values = []
    if call.values is not None:
        for reference in call.values:
            (made.values if reference.kind >= AS_PLAIN else in_body).append(reference)
        made.in_target = len(made.values)
        made.values += in_body
    made.pieces = []
    made.found = []
    made.size = call.body_len
    return made


cdef class Filling:
    cdef bint step(self, References given, UrlRules rules, Py_ssize_t max_body, int max_depth) except -1:
        """Goes on by one value, or a piece of the body (PL-01); whether the values are in, or the call is refused.

        All values are found before anything is copied, each of them once: one may be in an answer that has to be gone
        through, and only a few of these can be kept at a time.
        """
        cdef Reference reference
        if self.body is not None:
            return self.check_on()
        if self.done == len(self.values):
            return True
        reference = self.values[self.done]
        self.done += 1
        if self.done <= self.in_target:
            self.put_in_target(reference, given)
        else:
            self.find_for_body(reference, given, rules, max_body)
        if self.call.refusal is not None:
            return True
        if self.done < len(self.values):
            return False
        if self.found:
            self.join(max_body, max_depth)
            return self.call.refusal is not None
        return True

    cdef int put_in_target(self, Reference reference, References given) except -1:
        cdef Call call = self.call
        cdef Py_ssize_t size = 0
        cdef const uint8_t* value = NULL
        cdef bytes text
        if not place_of(given, kept_for(call, reference), reference.path, &value, &size):
            return unresolved(call, reference, why_none(kept_for(call, reference)))
        if size > MAX_INSERTED:
            return unresolved(call, reference, "is too long for a URL")
        text = in_query(value, size, reference.kind)
        if text is None:
            return unresolved(call, reference, "is not a text, a number, a boolean or null")
        self.inserted += PyBytes_GET_SIZE(text)
        if self.inserted > MAX_INSERTED:
            return unresolved(call, reference, "is too long for a URL")
        self.pieces += [call.target[self.at:reference.start], text]
        self.at = reference.end
        if self.done == self.in_target:
            self.pieces.append(call.target[self.at:])
            call.target = b"".join(self.pieces)
        return 0

    cdef int find_for_body(self, Reference reference, References given, UrlRules rules, Py_ssize_t max_body) except -1:
        cdef Call call = self.call
        cdef Kept kept = kept_for(call, reference)
        cdef Py_ssize_t start = 0, end = 0
        cdef Buffer out
        cdef bytes url
        if reference.kind == AS_URL:
            url = None if kept is None else resource_url(kept, reference.tail, rules)
            if url is None:
                return unresolved(call, reference, why_none(kept) if kept is not None and all_missing(kept)
                                  else "gave no usable URL")
            if kept.mount is not None and is_beside(call, kept):
                url = without_mount(url, kept) or url
            out = Buffer()
            out.put_char(c'"')
            put_escaped(out, <const uint8_t*>PyBytes_AS_STRING(url), PyBytes_GET_SIZE(url))
            out.put_char(c'"')
            end = out.size
            self.found.append(out.take())
        elif given.find(kept, reference.path, &start, &end) == FOUND_VALUE:
            self.found.append((start, end))
        else:
            return unresolved(call, reference, why_none(kept))
        self.size += end - start - (reference.end - reference.start)
        # What later references take out of the body is no more than what they stand in.
        if self.size - call.body_len > max_body:
            return unresolved(call, reference, "makes the body too large")
        return 0

    cdef int join(self, Py_ssize_t max_body, int max_depth) except -1:
        """The body with all that was found."""
        cdef Call call = self.call
        cdef Py_ssize_t at = 0, start, end, n = self.in_target
        cdef Reference reference
        cdef char* to
        if self.size > max_body:
            return call.refuse(400, "UnresolvedReference", "the references make the body too large")
        self.body = PyBytes_FromStringAndSize(NULL, self.size)
        to = PyBytes_AS_STRING(self.body)
        for one in self.found:
            reference = self.values[n]
            n += 1
            memcpy(to, call.body_ptr + at, reference.start - at)
            to += reference.start - at
            at = reference.end
            if reference.kind == AS_URL:
                text = <bytes>one
                start = 0
                end = PyBytes_GET_SIZE(text)
            else:
                text = text_of(kept_for(call, reference))
                start, end = one
            memcpy(to, PyBytes_AS_STRING(text) + start, end - start)
            to += end - start
        memcpy(to, call.body_ptr + at, call.body_len - at)
        scan_start(&self.validity, max_depth, NULL, 0)
        return 0

    cdef bint check_on(self) except -1:
        """Goes through some of the new body, which is JSON, but may be too deep; whether it is the body of the call."""
        cdef Py_ssize_t n = PyBytes_GET_SIZE(self.body)
        self.checked += scan(&self.validity, <const uint8_t*>PyBytes_AS_STRING(self.body) + self.checked,
                             min(CHECKED, n - self.checked))
        if self.validity.state == SCAN_BAD:
            self.call.refuse(400, "UnresolvedReference", "the references make the body nested too deeply")
            return True
        if self.checked < n and self.validity.state != SCAN_DONE:
            return False
        self.call.set_body(self.body, PyBytes_AS_STRING(self.body), n)
        self.values = []
        self.done = 0
        self.body = None
        return True


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


cdef int fill(Call call, Py_ssize_t max_body, int max_depth) except -1:
    """All steps."""
    cdef Filling filling = filling_of(call)
    cdef References given = References(0, 0)
    while not filling.step(given, UrlRules(b"/"), max_body, max_depth):
        pass
    if call.refusal is not None:
        raise ValueError(call.refusal.message)
    return 0


def filled_query(bytes target not None, dict results not None):
    """The target with values of JSON results (id -> bytes) put in; ValueError says why not."""
    cdef Call call = call_with(list(query_references(target)), results)
    call.target = target
    fill(call, 0, 0)
    return call.target


def filled_body(bytes body not None, dict results not None, Py_ssize_t max_body=1 << 20, int max_depth=64):
    """The JSON body with values of JSON results (id -> bytes) put in; ValueError says why not."""
    cdef Call call = call_with(body_references(body, set(results)), results)
    call.set_body(body, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
    fill(call, max_body, max_depth)
    return call.body_ptr[:call.body_len]
