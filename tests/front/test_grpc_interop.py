"""The behaviours of grpc's interoperability test descriptions that fit this service, by both Python clients of grpc.

Names are those of grpc/doc/interop-test-descriptions.md. What the test service there answers with, an upstream does
here: a call's answer has the size that its URL asks for. Left out: what needs a service that echoes metadata or
status codes at will, and compressed answers, which the gateway does not give.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from batch_messages import ROUTE, execute
from batchwire.v1 import batch_pb2
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from harness import config, grpc_client, rest
from harness.gateway import Gateway
from harness.scripted import Gate, Received, Reply, ScriptedUpstream
from interop_clients import CLIENTS, AioStream, Client, SyncStream

SERVICE = "/batchwire.v1.BatchService"
EXECUTE, BATCH, JSON = f"{SERVICE}/Execute", f"{SERVICE}/Batch", f"{SERVICE}/BatchJson"
LARGE_REQUEST, LARGE_ANSWER = 271828, 314159
ANSWERS = [31415, 9, 2653, 58979]
REQUESTS = [27182, 8, 1828, 45904]
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
pytestmark = pytest.mark.both_fronts


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, gateway: Gateway, upstream: ScriptedUpstream) -> Iterator[Client]:
    def answer(received: Received) -> Reply:
        size = int(received.path.rpartition("/")[2])
        return Reply(200, [("Content-Type", "application/octet-stream")], bytes(size))

    upstream.fallback = answer
    with CLIENTS[request.param](gateway.grpc_address) as made:
        yield made


def payload(name: str, answer: int, body: int | None = None) -> batch_pb2.Call:
    """A call whose answer has a size, with a body of a size."""
    if body is None:
        return grpc_client.call(name, f"size/{answer}")
    headers = {"Content-Type": "application/octet-stream"}
    return grpc_client.call(name, f"size/{answer}", "POST", body=bytes(body), headers=headers)


def message(*calls: batch_pb2.Call, first: bool = False) -> bytes:
    options = grpc_client.options() if first else None
    return bytes(grpc_client.message(*calls, options=options).SerializeToString())


def results(raw: bytes) -> list[batch_pb2.Result]:
    return list(batch_pb2.BatchResponse.FromString(raw).results)


def drain(stream: SyncStream | AioStream) -> list[bytes]:
    found = []
    while (raw := stream.receive()) is not None:
        found.append(raw)
    return found


def test_empty_unary(client: Client) -> None:
    answer = batch_pb2.ExecuteResponse.FromString(client.unary(EXECUTE, b""))
    assert list(answer.results) == []
    assert answer.summary.calls == 0


def test_large_unary(client: Client, upstream: ScriptedUpstream) -> None:
    request = batch_pb2.ExecuteRequest(calls=[payload("1", LARGE_ANSWER, LARGE_REQUEST)])
    answer = batch_pb2.ExecuteResponse.FromString(client.unary(EXECUTE, request.SerializeToString()))
    assert answer.results[0].body == bytes(LARGE_ANSWER)
    assert upstream.log[0].body == bytes(LARGE_REQUEST)


def test_client_streaming(client: Client, upstream: ScriptedUpstream) -> None:
    stream = client.stream(BATCH)
    for n, size in enumerate(REQUESTS):
        stream.send(message(payload(str(n), 1, size), first=n == 0))
    stream.end()
    assert len([result for raw in drain(stream) for result in results(raw)]) == 4
    assert sum(len(received.body) for received in upstream.log) == 74922
    assert stream.code() is grpc.StatusCode.OK


def test_server_streaming(client: Client) -> None:
    stream = client.stream(BATCH)
    stream.send(message(*(payload(str(n), size) for n, size in enumerate(ANSWERS)), first=True))
    stream.end()
    found = {result.id: len(result.body) for raw in drain(stream) for result in results(raw)}
    assert found == {str(n): size for n, size in enumerate(ANSWERS)}


def test_ping_pong(client: Client) -> None:
    """Each message is sent when the answer to the one before has come."""
    stream = client.stream(BATCH)
    for n, (request, answer) in enumerate(zip(REQUESTS, ANSWERS, strict=True)):
        stream.send(message(payload(str(n), answer, request), first=n == 0))
        [result] = results(stream.receive() or b"")
        assert (result.id, result.status, len(result.body)) == (str(n), 200, answer)
    stream.end()
    *_, last = drain(stream)
    assert batch_pb2.BatchResponse.FromString(last).summary.succeeded == 4


def test_empty_stream(client: Client) -> None:
    stream = client.stream(BATCH)
    stream.end()
    [last] = drain(stream)
    answer = batch_pb2.BatchResponse.FromString(last)
    assert (list(answer.results), answer.summary.calls) == ([], 0)


@pytest.mark.parametrize("coding", [grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression])
def test_client_compressed_unary(coding: grpc.Compression, client: Client, upstream: ScriptedUpstream) -> None:
    request = batch_pb2.ExecuteRequest(calls=[payload("1", LARGE_ANSWER, LARGE_REQUEST)])
    raw = client.unary(EXECUTE, request.SerializeToString(), compression=coding)
    assert batch_pb2.ExecuteResponse.FromString(raw).results[0].body == bytes(LARGE_ANSWER)
    assert upstream.log[0].body == bytes(LARGE_REQUEST)


@pytest.mark.parametrize("coding", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_client_compressed_streaming(coding: grpc.Compression, client: Client, upstream: ScriptedUpstream) -> None:
    stream = client.stream(BATCH, compression=coding)
    stream.send(message(payload("1", 1, 27182), first=True))
    stream.send(message(payload("2", 1, 45904)))
    stream.end()
    assert len([result for raw in drain(stream) for result in results(raw)]) == 2
    assert sum(len(received.body) for received in upstream.log) == 73086


def test_compression_does_not_pass_the_limit_of_a_message(client: Client, upstream: ScriptedUpstream) -> None:
    """5 MiB in 5 KiB."""
    request = batch_pb2.ExecuteRequest(calls=[payload("1", 1, 5 << 20)])
    with pytest.raises(grpc.RpcError) as caught:
        client.unary(EXECUTE, request.SerializeToString(), compression=grpc.Compression.Gzip)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert upstream.lines == []


def test_cancel_after_begin(client: Client, gateway: Gateway) -> None:
    stream = client.stream(BATCH)
    stream.cancel()
    assert stream.code() is grpc.StatusCode.CANCELLED
    gateway.wait_idle()


def test_cancel_after_first_response(client: Client, gateway: Gateway, upstream: ScriptedUpstream, gate: Gate) -> None:
    stream = client.stream(BATCH)
    stream.send(message(payload("1", 31415, 27182), grpc_client.call("2", "held"), first=True))
    assert [result.id for result in results(stream.receive() or b"")] == ["1"]
    upstream.wait_for_calls(2)
    stream.cancel()
    assert stream.code() is grpc.StatusCode.CANCELLED
    assert upstream.wait_until(lambda: upstream.call("GET /held").aborted)
    gateway.wait_idle()


@pytest.mark.parametrize("timeout", [0.001, 0.3])
def test_timeout_on_sleeping_server(
    timeout: float, client: Client, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """A batch that the client does not end."""
    began = time.monotonic()
    stream = client.stream(BATCH, timeout=timeout)
    if timeout > 0.1:
        stream.send(message(payload("1", 27182), first=True))
        assert stream.receive()
    with pytest.raises(grpc.RpcError) as caught:
        drain(stream)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began > timeout / 2
    gateway.wait_idle()


def test_status_code_and_message(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.unary(EXECUTE, execute("1", route="/nowhere/"))
    error = caught.value
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "there is no route '/nowhere/'")
    stream = client.stream(BATCH)
    stream.send(message(payload("1", 1), payload("1", 1), first=True))
    with pytest.raises(grpc.RpcError) as caught:
        drain(stream)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert stream.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_special_status_message(client: Client) -> None:
    """Whatever stands in the name of a route comes back as it was."""
    with pytest.raises(grpc.RpcError) as caught:
        client.unary(EXECUTE, execute("1", route=SPECIAL))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == f"there is no route {SPECIAL!r}"


def test_details_of_a_status(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.unary(EXECUTE, execute("1", route="/nowhere/"))
    status = rpc_status.from_call(caught.value)
    assert status is not None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.reason, info.domain) == ("UnknownRoute", "batchwire")
    assert bad.field_violations[0].field == "options.route"


def test_unimplemented_method(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.unary(f"{SERVICE}/UnimplementedCall", b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_unimplemented_service(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.unary("/grpc.testing.UnimplementedService/UnimplementedCall", b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_custom_metadata(client: Client, upstream: ScriptedUpstream) -> None:
    """What means something has its effect; what does not, binary values too, hinders nothing."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    metadata = [
        *ROUTE,
        ("x-grpc-test-echo-initial", "test_initial_metadata_value"),
        ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab\x00"),
        ("odata-maxversion", "4.01"),
        ("prefer", "order=request"),
        ("traceparent", trace),
    ]
    document = rest.encode({"requests": [rest.get_call("1", "size/5")]})
    stream = client.stream(JSON, metadata=metadata)
    stream.send(HttpBody(content_type="application/json", data=document).SerializeToString())
    stream.end()
    assert b'"status":200' in b"".join(HttpBody.FromString(raw).data for raw in drain(stream))
    initial = stream.initial_metadata()
    assert (initial["odata-version"], initial["preference-applied"]) == ("4.01", "order=request")
    assert upstream.log[0].header("traceparent") == trace
    assert upstream.log[0].header("x-grpc-test-echo-trailing-bin") is None


