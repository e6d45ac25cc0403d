"""Room for what calls take out of earlier answers: it is held until these calls run, which may need others (PL-15).

Promised to an answer before it is long, and for good. Where there is none, one batch is `keeping`: it goes on without until
it holds no more of that. Must never count what nobody waits for: that is bounded where it is kept (PL-11).
"""
cdef enum:
    PART = 4                  # the bound of the process for answers, divided by this
    MOST_KEPT = 1048576       # bytes that calls take out of an answer whose length is not known, about

cdef Py_ssize_t process_kept = 0    # with what has been promised
cdef KeptAnswers keeping = None


cdef class KeptAnswers:
    @staticmethod
    cdef KeptAnswers of(Py_ssize_t process_bound):
        """process_bound: bytes of answers."""
        cdef KeptAnswers made = KeptAnswers.__new__(KeptAnswers)
        made.bound = process_bound // PART
        return made

    def __dealloc__(self):
        self.count(0, 0)

    cdef void count(self, Py_ssize_t kept, Py_ssize_t promised) noexcept:
        global process_kept
        if self.over:
            kept = promised = 0
        process_kept += kept + promised - self.kept - self.promised
        self.kept = kept
        self.promised = promised

    cdef bint may_keep(self, Call call, Py_ssize_t length) noexcept:
        """Whether there is room for what calls take out of its answer, or it needs none. length: bytes; 0: not known."""
        global keeping
        cdef Py_ssize_t most = length or MOST_KEPT
        if not is_kept_out(call):
            return True
        if keeping is not self and process_kept + most > self.bound:
            if keeping is not None:
                return False
            keeping = self
        call.keeps = most
        self.count(self.kept, self.promised + most)
        return True

    cdef int has_kept(self, Call call, Py_ssize_t kept) noexcept:
        """The answer is kept now, as far as calls wait for it, or it is to be asked for again. kept: of the batch, in all."""
        if call.keeps > 0:
            self.count(kept, max(self.promised - call.keeps, 0))
            call.keeps = 0
        return 0

    cdef bint may_ask_again(self) noexcept:
        """Whether there is room for the answer that was given up: else it would only be given up again."""
        if self.given_up is not None:
            if not self.may_keep(self.given_up, 0):
                return False
            self.given_up = None
        return True

    cdef void hold(self, Py_ssize_t kept) noexcept:
        """What is kept now of the batch."""
        global keeping
        self.count(kept, self.promised)
        if keeping is self and kept + self.promised == 0:
            keeping = None

    cdef void close(self) noexcept:
        """The batch has ended."""
        global keeping
        self.over = True
        self.given_up = None
        self.count(0, 0)
        if keeping is self:
            keeping = None
