"""What each member's result is, once the upstream's answer has been taken apart.

One place for both forms: a group that failed anywhere failed everywhere (JR-12), an answer that is missing is a
failure of the upstream, a batch that was refused as a whole fails every member. Must never call a member of a
failed group a success, whatever the upstream said of it before it rolled back.
"""
from batchwire.core.dialects.base cimport is_read
from batchwire.core.dialects.media cimport MEDIA_JSON, media_kind
from batchwire.core.dialects.plain_body cimport make_plain
from batchwire.core.model cimport (
    Call,
    HeaderSlice,
    KIND_CONTENT_TYPE,
    OUTCOME_DEPENDENCY_FAILED,
    OUTCOME_FAILED,
    OUTCOME_SUCCEEDED,
    OUTCOME_TIMED_OUT,
    OUTCOME_UNREACHABLE,
    Result,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import json
import re


cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t n, const void* needle, size_t k)

cdef bytes ANNOTATION = b'Core.ContentID"'
cdef bytes LARGE = b"its answer is larger than allowed (max_response_bytes)"
_ID_BEHIND = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*"([0-9]+)"')
# Said of the client, of the size or of the load, and so as true for each member as for the batch (BU-06). What is said
# of the request as such (400, 404, 405, 415, 500, 504) would be taken for a word about what the member is for.
cdef frozenset SHARED = frozenset([401, 402, 403, 408, 413, 421, 423, 425, 429, 431, 451, 502, 503, 507, 509, 511])
cdef enum:
    QUOTED = 100              # characters of an upstream's error message
    MAX_ERROR = 65536         # bytes of one that is looked at
    MAX_NAMES = 4096          # of members in the errors of one answer, beside one for each member


cdef int leave_out(Result result, bytes why) except -1:
    """AN-03: the call has been run and its status is known."""
    result.body_owner = None
    result.body = NULL
    result.body_len = 0
    result.body_left_out = True
    return result.add_note(b"body left out: " + why)


cdef list shared(Result answer, Py_ssize_t count, Py_ssize_t limit):
    """The answer as that of each member (BU-06). None of them has a body that is larger than an answer may be, and but
    for the first one none that would be with the others' together: else a small request costs a thousand times its answer."""
    cdef Py_ssize_t i
    cdef Result result
    cdef list results = [answer.copy() for _ in range(count)]
    if limit and answer.body_len * count > limit:
        for i in range(count):
            result = results[i]
            if answer.body_len > limit:
                leave_out(result, LARGE)
            elif i:
                leave_out(result, b"it is that of the first of the calls that travelled together")
    return results


cdef Result broken(str message):
    cdef Result result = Result()
    result.reset()
    result.set_error(502, OUTCOME_UNREACHABLE, "BadUpstreamAnswer", message)
    return result


cdef list bad_answer(Py_ssize_t count, str message):
    return [broken(message) for _ in range(count)]


cdef list refused_batch(Result answer, Py_ssize_t count, Py_ssize_t limit):
    """Results when the batch as a whole was not taken, or never reached the upstream."""
    if 200 <= answer.status < 300:
        return None
    if answer.outcome == OUTCOME_UNREACHABLE or answer.outcome == OUTCOME_TIMED_OUT or answer.status in SHARED:
        if answer.outcome == OUTCOME_SUCCEEDED:
            answer.outcome = OUTCOME_FAILED
        return shared(answer, count, limit)
    return bad_answer(count, f"the upstream answered the batch with status {answer.status}{words_of(answer)}")


cdef str words_of(Result answer):
    """The beginning of what an OData error says, for a sentence that goes on with it; or nothing."""
    cdef bytes body = None
    cdef HeaderSlice* media = answer.find(KIND_CONTENT_TYPE)
    if answer.body_owner is not None and answer.body_len <= MAX_ERROR and media != NULL \
            and media_kind(media.value, media.value_len) == MEDIA_JSON:
        body = whole_body(answer, MAX_ERROR)
    try:
        said = json.loads(body)["error"]["message"] if body else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    if not isinstance(said, str) or not said:
        return ""
    # A lone half of a surrogate pair cannot be said in UTF-8.
    return ": " + said[:QUOTED].encode("utf-8", "replace").decode()


cdef bytes whole_body(Result answer, Py_ssize_t limit):
    if answer.body_owner is None:
        return None
    if not make_plain(None, answer, limit):
        return None
    if type(answer.body_owner) is bytes and PyBytes_GET_SIZE(answer.body_owner) == answer.body_len:
        return answer.body_owner
    return answer.body[:answer.body_len]


