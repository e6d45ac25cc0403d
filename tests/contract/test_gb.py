"""Endpoint, negotiation and outer status: rules GB-01 to GB-15 of the contract, for JSON batches."""

from __future__ import annotations

import pytest
from harness import dialects, documents, multiparts, rest
from harness.batches import JSON_FRONTS, Call, by_id, check_error, run_batch
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply, odata_error

ONE = {"requests": [rest.get_call("1", "A(1)")]}


@pytest.fixture(autouse=True)
def _a1(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A(1)")


def test_GB_01_post_to_batch_is_case_sensitive(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert rest.post(gateway.http_port, ONE).by_id()["1"]["status"] == 200
    fields = {"Content-Type": "application/json", **rest.STRICT}
    body = rest.encode(ONE)
    assert rest.request(gateway.http_port, "POST", "/svc/$Batch", fields, body).status == 404
    assert upstream.lines == ["GET /A(1)"]


def test_GB_01_batch_may_be_percent_encoded(gateway: Gateway) -> None:
    fields = {"Content-Type": "application/json", **rest.STRICT}
    answer = rest.request(gateway.http_port, "POST", "/svc/%24batch", fields, rest.encode(ONE))
    assert answer.by_id()["1"]["status"] == 200


def test_GB_01_outside_all_routes_is_404(gateway: Gateway) -> None:
    assert rest.post(gateway.http_port, ONE, root="/nowhere/").status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_GB_02_other_methods_are_405_with_allow(method: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.request(gateway.http_port, method, "/svc/$batch")
    assert answer.status == 405
    allowed = {name.strip() for name in (answer.header("allow") or "").split(",")}
    assert "POST" in allowed
    assert method not in allowed
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []


def test_GB_03_metadata_and_service_document(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/$metadata", json_reply({"$Version": "4.01"}))
    upstream.on("GET", "/", json_reply({"value": []}))
    calls = [Call("m", "$metadata"), Call("s", "/svc/"), Call("e", "")]
    results = by_id(run_batch(front, gateway, calls))
    assert results["m"].json() == {"$Version": "4.01"}
    assert results["s"].json() == results["e"].json() == {"value": []}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_GB_03_only_a_call_that_reads_may_have_an_empty_url(
    method: str, front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """In every dialect: a URL that was forgotten must not write to the service root."""
    for path in ("POST /", "PUT /", "PATCH /", "DELETE /"):
        upstream.on(*path.split())
    [result] = run_batch(front, gateway, [Call("1", "", method, {"content-type": "application/json"})])
    check_error(result, 400)
    line = f"{method} "
    for text, dialect, media in (
        (multiparts.document(multiparts.part(f"{line} HTTP/1.1\r\n\r\n".encode())), "", documents.MULTIPART),
        (dialects.steps(dialects.Step("1", "", method)), "document", dialects.DOCUMENT_TYPE),
        (dialects.google_document(dialects.google_part("<1>", line)), "google", dialects.GOOGLE_TYPE),
    ):
        if dialect:
            answer = dialects.ask(dialect, way, gateway, text, media)
        else:
            answer = documents.send(way, gateway, text, media)
        assert b"400 Bad Request" in answer.body, dialect
    assert upstream.lines == []


@pytest.mark.parametrize("kind", ["application/xml", "text/plain", "application/jsonx", "nonsense", ""])
def test_GB_04_other_content_types_are_415(kind: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.post(gateway.http_port, ONE, {"Content-Type": kind})
    assert answer.status in ((400, 415) if kind in ("nonsense", "") else (415,))
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/json;odata.metadata=minimal;charset=utf-8",
        "APPLICATION/JSON",
        'application/json; charset="UTF-8"',
        "application/json ; IEEE754Compatible=true",
    ],
)
def test_GB_04_json_with_parameters_is_accepted(kind: str, gateway: Gateway) -> None:
    assert rest.post(gateway.http_port, ONE, {"Content-Type": kind}).by_id()["1"]["status"] == 200


def test_GB_05_odata_version_may_be_absent(gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, ONE, version={})
    assert answer.by_id()["1"]["status"] == 200
    assert answer.header("odata-version")


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json;odata.metadata=minimal",
        "text/csv;q=0.5, application/json;q=0.1",
        "application/*",
        "multipart/mixed;q=0, application/json",
    ],
)
def test_GB_06_accept_json(accept: str, gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, ONE, {"Accept": accept})
    assert (answer.header("content-type") or "").startswith("application/json")
    assert answer.by_id()["1"]["status"] == 200


def test_GB_07_bad_outer_headers_start_nothing(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.post(gateway.http_port, ONE, {"If-Match": '"x"'})
    assert 400 <= answer.status < 500
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []


def test_GB_08_outer_200_though_all_fail(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/bad", odata_error(500))
    calls = [
        rest.get_call("1", "bad"),
        rest.get_call("2", "missing"),
        {"id": "3", "method": "head", "url": "x"},
    ]
    answer = rest.post(gateway.http_port, {"requests": calls})
    assert answer.status == 200
    assert {k: v["status"] for k, v in answer.by_id().items()} == {"1": 500, "2": 404, "3": 400}


@pytest.mark.parametrize("accept", ["text/csv", "application/xml, text/html", "application/json;q=0"])
def test_GB_10_nothing_acceptable_is_406(accept: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.post(gateway.http_port, ONE, {"Accept": accept})
    assert answer.status == 406
    assert upstream.lines == []


@pytest.mark.parametrize("accept", [None, "*/*"])
def test_GB_11_no_preference_answers_in_the_format_of_the_request(accept: str | None, gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, ONE, {"Accept": accept} if accept else {})
    assert (answer.header("content-type") or "").startswith("application/json")
    assert answer.by_id()["1"]["status"] == 200


@pytest.mark.parametrize("query", ["?$format=json", "?$format=application/json", "?%24format=json"])
def test_GB_12_format_option_overrides_accept(query: str, gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, ONE, {"Accept": "text/csv"}, query=query)
    assert answer.by_id()["1"]["status"] == 200


def test_GB_12_unknown_format_is_4xx(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.post(gateway.http_port, ONE, {"Accept": "application/json"}, query="?$format=atom")
    assert 400 <= answer.status < 500
    assert upstream.lines == []


def test_GB_13_custom_query_options_only(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert rest.post(gateway.http_port, ONE, query="?sap-client=100").status == 200
    upstream.reset()
    for query in ("?$top=1", "?$filter=a", "?%24skip=1"):
        answer = rest.post(gateway.http_port, ONE, query=query)
        assert 400 <= answer.status < 500, query
    assert upstream.lines == []


@pytest.mark.parametrize("front", JSON_FRONTS)
def test_GB_14_inner_response_keeps_its_own_version(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/old", json_reply({}, headers=[("OData-Version", "4.0")]))
    calls = [Call("1", "old", headers={"odata-maxversion": "4.0"})]
    assert by_id(run_batch(front, gateway, calls))["1"].headers["odata-version"] == "4.0"
    assert upstream.call("GET /old").header("odata-maxversion") == "4.0"


def test_GB_14_every_answer_carries_odata_version(gateway: Gateway) -> None:
    answers = [
        rest.post(gateway.http_port, ONE),
        rest.post(gateway.http_port, b"{"),
        rest.post(gateway.http_port, ONE, {"Accept": "text/csv"}),
        rest.request(gateway.http_port, "GET", "/svc/$batch"),
    ]
    assert [answer.status for answer in answers] == [200, 400, 406, 405]
    assert all(answer.header("odata-version") for answer in answers)
    assert answers[0].header("odata-version") == "4.01"


def test_GB_15_a_slow_batch_is_200_not_202(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/slow", json_reply({}, delay=1.0))
    answer = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "slow")]})
    assert answer.by_id()["1"]["status"] == 200
