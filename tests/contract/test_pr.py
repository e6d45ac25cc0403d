"""The two answer profiles: rules PR-01, PR-02, PR-04 to PR-06 and PR-08 of the contract."""

from __future__ import annotations

import pytest
from harness import rest
from harness.batches import Call, by_id, check_error, run_batch
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply

ONE = {"requests": [rest.get_call("1", "A")]}


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    fields = [("etag", '"1"'), ("odata-version", "4.0"), ("content-type", "application/json"), ("x-own", "1")]
    upstream.on("GET", "/A", json_reply({"x": 1}, headers=fields))


def names(answer: rest.Answer) -> set[str]:
    return set(answer.by_id()["1"]["headers"])


STRICT_NAMES = {"etag", "odata-version"}
COMPATIBLE_NAMES = {"ETag", "OData-Version", "Content-Type"}


@pytest.mark.parametrize(
    "version",
    [
        {"OData-Version": "4.01"},
        {"OData-MaxVersion": "4.01"},
        {"OData-Version": "4.01", "OData-MaxVersion": "4.01"},
        {"OData-Version": "4.0", "OData-MaxVersion": "4.01"},
        {"OData-MaxVersion": "4.02"},
    ],
)
def test_PR_01_strict_from_4_01_on(version: dict[str, str], gateway: Gateway) -> None:
    assert names(rest.post(gateway.http_port, ONE, version=version)) >= STRICT_NAMES


@pytest.mark.parametrize("version", [{}, {"OData-Version": "4.0"}, {"OData-MaxVersion": "4.0"}])
def test_PR_01_compatible_otherwise(version: dict[str, str], gateway: Gateway) -> None:
    assert names(rest.post(gateway.http_port, ONE, version=version)) >= COMPATIBLE_NAMES


def test_PR_01_a_route_may_force_either(gateway: Gateway) -> None:
    assert names(rest.post(gateway.http_port, ONE, version={}, root="/strict/")) >= STRICT_NAMES
    assert names(rest.post(gateway.http_port, ONE, root="/compatible/")) >= COMPATIBLE_NAMES


def test_PR_01_grpc_is_strict(front: str, gateway: Gateway) -> None:
    results = by_id(run_batch(front, gateway, [Call("1", "/A"), Call("2", "A")]))
    check_error(results["1"], 400)
    assert results["2"].status == 200


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "image/png"])
def test_PR_02_compatible_always_has_content_type(kind: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", Reply(200, [("content-type", kind)], b"12"))
    answer = rest.post(gateway.http_port, ONE, version={})
    assert answer.by_id()["1"]["headers"]["Content-Type"].startswith(kind)


def test_PR_02_compatible_errors_and_empty_answers_have_content_type(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("DELETE", "/A", Reply(204))
    calls = [{"id": "1", "method": "trace", "url": "A"}, {"id": "2", "method": "delete", "url": "A"}]
    found = rest.post(gateway.http_port, {"requests": calls}, version={}).by_id()
    assert found["1"]["headers"]["Content-Type"].startswith("application/json")
    assert "Content-Type" in found["2"]["headers"]
    assert found["2"].get("body") is None


def test_PR_04_compatible_json_in_request_order(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/slow", json_reply({}, delay=0.4))
    calls = [rest.get_call("1", "slow"), rest.get_call("2", "A"), rest.get_call("3", "A", dependsOn=["1"])]
    answer = rest.post(gateway.http_port, {"requests": calls}, version={})
    assert [response["id"] for response in answer.responses] == ["1", "2", "3"]


def test_PR_05_leading_slash_strict_is_400(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    response = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "/A")]}).by_id()["1"]
    assert response["status"] == 400
    assert rest.is_odata_error(response["body"])
    assert upstream.lines == []


def test_PR_05_leading_slash_compatible_is_the_root(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [rest.get_call("1", "/A"), rest.get_call("2", "/svc/A")]
    found = rest.post(gateway.http_port, {"requests": calls}, version={}).by_id()
    assert {r["status"] for r in found.values()} == {200}
    assert upstream.lines == ["GET /A"] * 2


@pytest.mark.parametrize("url", ["/../A", "/%2e%2e/A", "//evil.example/A", "/x/../../A"])
def test_PR_05_but_cannot_leave_it(url: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    response = rest.post(gateway.http_port, {"requests": [rest.get_call("1", url)]}, version={}).by_id()["1"]
    assert response["status"] == 400
    assert upstream.lines == []


@pytest.mark.parametrize("name", ["DataServiceVersion", "MaxDataServiceVersion"])
@pytest.mark.parametrize("value", ["1.0", "2.0", "3.0;NetFx"])
def test_PR_06_old_protocol_versions_get_202(name: str, value: str, gateway: Gateway) -> None:
    assert rest.post(gateway.http_port, ONE, {name: value}, version={}).status == 202


def test_PR_06_or_the_route_says_so(gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, ONE, version={}, root="/old/")
    assert answer.status == 202
    assert [r["status"] for r in answer.json()["responses"]] == [200]
    assert rest.post(gateway.http_port, b"{", version={}, root="/old/").status == 400


@pytest.mark.parametrize("target", ["/svc/$batch", "/svc/$batch/"])
def test_PR_08_head_answers_200_and_starts_nothing(target: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.request(gateway.http_port, "HEAD", target, {"x-csrf-token": "Fetch"})
    assert (answer.status, answer.body) == (200, b"")
    assert upstream.lines == []
