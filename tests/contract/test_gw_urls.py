"""URLs that may not leave, and addresses that come back: rules GW-05, GW-06 and GW-10 of the contract."""

from __future__ import annotations

import pytest
from harness import rest
from harness.batches import Call, by_id, check_error, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply

PUBLIC = "http://gw.example"


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")


@pytest.mark.parametrize("origin", [PUBLIC, "HTTP://GW.EXAMPLE", "http://gw.example:80"])
def test_GW_05_own_origin_is_accepted(origin: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok?x=1")
    assert statuses(run_batch(front, gateway, [Call("1", f"{origin}/svc/ok?x=1")])) == {"1": 200}


@pytest.mark.parametrize(
    "url",
    [
        "https://gw.example/svc/ok",
        "http://gw.example:81/svc/ok",
        "http://evil.example/svc/ok",
        "http://gw.example.evil.example/svc/ok",
        "http://gw.example@evil.example/svc/ok",
        "http://user@gw.example/svc/ok",
        "ftp://gw.example/svc/ok",
        "http://127.0.0.1/svc/ok",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http:///svc/ok",
        "http:ok",
        "http://",
    ],
)
def test_GW_05_any_other_origin_is_400(url: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    results = by_id(run_batch(front, gateway, [Call("1", url), Call("2", "ok")]))
    check_error(results["1"], 400)
    assert results["2"].status == 200
    assert upstream.lines == ["GET /ok"]


LEAVING = [
    "//evil.example/svc/ok",
    "/other/ok",
    "/svcx/ok",
    "/",
    "/healthz",
    "../ok",
    "../svc/../ok",
    "A/../../ok",
    "%2e%2e/ok",
    "%2E./ok",
    ".%2e/ok",
    "A/%2e%2e/%2e%2e/ok",
    "..%2fok",
    "%2e%2e%2fok",
    "A%2f..%2f..%2fok",
    "..\\ok",
    "..%5cok",
    "/svc/../ok",
    "/svc/%2e%2e/ok",
    "/svc/..",
    "..",
    "%252e%252e/../../ok",
    "http://gw.example/ok",
    "http://gw.example/svc/../ok",
    "A/..;/../ok",
    "\\\\evil.example\\ok",
    "/\\evil.example/ok",
]


@pytest.mark.parametrize("url", LEAVING)
def test_GW_06_urls_that_leave_the_root_are_400(
    url: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    results = by_id(run_batch(front, gateway, [Call("1", url), Call("2", "ok")]))
    if results["1"].status == 200 or results["1"].status == 404:
        raise AssertionError(f"{url} was forwarded as {upstream.lines}")
    check_error(results["1"], 400)
    assert results["2"].status == 200
    assert upstream.lines == ["GET /ok"]


@pytest.mark.parametrize("url", LEAVING)
def test_GW_06_nor_under_the_compatible_profile(url: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A leading slash may mean the root there (PR-05); the base path of the upstream is never left."""
    rest.post(gateway.http_port, {"requests": [rest.get_call("1", url)]}, version={}, root="/base/")
    for call in upstream.log:
        assert call.path.startswith("/api/v1/"), call.path
        assert "/.." not in call.path
        assert "%2e%2e" not in call.path.lower()


@pytest.mark.parametrize("url", ["A b", "A\tb", "A\r\nX: 1", "A\nb", "A\0", "A\x7f", "A#fragment", "A%zz", "A%"])
def test_GW_06_characters_that_do_not_belong(
    url: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Refused, or forwarded only in encoded form: never a space, a control character or a fragment."""
    results = by_id(run_batch(front, gateway, [Call("1", url), Call("2", "ok")]))
    assert results["2"].status == 200
    if results["1"].status == 400:
        assert results["1"].is_error
        assert upstream.lines == ["GET /ok"]
    for call in upstream.log:
        assert not set(call.path) & set(" \t\r\n\0\x7f#")
    assert all(call.header("x") is None for call in upstream.log)


@pytest.mark.parametrize(("url", "said"), [("A#f", "'#'"), ("A\\b", "'\\'"), ("A\x7f", "the control character 0x7f")])
def test_GW_06_the_character_is_told(url: str, said: str, front: str, gateway: Gateway) -> None:
    [found] = run_batch(front, gateway, [Call("1", url)])
    check_error(found, 400)
    assert said in found.json()["error"]["message"]


@pytest.mark.parametrize("url", ["http://evil.example/svc/C(7)", "//evil.example/C(7)", "../C(7)"])
def test_GW_06_again_after_substitution(url: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/C", json_reply({}, 201, [("Location", url)]))
    calls = [Call("1", "C", "POST", body=b"{}"), Call("2", "$1/Orders", depends_on=["1"])]
    results = by_id(run_batch(front, gateway, calls))
    assert results["1"].status == 201
    check_error(results["2"], 400)
    assert upstream.lines == ["POST /C"]


def test_GW_06_a_path_beside_the_upstreams_base(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The upstream's own paths lie under its base; `/other/` is neither there nor under the service root."""
    upstream.on("POST", "/api/v1/C", json_reply({}, 201, [("Location", "/other/C(7)")]))
    calls = [Call("1", "C", "POST", body=b"{}"), Call("2", "$1/Orders", depends_on=["1"])]
    results = by_id(run_batch(front, gateway, calls, route="/base/"))
    assert results["1"].headers["location"] == "/other/C(7)"
    check_error(results["2"], 400)
    assert upstream.lines == ["POST /api/v1/C"]


@pytest.mark.parametrize("url", ["$1/../../ok", "$1/%2e%2e/%2e%2e/ok", "$1/$batch"])
def test_GW_06_the_rest_of_a_reference_is_checked_too(
    url: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/C", json_reply({}, 201, [("Location", f"{PUBLIC}/svc/C(7)")]))
    calls = [Call("1", "C", "POST", body=b"{}"), Call("2", url, "POST", depends_on=["1"])]
    results = by_id(run_batch(front, gateway, calls))
    if url != "$1/$batch":
        check_error(results["2"], 400)
    assert not [line for line in upstream.lines if ".." in line or "/ok" in line]


def test_GW_06_a_mount_has_its_own_upstream(
    front: str, gateway: Gateway, upstream: ScriptedUpstream, orders: ScriptedUpstream
) -> None:
    orders.on("GET", "/O(1)")
    calls = [
        Call("1", "ok"),
        Call("2", "orders/O(1)"),
        Call("3", "/mounted/orders/O(1)"),
        Call("4", "orders/../ok"),
    ]
    assert statuses(run_batch(front, gateway, calls, route="/mounted/")) == {
        "1": 200,
        "2": 200,
        "3": 200,
        "4": 200,
    }
    assert upstream.lines == ["GET /ok"] * 2
    assert orders.lines == ["GET /O(1)"] * 2


@pytest.mark.parametrize("name", ["Location", "OData-EntityId", "Content-Location"])
def test_GW_10_upstream_addresses_become_public(
    name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    inside = f"{upstream.origin}/api/v1/C(7)?x=1"
    upstream.on("POST", "/api/v1/C", Reply(201, [(name, inside)]))
    [result] = run_batch(front, gateway, [Call("1", "C", "POST", body=b"{}")], route="/base/")
    assert result.headers[name.lower()] == f"{PUBLIC}/base/C(7)?x=1"


def test_GW_10_and_references_follow_them(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/api/v1/C", Reply(201, [("Location", f"{upstream.origin}/api/v1/C(7)")]))
    upstream.on("GET", "/api/v1/C(7)/Orders")
    calls = [Call("1", "C", "POST", body=b"{}"), Call("2", "$1/Orders", depends_on=["1"])]
    assert statuses(run_batch(front, gateway, calls, route="/base/")) == {"1": 201, "2": 200}


def test_GW_10_foreign_addresses_stay(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/C", Reply(303, [("Location", "https://elsewhere.example/x")]))
    [result] = run_batch(front, gateway, [Call("1", "C", "POST", body=b"{}")])
    assert (result.status, result.headers["location"]) == (303, "https://elsewhere.example/x")


@pytest.mark.parametrize("name", ["@nextLink", "@odata.nextLink", "@odata.deltaLink", "odata.nextLink", "A@nextLink"])
def test_GW_10_next_links_become_public(name: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = {"value": [{"ID": 1}], name: f"{upstream.origin}/api/v1/C?$skiptoken=5"}
    upstream.on("GET", "/api/v1/C", json_reply(body))
    [result] = run_batch(front, gateway, [Call("1", "C")], route="/base/")
    assert result.json() == {"value": [{"ID": 1}], name: f"{PUBLIC}/base/C?$skiptoken=5"}
