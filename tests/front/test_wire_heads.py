"""Heads of gRPC calls on the wire of the native front: what makes a call, time-outs, metadata, and how errors look."""

from __future__ import annotations

import string
import time
from collections.abc import Iterator

import pytest
from batch_messages import ROUTE, batch, document, execute, executed, reason, streamed
from batchwire.core.errors import quoted
from google.api.httpbody_pb2 import HttpBody
from harness import grpc_wire
from harness.gateway import Gateway
from harness.grpc_wire import SERVICE, answer_of, call, head, prefixed
from harness.http2_wire import Http2Wire
from harness.scripted import Gate, ScriptedUpstream

SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
"""Of the gRPC interoperability test special_status_message."""
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.fixture
def wire(gateway: Gateway, upstream: ScriptedUpstream) -> Iterator[Http2Wire]:
    upstream.on("GET", "/A")
    with Http2Wire(gateway.grpc_address) as connection:
        yield connection


# --- what makes a call


@pytest.mark.parametrize(
    "content_type", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"]
)
def test_content_types_of_protobuf(content_type: str, wire: Http2Wire) -> None:
    assert executed(call(wire, head(content_type=content_type), execute("1"))) == {"1": 200}


@pytest.mark.parametrize("content_type", ["application/grpc+json", "application/grpc+thrift", "application/grpc+"])
def test_other_encodings_of_messages_are_unimplemented(content_type: str, wire: Http2Wire) -> None:
    answer = call(wire, head(content_type=content_type), execute("1"))
    assert answer.code == grpc_wire.UNIMPLEMENTED
    assert answer.messages == []


