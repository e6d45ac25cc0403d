"""Who answers an HTTP request, whatever carries it.

`servicer` is the service behind. A batch whose head is known is opened by `servicer.rest_opener`; of every other request
servicer.open_rest(stream) says whether it is a batch or answered at once, by (batch, Negotiated, None) or (None, None,
answer); servicer.serve(exchange) begins to answer what is neither.
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
        opened, known, answer = servicer.open_rest(stream)
    if opened is not None:
        batch = RestBatch.of(servicer, opened, known)
        batch.begin(stream)
        return batch
    if answer is not None:
        plain = PlainAnswer(answer.status, answer.headers, answer.body)
        plain.begin(stream)
        return plain
    exchange = HttpExchange(stream)
    exchange.stream = stream
    servicer.serve(exchange)
    return exchange
