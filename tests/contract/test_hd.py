"""Headers across the two levels: rules HD-01 to HD-13 and HD-19 to HD-23 of the contract."""

from __future__ import annotations

import gzip

import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client, rest
from harness.batches import GRPC_JSON, JSON_FRONTS, REST, Call, Refused, by_id, run_batch
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply

ONE = {"requests": [rest.get_call("1", "A(1)")]}


@pytest.fixture(autouse=True)
def _a1(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A(1)")


def seen_by_upstream(
    front: str,
    gateway: Gateway,
    upstream: ScriptedUpstream,
    outer: dict[str, str],
    inner: dict[str, str] | None = None,
) -> dict[str, str]:
    """The header fields that the upstream gets for one GET."""
    [result] = run_batch(front, gateway, [Call("1", "A(1)", headers=inner or {})], headers=outer)
    assert result.status == 200
    return dict(upstream.call("GET /A(1)").headers)


def refused(gateway: Gateway, upstream: ScriptedUpstream, fields: rest.Fields) -> int:
    """The outer 4xx status; nothing may have reached the upstream."""
    answer = rest.post(gateway.http_port, ONE, fields)
    assert 400 <= answer.status < 500, fields
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []
    return answer.status


@pytest.mark.parametrize("front", JSON_FRONTS)
@pytest.mark.parametrize("version", ["9.0", "nonsense"])
def test_HD_01_unknown_odata_version_is_4xx(
    front: str, version: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with pytest.raises(Refused) as caught:
        run_batch(front, gateway, [Call("1", "A(1)")], headers={"odata-version": version})
    assert caught.value.bad_envelope or front == REST
    assert upstream.lines == []


@pytest.mark.parametrize("front", JSON_FRONTS)
def test_HD_02_versions_are_inherited(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    outer = {"OData-MaxVersion": "4.0", "OData-Version": "4.0"}
    seen = seen_by_upstream(front, gateway, upstream, outer)
    assert seen["odata-maxversion"] == "4.0"
    assert seen["odata-version"] == "4.0"


@pytest.mark.parametrize("front", JSON_FRONTS)
def test_HD_02_inner_version_wins(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    outer = {"OData-MaxVersion": "4.01"}
    seen = seen_by_upstream(front, gateway, upstream, outer, {"odata-maxversion": "4.0"})
    assert seen["odata-maxversion"] == "4.0"


@pytest.mark.parametrize("front", JSON_FRONTS)
def test_HD_03_accept_is_inherited(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    outer = {"Accept": "application/json;odata.metadata=none", "Accept-Charset": "utf-8"}
    seen = seen_by_upstream(front, gateway, upstream, outer)
    assert seen["accept"] == "application/json;odata.metadata=none"
    assert seen["accept-charset"] == "utf-8"


def test_HD_03_inner_accept_wins(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    outer = {"Accept": "application/json;odata.metadata=none"}
    assert seen_by_upstream(REST, gateway, upstream, outer, {"accept": "text/plain"})["accept"] == "text/plain"


@pytest.mark.parametrize("front", JSON_FRONTS)
def test_HD_04_languages_are_inherited(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", Reply(204))
    outer = {"Accept-Language": "de, en;q=0.5", "Content-Language": "fr"}
    run_batch(front, gateway, [Call("1", "A", "POST", body=b"{}")], headers=outer)
    call = upstream.call("POST /A")
    assert call.header("accept-language") == "de, en;q=0.5"
    assert call.header("content-language") == "fr"


@pytest.mark.parametrize("execute", [True, False])
@pytest.mark.parametrize("said", ["", "en"])
def test_HD_04_languages_in_metadata_are_inherited(
    said: str, execute: bool, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """As those of a REST batch; what the options say counts alone."""
    headers = [batch_pb2.Header(name="Accept-Language", value=said)] if said else []
    options = batch_pb2.BatchOptions(route="/svc/", headers=headers)
    request = batch_pb2.BatchRequest(options=options, calls=[batch_pb2.Call(id="1", method="GET", url="A(1)")])
    metadata = [("accept-language", "de, fr;q=0.5")]
    with grpc_client.Client(gateway.grpc_address) as client:
        if execute:
            client.execute(request, metadata=metadata)
        else:
            client.batch([request], metadata=metadata)
    assert upstream.call("GET /A(1)").header("accept-language") == (said or "de, fr;q=0.5")


@pytest.mark.parametrize("front", JSON_FRONTS)
def test_HD_05_two_preferences_are_inherited(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    outer = {"Prefer": 'include-annotations="display.*", allow-entityreferences'}
    seen = seen_by_upstream(front, gateway, upstream, outer)
    assert 'include-annotations="display.*"' in seen["prefer"]
    assert "allow-entityreferences" in seen["prefer"]


def test_HD_05_inner_preference_wins(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    outer = {"Prefer": 'include-annotations="display.*", allow-entityreferences'}
    seen = seen_by_upstream(REST, gateway, upstream, outer, {"prefer": 'include-annotations="-*"'})
    assert 'include-annotations="-*"' in seen["prefer"]
    assert "display" not in seen["prefer"]
    assert "allow-entityreferences" in seen["prefer"]


def test_HD_05_a_preference_is_known_by_its_whole_name(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    outer = {"Prefer": "allow-entityreferences"}
    seen = seen_by_upstream(REST, gateway, upstream, outer, {"prefer": 'x="a, allow-entityreferences"'})
    assert seen["prefer"] == 'x="a, allow-entityreferences", allow-entityreferences'


def test_HD_05_each_call_gets_what_it_does_not_say(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    annotations, references = 'include-annotations="display.*, -*"', "allow-entityreferences"
    own = {
        "A": ("return=minimal", f"return=minimal, {annotations}, {references}"),
        "B": ("odata.include-annotations=x", f"odata.include-annotations=x, {references}"),
        "C": ("wait=5; Allow-EntityReferences", f"wait=5; Allow-EntityReferences, {annotations}, {references}"),
        "D": (f"{references}, Include-Annotations=y", f"{references}, Include-Annotations=y"),
        "E": ("", f", {annotations}, {references}"),
    }
    headers = {name: {"x-first": "1", "prefer": said, "x-last": name} for name, (said, _) in own.items()}
    calls = [Call(name, name, headers=headers[name]) for name in own]
    run_batch(REST, gateway, calls, headers={"Prefer": f"{annotations}, {references}"})
    for name, (_, wanted) in own.items():
        call = upstream.call(f"GET /{name}")
        assert (call.header("prefer"), call.header("x-last")) == (wanted, name)


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ['"x"', "*", 'W/"7"'])
def test_HD_06_conditions_on_the_batch_are_4xx(
    name: str, value: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    refused(gateway, upstream, {name: value})


def test_HD_06_the_literal_null_is_absent(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    seen = seen_by_upstream(REST, gateway, upstream, {"If-None-Match": "null"})
    assert "if-none-match" not in seen


@pytest.mark.parametrize("name", ["Isolation", "OData-Isolation"])
def test_HD_07_isolation_is_412(name: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert refused(gateway, upstream, {name: "snapshot"}) == 412


@pytest.mark.parametrize("front", JSON_FRONTS)
@pytest.mark.parametrize("prefer", ["respond-async, continue-on-error", "odata.continue-on-error=true"])
def test_HD_08_batch_preferences_do_not_cascade(
    front: str, prefer: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert "prefer" not in seen_by_upstream(front, gateway, upstream, {"Prefer": prefer})


@pytest.mark.parametrize("prefer", ["maxpagesize=2", "odata.maxpagesize=2", "track-changes"])
def test_HD_09_paging_preferences_are_not_pushed_down(
    prefer: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert "prefer" not in seen_by_upstream(REST, gateway, upstream, {"Prefer": prefer})


def test_HD_09_they_may_stand_on_inner_requests(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    seen = seen_by_upstream(front, gateway, upstream, {}, {"prefer": "maxpagesize=2"})
    assert seen["prefer"] == "maxpagesize=2"


@pytest.mark.parametrize("value", ["minimal", "representation"])
def test_HD_10_return_on_the_batch_is_4xx(value: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    refused(gateway, upstream, {"Prefer": f"return={value}"})


def test_HD_10_return_on_an_inner_request_is_forwarded(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/A", Reply(204))
    run_batch(front, gateway, [Call("1", "A", "POST", {"prefer": "return=minimal"}, b"{}")])
    assert upstream.call("POST /A").header("prefer") == "return=minimal"


def test_HD_11_outer_respond_async_may_be_answered_at_once(gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, ONE, {"Prefer": "respond-async"})
    assert answer.by_id()["1"]["status"] == 200
    assert "respond-async" not in (answer.header("preference-applied") or "")


def test_HD_11_inner_respond_async_is_that_request(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/job", Reply(202, [("Location", "http://gw.example/svc/jobs(1)"), ("Retry-After", "3")]))
    calls = [Call("1", "job", "POST", {"prefer": "respond-async"}, b"{}"), Call("2", "A(1)")]
    results = by_id(run_batch(front, gateway, calls))
    assert results["1"].status == 202
    assert results["1"].headers["location"] == "http://gw.example/svc/jobs(1)"
    assert results["1"].headers["retry-after"] == "3"
    assert results["2"].status == 200
    assert upstream.call("POST /job").header("prefer") == "respond-async"


def test_HD_11_not_where_another_waits_for_it(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """AS-07: an interim answer says nothing of success."""
    upstream.on("POST", "/job", Reply(204))
    prefer = {"prefer": "return=minimal, respond-async"}
    calls = [Call("1", "job", "POST", prefer, b"{}"), Call("2", "A(1)", depends_on=["1"])]
    assert {result.status for result in run_batch(front, gateway, calls)} == {200, 204}
    assert upstream.call("POST /job").header("prefer") == "return=minimal"


def test_HD_12_inner_preference_applied_stays_inside(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A(1)", Reply(204, [("Preference-Applied", "return=minimal")]))
    answer = rest.post(gateway.http_port, ONE)
    assert answer.by_id()["1"]["headers"]["preference-applied"] == "return=minimal"
    assert "return" not in (answer.header("preference-applied") or "")


def test_HD_13_wait_is_per_level(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [rest.get_call("1", "A(1)"), rest.get_call("2", "A(2)", headers={"prefer": "wait=2"})]
    upstream.on("GET", "/A(2)")
    answer = rest.post(gateway.http_port, {"requests": calls}, {"Prefer": "wait=30"})
    assert {r["status"] for r in answer.responses} == {200}
    assert upstream.call("GET /A(1)").header("prefer") is None
    assert upstream.call("GET /A(2)").header("prefer") == "wait=2"


@pytest.mark.parametrize("front", JSON_FRONTS)
def test_HD_13_wait_ends_the_batch_in_time(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    calls = [Call("1", "A(1)"), Call("2", "held"), Call("3", "A(1)", depends_on=["2"])]
    try:
        results = by_id(run_batch(front, gateway, calls, headers={"Prefer": "wait=1"}))
    finally:
        gate.open()
    assert {name: result.status for name, result in results.items()} == {"1": 200, "2": 504, "3": 504}


@pytest.mark.parametrize("streamed", [False, True])
def test_HD_19_gzip_belongs_to_the_outer_body(streamed: bool, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", Reply(204, expect_body=b'{"x":1}'))
    call = {"id": "1", "method": "post", "url": "A", "body": {"x": 1}}
    body = gzip.compress(rest.encode({"requests": [call]}))
    root = "/stream/" if streamed else "/svc/"
    answer = rest.post(gateway.http_port, body, {"Content-Encoding": "gzip"}, root=root)
    assert answer.by_id()["1"]["status"] == 204
    assert upstream.call("POST /A").header("content-encoding") is None


def test_HD_19_unknown_coding_is_415(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert refused(gateway, upstream, {"Content-Encoding": "x-unknown"}) == 415


def test_HD_19_broken_gzip_is_400(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = gzip.compress(rest.encode(ONE))[:-9]
    assert rest.post(gateway.http_port, body, {"Content-Encoding": "gzip"}).status == 400
    assert upstream.lines == []


def test_HD_20_content_length_is_per_level(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", Reply(204, expect_body=b'{"x":1}'))
    upstream.on("POST", "/B", Reply(204))
    calls = [
        Call("1", "A", "POST", {"content-type": "application/json", "content-length": "999"}, b'{"x":1}'),
        Call("2", "B", "POST"),
    ]
    results = by_id(run_batch(front, gateway, calls))
    assert [results["1"].status, results["2"].status] == [204, 204]
    assert upstream.call("POST /A").header("content-length") == "7"
    assert upstream.call("POST /B").header("content-length") == "0"


def test_HD_21_entity_headers_stay_inside(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    public = "http://gw.example/svc/A(7)"
    headers = [("ETag", '"7"'), ("Location", public), ("OData-EntityId", public)]
    upstream.on("POST", "/A", Reply(204, headers))
    answer = rest.post(gateway.http_port, {"requests": [{"id": "1", "method": "post", "url": "A", "body": {}}]})
    inner = answer.by_id()["1"]["headers"]
    assert (inner["etag"], inner["location"], inner["odata-entityid"]) == ('"7"', public, public)
    assert not {"etag", "location", "odata-entityid"} & {name for name, _ in answer.headers}


def test_HD_22_vary(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A(1)", json_reply({}, headers=[("Vary", "X-Inner")]))
    answer = rest.post(gateway.http_port, ONE)
    assert answer.by_id()["1"]["headers"]["vary"] == "X-Inner"
    outer = (answer.header("vary") or "").lower()
    assert "x-inner" not in outer
    assert "odata-maxversion" in outer or outer == "*"


@pytest.mark.parametrize(("given", "answered"), [("4.0", "4.0"), ("4.01", "4.01"), ("9.9", "4.01")])
@pytest.mark.parametrize(("method", "target"), [("GET", "/svc/$batch"), ("POST", "/nowhere/$batch")])
def test_HD_23_refusals(method: str, target: str, given: str, answered: str, gateway: Gateway) -> None:
    answer = rest.request(gateway.http_port, method, target, {"OData-MaxVersion": given}, b"{}")
    assert answer.status in (404, 405)
    assert answer.header("odata-version") == answered


@pytest.mark.parametrize(("given", "answered"), [("4.0", "4.0"), ("4.01", "4.01"), ("9.9", "4.01")])
def test_HD_23_greatest_version_up_to_the_maximum(given: str, answered: str, gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, ONE, version={"OData-MaxVersion": given})
    assert answer.header("odata-version") == answered


@pytest.mark.both_fronts
def test_HD_23_metadata_stands_for_headers_over_grpc(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    seen = seen_by_upstream(GRPC_JSON, gateway, upstream, {"OData-MaxVersion": "4.0"})
    assert seen["odata-maxversion"] == "4.0"
