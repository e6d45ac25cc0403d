# Room for what calls take out of earlier answers. See kept_answers.pyx.
from batchwire.core.model cimport Call

cdef class KeptAnswers:
    """Of a batch."""
    cdef Py_ssize_t bound                   # of the process: bytes
    cdef Py_ssize_t kept                    # bytes of answers that calls wait for, to take something out of them
    cdef Py_ssize_t promised                # and that have been promised to those that are being read
    cdef bint over                          # the batch has ended
    cdef Call given_up                      # one whose answer was given up for want of room, and is asked for again; or None

    @staticmethod
    cdef KeptAnswers of(Py_ssize_t process_bound)
    cdef void count(self, Py_ssize_t kept, Py_ssize_t promised) noexcept
    cdef bint may_keep(self, Call call, Py_ssize_t length) noexcept
    cdef int has_kept(self, Call call, Py_ssize_t kept) noexcept
    cdef bint may_ask_again(self) noexcept
    cdef void hold(self, Py_ssize_t kept) noexcept
    cdef void close(self) noexcept

cdef inline bint is_kept_out(Call call) noexcept:
    """Whether its answer is not read on until there is room for what calls take out of it."""
    return call.wanted and call.keeps == 0