@pytest.mark.parametrize("content_type", [None, "", "application/grpcfoo", "text/plain", "multipart/mixed"])
def test_other_content_types_are_415(content_type: str | None, wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    """An error of gRPC has status 200, which others would take for success (grpc/doc/PROTOCOL-HTTP2.md)."""
    for method in ("Execute", "Batch", "BatchJson"):
        heard = wire.ask(head(method, content_type=content_type), prefixed(execute("1")))
        assert (heard.status, heard.header("grpc-status")) == (415, None)
    assert upstream.lines == []


@pytest.mark.parametrize("verb", ["GET", "PUT", "HEAD", "DELETE"])
@pytest.mark.parametrize("content_type", [None, "application/grpc"])
def test_other_methods_are_405(
    verb: str, content_type: str | None, wire: Http2Wire, upstream: ScriptedUpstream
) -> None:
    fields = head(verb=verb, content_type=content_type)
    heard = wire.ask(fields, None if verb in ("GET", "HEAD") else prefixed(execute("1")))
    assert (heard.status, heard.header("allow")) == (405, "POST")
    assert bytes(heard.data) == b""
    assert upstream.lines == []


@pytest.mark.parametrize("te", [None, "trailers, deflate;q=0.5", "gzip"])
def test_te_is_not_asked_for(te: str | None, wire: Http2Wire) -> None:
    """Clients that leave it out, or say more, are served or refused by HTTP/2's own rule, and harm nobody else."""
    stream = wire.open(head(te=te))
    wire.send(stream, prefixed(execute("1")), end=True)
    heard = wire.answer(stream)
    if te is None:
        assert executed(answer_of(heard)) == {"1": 200}
    else:
        # RFC 9113 8.2.2: anything but "trailers" makes the request malformed.
        assert (heard.reset, heard.headers) == (1, [])
    assert executed(call(wire, head(), execute("2"))) == {"2": 200}


@pytest.mark.parametrize(
    "path",
    [
        f"{SERVICE}/Nothing",
        f"{SERVICE}/execute",
        f"{SERVICE}/Execute/",
        f"{SERVICE}/Execute?x=1",
        "/batchwire.v1.Nothing/Execute",
        "/",
        "/Execute",
        "/grpc.health.v1.Health/List",
    ],
)
def test_unknown_methods_and_services_are_unimplemented(path: str, wire: Http2Wire) -> None:
    answer = call(wire, head(path=path), execute("1"))
    assert answer.code == grpc_wire.UNIMPLEMENTED
    assert answer.heard.ended_with_head, "not trailers only"


# --- how answers look


def test_an_answer_is_a_head_messages_and_trailers(wire: Http2Wire) -> None:
    answer = call(wire, head("Batch"), batch("1", "2"))
    assert streamed(answer) == {"1": 200, "2": 200}
    heard = answer.heard
    assert not heard.ended_with_head
    assert heard.headers[:2] == [(":status", "200"), ("content-type", "application/grpc")]
    assert heard.header("grpc-status") is None
    assert heard.trailers == [("grpc-status", "0")]


@pytest.mark.parametrize("message", [execute("1", route="/none/"), execute("a b"), b"\xff\xff", execute("1", "1")])
def test_an_error_at_once_is_trailers_only(message: bytes, wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    answer = call(wire, head(), message)
    assert answer.code in (grpc_wire.NOT_FOUND, grpc_wire.INVALID_ARGUMENT)
    assert answer.heard.ended_with_head
    assert bytes(answer.heard.data) == b""
    assert reason(answer)
    assert upstream.lines == []


@pytest.mark.parametrize(
    "text",
    [SPECIAL, "100 % sure, 50%25", string.printable, "Grüße 日本", "\x7f\x80\xff", "x" * 200],
    ids=lambda text: ascii(text)[:12],
)
def test_a_status_message_is_percent_encoded(text: str, wire: Http2Wire) -> None:
    """On the wire it is printable ASCII; what a client decodes is what was meant."""
    answer = call(wire, head("Batch"), batch("1", route=f"/{text}/"))
    assert answer.code == grpc_wire.NOT_FOUND
    assert all(" " <= character <= "~" for character in answer.raw_message)
    whole = answer.details.message
    assert repr(quoted(f"/{text}/"))[:-1] in whole
    assert answer.message == whole


@pytest.mark.parametrize("text", ["x" * 3000, "é" * 5000, "日" * 250], ids=lambda text: ascii(text)[:12])
def test_a_long_status_message_is_cut(text: str, wire: Http2Wire) -> None:
    """Status and details fit the 8 KiB that clients take as metadata."""
    answer = call(wire, head("Batch"), batch("1", route=f"/{text}/"))
    assert answer.code == grpc_wire.NOT_FOUND
    whole = answer.details.message
    assert len(whole) <= 250
    assert whole.endswith("…'")
    assert answer.message == whole


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", REFLECTION])
@pytest.mark.parametrize("message", [b"\x0a\xff\xff\xff\xff\x7f", b"\xff"])
def test_messages_that_are_none_at_other_services(path: str, message: bytes, wire: Http2Wire) -> None:
    answer = call(wire, head(path=path), message)
    assert (answer.code, reason(answer)) == (grpc_wire.INVALID_ARGUMENT, "BadMessage")


@pytest.mark.parametrize("path", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])
def test_no_message_at_other_services(path: str, wire: Http2Wire) -> None:
    answer = call(wire, head(path=path))
    assert (answer.code, reason(answer)) == (grpc_wire.UNIMPLEMENTED, "NoMessage")


def test_details_of_a_status(wire: Http2Wire) -> None:
    answer = call(wire, head(), execute("1", route="/none/"))
    assert reason(answer) == "UnknownRoute"
    assert "grpc-status-details-bin" in dict(answer.heard.headers)
    assert not dict(answer.heard.headers)["grpc-status-details-bin"].endswith("=")


# --- grpc-timeout


@pytest.mark.parametrize("timeout", ["1H", "99999999H", "1M", "30S", "00000030S", "30000m", "30000000u"])
def test_timeouts_that_are_long_enough(timeout: str, wire: Http2Wire) -> None:
    assert executed(call(wire, head("Execute", [("grpc-timeout", timeout)]), execute("1"))) == {"1": 200}


@pytest.mark.parametrize("timeout", ["0S", "0n", "1n"])
@pytest.mark.parametrize("method", ["Execute", "Batch", "BatchJson"])
def test_timeouts_that_are_over(timeout: str, method: str, wire: Http2Wire, gate: Gate, gateway: Gateway) -> None:
    message = {"Execute": execute("1", url="held"), "Batch": batch("1", url="held")}.get(
        method, document("1", url="held")
    )
    answer = call(wire, head(method, [("grpc-timeout", timeout), *ROUTE]), message)
    assert answer.code == grpc_wire.DEADLINE_EXCEEDED
    gateway.wait_idle()


@pytest.mark.parametrize(
    "timeout", ["", "S", "10", "123456789S", "-1S", "+1S", "1.5S", "10 S", "10S x", "10s", "1h", "0x1S", "1SS", "١S"]
)
def test_malformed_timeouts(timeout: str, wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    said = timeout.encode().decode("latin-1")
    answer = call(wire, head("Execute", [("grpc-timeout", said)]), execute("1"))
    assert (answer.code, reason(answer)) == (grpc_wire.INVALID_ARGUMENT, "BadTimeout")
    assert upstream.lines == []


@pytest.mark.parametrize("method", ["Execute", "Batch", "BatchJson", "BatchHttp"])
@pytest.mark.parametrize("data", [b"", b"\0\0\0", prefixed(b"x" * 100)[:20]])
def test_a_deadline_before_the_first_message(method: str, data: bytes, wire: Http2Wire, gateway: Gateway) -> None:
    """Also when the message has begun."""
    stream = wire.open(head(method, [("grpc-timeout", "150m")]))
    began = time.monotonic()
    wire.send(stream, data)
    answer = answer_of(wire.answer(stream))
    assert answer.code == grpc_wire.DEADLINE_EXCEEDED
    assert time.monotonic() - began > 0.1
    gateway.wait_idle()


def test_a_deadline_while_calls_run(wire: Http2Wire, upstream: ScriptedUpstream, gate: Gate, gateway: Gateway) -> None:
    """The batch ends a little before the call does: results and 504s still arrive."""
    stream = wire.open(head("Batch", [("grpc-timeout", "1500m")]))
    wire.send(stream, prefixed(batch("fast")) + prefixed(batch("late", first=False, url="held")), end=True)
    assert streamed(answer_of(wire.answer(stream))) == {"fast": 200, "late": 504}
    assert upstream.wait_until(lambda: upstream.call("GET /held").aborted)
    gateway.wait_idle()


def test_a_deadline_of_a_request_that_goes_on(wire: Http2Wire, upstream: ScriptedUpstream, gateway: Gateway) -> None:
    """The client neither ends its batch nor goes away."""
    stream = wire.open(head("Batch", [("grpc-timeout", "400m")]))
    wire.send(stream, prefixed(batch("1")))
    assert answer_of(wire.answer(stream)).code == grpc_wire.DEADLINE_EXCEEDED
    gateway.wait_idle()

    def last() -> object:
        return [entry["ended"] for entry in gateway.logs() if entry.get("event") == "batch"][-1]

    # The lines of batches travel together (OP-01).
    end = time.monotonic() + 10
    while last() != "deadline":
        assert time.monotonic() < end, last()
        time.sleep(0.02)


# --- metadata


@pytest.mark.parametrize("value", ["AAEC/v8", "AAEC/v8=", "", "AAEC,AQ==,/w", "not base64!", "=", "AA=A"])
@pytest.mark.parametrize("method", ["Execute", "BatchJson"])
def test_binary_metadata(value: str, method: str, wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    """Padded or not, several or none, even what is no base64: it is of no use to a batch, and hinders none."""
    fields = [*ROUTE, ("x-trace-bin", value), ("traceparent-bin", value), ("grpc-trace-bin", value)]
    answer = call(wire, head(method, fields), execute("1") if method == "Execute" else document("1"))
    assert answer.code == grpc_wire.OK
    assert not [name for name, _ in upstream.call("GET /A").headers if name.endswith("-bin")]


def test_metadata_that_the_upstream_sees(wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    fields = [("traceparent", trace), ("x-of-nobody", "1"), ("cookie", "a=b"), ("user-agent", "grpc-test/1")]
    assert executed(call(wire, head("Execute", fields), execute("1"))) == {"1": 200}
    seen = dict(upstream.call("GET /A").headers)
    assert trace[:35] == seen["traceparent"][:35]
    assert not {"x-of-nobody", "cookie", "te", "grpc-encoding"} & seen.keys()


def test_metadata_stand_for_headers_of_documents(wire: Http2Wire) -> None:
    fields = [
        *ROUTE,
        ("odata-maxversion", "4.01"),
        ("prefer", "order=request"),
        ("x-grpc-test", "ÄÖ".encode().decode("latin-1")),
    ]
    answer = call(wire, head("BatchJson", fields), document("1"))
    assert answer.code == grpc_wire.OK
    assert answer.heard.header("odata-version") == "4.01"
    assert answer.heard.header("preference-applied") == "order=request"
    assert [HttpBody.FromString(message).content_type for message in answer.messages][:1] == ["application/json"]


@pytest.mark.parametrize("size", [40_000, 100_000])
def test_too_large_a_head_is_resource_exhausted(size: int, wire: Http2Wire, upstream: ScriptedUpstream) -> None:
    """And the connection goes on; only far beyond the limit it does not."""
    fields = [(f"x-{n}", "v" * 1000) for n in range(size // 1000)]
    answer = call(wire, head("Execute", fields), execute("1"))
    assert (answer.code, reason(answer)) == (grpc_wire.RESOURCE_EXHAUSTED, "HeadersTooLarge")
    assert answer.heard.ended_with_head
    assert upstream.lines == []
    assert executed(call(wire, head(), execute("2"))) == {"2": 200}


def test_a_head_below_the_limit_is_taken(wire: Http2Wire) -> None:
    fields = [(f"x-{n}", "v" * 1000) for n in range(30)]
    assert executed(call(wire, head("Execute", fields), execute("1"))) == {"1": 200}


def test_the_limit_is_announced(wire: Http2Wire) -> None:
    wire.wait(lambda: wire.h2.remote_settings.max_header_list_size is not None, "the settings of the gateway")
    assert wire.h2.remote_settings.max_header_list_size == 32768
    assert wire.h2.remote_settings.max_concurrent_streams == 1000
