"""A result that takes long to write, or becomes large by it: it waits for room, and is made ready in steps (PL-01, AN-05).

A few bytes in a content-coding may stand for megabytes, and a control character is six bytes in JSON: so it is kept as
it came until the client takes. Must never change what the result says, only when.
"""
from batchwire.core.dialects.plain_body cimport go_on_undoing, is_coded, undoing_of
from batchwire.core.dispatch.bulk_request cimport reading_of
from batchwire.core.session.public_result cimport published
from batchwire.core.session.result_stream cimport replace, spoil

from batchwire.core.errors import BadUpstreamBody

cdef enum:
    LARGE = 65536             # bytes of a body that is no trifle to write


cdef bint is_late(Call call, Result result, bint plain) noexcept:
    """plain: the client reads it inside of text, without content-codings. Else it is put in as it is."""
    return plain and (result.body_len > LARGE or is_coded(result))


cdef class LateResult:
    @staticmethod
    cdef LateResult of(Call call, Result result, bint coded, Py_ssize_t limit, Writer writer, UrlRules rules):
        cdef LateResult made = LateResult.__new__(LateResult)
        made.call = call
        made.result = result.copy()
        made.coded = coded
        made.limit = limit
        made.writer = writer
        made.rules = rules
        made.size = result.body_len
        made.written = -1
        return made

    cdef Py_ssize_t becomes(self) except -1:
        """Bytes at most that are made of it, until it is written, beside what it came as."""
        cdef Py_ssize_t size = self.undoing.most if self.is_still_coded() else self.result.body_len
        return (size if self.is_still_coded() else 0) + self.written_of(size)

    cdef Py_ssize_t written_of(self, Py_ssize_t size) except -1:
        """Bytes at most that writing makes of so many, with the text that is held beside it."""
        if self.call.members is not None:
            return size
        return self.writer.becomes(self.result, size) if self.written < 0 else self.written

    cdef bint is_still_coded(self) except -1:
        """Whether `undoing` has more to do."""
        if self.coded and self.undoing is None:
            self.undoing = undoing_of(None, self.result, self.limit)
            self.coded = self.undoing is not None
        return self.coded

    cdef bint is_to_measure(self) except -1:
        """Whether it is not known yet what it becomes, but can be: that takes no room."""
        if self.measured or self.is_still_coded() or self.call.members is not None:
            return False
        if self.measuring is None:
            self.measuring = self.writer.measuring(self.result)
            self.measured = self.measuring is None
        return not self.measured

    cdef int measure(self) except -1:
        if self.measuring.step():
            self.measured = True
            self.written = self.measuring.length
            self.measuring = None
        return 0

    cdef bint step(self) except -1:
        """Undoes some of its content-codings, or looks at some of its body; whether it can be written now.

        Once begun it goes on to its end: all that it becomes is counted from the first step on that makes any.
        """
        cdef bint last = False
        if self.is_still_coded():
            self.undo()
        elif self.is_to_measure():
            self.measure()
            if self.making == 0:
                return False
        elif self.call.members is not None:
            last = self.read()
        elif not self.judged:
            self.judged = self.look()
        else:
            last = self.make()
        self.making = 0 if last else self.becomes()
        self.size = self.result.body_len + self.making
        return last

    cdef bint read(self) except -1:
        """A step in reading the answer to calls that travelled together; whether it was the last one."""
        cdef bint last = True
        try:
            if self.reading is None:
                self.reading = reading_of(self.call, self.result)
            if self.reading is not None:
                last = self.reading.step()
        except Exception as error:
            spoil(self.result, error)
            self.reading = None
        return last

    cdef int undo(self) except -1:
        try:
            self.coded = not go_on_undoing(self.undoing, None if self.call.members is not None else self.call, self.result)
        except BadUpstreamBody as error:
            self.coded = False
            replace(self.result, str(error))
        if not self.coded:
            self.undoing = None
        return 0

    cdef bint look(self) except -1:
        """What is wrong with it, and its charset (AN-01, AN-02)."""
        if not self.published:
            self.published = True
            self.owners = published(self.call, self.result, self.rules)
            self.looking = self.writer.looking(self.call, self.result)
            return self.looking is None
        try:
            next(self.looking)
            return False
        except StopIteration as end:
            self.said = (self.result.body_owner, end.value)
        except Exception as error:
            spoil(self.result, error)
        self.looking = None
        return True

    cdef bint make(self) except -1:
        """A step in making what stands for its body; whether that was the last one."""
        cdef bint last
        try:
            if self.made is not None:
                last = self.made.step()
            else:
                self.made = self.writer.pieces_of(self.call, self.result, self.said) if self.result.body_len > LARGE else None
                last = self.made is None
        except Exception as error:
            if isinstance(error, BadUpstreamBody):
                replace(self.result, str(error))
            else:
                spoil(self.result, error)
            self.made = None
            last = True
        return last
