"""Opens the batch that an HTTP request is, where its head led to a batch before: most clients send the same with each.

A head is known again by all of it but for fields that every request has another of, which decide nothing but go to the
calls or nowhere. A multipart answer is negotiated each time: its boundary must be one that nobody knows.
"""
from batchwire.core.front.deadlines cimport early, proxy_seconds_in
from batchwire.core.front.deadlines import PROXY_FIELD
from batchwire.core.front.forwarded_names cimport ForwardedNames
from batchwire.core.ledger cimport Account
from batchwire.core.route cimport Route
from batchwire.core.session.batch_head cimport BatchHead
from cpython.bytes cimport PyBytes_GET_SIZE

from collections import OrderedDict

cdef enum:
    KEPT = 256                # heads
    LONGEST = 4096            # bytes of a head that is kept, its target included

cdef bytes CONTENT_LENGTH = b"content-length", CONNECTION = b"connection", TRACE = b"traceparent"
cdef bytes AUTHORIZATION = b"authorization", PROXY = PROXY_FIELD
cdef frozenset USUAL = frozenset((b"close", b"keep-alive"))
# Each with a bit of its own, so that one which is there twice is seen.
cdef dict PASSING = {name: 1 << n for n, name in enumerate((
    b"authorization", b"b3", b"baggage", b"content-length", b"traceparent", b"tracestate", b"user-agent",
    b"x-b3-parentspanid", b"x-b3-spanid", b"x-b3-traceid", b"x-request-id"))}


def lasting_fields(list fields not None):
    """The fields of a head without those that every request has another of."""
    return [field for field in fields if field[0] not in PASSING]


cdef class Negotiated(RouteEntry):
    """What the head of a batch led to.

    outcome: of the negotiation, for the service. status, headers: of the answers to batches with such a head. decoding:
    of a body with a Content-Encoding, or "". whole: it is of one request, all of whose fields were looked at; else only
    of those that last. The others: see RouteEntry.
    """

    def __init__(self, outcome, Route route not None, Account account not None, BatchHead head not None, *, int status,
                 tuple headers not None, str decoding not None, ForwardedNames forwarded not None,
                 bint whole=False):
        super().__init__(route, account, head, forwarded)
        self.outcome = outcome
        self.status = status
        self.headers = headers
        self.decoding = decoding
        self.whole = whole


cdef class RestOpener:
    """max_request_bytes: a request that says to be longer is known to nobody; 0: any length.

    direct: what proxies say of a request changes nothing, so that batches may be opened without the service.
    """

    def __init__(self, Ledger ledger not None, unsigned long long max_request_bytes, bint direct):
        self.ledger = ledger
        self.max_request_bytes = max_request_bytes
        self.direct = direct
        self.kept = OrderedDict()
        self.text = Buffer()

    cpdef bytes key_of(self, Stream stream, str scheme, bytes host):
        """By what a head is known again, or None. scheme, host: as a trusted proxy has said; host None: it has not."""
        cdef Buffer text = self.text
        cdef bytes name, value
        cdef object bit
        cdef unsigned int seen = 0
        text.size = 0
        put(text, stream.method)
        put(text, stream.path)
        put(text, <bytes>scheme.encode())
        put(text, stream.authority if host is None else host)
        put(text, <bytes>stream.ends.authority.encode())
        for name, value in stream.headers:
            bit = PASSING.get(name)
            if bit is not None:
                if seen & <unsigned int>bit:
                    return None
                seen |= <unsigned int>bit
                if name == CONTENT_LENGTH and self.max_request_bytes and not (
                        value.isdigit() and int(value) <= self.max_request_bytes):
                    return None
                continue
            if name == CONNECTION and value.lower() not in USUAL:
                return None                   # it names fields that go no further
            put(text, name)
            put(text, value)
            if text.size > LONGEST:
                return None
        return text.take() if text.size <= LONGEST else None

    cpdef Negotiated known(self, bytes key):
        """What a head led to before, or None."""
        cdef Negotiated found = None if key is None else self.kept.get(key)
        if found is not None:
            self.kept.move_to_end(key)
        return found

    def keep(self, bytes key not None, Negotiated known not None):
        """Remembers what a head led to."""
        self.kept[key] = known
        if len(self.kept) > KEPT:
            self.kept.popitem(last=False)

    cdef Negotiated find(self, Stream stream):
        """That of a request which may be opened at once, or None."""
        if not self.direct or not self.kept or stream.too_large or self.ledger.draining:
            return None
        return self.known(self.key_of(stream, stream.ends.scheme, None))

    cpdef Batch begin(self, Negotiated known, list fields, str peer):
        """A batch with such a head; fields: all header fields of the request. Raises TooManyBatchesError."""
        cdef BatchHead head = known.head.copy()
        cdef list headers = []
        cdef bytes name, value, stripped
        cdef str trace = ""
        cdef double seconds = 0
        for name, value in fields:
            if name == PROXY and seconds == 0:
                seconds = proxy_seconds_in(value)
            elif name == TRACE:
                trace = value.decode("latin-1")
            if known.whole or name not in PASSING:
                continue
            stripped = value.strip()
            if name == AUTHORIZATION:
                head.authorization = stripped
            if stripped and known.forwarded.holds(name):
                headers.append((name, stripped))
        if headers:
            head.headers = headers if not head.headers else head.headers + headers
        if seconds > 0:
            head.answer_deadline = early(seconds)
        return self.ledger.open(known.account, known.route, peer, trace, head)


cdef int put(Buffer text, bytes part) except -1:
    """A part that cannot be taken for two, or for a piece of another."""
    text.put_uint(PyBytes_GET_SIZE(part))
    text.put_char(b" ")
    return text.put_bytes(part)
