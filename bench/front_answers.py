"""The requests of part `front`, each answered once and checked before it is measured. Must never measure."""

import http.client

import grpc
from batchwire.v1 import batch_pb2 as pb

from .h2_wire import Connection, grpc_frame
from .h2load import Request
from .messages import execute_message, json_document

METHOD = "/batchwire.v1.BatchService/Execute"
_SECONDS = 30


def execute(target: str, calls: int) -> Request:
    """Execute of so many GETs. Raises ValueError unless grpc-status is 0 and every result is 200 with a body."""
    message = execute_message(calls)
    with grpc.insecure_channel(target) as channel:
        try:
            answer = channel.unary_unary(METHOD)(message, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise ValueError(f"Execute of {calls} calls: {error.code().name}: {error.details()}") from None
    response = pb.ExecuteResponse.FromString(answer)
    good = sum(result.status == 200 and bool(result.body) for result in response.results)
    if good != calls or response.summary.succeeded != calls:
        raise ValueError(f"Execute: {good} of {calls} calls succeeded")
    headers = [("content-type", "application/grpc"), ("te", "trailers")]
    return Request(f"http://{target}{METHOD}", grpc_frame(message), headers, len(answer) + 5)


def rest(target: str, calls: int, http1: bool) -> Request:
    """A JSON batch of so many GETs. Raises ValueError unless every response in the document has status 200."""
    document = json_document(calls)
    headers = [("content-type", "application/json"), ("accept", "application/json")]
    answer = (_over_http1 if http1 else _over_http2)(target, document, headers)
    good = answer.count(b'"status":200')
    if good != calls:
        raise ValueError(f"REST over HTTP/{1 if http1 else 2}: {good} of {calls} calls succeeded: {answer[:300]!r}")
    return Request(f"http://{target}/$batch", document, headers, len(answer), http1)


def _over_http1(target: str, document: bytes, headers: list[tuple[str, str]]) -> bytes:
    connection = http.client.HTTPConnection(target, timeout=_SECONDS)
    connection.request("POST", "/$batch", document, dict(headers))
    answer = connection.getresponse().read()
    connection.close()
    return answer


def _over_http2(target: str, document: bytes, headers: list[tuple[str, str]]) -> bytes:
    path = [(":method", "POST"), (":scheme", "http"), (":path", "/$batch"), (":authority", target)]
    answer = bytearray()
    with Connection(target) as connection:
        connection.request([*path, *headers])
        connection.write(document, end=True)
        while data := connection.read():
            answer += data
    return bytes(answer)
