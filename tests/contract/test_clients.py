"""Batches as real clients sent them, replayed over a socket: the answers are what these clients take (clients.md).

Each answer is read as strictly as the strictest client does, and then by what the client's own code does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby

import pytest
from harness import captures, multiparts, rest
from harness.batching import BatchingUpstream
from harness.captures import Capture, CapturedCall, replay, replay_over_grpc
from harness.client_readers import READERS
from harness.gateway import Gateway
from harness.multiparts import Part
from harness.scripted import Received, Reply, json_reply

ALL = [capture for capture in captures.all_captures() if capture.client in READERS]
EVERY = pytest.mark.parametrize("capture", ALL, ids=lambda capture: capture.name)
ODATA = ("azure_tables", "odata_client_multipart", "pnp_sp", "pyodata_v2", "sap_cloud_sdk")
DOCUMENT = ("aspose_node", "aspose_python")
OUTER_202 = ("azure_tables", "pyodata_v2")
HOPS = {"transfer-encoding", "content-encoding", "connection", "keep-alive", "x-hop"}
OURS = {"requestid", "dependson", "content-id", "accept-encoding", "transfer-encoding"}
STATUS = {"GET": 200, "POST": 201, "PUT": 200, "PATCH": 204, "DELETE": 204}
CONVERTED = b"\x00converted\r\n\xff"
PRETTY = '{\r\n "name": "gämma"\r\n}'.encode()


@pytest.fixture(scope="module", params=["json", "multipart"])
def clients_gateway(
    request: pytest.FixtureRequest, _batching: BatchingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with Gateway(captures.settings(request.param, _batching.origin), tmp_path_factory.mktemp("clients")) as running:
        yield running


def fails(url: str) -> bool:
    return re.search(r"40[45]|missing", url) is not None


def answer_to(call: Received) -> Reply:
    """What an upstream may do to a client: chunks, line ends in JSON, hop-by-hop fields, an id of its own."""
    hops = [("Connection", "X-Hop"), ("X-Hop", "1"), ("Keep-Alive", "timeout=5"), ("RequestId", "theirs")]
    fields = [*hops, ("etag", 'W/"1"'), ("content-type", "application/json;charset=utf-8")]
    if call.path.startswith("/convert"):
        return Reply(200, [("Content-Type", "application/octet-stream")], CONVERTED)
    status = STATUS[call.method]
    return Reply(
        status, fields[:5] if status == 204 else fields, b"" if status == 204 else PRETTY, chunked=status == 200
    )


def answer_with_failures(call: Received) -> Reply:
    if fails(call.path):
        return json_reply({"error": {"code": "NotFound", "message": "no thing"}}, 404)
    return answer_to(call)


def items_of(capture: Capture) -> list[list[CapturedCall]]:
    """Calls and change sets: what counts as one in the order."""
    numbered = enumerate(capture.calls())
    keyed = groupby(numbered, lambda pair: (pair[1].change_set, 0 if pair[1].change_set else pair[0]))
    return [[call for _, call in pairs] for _, pairs in keyed]


def expected(capture: Capture, failing: bool) -> list[int]:
    """The statuses that the answer shows, in their order (MP-02, MP-08, MP-09, GW-07)."""
    found: list[int] = []
    flat = capture.client == "pnp_sp"
    for item in items_of(capture):
        wrong = [failing and fails(call.url) for call in item]
        if not any(wrong):
            found += [STATUS[call.method] for call in item]
        elif flat:
            # The upstream stops at the first member that fails; the others have failed with it.
            first = wrong.index(True)
            found += [404 if number == first else 424 for number in range(len(item))]
        else:
            found.append(404)
        if any(wrong) and capture.client in ODATA and not flat:
            break
    return found


def last_only(capture: Capture) -> bool:
    return "displayIntermediateResults=false" in capture.head


def statuses(capture: Capture, answer: rest.Answer) -> list[int]:
    """What the client's own code makes of the answer."""
    return [status for _, status, _ in READERS[capture.client](answer.header("content-type") or "", answer.body)]


