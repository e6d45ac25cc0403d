"""The interface of the forms in which an upstream takes a batch (GW-04 b).

A form is the mirror of a dialect: there Calls are read and Results written, here Calls are written and Results
read. Must never know sockets, order or policies, and never send a client's ids to an upstream.
"""
from batchwire.core.dialects.json_scan cimport MAX_DEPTH
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.methods cimport is_odata
from batchwire.core.model cimport Buffer, CARRIED, Call, Result
from batchwire.core.upstream.native.members cimport fits_in, lifted_lines, ordinals_of

from batchwire.core.errors import ConfigError


class UnfitMember(ValueError):
    """A call cannot be said in the form of its upstream's batch.

    index: its place in members. message: one sentence for a person; never quotes the call.
    """

    def __init__(self, index, message):
        super().__init__(message)
        self.index = index
        self.message = message


cdef class NativeBatch:
    def __init__(self, bytes head, bytes body, list left_out):
        self.head = head
        self.body = body
        self.left_out = left_out


cdef class NativeForm:
    """See base.pxd.

    max_body_bytes: bound on what a coded body may hold once its coding is undone; 0: no limit.
    max_depth: deepest nesting of JSON that is read (1..1024).
    """

    def __init__(self, Py_ssize_t max_body_bytes=16777216, int max_depth=512):
        if not 1 <= max_depth <= MAX_DEPTH:
            raise ConfigError(f"the nesting limit of JSON must be from 1 to {MAX_DEPTH}")
        self.max_body_bytes = max_body_bytes
        self.max_depth = max_depth

    cdef bint mixes(self, Call call) except -1:
        return is_odata(call.method)              # CL-03: others cannot be said in a batch

    cdef bint fits(self, Encoding encoding, Call call) except -1:
        if not fits_in(call, encoding.base_path, encoding.inner):
            encoding.why = "the method of one of them, or a body with it, has no place in a batch"
            return False
        # One request carries them all, so that they must be sent in one name.
        if encoding.lifted is None:
            encoding.lifted = lifted_lines(call)
            return True
        return encoding.lifted == lifted_lines(call)

    cdef bint joins(self, Call call, bytes base_path, bytes lifted) except -1:
        raise NotImplementedError

    cdef Encoding begin(self, list members, bint atomic, bytes base_path):
        cdef Encoding encoding = Encoding.__new__(Encoding)
        encoding.members = members
        encoding.atomic = atomic
        encoding.base_path = base_path
        encoding.inner = ordinals_of(members) if atomic else {}
        encoding.out = Buffer()
        encoding.parts = []
        encoding.left_out = []
        return encoding

    cdef Progress step(self, Encoding encoding) except? PROGRESS_UNFIT:
        cdef Py_ssize_t number = encoding.written
        if encoding.looked_at < len(encoding.members):
            encoding.looked_at += 1
            return PROGRESS_ON if self.fits(encoding, encoding.members[encoding.looked_at - 1]) else PROGRESS_UNFIT
        if number == len(encoding.members):
            return PROGRESS_DONE
        try:
            if not self.put_member(encoding, encoding.members[number], number - len(encoding.left_out)):
                return PROGRESS_ON
            # PL-02: bodies become larger when their codings are undone.
            if encoding.atomic and 0 < self.max_body_bytes and encoding.out.size > CARRIED * self.max_body_bytes:
                raise UnfitMember(number, "with it the group is larger than the gateway may make it")
        except UnfitMember as error:
            if encoding.atomic:
                raise
            error.index = number
            encoding.out.size = encoding.begun
            encoding.left_out.append(error)
        encoding.written += 1
        encoding.begun = encoding.out.size
        return PROGRESS_ON

    cdef NativeBatch encode(self, list members, bint atomic, bytes base_path):
        cdef Encoding encoding = self.begin(members, atomic, base_path)
        encoding.looked_at = len(members)
        while self.step(encoding) != PROGRESS_DONE:
            pass
        return self.end(encoding)

    cdef NativeBatch end(self, Encoding encoding):
        raise NotImplementedError

    cdef bint put_member(self, Encoding encoding, Call call, Py_ssize_t index) except -1:
        raise NotImplementedError

    cdef Steps reading(self, Result answer, Py_ssize_t count):
        return None

    cdef list decode(self, Result answer, list members, bint atomic, list gathered, Steps reading):
        raise NotImplementedError

    cdef bytes more_at(self, Result answer, Steps reading):
        return None

    cdef list gather(self, list members, list gathered, Steps reading):
        return gathered

    def fits_batch(self, list members not None, bint atomic, bytes base_path not None):
        """fits() for tests and tools."""
        cdef Encoding encoding = self.begin(members, atomic, base_path)
        return all([self.fits(encoding, call) for call in members])

    def encode_batch(self, list members not None, bint atomic, bytes base_path not None):
        """encode() for tests and tools."""
        cdef NativeBatch batch = self.encode(members, atomic, base_path)
        if batch.left_out:
            raise batch.left_out[0]
        return batch

    def decode_answer(self, Result answer not None, list members not None, bint atomic):
        """decode() for tests and tools: each Result as (status, headers, body, outcome)."""
        cdef Result result
        cdef Steps reading
        cdef int i
        cdef list told = []
        reading = self.reading(answer, len(members))
        while reading is not None and not reading.step():
            pass
        for result in self.decode(answer, members, atomic, None, reading):
            told.append((
                result.status,
                [(result.headers[i].name[:result.headers[i].name_len],
                  result.headers[i].value[:result.headers[i].value_len]) for i in range(result.header_count)],
                None if result.body_owner is None else result.body[:result.body_len],
                result.outcome,
            ))
        return told


def ready_call(bytes target not None, Call call not None, bytes extra=None):
    """The call with what the plan and the inheritance would have given it: for tests and tools."""
    call.target = target
    call.extra = extra
    return call
