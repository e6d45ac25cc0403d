"""Calls as one multipart/mixed batch for an upstream (MB-01..MB-21), and its answer as Results (MP-04..MP-15).

A group becomes one change set with a Content-ID for each member (MB-05). Bodies go in and come out byte for byte.
Must never choose a boundary that a body holds.
"""
from batchwire.core.dialects.json_scan cimport check
from batchwire.core.dialects.media cimport MEDIA_JSON, media_kind
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.model cimport CARRIED, Buffer, Call, HeaderSlice, KIND_CONTENT_TYPE, Result
from batchwire.core.upstream.native.base cimport Encoding, NativeBatch, NativeForm
from batchwire.core.upstream.native.members cimport (
    fields_of,
    fits_in,
    lifted_lines,
    relative_url,
    renaming_of,
)
from batchwire.core.upstream.native.multipart_answer cimport PartsReading, Taken, boundary_of, responses_in
from batchwire.core.upstream.native.outcomes cimport bad_answer, failed_together, refused_batch, settled, whole_body
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

import secrets

from batchwire.core.upstream.native.base import UnfitMember

cdef bytes PART = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: "


cdef bint is_sayable(bytes url) noexcept:
    """A request line ends its URL at a space; the gateway's own URLs hold none, but a reference's rest might."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(url)
    cdef Py_ssize_t i
    for i in range(PyBytes_GET_SIZE(url)):
        if p[i] <= 0x20 or p[i] == 0x7F:
            return False
    return PyBytes_GET_SIZE(url) > 0 and p[0] != c'?'


cdef class MultipartForm(NativeForm):
    cdef bint fits(self, Encoding encoding, Call call) except -1:
        """A change set takes no GET (MB-07), and a request line no empty URL (the service document)."""
        if not NativeForm.fits(self, encoding, call):
            return False
        if encoding.atomic and call.method == b"GET":
            encoding.why = "one is a GET, and the upstream takes multipart batches, whose change sets hold none (MB-07)"
        elif not is_sayable(relative_url(call, encoding.base_path, encoding.inner)):
            encoding.why = "the URL of one of them cannot stand in a multipart batch, which the upstream takes"
        else:
            return True
        return False

    cdef bint joins(self, Call call, bytes base_path, bytes lifted) except -1:
        return fits_in(call, base_path, {}) and lifted_lines(call) == lifted \
            and is_sayable(relative_url(call, base_path, {}))

    cdef NativeBatch end(self, Encoding encoding):
        cdef list parts = encoding.parts
        cdef bytes boundary = fresh_boundary(b"batch_", parts)
        cdef bytes head = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\nAccept: multipart/mixed\r\n"
        if encoding.atomic:
            change_set = fresh_boundary(b"changeset_", parts)
            parts = [b"Content-Type: multipart/mixed; boundary=" + change_set + b"\r\n\r\n" + joined(parts, change_set)]
        else:
            # HD-16: multipart stops at the first error by default, but these calls have nothing in common.
            head += b"Prefer: odata.continue-on-error\r\n"
        return NativeBatch(head + lifted_lines(encoding.members[0]), joined(parts, boundary), encoding.left_out)

    cdef bint put_member(self, Encoding encoding, Call call, Py_ssize_t index) except -1:
        cdef Buffer out = encoding.out
        cdef dict inner = encoding.inner
        cdef bytes name, value
        cdef bytes url = relative_url(call, encoding.base_path, inner)
        cdef bytes body = None
        cdef list fields
        if not is_sayable(url):
            raise UnfitMember(index, "its URL cannot stand in the request line of a batch part")
        fields = fields_of(call, inner)
        if call.body_owner is not None:
            if encoding.renaming is None:
                body = call.body_ptr[:call.body_len]
                if inner and b"$" in body and is_json(fields) and check(
                        <const uint8_t*>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), self.max_depth) < 0:
                    encoding.renaming = renaming_of(body, inner)
            if encoding.renaming is not None:
                if not encoding.renaming.step():
                    return False
                body = encoding.renaming.text()
                encoding.renaming = None
        out.put_bytes(PART)
        out.put_uint(index + 1)
        out.put(b"\r\n\r\n", 4)
        out.put_bytes(call.method)
        out.put_char(c' ')
        out.put_bytes(url)
        out.put(b" HTTP/1.1\r\n", 11)
        for name, value in fields:
            out.put_bytes(name + b": " + value + b"\r\n")
        if body is not None:
            out.put_bytes(b"Content-Length: %d\r\n" % len(body))
        out.put(b"\r\n", 2)
        if body is not None:
            out.put_bytes(body)
        encoding.parts.append(out.take())
        return True

    cdef Steps reading(self, Result answer, Py_ssize_t count):
        cdef bytes boundary = told_boundary(answer)
        cdef bytes text = None if boundary is None else whole_body(answer, CARRIED * self.max_body_bytes)
        return None if text is None else PartsReading.of(text, boundary, count)

    cdef list decode(self, Result answer, list members, bint atomic, list gathered, Steps reading):
        cdef Py_ssize_t count = len(members)
        cdef list found = refused_batch(answer, count, self.max_body_bytes) if told_boundary(answer) is None else None
        cdef Taken taken
        if found is not None:
            return found
        taken = None if reading is None else responses_in(reading, atomic)
        if taken is None:
            return bad_answer(count, "the upstream's answer is not a multipart batch response")
        if taken.speaks_for_all is not None:
            return failed_together(taken.speaks_for_all, members, self.max_body_bytes)
        return settled(taken.found, members, atomic, self.max_body_bytes)


cdef bytes told_boundary(Result answer):
    """Of an answer that tells what became of each call; None: it does not."""
    cdef HeaderSlice* media = answer.find(KIND_CONTENT_TYPE)
    # Some services say 400 of a batch that stopped, and still tell it.
    if media == NULL or not 200 <= answer.status < 300 and answer.status != 400:
        return None
    return boundary_of(media.value[:media.value_len])


cdef bint is_json(list fields) except -1:
    """Whether the media type that is said last is JSON."""
    cdef bytes name, value
    cdef bint found = False
    for name, value in fields:
        if name.lower() == b"content-type":
            found = media_kind(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)) == MEDIA_JSON
    return found


cdef bytes fresh_boundary(bytes prefix, list parts):
    cdef bytes boundary
    while True:
        boundary = prefix + secrets.token_hex(16).encode()
        if not any([boundary in part for part in parts]):
            return boundary


cdef bytes joined(list parts, bytes boundary):
    """MB-13: the CRLF before a delimiter is the delimiter's."""
    cdef list pieces = []
    for part in parts:
        pieces.append(b"--" + boundary + b"\r\n")
        pieces.append(part)
        pieces.append(b"\r\n")
    pieces.append(b"--" + boundary + b"--\r\n")
    return b"".join(pieces)
