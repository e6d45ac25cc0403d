# Many calls as one $batch request to one upstream, and its answer as one Result a call. No I/O.
from batchwire.core.dialects.body_pieces cimport BodyPieces
from batchwire.core.dialects.codings cimport Undoing
from batchwire.core.dialects.steps cimport Steps
from batchwire.core.model cimport Buffer, Call, Result
from batchwire.core.upstream.native.members cimport Renaming

cdef enum Progress:
    PROGRESS_ON = 0           # there is more to do
    PROGRESS_DONE = 1         # all is said: end() gives it
    PROGRESS_UNFIT = 2        # such members cannot be put into one batch

cdef class NativeBatch:
    """What is to be POSTed to the upstream's $batch."""
    cdef readonly bytes head                # header lines, b"Name: value\r\n...": Content-Type, Accept, what is lifted
    cdef readonly bytes body
    cdef readonly list left_out             # an UnfitMember for each member that it does not hold; empty for a group


cdef class Encoding:
    """A batch that is being written, member by member. See NativeForm."""
    cdef list members
    cdef bint atomic
    cdef bytes base_path
    cdef dict inner                         # the client's ids of a group -> those in this batch
    cdef Py_ssize_t looked_at               # members of which is known that they fit
    cdef str why                            # the last one does not, where it can be said: for a person, quotes no call
    cdef bytes lifted                       # lifted_lines() of all of these
    cdef Py_ssize_t written
    cdef Buffer out
    cdef list parts
    cdef list left_out
    cdef Undoing undoing                    # of the body of the member that is being written, or None
    cdef Steps looking                      # through it, or None
    cdef Renaming renaming                  # of the links in it, or None
    cdef BodyPieces made                    # what stands for it, while that is written, or None
    cdef bytes body                         # keeps what `made` is made of
    cdef Py_ssize_t begun                   # where that member begins


cdef class NativeForm:
    """One way to write a batch: JsonForm or MultipartForm. It holds no state of a batch.

    members: Calls that are ready, all for one upstream. method, target, head, extra, id, depends_on and the body
      are read. A target begins with base_path, or is a reference b"$<id>/rest?query" to an earlier member.
      Members get the ids b"1", b"2", ... in this batch, in the order of the list.
    atomic: they are one group or change set: all or none. Else they have nothing to do with one another.
    base_path: of the upstream; its $batch lies at base_path + b"$batch".

    fits(): whether a member may be put into a batch with those before it, and encoding.why if not; looks at no body.
    mixes(): whether a call may share a batch with calls that it has nothing to do with.
    joins(): the same of one call and others that it has nothing to do with; lifted: lifted_lines() of these.
    begin(), step(), end(): write a batch. Each step is the work of one member, or a piece of a long one, so that others can be served in between
      (PL-01). A member of a group that cannot be said in this form raises UnfitMember; any other is left out.
    encode(): all of it in one go, for members that are known to fit.
    put_member(): writes the next member; false: its body is worked on step by step, call again. Raises UnfitMember.
    reading(): the steps in reading a long answer; None: decode() does all. The others take it when it is done.
    decode(): never raises for what the upstream answered. A list of Results, one a member in the order of
      members; none is shared. `answer` may be let go afterwards. gathered: what gather() gave of answers before.
    more_at(): where the rest of an answer is to be had (@nextLink), or None.
    gather(): for each member the Result that is known after this answer, or None; for an answer that has more_at().
    """
    cdef readonly Py_ssize_t max_body_bytes
    cdef readonly int max_depth
    cdef bint mixes(self, Call call) except -1
    cdef bint fits(self, Encoding encoding, Call call) except -1
    cdef bint joins(self, Call call, bytes base_path, bytes lifted) except -1
    cdef Encoding begin(self, list members, bint atomic, bytes base_path)
    cdef Progress step(self, Encoding encoding) except? PROGRESS_UNFIT
    cdef NativeBatch end(self, Encoding encoding)
    cdef NativeBatch encode(self, list members, bint atomic, bytes base_path)
    cdef bint put_member(self, Encoding encoding, Call call, Py_ssize_t index) except -1
    cdef Steps reading(self, Result answer, Py_ssize_t count)
    cdef list decode(self, Result answer, list members, bint atomic, list gathered, Steps reading)
    cdef bytes more_at(self, Result answer, Steps reading)
    cdef list gather(self, list members, list gathered, Steps reading)
