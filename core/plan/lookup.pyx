"""What a condition sees of the calls before it: their outcome, and single values of what they answered.

An object or an array is built only when two of them are compared. What one evaluation may look at is bounded, and no
value is read twice (PL-01). Must never build more of an answer than the condition asks for, nor hold what it found in
a cycle of references: copies of large values would stay until the garbage collector runs (PL-07).
"""
from batchwire.core.dialects.json_index cimport NO_PATH, NO_VALUE
from batchwire.core.dialects.json_strings cimport unescaped
from batchwire.core.model cimport Call
from batchwire.core.plan.conditions cimport number_of
from batchwire.core.plan.index cimport CallIndex
from batchwire.core.plan.references cimport Kept, References, text_of, why_missing
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t

import json
from decimal import Decimal, InvalidOperation

from batchwire.core.errors import quoted
from batchwire.core.plan.conditions import ConditionError

cdef enum:
    MAX_WORK = 6 << 20        # about the bytes that an evaluation looks at: some ten milliseconds
    READ = 2                  # for a byte of an answer that values are taken from
    BUILT = 16                # for a byte of a text that objects are made of
    AS_TEXT = 16              # bytes that are compared for one


cdef class Budget:
    """What an evaluation may still do."""

    cdef int spend(self, Py_ssize_t work) except -1:
        """Counts work that is about to be done. Raises ConditionError when it is too much."""
        self.left -= work
        if self.left < 0:
            raise ConditionError("the condition is too much work")
        return 0


cdef class Document:
    """An object or an array, as text; equal to another one that means the same."""
    cdef Budget budget                      # not the Lookup, which holds the documents that it found
    cdef bytes text

    def __eq__(self, other):
        cdef Document also
        if not isinstance(other, Document):
            return NotImplemented
        also = other
        if len(self.text) == len(also.text):
            self.budget.spend(len(self.text) // AS_TEXT)
            if self.text == also.text:
                return True
        self.budget.spend(BUILT * (len(self.text) + len(also.text)))
        try:
            # PL-14: numbers are compared exactly in them, too.
            return json.loads(self.text, parse_float=Decimal) == json.loads(also.text, parse_float=Decimal)
        except (ValueError, InvalidOperation, RecursionError):
            # GW-03: not "unlike", which `ne` would run a call by.
            raise ConditionError("an object or array holds a number with too many digits, or is too deep") from None


cdef class Lookup:
    def succeeded(self, bytes name):
        self.index.find(name)
        self.index.found = None
        return self.index.succeeded

    def status(self, bytes name):
        self.index.find(name)
        self.index.found = None
        return self.index.status

    def spend(self, Py_ssize_t work):
        self.budget.spend(work)

    def value(self, bytes name, tuple path):
        """The value at the end of a path into a JSON body; None also where there is none (and for groups, GW-16)."""
        key = (name, path)
        if key not in self.values:
            self.values[key] = self.found(name, path)
        return self.values[key]

    cdef object found(self, bytes name, tuple path):
        cdef Kept kept = None if self.call.inputs is None else self.call.inputs.get(name)
        cdef Py_ssize_t start = 0, end = 0
        cdef const uint8_t* p
        cdef Document document
        cdef int found
        if kept is not None and kept.missing:
            raise ConditionError(f"what ${quoted(name)} answered {why_missing(kept)}")
        if kept is not None and kept.body is not None and name not in self.read:
            # Whether another condition has had it gone through already must make no difference.
            self.read.add(name)
            self.budget.spend(READ * PyBytes_GET_SIZE(kept.body))
        found = self.given.find(kept, list(path), &start, &end)
        if found == NO_PATH:
            raise ConditionError(f"${quoted(b'/'.join((name, *path)))} asks an array for a member")
        if found == NO_VALUE:
            return None
        p = <const uint8_t*>PyBytes_AS_STRING(text_of(kept)) + start
        self.budget.spend(end - start)
        if p[0] == c'{' or p[0] == c'[':
            document = Document.__new__(Document)
            document.budget = self.budget
            document.text = p[:end - start]
            return document
        if p[0] == c'"':
            return unescaped(p + 1, end - start - 2).decode("utf-8", "surrogatepass")
        if p[0] == c't' or p[0] == c'f':
            return p[0] == c't'
        if p[0] == c'n':
            return None
        return number_of(p[:end - start].decode("ascii"))


cdef Lookup lookup_of(CallIndex index, References given, Call call):
    cdef Lookup made = Lookup.__new__(Lookup)
    made.index = index
    made.given = given
    made.call = call
    made.values = {}
    made.read = set()
    made.budget = Budget.__new__(Budget)
    made.budget.left = MAX_WORK
    return made
