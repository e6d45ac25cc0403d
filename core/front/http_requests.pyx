"""Who answers an HTTP request, whatever carries it.

`servicer` is the service behind. A batch whose head is known is opened by `servicer.rest_opener`; of every other request
servicer.open_http(stream) says whether it is a batch, by (batch, Negotiated, None), or how it is answered, by (None, None,
answer): at once, or answer(exchange) begins to.
"""
from batchwire.core.front.http_exchange cimport HttpExchange
from batchwire.core.front.rest_batch cimport PlainAnswer, RestBatch
from batchwire.core.front.rest_opener cimport Negotiated, RestOpener
from batchwire.core.ledger cimport Batch
from batchwire.core.ledger import TooManyBatchesError


cdef Handler answer_of(object servicer, Stream stream):
    """The handler of a request whose head is complete; it has begun."""
    cdef RestOpener opener = servicer.rest_opener
    cdef Negotiated known = None if opener is None else opener.find(stream)
    cdef Batch opened = None
    cdef RestBatch batch
    cdef PlainAnswer plain
    cdef HttpExchange exchange
    answer = None
    if known is not None:
        try:
            opened = opener.begin(known, stream.headers, stream.ends.peer)
        except TooManyBatchesError:
            pass                              # the service says so, in the form of the dialect
    if opened is None:
        opened, known, answer = servicer.open_http(stream)
    if opened is not None:
        batch = RestBatch.of(servicer, opened, known)
        batch.begin(stream)
        return batch
    if not callable(answer):
        plain = PlainAnswer(answer.status, answer.headers, answer.body)
        plain.begin(stream)
        return plain
    exchange = HttpExchange(stream)
    exchange.stream = stream
    answer(exchange)
    return exchange
