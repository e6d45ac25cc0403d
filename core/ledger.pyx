"""What is known of the batches of one process: which run, how those before them ended, and a line of each.

Nothing here is done once a call, and next to nothing in Python once a batch: counts are C integers, which the service
takes over when it likes (Account.take), and a line is formatted in place. Must never look into a batch.
"""
from batchwire.core.model cimport now
from batchwire.core.route cimport Route
from batchwire.core.origin cimport origin_of
from batchwire.core.session.batch_head cimport BatchHead
from libc.stdint cimport uint64_t
from libc.string cimport memset
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

import json
import time

from batchwire.core.session.batch import OUTCOMES

ENDED = ("ok", "cancelled", "broken", "deadline", "refused")
"""How a batch may end, as Batch.close() is told."""
LASTED = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Upper bounds, in seconds, of the classes that batches are counted in by how long they took; the last has none."""
cdef double[BUCKETS] BOUNDS = LASTED
cdef dict NUMBERS = {ended: number for number, ended in enumerate(ENDED)}
cdef tuple WORDS = tuple(f', "ended": "{ended}", "elapsed_ms": '.encode() for ended in ENDED)
cdef tuple NAMES = tuple(f', "{outcome}": '.encode() for outcome in OUTCOMES)
cdef enum:
    GATHERED = 3072           # bytes of lines that are enough to be handed on
    TRACE_LENGTH = 55         # of a traceparent (Trace Context, 3.2.2); what is longer is cut, and not worth a line

cdef double GATHER_SECONDS = 0.005  # that lines wait for others
cdef bytes BYTES_IN = b', "bytes_in": '
cdef bytes BYTES_OUT = b', "bytes_out": '
cdef bytes CALLS = b', "calls": '
cdef bytes TRACE = b', "trace": '
cdef bytes CLOSING = b', "event": "batch", "level": "info", "timestamp": "'
cdef bytes END = b'Z"}\n'
_quoted = json.encoder.encode_basestring_ascii


class TooManyBatchesError(Exception):
    """As many batches run as may, of all clients or of one."""


cdef class Account:
    def __init__(self, str front not None, str route not None):
        self.front = front
        self.route = route
        self.opening = f'{{"front": {_quoted(front)}, "route": {_quoted(route)}, "peer": '.encode()

    def take(self):
        """What has ended since the last time: [(ended, batches, bytes in, bytes out, {outcome: calls})], how many took
        how long (see LASTED), and how many seconds they took together."""
        ended = [
            (ENDED[n], self.batches[n], self.received[n], self.sent[n],
             {OUTCOMES[k]: self.calls[n][k] for k in range(OUTCOMES_TOLD) if self.calls[n][k]})
            for n in range(ENDINGS) if self.batches[n]
        ]
        lasted = [self.lasted[n] for n in range(BUCKETS + 1)]
        seconds = self.seconds
        memset(self.batches, 0, sizeof(self.batches))
        memset(self.received, 0, sizeof(self.received))
        memset(self.sent, 0, sizeof(self.sent))
        memset(self.calls, 0, sizeof(self.calls))
        memset(self.lasted, 0, sizeof(self.lasted))
        self.seconds = 0
        return ended, lasted, seconds


cdef class Batch:
    """A batch that runs: its session, and who sent it. trace: its traceparent, or ""."""

    @property
    def front(self):
        """By which front it came."""
        return self.account.front

    @property
    def route(self):
        """The root of its route."""
        return self.account.route

    cdef int stalled(self) except -1:
        """Its client has taken nothing for too long: what it has not taken is gone. close() follows."""
        self.session.listen(None)
        return self.session.stalled()

    cpdef close(self, str ended="ok"):
        """Ends it, stopping what still runs: it is counted, and told. A second call does nothing."""
        cdef Session session = self.session
        cdef Ledger ledger = self.ledger
        if ledger is None:
            return
        if not session.is_over():
            session.cancel()
        if ended == "ok":
            if session.was_cancelled():
                ended = "cancelled"
            elif session.failure is not None:
                ended = "broken"
        self.ledger = None
        session.drop()
        ledger.closed(self, NUMBERS[ended])


cdef class Ledger:
    """
    most: batches at once; most_of_client: of one client, whose peers differ in the port alone.
    write: takes lines of batches as JSON, bytes with their ends; None: there is no such writer, and `say` is called.
    say: takes (batch, ended, Session.summary, seconds, bytes in, bytes out) of a batch of which more is to be said.
    share: of the batches that went well, those which are told; the others always are.
    on_idle: called when no batch runs any more; None: nobody waits for it.
    draining: nobody should open a batch any more.
    """

    def __init__(self, loop, Py_ssize_t most, Py_ssize_t most_of_client, *, write=None, say=None, double share=1.0):
        self.loop = loop
        self.batches = set()
        self.accounts = {}
        self.of_clients = {}
        self.most = most
        self.most_of_client = most_of_client
        self.write = write
        self.say = say
        self.share = share
        self.line = Buffer()

    def account(self, str front not None, str route not None):
        """That of a front and a route."""
        found = self.accounts.get((front, route))
        if found is None:
            found = self.accounts[front, route] = Account(front, route)
        return found

    def all_accounts(self):
        """Those that there are."""
        return list(self.accounts.values())

    cpdef Batch open(self, Account account, Route route, str peer, str trace, BatchHead head):
        """Opens a session and counts it. trace: the client's traceparent, or "". Raises TooManyBatchesError."""
        cdef Batch batch
        cdef Py_ssize_t of_client
        # A UNIX socket is everybody's.
        cdef str client = "" if peer.startswith("unix") else peer.rpartition(":")[0]
        if len(self.batches) >= self.most:
            raise TooManyBatchesError("too many batches are running")
        of_client = self.of_clients.get(client, 0)
        if client and of_client >= self.most_of_client:
            raise TooManyBatchesError("too many batches of this client are running")
        batch = Batch.__new__(Batch)
        batch.session = Session.__new__(Session)
        batch.session.begin(self.loop, route, head, origin_of(peer))
        batch.peer = peer
        batch.trace = trace[:TRACE_LENGTH]
        batch.account = account
        batch.ledger = self
        batch.client = client
        batch.began = now()
        self.batches.add(batch)
        self.of_clients[client] = of_client + 1
        account.running += 1
        return batch

    cdef int closed(self, Batch batch, int ending) except -1:
        cdef Account account = batch.account
        cdef Session session = batch.session
        cdef uint64_t[OUTCOMES_TOLD] calls
        cdef uint64_t admitted
        cdef double elapsed = now() - batch.began
        cdef Py_ssize_t left
        cdef int n
        self.batches.discard(batch)
        account.running -= 1
        left = self.of_clients[batch.client] - 1
        if left:
            self.of_clients[batch.client] = left
        else:
            del self.of_clients[batch.client]
        admitted = session.tell(calls)
        account.batches[ending] += 1
        account.received[ending] += session.fed()
        account.sent[ending] += session.taken()
        for n in range(OUTCOMES_TOLD):
            account.calls[ending][n] += calls[n]
        n = 0
        while n < BUCKETS and elapsed > BOUNDS[n]:
            n += 1
        account.lasted[n] += 1
        account.seconds += elapsed
        if not self.batches and self.on_idle is not None:
            self.on_idle()
        if not self.is_told(ending, calls, admitted):
            return 0
        if self.write is not None and session.failure is None:
            return self.write_line(batch, ending, calls, admitted, elapsed)
        if self.say is not None:
            self.write_on()
            self.say(batch, ENDED[ending], session.summary, elapsed, session.fed_bytes, session.sent_bytes)
        return 0

    cdef bint is_told(self, int ending, uint64_t* calls, uint64_t admitted) noexcept:
        if self.share >= 1 or ending != 0 or calls[0] != admitted:
            return True
        self.due += self.share
        if self.due < 1:
            return False
        self.due -= 1
        return True

    cdef int write_line(self, Batch batch, int ending, uint64_t* calls, uint64_t admitted,
                        double elapsed) except -1:
        cdef Buffer line = self.line
        cdef uint64_t microseconds = <uint64_t>(elapsed * 1e6)
        cdef timespec t
        cdef int n
        line.put_bytes(batch.account.opening)
        put_quoted(line, batch.peer)
        line.put_bytes(WORDS[ending])
        put_thousandths(line, microseconds)
        line.put_bytes(BYTES_IN)
        line.put_uint(batch.session.fed())
        line.put_bytes(BYTES_OUT)
        line.put_uint(batch.session.taken())
        line.put_bytes(CALLS)
        line.put_uint(admitted)
        for n in range(OUTCOMES_TOLD):
            if calls[n]:
                line.put_bytes(NAMES[n])
                line.put_uint(calls[n])
        if batch.trace:
            line.put_bytes(TRACE)
            put_quoted(line, batch.trace)
        line.put_bytes(CLOSING)
        clock_gettime(CLOCK_REALTIME, &t)
        line.put_bytes(second_text(t.tv_sec))
        put_digits(line, t.tv_nsec // 1000, 6)
        line.put_bytes(END)
        if line.size > GATHERED:
            self.write_on()
        elif not self.due_lines:
            self.due_lines = True
            self.loop.call_later(GATHER_SECONDS, self.on_lines)
        return 0

    def on_lines(self):
        self.due_lines = False
        self.write_on()

    cpdef write_on(self):
        """Hands on the lines that wait for others."""
        if self.line.size:
            self.write(self.line.take())


cdef int put_quoted(Buffer line, str text) except -1:
    """A text, as JSON in ASCII."""
    cdef Py_ssize_t n, i
    cdef const char* p
    if PyUnicode_IS_ASCII(text):
        p = PyUnicode_AsUTF8AndSize(text, &n)
        for i in range(n):
            if p[i] < 32 or p[i] == 34 or p[i] == 92:
                break
        else:
            line.put_char(34)
            line.put(p, n)
            return line.put_char(34)
    return line.put_bytes((<str>_quoted(text)).encode())


cdef int put_thousandths(Buffer line, uint64_t n) except -1:
    """A number of thousandths, as JSON."""
    line.put_uint(n // 1000)
    line.put_char(b".")
    return put_digits(line, n % 1000, 3)


cdef int put_digits(Buffer line, long n, int width) except -1:
    cdef char[8] digits
    cdef int at
    for at in range(width - 1, -1, -1):
        digits[at] = <char>(48 + n % 10)
        n //= 10
    return line.put(digits, width)


cdef long told_second = -1
cdef bytes told_text = b""


cdef bytes second_text(long second):
    """A second as the beginning of an ISO timestamp, made once for all lines of that second."""
    global told_second, told_text
    if second != told_second:
        told_second = second
        told_text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
    return told_text