def parts_of(capture: Capture, answer: rest.Answer) -> list[Part]:
    """The parts, read by the one form that every client takes; those of a change set in it."""
    kind = answer.header("content-type") or ""
    boundary = kind.partition("boundary=")[2].strip('"')
    return [multiparts.read_part(text) for text in multiparts.cut(answer.body, boundary.encode())]


def flattened(found: list[Part]) -> list[Part]:
    return [inner for one in found for inner in ([one] if one.members is None else one.members)]


def test_every_client_is_replayed() -> None:
    assert {capture.client for capture in ALL} == set(READERS)
    assert all(capture.calls() for capture in ALL)


@EVERY
@pytest.mark.parametrize("failing", [False, True])
def test_the_client_reads_every_result(
    capture: Capture, failing: bool, clients_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.fallback = answer_with_failures if failing else answer_to
    [answer] = replay(clients_gateway, capture)
    wanted = expected(capture, failing)
    assert statuses(capture, answer) == (wanted[-1:] if last_only(capture) else wanted)
    assert answer.status == (202 if capture.client in OUTER_202 else 200)
    assert things.problems == []


@pytest.mark.parametrize(
    "capture", [one for one in ALL if b" http://" not in one.body and not last_only(one)], ids=lambda one: one.name
)
@pytest.mark.parametrize("failing", [False, True])
def test_the_same_over_grpc(
    capture: Capture, failing: bool, clients_gateway: Gateway, things: BatchingUpstream
) -> None:
    """But for absolute URLs, of which gRPC does not say the host, and for query options, which it has none of."""
    things.fallback = answer_with_failures if failing else answer_to
    answer = replay_over_grpc(clients_gateway, capture)
    assert statuses(capture, answer) == expected(capture, failing)
    assert things.problems == []


@EVERY
@pytest.mark.parametrize("pieces", [1, 61])
def test_however_it_is_cut_and_again_on_the_same_connection(
    capture: Capture, pieces: int, clients_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.fallback = answer_to
    first, second = replay(clients_gateway, capture, pieces, times=2)
    assert statuses(capture, first) == statuses(capture, second)
    assert len(things.lines) == 2 * len(capture.calls())


@EVERY
def test_the_form_of_the_answer(capture: Capture, clients_gateway: Gateway, things: BatchingUpstream) -> None:
    things.fallback = answer_with_failures
    [answer] = replay(clients_gateway, capture)
    kind = answer.header("content-type") or ""
    form = (
        'multipart/mixed; boundary="[^"=]+"'
        if capture.client in DOCUMENT
        else "multipart/mixed; boundary=[A-Za-z0-9_.-]+"
    )
    assert re.fullmatch(form, kind), kind
    if capture.client in ODATA:
        assert "boundary=batchresponse_" in kind
    found = parts_of(capture, answer)
    assert all(one.members is None or capture.client != "pnp_sp" for one in found), "flat"
    for one in flattened(found):
        fields = dict(one.fields)
        if capture.client in DOCUMENT:
            assert not one.line.startswith("HTTP/"), "the first word is the status"
            assert fields["Content-Type"] == "application/http; msgtype=response"
        else:
            assert one.line.startswith("HTTP/1.1 ")
            assert fields["Content-Type"] == "application/http"
            assert fields["Content-Transfer-Encoding"] == "binary"
        assert one.reason.strip()
        assert one.status != 204 or one.reason == "No Content"
        names = [name for name, _ in one.headers]
        assert not {n.lower() for n in names} & {
            "transfer-encoding",
            "content-encoding",
            "connection",
            "x-hop",
            "keep-alive",
        }
        if one.status < 400 and "json" in (one.header("content-type") or ""):
            assert {"ETag", "Content-Type"} <= set(names), "canonical names"
            assert b"\r\n" not in one.body
            assert one.json() == {"name": "gämma"}


@EVERY
def test_change_sets_are_answered_where_they_stood(
    capture: Capture, clients_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.fallback = answer_to
    [answer] = replay(clients_gateway, capture)
    if last_only(capture):
        return
    wanted = [len(item) if item[0].change_set else None for item in items_of(capture)]
    if capture.client == "pnp_sp":
        wanted = [None for call in capture.calls()]
    assert [None if one.members is None else len(one.members) for one in parts_of(capture, answer)] == wanted


@EVERY
def test_ids_are_echoed(capture: Capture, clients_gateway: Gateway, things: BatchingUpstream) -> None:
    things.fallback = answer_to
    [answer] = replay(clients_gateway, capture)
    parts = flattened(parts_of(capture, answer))
    calls = capture.calls()[-1:] if last_only(capture) else capture.calls()
    if capture.client in DOCUMENT:
        assert [[v for n, v in one.headers if n == "RequestId"] for one in parts] == [
            [c.fields["requestid"]] for c in calls
        ]
    elif capture.client == "google_python":
        said = [call.fields["content-id"].replace("<", "<response-", 1) for call in calls]
        assert sorted(str(one.content_id) for one in parts) == sorted(said), "mapped by id, in any order"
    else:
        assert [one.content_id for one in parts] == [call.fields.get("content-id") for call in calls]


@EVERY
def test_what_the_upstream_sees(capture: Capture, clients_gateway: Gateway, things: BatchingUpstream) -> None:
    things.fallback = answer_to
    replay(clients_gateway, capture)
    calls = capture.calls()
    origin = f"http://{capture.header('host')}"
    wanted = []
    for call in calls:
        path = call.url.removeprefix(origin).removeprefix(capture.root).removeprefix("/")
        wanted.append(f"{call.method} /{path}")
    assert sorted(things.lines) == sorted(wanted)
    for seen in things.calls:
        names = {name for name, _ in seen.headers}
        assert not names & {
            "requestid",
            "dependson",
            "content-id",
            "accept-encoding",
            "mime-version",
            "transfer-encoding",
        } - {"mime-version"}
        assert seen.header("host") in (None, f"127.0.0.1:{things.port}")
        if seen.method in ("GET", "DELETE"):
            assert seen.body == b""
            assert not names & {"content-type", "content-length"}
        elif "json" in (seen.header("content-type") or ""):
            assert isinstance(json.loads(seen.body), dict)
    alone = {call.header("authorization") for call in things.log}
    assert alone == {capture.header("authorization")}, "the outer one, for each call and each batch"


@EVERY
def test_results_that_bodies_name_are_put_in(
    capture: Capture, clients_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.fallback = answer_to
    replay(clients_gateway, capture)
    assert not any(b"resultOf(" in call.body for call in things.calls)
    named = capture.body.count(b"resultOf(")
    assert sum(CONVERTED in call.body for call in things.calls) == named


def test_a_transaction_of_tables_that_fails(clients_gateway: Gateway, things: BatchingUpstream) -> None:
    """azure-data-tables takes one error part, nested (CL-07), and looks for the error's code in its header or body."""
    [capture] = [one for one in ALL if one.name == "azure_tables/03"]
    error = {"odata.error": {"code": "EntityAlreadyExists", "message": {"lang": "en-US", "value": "there"}}}
    exists = json_reply(error, 409, [("x-ms-error-code", "EntityAlreadyExists")])
    things.fallback = lambda call: exists if b"duplicate" in call.body else answer_to(call)
    [answer] = replay(clients_gateway, capture)
    assert answer.status == 202
    assert statuses(capture, answer) == [409]
    [outer] = parts_of(capture, answer)
    [found] = outer.members or []
    assert found.content_id == "1"
    assert found.json() == error
    assert found.header("x-ms-error-code") == "EntityAlreadyExists"
    assert things.applied == []


@pytest.mark.parametrize("target", ["/odata/v4/svc/$batch", "/odata/v4/svc/$batch/"])
def test_the_probe_of_the_sap_client(target: str, clients_gateway: Gateway, things: BatchingUpstream) -> None:
    answer = rest.request(clients_gateway.http_port, "HEAD", target, {"x-csrf-token": "Fetch"})
    assert (answer.status, answer.body) == (200, b"")
    assert things.log == []
