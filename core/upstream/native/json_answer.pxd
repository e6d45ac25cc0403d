# {"responses":[...]} -> a Result or None a member. See json_answer.pyx.
from batchwire.core.dialects.charsets cimport Unescaping
from batchwire.core.dialects.json_scan cimport Mark, Scan
from batchwire.core.dialects.steps cimport Pieces, Steps
from batchwire.core.model cimport Result
from libc.stdint cimport uint8_t

cdef enum:
    MAX_MEMBERS = 64                        # of the envelope, and of one response object

cdef class JsonReading(Steps):
    """An answer that is read in steps. One that is not valid as a whole is read as far as each response is."""
    cdef bytes text
    cdef Py_ssize_t start                   # of the text, behind a byte order mark
    cdef Py_ssize_t count                   # of members
    cdef int max_depth
    cdef list found                         # for each member its Result or None; None in all: it is no batch response
    cdef bytes link                         # its @nextLink, or None
    cdef bint flawed                        # something in it is wrong
    cdef set seen                           # members that have been answered
    cdef Scan state
    cdef Mark marks[MAX_MEMBERS]
    cdef Py_ssize_t at                      # of what has not been read, among the responses
    cdef Py_ssize_t end                     # of the responses
    cdef bint inside                        # a response that begins at `at` is being read
    cdef Py_ssize_t copied                  # bytes of bodies that have been taken out
    # of a long body that is being read
    cdef Py_ssize_t index                   # the member whose it is
    cdef int status
    cdef list headers                       # None: no body is being read
    cdef bint binary                        # it is base64
    cdef Unescaping unescaping              # None: it is done
    cdef bytes letters                      # what it gave
    cdef Py_ssize_t decoded                 # letters that are decoded
    cdef Pieces pieces

    @staticmethod
    cdef JsonReading of(bytes text, Py_ssize_t count, int max_depth)
    cdef list responses(self, bint whole)
    cdef bint look(self, const uint8_t* p) except -1
    cdef bytes link_in(self, dict named)
    cdef bint next_response(self, const uint8_t* p) except -1
    cdef bint read_response(self, const uint8_t* p, Py_ssize_t* budget) except -1
    cdef Result response_of(self, Py_ssize_t begin, dict named)
    cdef int read_body(self) except -1
    cdef int put_body(self, bytes body) except -1
    cdef bint decode_some(self) except -1
