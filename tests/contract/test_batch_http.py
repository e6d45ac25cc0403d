"""gRPC BatchHttp and BatchJson: what REST takes by its Content-Type, these take by content_type and metadata; errors
come as a gRPC status with details (batch.proto; GW-21, GB-04, GB-09, GB-10, GW-13).
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from harness import grpc_client, rest
from harness.batches import decode_base64url
from harness.dialects import (
    DOCUMENT_TYPE,
    GOOGLE_TYPE,
    Step,
    google_document,
    google_part,
    read_document,
    read_google,
    request_id,
    steps,
)
from harness.documents import JSON, MULTIPART, read
from harness.gateway import Gateway
from harness.multiparts import change_set, document, part
from harness.scripted import Reply, ScriptedUpstream, json_reply

Code = grpc.StatusCode
ROUTE = ("batchwire-route", "/svc/")
STREAM = ("batchwire-route", "/stream/")
STRICT = [(name.lower(), value) for name, value in rest.STRICT.items()]
GET_A = part(b"GET A HTTP/1.1\r\n\r\n")
PARTS = document(GET_A, part(b"GET B HTTP/1.1\r\n\r\n"))
REQUESTS = rest.encode({"requests": [rest.get_call("1", "A"), rest.get_call("2", "B")]})
STEPS = steps(Step("1", "A"), Step("2", "B"))
GOOGLE = google_document(google_part("<1>", "GET /A"), google_part("<2>", "GET /B"))
# What each dialect takes: name in the metadata ("" for none), content_type, document.
TAKEN = {
    "json": ("", JSON, REQUESTS),
    "no type": ("", "", REQUESTS),
    "json with parameters": ("odata", "application/json;odata.metadata=minimal;charset=utf-8", REQUESTS),
    "multipart": ("", MULTIPART, PARTS),
    "multipart by name": ("odata", 'Multipart/Mixed;boundary="b"', PARTS),
    "form": ("document", DOCUMENT_TYPE, STEPS),
    "mixed": ("document", MULTIPART, STEPS),
    "bare": ("document", "application/http; msgtype=request", b"GET A \r\nRequestId: 1\r\n\r\n"),
    "google": ("google", GOOGLE_TYPE, GOOGLE),
}


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    upstream.on("GET", "/B")


def http_bodies(data: bytes, content_type: str, pieces: int = 0) -> list[HttpBody]:
    """The document in messages of so many bytes; only the first says what it is."""
    size = pieces or len(data) or 1
    cuts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    return [HttpBody(content_type="" if number else content_type, data=cut) for number, cut in enumerate(cuts)]


def metadata_of(dialect: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [ROUTE, *([("batchwire-dialect", dialect)] if dialect else []), *more]


def call(
    gateway: Gateway,
    messages: list[HttpBody],
    metadata: list[tuple[str, str]],
    method: str = "BatchHttp",
    timeout: float = 20,
) -> rest.Answer:
    """The whole answer, with the initial metadata as its headers. Each message must say the content_type."""
    with grpc_client.Client(gateway.grpc_address) as client:
        running = getattr(client.stub, method)(iter(messages), timeout=timeout, metadata=metadata)
        found = list(running)
        fields = [(key, value) for key, value in running.initial_metadata() if isinstance(value, str)]
    assert found
    assert all(message.content_type for message in found)
    (content_type,) = {message.content_type for message in found}
    return rest.Answer(200, [*fields, ("content-type", content_type)], b"".join(message.data for message in found))


def failure(
    gateway: Gateway,
    messages: list[HttpBody],
    metadata: list[tuple[str, str]],
    method: str = "BatchHttp",
    timeout: float = 20,
) -> tuple[Code, str, list[str]]:
    """Status, reason and field names of the RPC, which must fail with details."""
    with pytest.raises(grpc.RpcError) as caught:
        call(gateway, messages, metadata, method, timeout)
    status = rpc_status.from_call(caught.value)
    assert status is not None, "the status has no details"
    assert status.message == caught.value.details()
    assert status.message
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    fields: list[str] = []
    for detail in status.details:
        if detail.Unpack(request):
            fields += [violation.field for violation in request.field_violations]
        else:
            assert detail.Unpack(info)
    assert info.domain == "batchwire"
    return caught.value.code(), info.reason, fields


def statuses(dialect: str, answer: rest.Answer) -> list[int]:
    """Statuses in the form that the dialect answers in."""
    if dialect == "document":
        return [one.status for one in read_document(answer)]
    if dialect == "google":
        return [one.status for one in read_google(answer)]
    if answer.header("content-type") == JSON:
        return [one["status"] for one in answer.json()["responses"]]
    return [one.status for one in read(answer)]


# --- what is taken


@pytest.mark.parametrize("pieces", [0, 1, 50])
@pytest.mark.parametrize(("dialect", "content_type", "data"), TAKEN.values(), ids=TAKEN)
def test_batch_http_takes_what_rest_takes(
    dialect: str, content_type: str, data: bytes, pieces: int, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    answer = call(gateway, http_bodies(data, content_type, pieces), metadata_of(dialect))
    found = statuses(dialect, answer)
    assert set(found) == {200}
    assert sorted(upstream.lines) == ["GET /A", "GET /B"][: len(found)]


def test_batch_http_answer_says_its_version_in_the_metadata(gateway: Gateway) -> None:
    answer = call(gateway, http_bodies(REQUESTS, JSON), [ROUTE, *STRICT, ("prefer", "continue-on-error=true")])
    assert answer.header("odata-version") == "4.01"
    assert answer.header("preference-applied") == "continue-on-error=true"
    assert call(gateway, http_bodies(REQUESTS, JSON), [ROUTE]).header("odata-version") == "4.0"


def test_GB_09_batch_http_answers_in_the_format_that_is_asked_for(gateway: Gateway) -> None:
    answer = call(gateway, http_bodies(PARTS, MULTIPART), [ROUTE, *STRICT, ("accept", "application/json")])
    assert statuses("", answer) == [200, 200]
    assert answer.header("content-type") == JSON
    answer = call(gateway, http_bodies(REQUESTS, JSON), [ROUTE, *STRICT, ("accept", "multipart/mixed")])
    assert [one.content_id for one in read(answer)] == ["1", "2"]


def test_PR_03_batch_http_of_a_compatible_client_answers_multipart_with_multipart(gateway: Gateway) -> None:
    answer = call(gateway, http_bodies(PARTS, MULTIPART), [ROUTE, ("accept", "application/json")])
    assert [one.status for one in read(answer)] == [200, 200]


def test_batch_http_metadata_stands_for_the_headers(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    more = [
        ("accept-language", "de"),
        ("authorization", "Bearer outer"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("odata-maxversion", "4.0"),
        ("x-other-bin", b"\x00\xff"),
    ]
    metadata = [("batchwire-route", "/trusted/"), *more]
    for data, content_type in ((PARTS, MULTIPART), (REQUESTS, JSON)):
        upstream.log.clear()
        call(gateway, http_bodies(data, content_type), metadata)  # type: ignore[arg-type]
        seen = upstream.call("GET /A")
        assert seen.header("accept-language") == "de"
        assert seen.header("authorization") == "Bearer outer"
        assert seen.header("odata-maxversion") == "4.0"
        assert (seen.header("traceparent") or "").startswith("00-0af7651916cd43dd8448eb211c80319c-")
        assert not [
            name for name, _ in seen.headers if name.startswith(("batchwire-route", "batchwire-dialect", "grpc"))
        ]


def test_batch_http_stops_or_goes_on_as_the_format_says(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """HD-16: multipart stops at an error, JSON goes on; the preference decides for either."""
    upstream.on("GET", "/A", json_reply({}, 500))
    for data, content_type, prefer, expected in (
        (PARTS, MULTIPART, "", [500]),
        (PARTS, MULTIPART, "odata.continue-on-error", [500, 200]),
        (REQUESTS, JSON, "", [500, 200]),
    ):
        more = [("prefer", prefer)] if prefer else []
        assert statuses("", call(gateway, http_bodies(data, content_type), [ROUTE, *more])) == expected


def test_batch_http_carries_binary_bodies(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    content = bytes(range(256)) * 4
    upstream.on("GET", "/A", Reply(200, [("Content-Type", "application/octet-stream")], content))
    answer = call(gateway, http_bodies(PARTS, MULTIPART), [ROUTE])
    assert answer.body.count(content) == 1
    upstream.on("GET", "/B", json_reply({}))
    answer = call(gateway, http_bodies(REQUESTS, JSON), [ROUTE])
    assert decode_base64url(answer.by_id()["1"]["body"]) == content


def test_batch_http_change_set_is_refused_as_over_rest(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """GW-04 c, MP-08: one part with 501 speaks for the set, and none of it runs."""
    members = [part(b"PUT %b HTTP/1.1\r\n\r\n" % name) for name in (b"A", b"B")]
    (found,) = read(call(gateway, http_bodies(document(change_set(*members)), MULTIPART), [ROUTE]))
    assert (found.status, found.members) == (501, None)
    assert upstream.lines == []


# --- messages


def test_batch_http_empty_messages_mean_nothing(gateway: Gateway) -> None:
    for data, content_type in ((PARTS, MULTIPART), (REQUESTS, JSON)):
        messages = [HttpBody(content_type=content_type)]
        for one in http_bodies(data, "", 40):
            messages += [one, HttpBody()]
        assert statuses("", call(gateway, messages, [ROUTE])) == [200, 200]


def test_batch_http_type_counts_in_the_first_message_alone(gateway: Gateway) -> None:
    messages = http_bodies(PARTS, MULTIPART, 30)
    for message in messages[1:]:
        message.content_type = "text/plain"
    assert statuses("", call(gateway, messages, [ROUTE])) == [200, 200]


def test_batch_http_messages_behind_the_close_delimiter_are_the_epilogue(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """MB-08."""
    late = [HttpBody(data=text) for text in (b"--b\r\n" + GET_A, b"\r\n--b--\r\n", b"x" * 100_000)]
    assert statuses("", call(gateway, [*http_bodies(PARTS, MULTIPART), *late], [ROUTE])) == [200, 200]
    assert len(upstream.lines) == 2


@pytest.mark.parametrize("late", [b"x", b"{}", b'{"requests":[]}', b","])
def test_batch_http_messages_behind_json_are_invalid(late: bytes, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for method in ("BatchHttp", "BatchJson"):
        found = failure(gateway, [*http_bodies(REQUESTS, JSON), HttpBody(data=late)], [ROUTE], method)
        assert found[0] is Code.INVALID_ARGUMENT
    assert upstream.lines == []
    assert statuses("", call(gateway, [*http_bodies(REQUESTS, JSON), HttpBody(data=b" \r\n")], [ROUTE])) == [200, 200]


# --- errors


@pytest.mark.parametrize("method", ["BatchHttp", "BatchJson"])
def test_batch_http_without_any_message_is_invalid(method: str, gateway: Gateway) -> None:
    assert failure(gateway, [], [ROUTE], method)[0] is Code.INVALID_ARGUMENT


ERRORS: dict[str, tuple[str, str, bytes, Code]] = {
    "unknown dialect": ("soap", JSON, REQUESTS, Code.INVALID_ARGUMENT),
    "dialect in capitals": ("GOOGLE", GOOGLE_TYPE, GOOGLE, Code.INVALID_ARGUMENT),
    "text": ("", "text/plain", REQUESTS, Code.INVALID_ARGUMENT),
    "form for odata": ("", DOCUMENT_TYPE, STEPS, Code.INVALID_ARGUMENT),
    "bare for odata": ("", "application/http", b"GET A\r\n\r\n", Code.INVALID_ARGUMENT),
    "json for document": ("document", JSON, REQUESTS, Code.INVALID_ARGUMENT),
    "nothing for document": ("document", "", REQUESTS, Code.INVALID_ARGUMENT),
    "json for google": ("google", JSON, REQUESTS, Code.INVALID_ARGUMENT),
    "no boundary": ("", "multipart/mixed", PARTS, Code.INVALID_ARGUMENT),
    "no boundary for google": ("google", "multipart/mixed", PARTS, Code.INVALID_ARGUMENT),
    "charset": ("", "application/json; charset=utf-16", REQUESTS, Code.INVALID_ARGUMENT),
    "no ascii": ("", "multipart/mixed; boundary=ü", PARTS, Code.INVALID_ARGUMENT),
    "line break": ("", "multipart/mixed; boundary=b\r\nx: y", PARTS, Code.INVALID_ARGUMENT),
    "truncated": ("", MULTIPART, PARTS[:-6], Code.INVALID_ARGUMENT),
    "truncated json": ("", JSON, REQUESTS[:-1], Code.INVALID_ARGUMENT),
    "truncated steps": ("document", DOCUMENT_TYPE, STEPS[:-6], Code.INVALID_ARGUMENT),
    "empty": ("", MULTIPART, b"", Code.INVALID_ARGUMENT),
    "no json": ("", JSON, PARTS, Code.INVALID_ARGUMENT),
}


@pytest.mark.parametrize(("dialect", "content_type", "data", "code"), ERRORS.values(), ids=ERRORS)
def test_batch_http_refuses_with_details(
    dialect: str, content_type: str, data: bytes, code: Code, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    found, reason, _ = failure(gateway, http_bodies(data, content_type), metadata_of(dialect))
    assert found is code
    assert reason
    assert upstream.lines == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("accept", "text/csv"), Code.INVALID_ARGUMENT),
        (("odata-version", "9.0"), Code.INVALID_ARGUMENT),
        (("if-match", '"e"'), Code.INVALID_ARGUMENT),
        (("isolation", "snapshot"), Code.INVALID_ARGUMENT),
        (("prefer", "return=minimal"), Code.INVALID_ARGUMENT),
        (("content-encoding", "br"), Code.INVALID_ARGUMENT),
        (("batchwire-hop", "4"), Code.FAILED_PRECONDITION),
        (("batchwire-hop", "x"), Code.INVALID_ARGUMENT),
    ],
)
def test_GB_07_batch_http_with_metadata_that_is_not_for_a_batch(
    more: tuple[str, str], code: Code, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    for data, content_type in ((PARTS, MULTIPART), (REQUESTS, JSON)):
        assert failure(gateway, http_bodies(data, content_type), [ROUTE, more])[0] is code
    assert upstream.lines == []


@pytest.mark.both_fronts
@pytest.mark.parametrize("method", ["BatchHttp", "BatchJson"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, GZIP"])
@pytest.mark.parametrize("encoded", [False, True])
def test_HD_19_a_document_in_messages_has_no_content_encoding(
    method: str, coding: str, encoded: bool, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = HttpBody(content_type=JSON, data=gzip.compress(REQUESTS) if encoded else REQUESTS)
    metadata = [ROUTE, ("content-encoding", coding)]
    with grpc_client.Client(gateway.grpc_address) as client, pytest.raises(grpc.RpcError) as caught:
        list(getattr(client.stub, method)(iter([body]), timeout=20, metadata=metadata))
    assert caught.value.code() is Code.INVALID_ARGUMENT
    assert "content-encoding" in caught.value.details()
    assert upstream.lines == []


@pytest.mark.both_fronts
def test_HD_19_identity_is_no_content_encoding(gateway: Gateway) -> None:
    metadata = [ROUTE, ("content-encoding", "Identity")]
    assert statuses("", call(gateway, http_bodies(REQUESTS, JSON), metadata)) == [200, 200]


def test_batch_http_without_its_route_is_not_found(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for dialect, content_type, data in TAKEN.values():
        metadata = [("batchwire-route", "/nowhere/"), ("batchwire-dialect", dialect or "odata")]
        assert failure(gateway, http_bodies(data, content_type), metadata) == (
            Code.NOT_FOUND,
            "UnknownRoute",
            ["options.route"],
        )
    assert upstream.lines == []
    assert statuses("", call(gateway, http_bodies(PARTS, MULTIPART), [])) == [200, 200], "the default route"


def test_batch_http_says_which_part_is_broken(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    twice = steps(Step("1", "A"), Step("2", "B"), Step("1", "A"))
    found = failure(gateway, http_bodies(twice, DOCUMENT_TYPE), metadata_of("document"))
    assert found == (Code.INVALID_ARGUMENT, "DuplicateId", ["requests[2].id"])
    assert upstream.lines == []


def test_batch_http_too_large_is_resource_exhausted(small_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    large = document(part(b"PUT A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 5_000))
    for data in (large, PARTS + b"x" * 30_000):
        code, _, _ = failure(small_gateway, http_bodies(data, MULTIPART, 1_000), [ROUTE])
        assert code is Code.RESOURCE_EXHAUSTED
    assert upstream.lines == []


@pytest.mark.parametrize("taken", [name for name in TAKEN if "json" not in name and name != "no type"])
def test_batch_json_takes_json_only(taken: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    dialect, content_type, data = TAKEN[taken]
    assert failure(gateway, http_bodies(data, content_type), metadata_of(dialect), "BatchJson")[0] is (
        Code.INVALID_ARGUMENT
    )
    assert upstream.lines == []


def test_batch_json_gives_json_only(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    metadata = [ROUTE, *STRICT, ("accept", "multipart/mixed")]
    assert failure(gateway, http_bodies(REQUESTS, JSON), metadata, "BatchJson")[0] is Code.INVALID_ARGUMENT
    assert upstream.lines == []


# --- streaming, cancelling and being late


@pytest.mark.parametrize("dialect", ["odata", "document", "google"])
def test_batch_http_streams_and_cancels(dialect: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A result comes while the document is open; cancelling stops what runs and starts nothing more."""
    gate = upstream.gate()
    upstream.on("GET", "/B", json_reply({}, gate=gate))
    content_type, data = {
        "odata": (MULTIPART, document(GET_A, part(b"GET B HTTP/1.1\r\n\r\n"), GET_A)),
        "document": (DOCUMENT_TYPE, steps(Step("1", "A"), Step("2", "B"), Step("3", "A", after="2"))),
        "google": (GOOGLE_TYPE, google_document(*(google_part(f"<{n}>", f"GET /{u}") for n, u in enumerate("ABA")))),
    }[dialect]
    feed = grpc_client.Feed()
    with grpc_client.Client(gateway.grpc_address) as client:
        running = client.stub.BatchHttp(iter(feed), timeout=20, metadata=[STREAM, ("batchwire-dialect", dialect)])
        opening = data[: data.index(b"\n") + 1]
        last = data.rindex(opening)
        feed.put(HttpBody(content_type=content_type, data=data[: last + len(opening)]))
        first: Any = next(running)
        assert b'{"path":"/A"}' in first.data
        upstream.wait_for_calls(2)
        running.cancel()
        feed.close()
        with pytest.raises(grpc.RpcError) as caught:
            next(running)
        assert caught.value.code() is Code.CANCELLED
    assert upstream.wait_until(lambda: any(one.aborted for one in upstream.log))
    gateway.wait_idle()
    assert sorted(upstream.lines) == ["GET /A", "GET /B"]


