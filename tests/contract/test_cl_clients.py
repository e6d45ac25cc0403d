"""Batches of clients that have each a way of their own, replayed as these sent them: rules CL.

The answers are read as strictly as the strictest client reads them; what each of these clients needs besides is said
in its test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import config, rest
from harness.batching import BatchingUpstream
from harness.captures import Capture, all_captures, replay
from harness.documents import read
from harness.gateway import Gateway
from harness.multiparts import Part
from harness.scripted import Received, Reply, json_reply, odata_error

ROOTS = ("/", "/svc/", "/v1.0/", "/odata/v2/svc/", "/sites/dev/_api/")
CAPTURES = {capture.name: capture for capture in all_captures()}


def settings(things: str, **upstream: object) -> config.Config:
    routes: list[config.Config] = [{"root": root, "upstream": "things"} for root in ROOTS]
    return config.make({"things": {"url": things + "/", "forward_authorization": True, **upstream}}, routes)


@pytest.fixture(scope="module", params=["plain", "json", "multipart"])
def behind(request: pytest.FixtureRequest) -> str:
    """What the upstream takes: single calls only, or batches in one of the two forms."""
    return str(request.param)


@pytest.fixture(scope="module")
def clients_gateway(
    behind: str, _batching: BatchingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    more = {} if behind == "plain" else {"batch": behind}
    with Gateway(settings(_batching.origin, **more), tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest.fixture
def things(_batching: BatchingUpstream) -> BatchingUpstream:
    _batching.reset()
    _batching.fallback = answer_to
    return _batching


def answer_to(call: Received) -> Reply:
    if "404" in call.path:
        return odata_error(404, "NotFound")
    status = {"GET": 200, "POST": 201}.get(call.method, 204)
    return json_reply({"name": "gämma"}, status) if status != 204 else Reply(204)


def sent(gateway: Gateway, name: str) -> tuple[Capture, rest.Answer]:
    capture = CAPTURES[name]
    [answer] = replay(gateway, capture)
    return capture, answer


def statuses(parts: list[Part]) -> list[int | list[int]]:
    return [one.status if one.members is None else [each.status for each in one.members] for one in parts]


def test_CL_01_the_accept_of_a_java_client(clients_gateway: Gateway, things: BatchingUpstream) -> None:
    _, answer = sent(clients_gateway, "java_http/01")
    assert answer.by_id()["1"]["status"] == 200


def test_CL_02_a_header_in_two_spellings(clients_gateway: Gateway, things: BatchingUpstream) -> None:
    """microsoft-graph-core for Java writes content-type and Content-Type."""
    _, answer = sent(clients_gateway, "msgraph_java/01")
    found = answer.responses
    assert [one["status"] for one in found] == [200, 404, 201, 200, 424, 200, 204]
    [patched] = [call for call in things.calls if call.method == "PATCH"]
    assert [value for name, value in patched.headers if name == "content-type"] == ["application/json"]


@pytest.mark.parametrize(("name", "path"), [("openui5_v2/01", "/things(1)"), ("office365_sp/01", "/Web")])
def test_CL_03_a_merge(name: str, path: str, behind: str, clients_gateway: Gateway, things: BatchingUpstream) -> None:
    capture, answer = sent(clients_gateway, name)
    assert answer.status == (202 if name.startswith("openui5") else 200)
    assert statuses(read(answer)) == [[204]]
    method = "MERGE" if behind == "plain" else "PATCH"
    call = things.call(f"{method} {path}")
    assert call.header("x-http-method") is None
    assert call.header("if-match") in ('W/"1"', "*")
    assert call.body.strip() in capture.body
    assert things.problems == []
    assert {seen.header("authorization") for seen in things.log} == {"Bearer outer-token"}


def test_CL_04_ui5_gets_the_rest_after_an_error(clients_gateway: Gateway, things: BatchingUpstream) -> None:
    _, answer = sent(clients_gateway, "openui5_v2/02")
    assert answer.status == 202
    assert statuses(read(answer)) == [404, 200, 200]
    assert things.lines == ["GET /things(404)", "GET /things(2)", "GET /things(1)"]


def test_CL_05_odata_version_of_the_old_protocol(
    behind: str, clients_gateway: Gateway, things: BatchingUpstream
) -> None:
    """SAP's SDK for Java says OData-Version: 2.0; a change set is atomic, and so it needs an upstream that is."""
    _, answer = sent(clients_gateway, "sap_java_v2/01")
    assert answer.status == 202
    assert answer.header("dataserviceversion") == "2.0"
    assert answer.header("odata-version") is None
    assert statuses(read(answer)) == [200, 501 if behind == "plain" else [201, 204], 200, 404]
    assert {call.header("odata-version") for call in things.log} == {None}


def test_CL_06_google_without_content_ids(clients_gateway: Gateway, things: BatchingUpstream) -> None:
    things.fallback = lambda call: json_reply({"method": call.method}, 200 if call.method == "PATCH" else 404)
    _, answer = sent(clients_gateway, "google_cloud_storage/01")
    assert answer.status == 200
    parts = read(answer)
    assert [(one.status, one.json()["method"], one.content_id) for one in parts] == [
        (200, "PATCH", None),
        (404, "DELETE", None),
    ]
    assert things.call("PATCH /storage/v1/b/bkt/o/a%20b%2F%C3%A4.txt?projection=full&prettyPrint=false").body


def test_CL_07_a_transaction_of_tables_that_fails(
    behind: str, clients_gateway: Gateway, things: BatchingUpstream
) -> None:
    """@azure/data-tables looks behind `--changesetresponse_` only: a plain part is a success without results to it."""
    error = {"odata.error": {"code": "EntityAlreadyExists", "message": {"lang": "en-US", "value": "there"}}}
    things.fallback = lambda call: json_reply(error, 409) if b"dup" in call.body else answer_to(call)
    _, answer = sent(clients_gateway, "azure_tables_js/01")
    assert answer.status == 202
    assert answer.body.count(b"--changesetresponse_") == 2
    parts = read(answer)
    assert statuses(parts) == [[501 if behind == "plain" else 409]]
    [only] = parts[0].members or []
    assert only.json() == error if behind != "plain" else rest.is_odata_error(only.json())
    assert things.applied == []
