from batchwire.core.model cimport Call, CallQueue, Refusal, Result
from batchwire.core.plan.dependencies cimport Dependencies
from batchwire.core.plan.groups cimport Group
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.judge cimport Judge
from batchwire.core.plan.references cimport References
from batchwire.core.plan.sequence cimport Sequence
from batchwire.core.plan.urls cimport UrlRules
from libc.stdint cimport uint64_t

cdef class Plan:
    """What waits for what. See order.pyx."""
    cdef CallIndex index
    cdef References references
    cdef Dependencies dependencies
    cdef Judge judge
    cdef Group open_group
    cdef readonly uint64_t admitted
    cdef Py_ssize_t max_body
    cdef Sequence sequence                  # MP-01: items run one after the other; None: only dependencies order them
    cdef bint collecting                    # groups are held until they can be decided as one
    cdef int max_group                      # members of a collected group
    cdef Refusal verdict                    # what every call gets that is not decided yet: deadline or stop
    cdef bint remembers                     # later calls may ask what finished ones have given
    cdef public bint input_open             # calls may still come that refer to finished ones
    cdef CallQueue decided                  # Calls whose dependencies are all finished
    cdef dict waiting                       # Calls that wait, as they came -> None

    @staticmethod
    cdef Plan of(UrlRules rules, Py_ssize_t reference_bytes, Py_ssize_t max_body, int max_depth, bint sequential,
                 bint collecting, int max_group, Py_ssize_t max_line, Py_ssize_t process_reference_bytes,
                 bint result_of, bint plain)
    cdef int begin(self, UrlRules rules, Py_ssize_t reference_bytes, Py_ssize_t max_body, int max_depth, bint sequential,
                   bint collecting, int max_group, Py_ssize_t max_line, Py_ssize_t process_reference_bytes,
                   bint result_of, bint plain) except -1
    cdef bint admit(self, Call call) except -1
    cdef bint search_on(self, Py_ssize_t most) except -1
    cdef int admitted_whole(self, Call call) except -1
    cdef int end_of_calls(self) except -1
    cpdef int close(self) except -1
    cdef int finish(self, Call call, Result result, bint succeeded) except -1
    cdef bint holding_group(self) noexcept
    cdef int stop(self, Refusal verdict) except -1
    cdef int stop_ready(self, Call call, Refusal verdict) except -1
    cdef int clear(self) except -1
    cdef int enter_group(self, Call call) except -1
    cdef int collect(self, Group group, Call call) except -1
    cdef int close_group(self) except -1
    cdef int let_go(self, Call call) except -1
    cdef int let_members_go(self, Group group) except -1
    cdef int ready(self, Call call) except -1
    cdef int put_decided(self, Call call) except -1
    cdef int next_item(self) except -1
    cdef int finish_group(self, Group group) except -1
    cdef int release(self, Call call, bint succeeded) except -1

    cdef inline Call searched(self):
        """The newest call, if it is not known yet what it refers to; or None."""
        return None if self.dependencies.search is None else self.dependencies.search.call

    cdef inline Py_ssize_t handed(self) noexcept:
        """Bytes of answers that waiting calls need."""
        return self.references.handed + self.references.index_bytes