cdef Py_ssize_t member_index(bytes name, Py_ssize_t count) except -2:
    """The place of the member that has this id in the upstream's batch, or -1."""
    cdef Py_ssize_t number
    if not name or len(name) > 18 or not name.isdigit() or name[:1] == b"0":
        return -1
    number = int(name)
    return number - 1 if number <= count else -1


cdef class Naming:
    """Error bodies may name the members that failed: by our ids, which would mean nothing or another call to the client.

    limit: bytes of a body; 0: none. An id may be a thousand times as long as ours, so that what an answer may grow by,
    and how many names it may have, are bounded for all of its errors together (BU-09).
    """
    cdef list members
    cdef Py_ssize_t limit
    cdef Py_ssize_t growth                  # bytes by which bodies may still grow
    cdef Py_ssize_t names                   # that may still be put in

    def __init__(self, list members, Py_ssize_t limit):
        self.members = members
        self.limit = limit
        self.growth = limit
        self.names = MAX_NAMES + len(members)

    cdef int name(self, Result result) except -1:
        """Puts the client's ids into an error body; a body that would be beyond the bounds is left out (AN-03)."""
        cdef bytes body
        cdef Call call
        cdef list pieces
        cdef Py_ssize_t at, begin, index, done = 0, growth = 0
        if result.body_owner is None or memmem(result.body, result.body_len, b"Core.ContentID", 14) == NULL:
            return 0
        body = result.body[:result.body_len]
        pieces = []
        at = body.find(ANNOTATION)
        while at >= 0:
            begin = at
            at += len(ANNOTATION)
            said = _ID_BEHIND.match(body, at) if is_annotation(body, begin) else None
            index = -1 if said is None else member_index(said.group(1), len(self.members))
            if index >= 0:
                call = self.members[index]
                pieces.append(body[done:said.start(1)])
                pieces.append(call.id)                    # ID-03: nothing in an id needs an escape
                growth += PyBytes_GET_SIZE(call.id) - (said.end(1) - said.start(1))
                at = done = said.end(1)
                self.names -= 1
            if self.names < 0 or self.limit and (growth > self.growth or len(body) + growth > self.limit):
                return leave_out(result, b"the ids of its calls make it larger than allowed (max_response_bytes)")
            at = body.find(ANNOTATION, at)
        self.growth -= growth
        pieces.append(body[done:])
        body = b"".join(pieces)
        result.body_owner = body
        result.body = PyBytes_AS_STRING(body)
        result.body_len = PyBytes_GET_SIZE(body)
        return 0


cdef bint is_annotation(bytes body, Py_ssize_t at) except -1:
    """Whether what ends with `Core.ContentID"` begins as the name of an annotation does."""
    return body[max(at - 2, 0):at] == b'"@' or body[max(at - 12, 0):at] == b'"@Org.OData.'


cdef list failed_together(Result error, list members, Py_ssize_t limit):
    """MP-08 without a Content-ID (GW-19): which member failed is not said, so the error is everyone's."""
    error.outcome = OUTCOME_FAILED
    Naming(members, limit).name(error)
    return shared(error, len(members), limit)


cdef list settled(list found, list members, bint atomic, Py_ssize_t limit):
    """found: for each member its Result, or None when the answer has none that can be read."""
    cdef Py_ssize_t i
    cdef Result result
    cdef bint failed = False, missing = False
    cdef Naming naming = Naming(members, limit)
    for result in found:
        if result is None:
            missing = True
            continue
        failed = failed or result.status >= 400
        if result.outcome != OUTCOME_UNREACHABLE:
            result.outcome = OUTCOME_SUCCEEDED if 200 <= result.status < 300 else OUTCOME_FAILED
        if limit and result.body_len > limit:
            leave_out(result, LARGE)                      # BU-08: of calls that travel together each has its own bound
        if result.status >= 400:
            naming.name(result)
    for i in range(len(found)):
        result = found[i]
        if atomic and failed:
            if result is None or result.status < 400:
                result = Result()
                result.reset()
                result.set_error(424, OUTCOME_DEPENDENCY_FAILED, "FailedDependency",
                                 "another call of the atomicity group failed, and so has the group")
                found[i] = result
        elif atomic and missing:
            # Whether the upstream applied the group cannot be told, so no member may pass for a success.
            found[i] = broken("the upstream's answer does not say how the whole atomicity group ended")
        elif result is None:
            found[i] = broken("the upstream's answer has no readable result for this call")
        elif result.body_left_out and is_read(members[i], result):
            found[i] = broken("the upstream's answer to this call is larger than allowed (max_response_bytes)")     # AN-03
    return found
