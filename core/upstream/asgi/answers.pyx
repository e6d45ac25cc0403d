"""What an application says in its messages, and what of it is no answer (OP-05, OP-08)."""
from batchwire.core.headers cimport valid_value

import re

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class AnswerTooLarge(Exception):
    """The application sent more than max_response_bytes."""


class HeadersTooLarge(Exception):
    """The application sent more than max_header_bytes of headers (OP-08). headers: those before it was so many."""

    def __init__(self, status, headers):
        super().__init__("the headers of its answer are larger than max_header_bytes")
        self.status = status
        self.headers = headers


class BadAnswer(Exception):
    """The application broke the ASGI protocol or sent what is no HTTP."""


def answer_head(message, Py_ssize_t max_header_bytes):
    """
    (status, [(name, value)]) of an http.response.start. Raises BadAnswer when that is no final answer of HTTP,
    HeadersTooLarge when it is more than max_header_bytes.
    """
    cdef Py_ssize_t size = 0
    status = message["status"]
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise BadAnswer("its status is none of a final answer")
    kept = []
    for name, value in message.get("headers", ()):
        if isinstance(name, str) or isinstance(value, str):
            raise BadAnswer("a header of its answer is str, not bytes")
        name, value = bytes(name), bytes(value).strip(b" \t")
        size += len(name) + len(value) + 4
        if size > max_header_bytes:
            raise HeadersTooLarge(int(status), kept)
        if _TOKEN.match(name) is None or not valid_value(value, len(value)):
            raise BadAnswer("a header of its answer is malformed")
        kept.append((name, value))
    return int(status), kept


def check_length(int status, list headers, bytes method, Py_ssize_t size):
    """OP-05: a body of another length than its content-length is none, as of any upstream. Raises BadAnswer."""
    lengths = {value for name, value in headers if name.lower() == b"content-length"}
    if not lengths or method == b"HEAD" or status == 204 or status == 304:
        return
    length = lengths.pop()
    if lengths or not length.isdigit() or int(length[:20]) != size:
        raise BadAnswer("its body has not the length that its content-length says")
