"""Puts what earlier calls gave into the calls that refer to them: URL, ETags, values, whole results.

Rules JB-16..JB-19, GW-06, GW-14, GW-16, GW-18, PL-12. Works in steps (PL-01). Must never decide whether a call runs, except
that it is refused for what cannot be filled in.
"""
from batchwire.core.dialects.json_index cimport FOUND_VALUE
from batchwire.core.errors import quoted
from batchwire.core.headers cimport valid_value
from batchwire.core.model cimport Call
from batchwire.core.plan.plan_flags cimport ETAG_REFERENCE, URL_REFERENCE, WANTS_BYTES
from batchwire.core.plan.references cimport (
    Kept, References, etag_references, lines_of, put_etags, resource_url, size_of, why_missing,
)
from batchwire.core.plan.result_of cimport fill_result_of, most_of_results
from batchwire.core.plan.urls cimport UrlRules, reference_of
from batchwire.core.plan.value_finder cimport AS_PLAIN, AS_URL, Reference
from batchwire.core.plan.values cimport Filling, filling_of
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


cdef class Filler:
    """
    max_body: bytes of a call's body with all that is filled in; max_line: of its URL, and of its header lines.
    max_depth: of its JSON.
    """

    @staticmethod
    cdef Filler of(UrlRules rules, References references, Py_ssize_t max_body, int max_depth, Py_ssize_t max_line):
        cdef Filler made = Filler.__new__(Filler)
        made.rules = rules
        made.references = references
        made.max_body = max_body
        made.max_depth = max_depth
        made.max_line = max_line
        return made

    cdef bint is_within(self, Call call) noexcept:
        """Whether the call has had a step, and needs more."""
        return self.filling is not None and self.filling.call is call

    cdef bint step(self, Call call, set ids) except -1:
        """A step of putting in what the call takes from others; whether all is in, or the call is refused.

        Values first: what a Location says is never searched for any. ids: of its group, when that runs as one: what
        these give is not for the gateway to know.
        """
        cdef Filling filling = self.filling
        if filling is None or filling.call is not call:
            filling = self.filling = filling_of(call)
        if not filling.step(self.references, self.rules, self.max_body, self.max_depth):
            return False
        if call.flags & ETAG_REFERENCE and call.refusal is None and not self.fill_etag(call, filling, ids):
            return False
        if call.flags & URL_REFERENCE and call.refusal is None:
            self.fill_url(call, ids)
        if call.refusal is None and (filling.in_target or call.flags & (URL_REFERENCE | ETAG_REFERENCE)):
            self.refuse_long(call)
        if call.flags & WANTS_BYTES and call.refusal is None:
            fill_result_of(call, call.inputs)
        return True

    cdef int fill_url(self, Call call, set ids) except -1:
        cdef bytes name = reference_of(call.target), target
        cdef Kept kept
        if ids is not None and name in ids:
            return self.refer_within(call, name)
        kept = None if call.inputs is None else call.inputs.get(name)
        if kept is None:
            return call.refuse(400, "UnresolvedReference", f"${quoted(name)} gave no usable URL")
        target = resource_url(kept, call.target[len(name) + 1:], self.rules)
        if target is None:
            return call.refuse(400, "UnresolvedReference", f"${quoted(name)} leads nowhere: {self.rules.why}")
        call.target = target
        return 0

    cdef int refer_within(self, Call call, bytes name) except -1:
        """GW-06: what follows a reference that the upstream resolves is forwarded as it was checked, and stays below it."""
        cdef bytes rest = call.target[PyBytes_GET_SIZE(name) + 1:]
        cdef bytes checked = self.rules.normal(b"x" + rest)
        if checked is None:
            return call.refuse(400, "BadUrl", self.rules.why)
        if not stays_below(rest):
            return call.refuse(400, "BadUrl", "the URL leaves what its reference stands for")
        call.target = b"$" + name + checked[1:]
        return 0

    cdef bint fill_etag(self, Call call, Filling filling, set ids) except -1:
        """Finds one more ETag, for which an answer may have to be gone through; whether all are in."""
        cdef bytes name, etag
        cdef Kept kept
        if filling.names is None:
            filling.names = list(dict.fromkeys(etag_references(call.head)))
            filling.etags = {}
        if filling.named < len(filling.names):
            name = filling.names[filling.named]
            filling.named += 1
            if ids is None or name not in ids:
                kept = None if call.inputs is None else call.inputs.get(name)
                etag = None if kept is None else self.references.etag_of(kept)
                if etag is None and kept is not None and kept.missing:
                    call.refuse(400, "UnresolvedReference", f"${quoted(name)} {why_missing(kept)}")
                elif not etag or not valid_value(PyBytes_AS_STRING(etag), PyBytes_GET_SIZE(etag)) \
                        or etag.startswith(b"$"):
                    call.refuse(400, "UnresolvedReference", f"${quoted(name)} gave no ETag")
                filling.etags[name] = etag
            if filling.named < len(filling.names):
                return call.refusal is not None
        if call.refusal is None:
            call.head = put_etags(call.head, filling.etags)
        return True

    cdef int refuse_long(self, Call call) except -1:
        """PL-12: what references make of a URL or of header lines has the bounds of those that a client says."""
        if PyBytes_GET_SIZE(call.target) > self.max_line:
            return call.refuse(400, "UrlTooLong", "the references make the URL longer than limits.max_header_bytes "
                               f"({self.max_line} bytes)")
        if PyBytes_GET_SIZE(call.head) > self.max_line and call.flags & ETAG_REFERENCE:
            return call.refuse(400, "HeadersTooLarge", "the references make the headers of the call larger than "
                               f"limits.max_header_bytes ({self.max_line} bytes)")
        return 0


