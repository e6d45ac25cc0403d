"""The multipart batch response of an upstream, taken apart (MP-05..MP-15, section 2 of the checklist).

Parts are told apart by whole delimiter lines (MB-13, MB-14); inside each is an HTTP answer, read by the same code
as one from a socket. A step reads one part, or looks through some text for its end. Must never take a part that its delimiter does not close: it may be cut.
"""
from batchwire.core.model cimport HeaderSlice, KIND_HOP, Result
from batchwire.core.upstream.http1_answer cimport ANSWER_DONE, Answer
from batchwire.core.upstream.native.outcomes cimport member_index

import re

from batchwire.core.dialects.media import PARAMETER

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* a, const char* b, size_t n)

cdef enum:
    MAX_HEAD = 32768          # header bytes of one part
    STEP = 1048576            # bytes that are looked through for a delimiter in one step (PL-01)
    LOOKS = 1024              # and delimiters that are looked at

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_FOLDED = re.compile(rb"\r?\n[ \t]+")
_QUOTED = re.compile(rb"\\(.)")
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")      # MB-12


cdef class Taken:
    pass


cdef class PartsReading(Steps):
    @staticmethod
    cdef PartsReading of(bytes text, bytes boundary, Py_ssize_t count):
        cdef PartsReading made = PartsReading.__new__(PartsReading)
        made.count = count
        made.steps = _reading(made, text, boundary)
        return made

    cdef bint step(self) except -1:
        try:
            next(self.steps)
            return False
        except StopIteration as end:
            self.answers = end.value
        self.steps = None
        return True

    cdef Py_ssize_t held(self) noexcept:
        return self.copied


cdef bytes boundary_of(bytes content_type):
    if content_type.partition(b";")[0].strip().lower() != b"multipart/mixed":
        return None
    for name, value in PARAMETER.findall(content_type):
        if name.lower() == b"boundary":
            if value.startswith(b'"'):
                value = _QUOTED.sub(rb"\1", value[1:len(value) - 1])
            return value if _BOUNDARY.fullmatch(value) else None
    return None


def _parts(bytes text, Py_ssize_t first, Py_ssize_t last, bytes boundary, Py_ssize_t limit):
    """Where what lies between delimiter lines begins and ends, of text[first:last]: a generator whose value is a list.

    None: there are more than `limit`, or no closing delimiter.
    """
    cdef bytes delimiter = b"--" + boundary
    cdef list parts = []
    cdef Py_ssize_t at = first, start = -1, begin, stop, end, window, looked = 0
    while True:
        looked += 1
        if looked % LOOKS == 0:
            yield
        window = min(at + STEP + len(delimiter), last)
        begin = text.find(delimiter, at, window)
        if begin < 0:
            if window == last:
                return None
            at += STEP
            yield
            continue
        at = begin + len(delimiter)
        if begin > first and text[begin - 1] != c"\n":
            continue
        stop = text.find(b"\n", at, last)
        end = last if stop < 0 else stop
        rest = text[at:end].rstrip(b"\r \t") if end - at < 1000 else b"?"
        if rest not in (b"", b"--"):
            continue                                      # another boundary that this one begins, or text
        if start >= 0:
            if begin > start and begin - 2 >= first and text[begin - 2] == c"\r":
                begin -= 1
            parts.append((start, begin - 1 if begin > start else start))
            if len(parts) > limit:
                return None
        if rest == b"--":
            return parts
        if stop < 0:
            return None
        start = stop + 1
        at = stop                                         # an empty part's delimiter follows at once


cdef tuple head_of(bytes text, Py_ssize_t first, Py_ssize_t last):
    """({lower-case name: value}, where the rest begins behind the blank line) of a part, or None."""
    cdef dict fields = {}
    if text[first:min(first + 1, last)] in (b"\r", b"\n"):
        return None                                       # MB-02: text/plain, by RFC 2046
    blank = _BLANK_LINE.search(text, first, min(first + MAX_HEAD, last))
    if blank is None:
        return None
    for line in _FOLDED.sub(b" ", text[first:blank.start()]).split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields, blank.end()


cdef Result message_in(bytes text):
    """The HTTP answer of an application/http part, or None."""
    cdef Answer answer
    blank = _BLANK_LINE.search(text)
    if blank is None:
        text += b"\r\n\r\n"                               # MP-15: the blank line may have gone with the delimiter's
    answer = Answer(MAX_HEAD, len(text))
    answer.start(False)
    answer.feed(text)
    answer.eof()
    if answer.excess and (len(text) if blank is None else blank.end()) > MAX_HEAD:     # AN-03: its status is known
        answer.result.body_left_out = True
        answer.result.add_note(b"headers and body left out: its header block is too large")
        return answer.result
    return answer.result if answer.state == ANSWER_DONE else None


cdef bytes inner_content_id(Result result):
    """Some servers put it into the HTTP headers (MB-06). Taken away there: it is ours, not the client's."""
    cdef HeaderSlice* header
    cdef bytes found = None
    cdef int i
    for i in range(result.header_count):
        header = &result.headers[i]
        if header.name_len == 10 and strncasecmp(header.name, "content-id", 10) == 0:
            header.kind = KIND_HOP
            found = header.value[:header.value_len]
    return found


def _answers(PartsReading reading, bytes text, list parts, list into, bint nested):
    """Appends (id or None, Result or None) for each HTTP answer: a generator whose value is `into`.

    None: the structure is not that of a batch.
    """
    cdef Result result
    cdef Py_ssize_t first, last, rest
    for first, last in parts:
        yield
        if len(into) == reading.count:
            return None                                   # more answers than calls
        split = head_of(text, first, last)
        if split is None:
            into.append((None, None))
            continue
        fields, rest = split
        media = fields.get(b"content-type", b"")
        if media.partition(b";")[0].strip().lower() == b"application/http":
            result = message_in(text[rest:last])
            reading.copied += last - rest
            name = None if result is None else inner_content_id(result)
            into.append((fields.get(b"content-id", name), result))
            continue
        boundary = None if nested else boundary_of(media)
        inside = None if boundary is None else (yield from _parts(text, rest, last, boundary, reading.count))
        if inside is None or (yield from _answers(reading, text, inside, into, True)) is None:
            return None
    return into


def _reading(PartsReading reading, bytes text, bytes boundary):
    """What _answers() gives of a whole batch response; None: it is none."""
    parts = yield from _parts(text, 0, len(text), boundary, reading.count)
    return None if parts is None else (yield from _answers(reading, text, parts, [], False))


cdef Taken responses_in(PartsReading reading, bint atomic):
    cdef Taken taken = Taken()
    cdef list answers = reading.answers
    cdef Py_ssize_t count = reading.count
    cdef set seen = set()
    cdef Result result
    cdef Py_ssize_t i, index
    if answers is None:
        return None
    taken.found = [None] * count
    named = any([name is not None for name, _ in answers])
    for i in range(len(answers)):
        name, result = answers[i]
        index = member_index(name, count) if named else i
        if atomic and len(answers) == 1 and (index < 0 or not named) and result is not None and result.status >= 400:
            taken.speaks_for_all = result
            return taken
        if index >= 0:
            # Answered twice: which of them is true cannot be told.
            taken.found[index] = None if index in seen else result
            seen.add(index)
    return taken
