"""Batches as bytes, encoded once before a measurement. Must never run inside a measured window."""

from batchwire.v1 import batch_pb2 as pb

from .settings import CALLS_PER_MESSAGE

BOUNDARY = b"batch_5f1a3c"


def grpc_messages(calls: int) -> list[bytes]:
    """The request messages of one `Batch` of GETs, at most CALLS_PER_MESSAGE calls each."""
    return [grpc_message(first, min(calls, first + CALLS_PER_MESSAGE)) for first in range(0, calls, CALLS_PER_MESSAGE)]


def grpc_message(first: int, end: int, last: int = -1) -> bytes:
    """One request message with the calls `first` .. `end` - 1; see `url` for `last`."""
    message = pb.BatchRequest()
    for number in range(first, end):
        message.calls.add(id=str(number), method="GET", url=url(number, last))
    return message.SerializeToString()


def execute_message(calls: int) -> bytes:
    """The request message of one `Execute` of GETs."""
    message = pb.ExecuteRequest(calls=pb.BatchRequest.FromString(grpc_message(0, calls)).calls)
    return message.SerializeToString()


def json_document(calls: int) -> bytes:
    """A whole OData JSON batch document of GETs."""
    return b'{"requests":[' + b",".join(json_call(number) for number in range(calls)) + b"]}"


def multipart_document(calls: int) -> bytes:
    """The same batch in the document dialect; boundary BOUNDARY."""
    part = b"--%s\r\nContent-Type: application/http; msgtype=request\r\n\r\nGET %s\r\nRequestId: %d\r\n\r\n\r\n"
    parts = [part % (BOUNDARY, url(number).encode(), number) for number in range(calls)]
    return b"".join(parts) + b"--%s--\r\n" % BOUNDARY


def json_call(number: int, last: int = -1) -> bytes:
    """One request object of a JSON batch; see `url` for `last`."""
    return b'{"id":"%d","method":"GET","url":"%s"}' % (number, url(number, last).encode())


def url(number: int, last: int = -1) -> str:
    """The URL of a call. When `last` is given, the calls 0 and `last` go where nginx logs their time."""
    if last >= 0 and number in (0, last):
        return "mark/last" if number else "mark/first"
    return f"things/{number}"


def check_answer(message: bytes, calls: int) -> None:
    """Reads the last response message of a `Batch`; raises ValueError unless all calls succeeded."""
    summary = pb.BatchResponse.FromString(message).summary
    if summary.calls != calls or summary.succeeded != calls:
        raise ValueError(f"of {calls} calls: {summary}")