cdef bint stays_below(bytes rest) except -1:
    """Whether the dot segments behind a reference leave it in front."""
    cdef int depth = 0
    cdef bytes segment
    if b"/.." not in rest:
        return True
    for segment in rest.partition(b"?")[0].split(b"/")[1:]:
        if segment == b"..":
            depth -= 1
            if depth < 0:
                return False
        elif segment != b".":
            depth += 1
    return True


cdef Py_ssize_t most_filled(Call call, References given, Py_ssize_t max_body, Py_ssize_t max_line) except -1:
    """How many bytes the call may get at most by what is filled in; nothing is looked for that has not been before."""
    cdef Py_ssize_t body = 0, line = 0, start = 0, end = 0
    cdef Reference reference
    cdef Kept kept
    if call.inputs is None:
        return 0
    if call.values is not None:
        for reference in call.values:
            kept = call.inputs.get(reference.name)
            if kept is None:
                continue
            if reference.kind == AS_URL:
                body += lines_of(kept) + PyBytes_GET_SIZE(reference.tail)
                continue
            if kept.index is None:
                start, end = 0, size_of(kept.body if kept.text is None else kept.text)
            elif given.find(kept, reference.path, &start, &end) != FOUND_VALUE:
                continue
            if reference.kind >= AS_PLAIN:
                line += end - start
            else:
                body += end - start
    if call.flags & (URL_REFERENCE | ETAG_REFERENCE):
        for kept in call.inputs.values():
            line += lines_of(kept)
    body = min(body, max_body)
    if call.flags & WANTS_BYTES:
        body += most_of_results(call, call.inputs)
    return body + min(line, 2 * max_line)


cdef Py_ssize_t filled_bytes(Call call) noexcept:
    """Bytes of what references may be filled into."""
    return call.body_len + PyBytes_GET_SIZE(call.head) + PyBytes_GET_SIZE(call.target)


cdef int leave_to_upstream(Call call, set ids) except -1:
    """References to other members of a group are left to the upstream, where a form of its batch has them."""
    cdef Reference reference
    for reference in list(call.values):
        if reference.name in ids:
            if reference.kind != AS_URL:
                return call.refuse(501, "NotImplemented", "values of a call of the same group are not supported")
            call.values.remove(reference)
    return 0
