"""What both forms say of a member: its URL below the service root, its header fields, its body.

References between members (`$<id>` as first segment, in If-Match and in links of a body) are renamed to the ids
that the members have in the upstream's batch: the upstream resolves them, inside its transaction. Must never
let an Authorization of the batch into a member (MB-17): it is lifted to the request that carries them all.
"""
from batchwire.core.model cimport Call

import json
import re

cdef frozenset METHODS = frozenset([b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"MERGE"])      # JB-07, CL-03
cdef frozenset LIFTED = frozenset([b"authorization", b"proxy-authorization", b"batchwire-hop"])

_REFERENCE = re.compile(rb"\$([A-Za-z0-9._~-]+)(?=[/?]|$)")
_ETAG_REFERENCE = re.compile(rb"\$([A-Za-z0-9._~-]+)$")
# In valid JSON a quote outside of these is impossible, so that this finds every string and nothing else.
# Possessive: to be able to go back, the engine would need a hundred times the memory of a long string.
_STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"([ \t\r\n]*:[ \t\r\n]*)?')
_LINK_NAME = re.compile(r"(?:^|@)(?:odata\.)?(?:bind|id)$")


cdef dict ordinals_of(list members):
    cdef dict inner = {}
    cdef Call call
    for i, call in enumerate(members, 1):
        if call.id:
            inner[call.id] = b"%d" % i
    return inner


cdef bytes referred_to(Call call):
    """The id in a target that is a reference, or None."""
    found = _REFERENCE.match(call.target)
    return None if found is None else found.group(1)


cdef bint fits_in(Call call, bytes base_path, dict inner) except -1:
    """Whether a call can be a member of a batch at all."""
    if call.method not in METHODS:
        return False
    if call.body_owner is not None and call.body_len and call.method in (b"GET", b"DELETE"):
        return False                                      # JB-26
    return call.target.startswith(base_path) or referred_to(call) in inner


cdef bint fit_together(list members, bytes base_path, dict inner) except -1:
    """What does not depend on the form."""
    cdef bytes lifted = None
    cdef Call call
    for call in members:
        if not fits_in(call, base_path, inner):
            return False
        # One request carries them all, so that they must be sent in one name.
        if lifted is None:
            lifted = lifted_lines(call)
        elif lifted != lifted_lines(call):
            return False
    return True


cdef bytes relative_url(Call call, bytes base_path, dict inner):
    """MB-19: a colon in the path of a relative URL could be taken for the end of a scheme."""
    cdef bytes url
    cdef bytes path, mark, query
    if call.target.startswith(base_path):
        url = call.target[len(base_path):]
    else:
        url = _REFERENCE.sub(lambda found: b"$" + inner[found.group(1)], call.target, count=1)
    path, mark, query = url.partition(b"?")
    return path.replace(b":", b"%3A") + mark + query


cdef list lines_of(Call call):
    return (call.head if call.extra is None else call.head + call.extra).split(b"\r\n")


cdef bytes etag_referred_to(bytes line):
    """The id in a header line that takes the ETag of another member, or None."""
    cdef bytes name, value
    name, _, value = line.partition(b":")
    if name.lower() not in (b"if-match", b"if-none-match"):
        return None
    found = _ETAG_REFERENCE.match(value.strip(b" \t"))    # ID-10: unquoted
    return None if found is None else found.group(1)


cdef list fields_of(Call call, dict inner):
    cdef list fields = []
    for line in lines_of(call):
        name, _, value = line.partition(b":")
        if not name or name.lower() in LIFTED:
            continue
        value = value.strip(b" \t")
        referred = etag_referred_to(line)
        if referred in inner:
            value = b"$" + inner[referred]
        fields.append((name, value))
    return fields


cdef bytes lifted_lines(Call call):
    return b"".join([
        line + b"\r\n" for line in lines_of(call) if line.partition(b":")[0].lower() in LIFTED
    ])


cdef list depends_within(Call call, dict inner):
    """The members that this one waits for by dependsOn, URL and ETag: JB-11, and JP-03 for what may run in any order."""
    cdef list found = []
    cdef bytes name
    for name in call.depends_on or ():
        wait_for(found, inner.get(name))
    if not call.target.startswith(b"/"):
        wait_for(found, inner.get(referred_to(call)))
    for line in lines_of(call):
        name = etag_referred_to(line)
        if name is not None:
            wait_for(found, inner.get(name))
    return found


cdef int wait_for(list waits, bytes ordinal) except -1:
    if ordinal is not None and ordinal not in waits:
        waits.append(ordinal)
    return 0


cdef bytes renamed_body(bytes body, dict inner, list waits):
    """A valid JSON text with the references in its links renamed (ID-11); every other byte stays as it is.

    Links are `Nav@odata.bind`, `@odata.id` and their 4.01 spellings; what stands elsewhere is text. waits: gets
    the members that they lead to.
    """
    cdef list pieces = []
    cdef Py_ssize_t done = 0, before = 0
    cdef bint linking = False
    if not inner or b"@" not in body and b"\\u" not in body or b"$" not in body and b"\\u" not in body:
        return body
    for found in _STRING.finditer(body):
        if found.group(2) is not None:
            name = plain(found.group(1))
            linking = "@" in name and _LINK_NAME.search(name) is not None
        elif linking and not body[before:found.start()].strip(b"[, \t\r\n"):
            reference = _REFERENCE.match(plain(found.group(1)).encode("utf-8", "surrogatepass"))
            if reference is not None and reference.group(1) in inner:
                pieces.append(body[done:found.start()])
                wait_for(waits, inner[reference.group(1)])
                renamed = b"$" + inner[reference.group(1)] + reference.string[reference.end():]
                pieces.append(json.dumps(renamed.decode("utf-8", "surrogatepass")).encode())
                done = found.end()
        else:
            linking = False
        before = found.end()
    if not pieces:
        return body
    pieces.append(body[done:])
    return b"".join(pieces)


cdef str plain(bytes inside):
    return json.loads(b'"' + inside + b'"') if b"\\" in inside else inside.decode()