def test_concurrent_large_unary(client: Client) -> None:
    request = batch_pb2.ExecuteRequest(calls=[payload("1", LARGE_ANSWER, LARGE_REQUEST)]).SerializeToString()
    for raw in client.many(EXECUTE, [request] * 40):
        assert len(batch_pb2.ExecuteResponse.FromString(raw).results[0].body) == LARGE_ANSWER


def test_rpc_soak(client: Client, gateway: Gateway) -> None:
    """Two hundred calls one after the other on one channel, and nothing stays behind."""
    client.unary(EXECUTE, execute("1", url="size/1"))
    gateway.wait_idle()
    before = gateway.fds()
    for n in range(200):
        raw = client.unary(EXECUTE, execute("1", url=f"size/{n}"))
        assert len(batch_pb2.ExecuteResponse.FromString(raw).results[0].body) == n
    gateway.wait_idle()
    gateway.wait(lambda: gateway.fds() <= before, f"no more than {before} descriptors")


@pytest.mark.parametrize("kind", CLIENTS)
def test_goaway(kind: str, served_by: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """A client whose gateway ends and comes back goes on, without an error in between but UNAVAILABLE.

    On a UNIX socket, as nobody else can take that meanwhile.
    """
    upstream.on("GET", "/A")
    routes = [{"root": "/svc/", "upstream": "things", "default": True}]
    listen = {"front": served_by, "grpc": f"unix:{tmp_path}/grpc.sock"}
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, listen=listen)
    with Gateway(settings, tmp_path) as gateway, CLIENTS[kind](gateway.grpc_address) as client:
        assert client.unary(EXECUTE, execute("1"))
        gateway.stop()
        with pytest.raises(grpc.RpcError) as caught:
            client.unary(EXECUTE, execute("1"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with Gateway(settings, tmp_path):
            assert client.unary(EXECUTE, execute("2"), wait_for_ready=True)
