# Many calls as one $batch request to one upstream, and its answer as one Result a call. No I/O.
from batchwire.core.model cimport Call, Result

cdef class NativeBatch:
    """What is to be POSTed to the upstream's $batch."""
    cdef readonly bytes head                # header lines, b"Name: value\r\n...": Content-Type, Accept, what is lifted
    cdef readonly bytes body


cdef class NativeForm:
    """One way to write a batch: JsonForm or MultipartForm. It holds no state of a batch.

    members: Calls that are ready, all for one upstream. method, target, head, extra, id, depends_on and the body
      are read. A target begins with base_path, or is a reference b"$<id>/rest?query" to an earlier member.
      Members get the ids b"1", b"2", ... in this batch, in the order of the list.
    atomic: they are one group or change set: all or none. Else they have nothing to do with one another.
    base_path: of the upstream; its $batch lies at base_path + b"$batch".

    fits(): whether they may be put into one batch; cheap, looks at no body.
    mixes(): whether a call may share a batch with calls that it has nothing to do with.
    encode(): raises UnfitMember when a member cannot be said in this form; then nothing has happened.
    decode(): never raises for what the upstream answered. A list of Results, one a member in the order of
      members; none is shared. `answer` may be let go afterwards.
    """
    cdef readonly Py_ssize_t max_body_bytes
    cdef readonly int max_depth
    cdef bint mixes(self, Call call) except -1
    cdef bint fits(self, list members, bint atomic, bytes base_path) except -1
    cdef NativeBatch encode(self, list members, bint atomic, bytes base_path)
    cdef list decode(self, Result answer, list members, bint atomic)
