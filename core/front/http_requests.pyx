"""Who answers an HTTP request, whatever carries it.

`desk` is the service behind. A batch whose head is known is opened by `desk.rest_opener`; of every other request
desk.open_rest(stream) says whether it is a batch or answered at once, by (batch, Negotiated, None) or (None, None,
answer); desk.serve(exchange) begins to answer what is neither.
"""
from batchwire.core.front.exchange cimport Exchange
from batchwire.core.front.rest_batch cimport PlainAnswer, RestBatch
from batchwire.core.front.rest_opener cimport Negotiated, RestOpener
from batchwire.core.ledger cimport Batch
from batchwire.core.ledger import TooManyBatchesError


cdef Handler answer_of(object desk, Stream stream):
    """The handler of a request whose head is complete; it has begun."""
    cdef RestOpener opener = desk.rest_opener
    cdef Negotiated known = None if opener is None else opener.find(stream)
    cdef Batch opened = None
    cdef RestBatch batch
    cdef PlainAnswer plain
    cdef Exchange exchange
    answer = None
    if known is not None:
        try:
            opened = opener.begin(known, stream.headers, stream.ends.peer)
        except TooManyBatchesError:
            pass                              # the service says so, in the form of the dialect
    if opened is None:
        opened, known, answer = desk.open_rest(stream)
    if opened is not None:
        batch = RestBatch.of(desk, opened, known)
        batch.begin(stream)
        return batch
    if answer is not None:
        plain = PlainAnswer(answer.status, answer.headers, answer.body)
        plain.begin(stream)
        return plain
    exchange = Exchange(stream)
    exchange.stream = stream
    desk.serve(exchange)
    return exchange
