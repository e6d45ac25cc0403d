"""Who answers an HTTP request, whatever carries it.

`desk` is the service behind. A request is a batch or answered at once where desk.open_rest(stream) says so, by
(opened, None) or (None, answer), see rest_batch.pyx; desk.serve(exchange) begins to answer every other.
"""
from batchwire.core.front.exchange cimport Exchange
from batchwire.core.front.rest_batch cimport PlainAnswer, RestBatch


cdef Handler answer_of(object desk, Stream stream):
    """The handler of a request whose head is complete; it has begun."""
    cdef RestBatch batch
    cdef PlainAnswer plain
    cdef Exchange exchange
    opened, answer = desk.open_rest(stream)
    if opened is not None:
        batch = RestBatch(opened)
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
