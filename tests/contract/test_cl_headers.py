"""Rules CL: which headers the calls get of their batch, and which they must not bring along."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from batchwire.core.header_rules import DENIED as DENY_LIST
from batchwire.core.header_rules import HeaderRules
from batchwire.v1 import batch_pb2
from harness import grpc_client, rest
from harness.batches import Call, by_id, check_error, from_proto, run_batch
from harness.documents import parts
from harness.gateway import Gateway
from harness.multiparts import part
from harness.scripted import ScriptedUpstream
from hypothesis import given, settings
from hypothesis import strategies as st

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def gateway(ways_gateway: Gateway) -> Gateway:
    return ways_gateway


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")


def over_metadata(gateway: Gateway, calls: list[Call], route: str, metadata: Mapping[str, str]) -> list[int]:
    """The calls by Execute, with metadata beside them."""
    made = [grpc_client.call(call.id, call.url, call.method, headers=call.headers) for call in calls]
    message = batch_pb2.ExecuteRequest(options=grpc_client.options(route), calls=made)
    with grpc_client.Client(gateway.grpc_address) as client:
        answer = client.execute(message, metadata=list(metadata.items()))
    return [from_proto(result).status for result in answer.results]


# --- CL-09

OUTER = "Bearer outer"


@pytest.mark.parametrize(
    ("route", "own", "status"),
    [
        ("/trusted/", OUTER, 200),
        ("/trusted/", f"  {OUTER}\t", 200),
        ("/trusted/", "Bearer other", 400),
        ("/trusted/", "Bearer outer2", 400),
        ("/trusted/", "Bearer oute", 400),
        ("/trusted/", "bearer outer", 400),
        ("/trusted/", "", 400),
        ("/reject/", OUTER, 400),
        ("/drop/", OUTER, 200),
        ("/drop/", "Bearer other", 200),
    ],
)
def test_CL_09_a_call_may_repeat_the_batch_s_authorization(
    route: str, own: str, status: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    headers = {"Authorization": OUTER}
    message = part(f"GET A HTTP/1.1\r\nauthorization:{own}\r\n\r\n".encode())
    [found] = parts(way, gateway, message, headers=headers, route=route)
    assert found.status == status
    call = Call("1", "A", headers={"Authorization": own.strip()})
    in_json = rest.post(
        gateway.http_port,
        {"requests": [{"id": "1", "method": "get", "url": "A", "headers": call.headers}]},
        headers,
        root=route,
    )
    assert in_json.by_id()["1"]["status"] == status
    if status == 400:
        assert "(allow_inner_authorization of the route)" in in_json.by_id()["1"]["body"]["error"]["message"]
    assert over_metadata(gateway, [call], route, {"authorization": OUTER}) == [status]
    assert {seen.header("authorization") for seen in upstream.log} == ({OUTER} if status == 200 else set())


def test_CL_09_none_where_the_batch_has_none(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "A", headers={"Authorization": OUTER}), Call("2", "A", headers={"Proxy-Authorization": OUTER})]
    for result in by_id(run_batch(front, gateway, calls)).values():
        check_error(result, 400)
    assert upstream.log == []


def test_CL_09_proxy_authorization_is_never_that_of_the_batch(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    call = Call("1", "A", headers={"Proxy-Authorization": OUTER})
    [found] = parts(way, gateway, call, headers={"Authorization": OUTER})
    assert found.status == 400
    assert upstream.log == []


# --- CL-10

TRACES = {
    "x-request-id": "r-1",
    "traceparent": PARENT,
    "tracestate": "a=b",
    "baggage": "k=v",
    "b3": "0",
    "x-b3-traceid": "80f198ee56343ba8",
}
OTHERS = {
    "cookie": "a=b; c=d",
    "x-csrf-token": "t",
    "x-requestdigest": "0x",
    "x-my-thing": "m",
    "x-auth-user": "u",
    "x-auth-groups": "g",
    "x-auth-token": "t",
    "x-secret": "s",
    "x-secret-known": "k",
    "x_secret": "s",
    "x-forwarded-for": "192.0.2.1",
    "x-b4": "n",
}
PICKED = ("x-request-id", "x-b3-traceid", "x-csrf-token", "x-requestdigest", "x-auth-token", "x-secret-known", "x-b4")
"""With `x-*` less what the route drops, and with what it keeps or names."""


def forwarded(way: str, gateway: Gateway, upstream: ScriptedUpstream, route: str) -> dict[str, str]:
    """Which of the headers above the call gets."""
    headers = {**TRACES, **OTHERS, "if-modified-since": "x", "range": "bytes=0-1", "x-odd-": "o"}
    headers.pop("if-modified-since" if way == "execute" else "x-odd-")
    if way == "execute":
        assert over_metadata(gateway, [Call("1", "A")], route, headers) == [200]
    else:
        [found] = parts(way, gateway, Call("1", "A"), headers=headers, route=route)
        assert found.status == 200
    [call] = upstream.log
    assert call.header("range") is None
    return {name: value for name, value in call.headers if name in TRACES or name in OTHERS}


@pytest.mark.parametrize("way", ["rest", "grpc", "execute"])
@pytest.mark.parametrize(
    ("route", "wanted"),
    [
        ("/svc/", TRACES),
        ("/none/", {}),
        ("/forward/", {n: OTHERS[n] for n in ("cookie", "x-csrf-token", "x-my-thing", "x-auth-user")}),
        ("/all/", {n: v for n, v in {**TRACES, **OTHERS}.items() if not n.startswith(("x-auth", "x-forw"))}),
        ("/picked/", {n: v for n, v in {**TRACES, **OTHERS}.items() if n in PICKED}),
    ],
)
def test_CL_10_headers_of_the_batch_that_its_calls_get(
    route: str, wanted: dict[str, str], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert forwarded(way, gateway, upstream, route) == wanted


def test_CL_10_what_connection_names_goes_no_further(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """RFC 9110 7.6.1: such a field is for the gateway alone; whatever was sent before with the same head."""
    for connection, wanted in (("keep-alive", PARENT), ("TraceParent, keep-alive", None), ("keep-alive", PARENT)):
        fields = [("traceparent", PARENT), ("connection", connection)]
        answer = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}, fields)
        assert answer.by_id()["1"]["status"] == 200
        assert upstream.log[-1].header("traceparent") == wanted


def test_CL_10_a_call_s_own_field_wins(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [Call("1", "A", headers={"X-Request-Id": "own"}), Call("2", "A?2")]
    upstream.on("GET", "/A?2")
    run_batch(front, gateway, calls, headers={"x-request-id": "outer"})
    assert upstream.call("GET /A").header("x-request-id") == "own"
    assert upstream.call("GET /A?2").header("x-request-id") == "outer"


def test_CL_10_two_lines_of_cookies_are_one(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    fields = [("Content-Type", "application/json"), ("Cookie", "a=b"), ("Cookie", "c=d")]
    body = rest.encode({"requests": [rest.get_call("1", "A")]})
    rest.request(gateway.http_port, "POST", "/forward/$batch", fields, body)
    assert upstream.call("GET /A").header("cookie") == "a=b; c=d"


# --- CL-12

DENIED = [
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-User",
    "X-Real-IP",
    "True-Client-IP",
    "Fastly-Client-IP",
    "CF-Connecting-IP",
    "CF-Access-Jwt-Assertion",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "Remote-User",
    "X-Remote-User",
    "X-Remote-Group",
    "X-Envoy-Internal",
    "X-Envoy-External-Address",
    "l5d-client-id",
    "SSL-Client-Verify",
    "X-SSL-Client-CN",
    "X-Amzn-Oidc-Data",
    "X-Auth-User",
    "X-Auth-Request-Email",
    "X-JWT-Payload",
    "X-Goog-IAP-JWT-Assertion",
    "X-Goog-Authenticated-User-Email",
    "X-MS-Client-Principal",
    "X-MS-Client-Principal-Name",
    "X-WebAuth-User",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Client-Cert",
    "Proxy",
    "X-Middleware-Subrequest",
]
PASSED = [
    "X-Requested-With",
    "X-Forward",
    "X-Auth",
    "Remote",
    "X-Real",
    "X-CSRF-Token",
    "Prefer",
    "If-Match",
    "X-Envo",
    "X-SAP-Client",
]


@pytest.mark.parametrize(
    "spelled",
    [
        str,
        str.lower,
        str.upper,
        lambda n: n.replace("-", "_"),
        lambda n: n.replace("-", "."),
        lambda n: n.replace("-", "_", 1),
    ],
)
def test_CL_12_identities_do_not_come_from_inside(
    spelled: object, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    named = [spelled(name) for name in DENIED]  # type: ignore[operator]
    [result] = run_batch(front, gateway, [Call("1", "A", headers={**dict.fromkeys(named, "me"), "X-Mine": "yes"})])
    assert result.status == 200
    [call] = upstream.log
    seen = {name for name, _ in call.headers}
    assert "x-mine" in seen
    assert not seen & {name.lower() for name in named}


def test_CL_12_what_is_called_alike_passes(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    run_batch(front, gateway, [Call("1", "A", headers=dict.fromkeys(PASSED, "x"))])
    [call] = upstream.log
    assert {name.lower() for name in PASSED} <= {name for name, _ in call.headers}


def test_CL_12_a_route_adds_and_takes_away(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    names = ["X-Secret", "x-secret-thing", "X_Secret_Other", "X-One", "X-One-Two", "X-Auth-Token", "X-Auth-User"]
    run_batch(front, gateway, [Call("1", "A", headers=dict.fromkeys(names, "x"))], route="/deny/")
    [call] = upstream.log
    assert {name for name, _ in call.headers} & {name.lower() for name in names} == {"x-one-two", "x-auth-token"}


def test_CL_12_headers_for_all_calls_are_no_way_around(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    run_batch(
        "grpc-execute",
        gateway,
        [Call("1", "A")],
        route="/deny/",
        headers={"X-Secret": "x", "X-Auth-Token": "t", "X-Auth-User": "u"},
    )
    [call] = upstream.log
    assert (call.header("x-secret"), call.header("x-auth-token"), call.header("x-auth-user")) == (None, "t", None)


def test_CL_12_the_list_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
    assert " ".join(DENY_LIST) in " ".join(text.split())


TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
names = st.one_of(
    st.text(TOKEN, min_size=1, max_size=30),
    st.tuples(st.sampled_from(DENIED + PASSED), st.text(TOKEN, max_size=3)).map("".join),
    st.sampled_from(DENIED + PASSED).map(lambda name: name[:-1] or "x"),
)
patterns = st.lists(
    st.one_of(st.text("abx-", min_size=1, max_size=4), st.text("abx-", max_size=3).map(lambda text: text + "*")),
    max_size=4,
)


def folded(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower())


def matches(name: str, wanted: list[str]) -> bool:
    """What the lists mean, said plainly."""
    return any(
        folded(name).startswith(folded(one[:-1])) if one.endswith("*") else folded(name) == folded(one)
        for one in wanted
    )


@settings(deadline=None)
@given(names, patterns, patterns)
def test_CL_12_the_rules_mean_what_the_lists_say(name: str, drop: list[str], keep: list[str]) -> None:
    plain = HeaderRules().verdict_on(name.encode())
    found = HeaderRules(drop, keep).verdict_on(name.encode())
    if plain not in ("pass", "drop") or HeaderRules(keep=["*"]).verdict_on(name.encode()) != "pass":
        assert found == plain, "what HTTP asks for stays"
    elif matches(name, drop):
        assert found == "drop"
    else:
        assert found == ("pass" if matches(name, keep) else plain)


@settings(deadline=None)
@given(names)
def test_CL_12_spellings_are_one_name(name: str) -> None:
    rules = HeaderRules()
    verdict = rules.verdict_on(folded(name).encode())
    assert rules.verdict_on(name.lower().encode()) in (verdict, "drop")
    assert (rules.verdict_on(name.encode()) == "pass") == (verdict == "pass")