def test_batch_http_late_calls_are_504_and_the_rest_is_delivered(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/B", json_reply({}, delay=30))
    found = read_document(call(gateway, http_bodies(STEPS, DOCUMENT_TYPE), metadata_of("document"), timeout=1))
    assert {request_id(one): one.status for one in found} == {"1": 200, "2": 504}
    assert [one.status for one in read(call(gateway, http_bodies(PARTS, MULTIPART), [ROUTE], timeout=1))] == [200, 504]
    answer = call(gateway, http_bodies(REQUESTS, JSON), [ROUTE, *STRICT], "BatchJson", timeout=1)
    assert {name: one["status"] for name, one in answer.by_id().items()} == {"1": 200, "2": 504}


def test_batch_http_client_that_never_ends_is_deadline_exceeded(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The document is open when the deadline comes: nothing of it may run, and nothing is left over."""
    feed = grpc_client.Feed()
    with grpc_client.Client(gateway.grpc_address) as client:
        running = client.stub.BatchHttp(iter(feed), timeout=1, metadata=[ROUTE])
        feed.put(HttpBody(content_type=MULTIPART, data=PARTS[:-6]))
        with pytest.raises(grpc.RpcError) as caught:
            list(running)
        assert caught.value.code() is Code.DEADLINE_EXCEEDED
        feed.close()
    gateway.wait_idle()
    assert upstream.lines == []


def test_batch_http_answers_as_rest_does(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Byte for byte, but for boundaries, which are made for each answer."""
    upstream.on("GET", "/A", json_reply({"n": 1}, headers=[("ETag", '"e"'), ("X-Mine", "1")]))
    fields = {"Content-Type": JSON, **rest.STRICT, "Prefer": "order=request"}
    over_rest = rest.post(gateway.http_port, REQUESTS, fields)
    over_grpc = call(gateway, http_bodies(REQUESTS, JSON), [ROUTE, *STRICT, ("prefer", "order=request")])
    assert json.loads(over_grpc.body) == json.loads(over_rest.body)
    over_rest = rest.post(gateway.http_port, PARTS, {"Content-Type": MULTIPART})
    over_grpc = call(gateway, http_bodies(PARTS, MULTIPART), [ROUTE, *STRICT])
    assert read(over_grpc) == read(over_rest)
