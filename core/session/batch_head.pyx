"""What is known of a batch before its first byte: from here a session is made."""


cdef class BatchHead:
    """
    dialect, answer: of the request and of the answer, by the names of dialects/table.pyx. strict: the profile
    (PR-01). boundary, answer_boundary: of multipart request and answer, or None. last_only: the answer is the last
    result alone (document dialect). nested_errors: the error of a change set has the form of its answer (CL-07).
    authority: (scheme, host[:port]) of the batch URL, several that it has, or None. headers: inherited outer headers
    [(name, value)], bytes. authorization: value of the outer Authorization, or None.
    continue_on_error, ordered (GW-23), deadline (seconds, 0: the route's): of the batch. answer_deadline: seconds from the
    end of the request, 0: none.
    watched: the session has a timer of its own for idle clients; else the front calls check_idle().
    hops: number that the hop header of the calls says. execute: answer in one piece at the end.
    """

    def __init__(self, *, str dialect="json", str answer=None, bint strict=True, authority=None, list headers=None,
                 bytes authorization=None, bint continue_on_error=True, bint ordered=False, double deadline=0,
                 double answer_deadline=0, int hops=1, bint execute=False, bytes boundary=None,
                 bytes answer_boundary=None, bint last_only=False, bint nested_errors=False, bint watched=True):
        self.dialect = dialect
        self.answer = answer or dialect
        self.strict = strict
        self.authority = authority
        self.headers = headers
        self.authorization = authorization
        self.continue_on_error = continue_on_error
        self.ordered = ordered
        self.deadline = deadline
        self.answer_deadline = answer_deadline
        self.hops = hops
        self.execute = execute
        self.boundary = boundary
        self.answer_boundary = answer_boundary
        self.last_only = last_only
        self.nested_errors = nested_errors
        self.watched = watched

    cpdef BatchHead copy(self):
        """The same, for a batch of which something more is known."""
        cdef BatchHead made = BatchHead.__new__(BatchHead)
        made.dialect = self.dialect
        made.answer = self.answer
        made.strict = self.strict
        made.authority = self.authority
        made.headers = self.headers
        made.authorization = self.authorization
        made.continue_on_error = self.continue_on_error
        made.ordered = self.ordered
        made.deadline = self.deadline
        made.answer_deadline = self.answer_deadline
        made.hops = self.hops
        made.execute = self.execute
        made.boundary = self.boundary
        made.answer_boundary = self.answer_boundary
        made.last_only = self.last_only
        made.nested_errors = self.nested_errors
        made.watched = self.watched
        made.options = self.options
        made.rules = self.rules
        return made

    cdef int bind(self, Route route) except -1:
        """All batches with this head, and with copies of it, go to this route."""
        self.rules = UrlRules(route.root, self.authority, self.strict, route.prefixes, route.bare_batch)
        return 0
