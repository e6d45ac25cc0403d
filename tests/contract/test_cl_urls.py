"""Rules CL: which URLs of calls are the gateway's own, and what proxies may say of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from harness import rest
from harness.batches import Call, Refused, check_error, run_batch
from harness.documents import MULTIPART, send
from harness.gateway import Gateway
from harness.http2_wire import Http2Wire, request
from harness.multiparts import document, part, read
from harness.scripted import ScriptedUpstream, json_reply

NONE: dict[str, str] = {}


@pytest.fixture
def gateway(ways_gateway: Gateway) -> Gateway:
    return ways_gateway


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")


# --- CL-08, CL-13


def absolute(
    port: int,
    url: str,
    host: str,
    headers: Mapping[str, str] | None = None,
    root: str = "/svc/",
    version: Mapping[str, str] = NONE,
) -> int:
    """The status of a GET of an absolute URL in a batch that comes with this Host."""
    body = rest.encode({"requests": [rest.get_call("1", url)]})
    fields = {"Content-Type": "application/json", **version, **(headers or {})}
    answer = rest.request(port, "POST", f"{root}$batch", fields, body, host)
    return int(answer.by_id()["1"]["status"])


@pytest.mark.parametrize(
    ("host", "url", "status"),
    [
        ("gw.example", "https://gw.example/svc/A", 200),
        ("gw.example", "https://gw.example:443/svc/A", 200),
        ("gw.example", "HTTPS://GW.Example/svc/A", 200),
        ("gw.example", "http://gw.example:80/svc/A", 200),
        ("gw.example:443", "https://gw.example/svc/A", 200),
        ("gw.example:8443", "https://gw.example:8443/svc/A", 200),
        ("gw.example:80", "https://gw.example/svc/A", 200),
        ("[::1]", "https://[::1]/svc/A", 200),
        ("gw.example", "https://gw.example:8443/svc/A", 400),
        ("gw.example", "http://gw.example:443/svc/A", 400),
        ("gw.example", "https://gw.example:80/svc/A", 400),
        ("gw.example:8443", "https://gw.example/svc/A", 400),
        ("gw.example", "https://other.example/svc/A", 400),
        ("gw.example", "https://gw.example@other.example/svc/A", 400),
        ("gw.example", "https://gw.example:443@other.example/svc/A", 400),
        ("gw.example", "https://u:p@gw.example/svc/A", 400),
        ("gw.example", "ftp://gw.example/svc/A", 400),
        ("gw.example", "wss://gw.example/svc/A", 400),
        ("[::1]", "https://[::2]/svc/A", 400),
    ],
)
def test_CL_08_tls_that_ends_before_the_gateway(
    host: str, url: str, status: int, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert absolute(gateway.http_port, url, host) == status
    assert upstream.lines == (["GET /A"] if status == 200 else [])


@pytest.mark.parametrize(
    ("url", "status"),
    [("http://gw.example/svc/A", 200), ("http://gw.example:80/svc/A", 200), ("https://gw.example/svc/A", 400)],
)
def test_CL_08_the_strict_profile_compares_schemes(url: str, status: int, gateway: Gateway) -> None:
    assert absolute(gateway.http_port, url, "gw.example", version=rest.STRICT) == status


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://gw.example/several/A", 200),
        ("https://gw.example:443/several/A", 200),
        ("http://inside:8080/several/A", 200),
        ("http://gw.example/several/A", 400),
        ("http://inside/several/A", 400),
        ("http://elsewhere/several/A", 400),
    ],
)
def test_CL_08_a_route_has_several_origins(url: str, status: int, gateway: Gateway) -> None:
    assert absolute(gateway.http_port, url, "elsewhere", root="/several/", version=rest.STRICT) == status


@pytest.mark.parametrize(
    ("host", "told"),
    [("gw.example", "https://gw.example"), ("inside:8080", "http://inside:8080"), ("elsewhere", "https://gw.example")],
)
def test_CL_08_clients_are_told_the_origin_they_came_by(
    host: str, told: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/A", json_reply({}, 201, [("Location", f"{upstream.origin}/A(1)")]))
    body = rest.encode({"requests": [{"id": "1", "method": "post", "url": "A", "body": {}}]})
    fields = {"Content-Type": "application/json"}
    answer = rest.request(gateway.http_port, "POST", "/several/$batch", fields, body, host)
    assert answer.by_id()["1"]["headers"]["Location"] == f"{told}/several/A(1)"


@pytest.mark.parametrize(
    ("host", "inner", "status"),
    [
        ("gw.example", "gw.example", 200),
        ("gw.example", "GW.example:80", 200),
        ("gw.example:8080", "gw.example:8080", 200),
        ("gw.example", "gw.example:8080", 400),
        ("gw.example:8080", "gw.example", 400),
        ("gw.example", "other.example", 400),
    ],
)
def test_CL_08_the_host_inside_a_part(
    host: str, inner: str, status: int, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = document(part(f"GET /svc/A HTTP/1.1\r\nHost: {inner}\r\n\r\n".encode()))
    answer = rest.request(gateway.http_port, "POST", "/svc/$batch", {"Content-Type": MULTIPART}, body, host)
    [found] = read(answer.header("content-type"), answer.body)
    assert found.status == status


@pytest.mark.parametrize("location", ["http://127.0.0.1:{port}/A(1)", "HTTP://127.0.0.1:{port}/A(1)", "/A(1)"])
def test_CL_08_an_upstream_s_own_urls(location: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", json_reply({}, 201, [("Location", location.format(port=upstream.port))]))
    upstream.on("GET", "/A(1)/x")
    calls = [{"id": "1", "method": "post", "url": "A", "body": {}}, rest.get_call("2", "$1/x", dependsOn=["1"])]
    found = rest.post(gateway.http_port, {"requests": calls}, version=NONE).by_id()
    assert found["1"]["headers"]["Location"].endswith("/svc/A(1)")
    assert found["2"]["status"] == 200


PROXIED = [
    ({"X-Forwarded-Proto": "https"}, "https://gw.example"),
    ({"X-Forwarded-Proto": "HTTPS", "X-Forwarded-Host": "pub.example"}, "https://pub.example"),
    ({"Forwarded": "for=192.0.2.1;proto=https;host=pub.example"}, "https://pub.example"),
    ({"Forwarded": 'For="[2001:db8::1]:4711";Proto=https;Host="pub.example:8443"'}, "https://pub.example:8443"),
    # What stands before the entries of trusted proxies is the client's own.
    ({"Forwarded": "for=10.0.0.1;proto=https;host=evil.example, for=192.0.2.1;host=pub.example"}, "http://pub.example"),
    ({"X-Forwarded-Host": "evil.example, pub.example", "X-Forwarded-For": "10.9.9.9, 192.0.2.1"}, "http://pub.example"),
    ({"X-Forwarded-Host": "pub.example, in.example", "X-Forwarded-For": "192.0.2.1, 10.0.0.1"}, "http://pub.example"),
    # Two forms: only what both say, since one of them may be the client's.
    (
        {"Forwarded": "for=192.0.2.1;proto=https;host=pub.example", "X-Forwarded-For": "192.0.2.1"},
        "http://gw.example",
    ),
    ({"Forwarded": "for=192.0.2.1;proto=https", "X-Forwarded-Proto": "https"}, "https://gw.example"),
    ({"Forwarded": "host=evil.example", "X-Forwarded-Host": "pub.example"}, "http://gw.example"),
    # Nonsense is as good as nothing.
    ({"X-Forwarded-Proto": "ftp", "X-Forwarded-Host": "a b"}, "http://gw.example"),
    ({"Forwarded": ';;=,"', "X-Forwarded-Proto": "https"}, "https://gw.example"),
]


def told_origin(gateway: Gateway, headers: Mapping[str, str], upstream: ScriptedUpstream, over: str) -> str:
    """The origin in what a client is told."""
    upstream.on("POST", "/A", json_reply({}, 201, [("Location", f"{upstream.origin}/A(1)")]))
    body = rest.encode({"requests": [{"id": "1", "method": "post", "url": "A", "body": {}}]})
    fields = {"Content-Type": "application/json", **headers}
    if over == "http/1.1":
        answer = rest.request(gateway.http_port, "POST", "/svc/$batch", fields, body)
        text = answer.body
    else:
        more = [(name.lower(), value) for name, value in fields.items()]
        with Http2Wire(gateway.http_port) as wire:
            text = bytes(wire.ask(request("POST", "/svc/$batch", more), body).data)
    location = json.loads(text)["responses"][0]["headers"]["Location"]
    return str(location.removesuffix("/svc/A(1)"))


@pytest.mark.parametrize("over", ["http/1.1", "http/2"])
@pytest.mark.parametrize(("headers", "origin"), PROXIED)
def test_CL_13_what_a_trusted_proxy_says(
    headers: dict[str, str], origin: str, over: str, trusting_gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert told_origin(trusting_gateway, headers, upstream, over) == origin


@pytest.mark.parametrize("over", ["http/1.1", "http/2"])
@pytest.mark.parametrize("headers", [headers for headers, _ in PROXIED])
def test_CL_13_nobody_is_trusted_by_default(
    headers: dict[str, str], over: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert told_origin(gateway, headers, upstream, over) == "http://gw.example"
    assert not {name for call in upstream.log for name, _ in call.headers if "forwarded" in name}


# --- CL-11

NESTED = [
    "$batch",
    "$Batch",
    "%24Batch",
    "%24batch",
    "%2524BATCH",
    "$batch%20",
    "%20$batch",
    "$batch%09",
    "$batch.",
    "$batch()",
    "$batch;x=1",
    "$batch/",
    "$batch/x",
    "$batch?x=1",
    "A/$Batch%20",
    "./$BATCH",
    "batch",
    "batch/",
    "batch/x",
    "batch/x/y",
    "batch?x=1",
    "batch;x",
    "batch%20",
    "batch%20/x",
    "%62atch",
    "%2562atch/x",
    "./batch",
    "%2e/batch",
    "/svc/%2E/batch",
    "x/../batch",
    "x/../batch/y",
    "batch%2fx",
    "batch%5cx",
    "/svc/batch",
    "/svc/$Batch",
    "http://gw.example/svc/batch/x",
]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("url", NESTED)
def test_CL_11_no_batch_holds_a_batch(url: str, method: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.fallback = lambda call: json_reply({})
    found = rest.post(
        gateway.http_port, {"requests": [{"id": "1", "method": method, "url": url}]}, version=NONE
    ).by_id()
    assert found["1"]["status"] == 400, found
    assert upstream.log == []


@pytest.mark.parametrize(
    "url",
    [
        "batches",
        "batches/1",
        "Batch",
        "Batch(1)",
        "A/batch",
        "A/batch/x",
        "abatch",
        "batch(1)",
        "batch-jobs",
        "x?y=batch",
        "A?batch/x",
    ],
)
def test_CL_11_what_is_called_alike_is_no_batch(url: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", f"/{url}")
    assert (
        rest.post(gateway.http_port, {"requests": [rest.get_call("1", url)]}, version=NONE).by_id()["1"]["status"]
        == 200
    )


@pytest.mark.parametrize(
    "url",
    ["orders/batch", "orders/batch/x", "orders/$Batch", "orders/%62atch", "./orders/batch%20", "x/../orders/batch"],
)
def test_CL_11_nor_below_a_mount(url: str, front: str, gateway: Gateway, orders: ScriptedUpstream) -> None:
    orders.fallback = lambda call: json_reply({})
    [result] = run_batch(front, gateway, [Call("1", url, "POST")], route="/mounted/")
    check_error(result, 400)
    assert orders.log == []


@pytest.mark.parametrize("url", ["batch", "batch/x", "%62atch/x"])
def test_CL_11_where_no_dialect_is_taken_at_batch_it_is_a_resource(
    url: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", f"/{url}")
    calls = {"requests": [rest.get_call("1", url), rest.get_call("2", "%24Batch")]}
    found = rest.post(gateway.http_port, calls, root="/odata/", version=NONE).by_id()
    assert (found["1"]["status"], found["2"]["status"]) == (200, 400)
    kind = {"Content-Type": "multipart/mixed; boundary=b"}
    for method in ("POST", "PUT"):
        assert rest.request(gateway.http_port, method, "/odata/batch", kind, b"--b--").status == 404
    for dialect in ("google", "document"):
        with pytest.raises(Refused):
            send("grpc", gateway, b"--b--", headers={"batchwire-dialect": dialect}, route="/odata/", version=NONE)


def test_CL_11_nor_by_a_reference(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", json_reply({}, 201, [("Location", "/svc/ba"), ("Content-Location", "x")]))
    upstream.on("POST", "/B", json_reply({}, 201, [("Location", f"{upstream.origin}/batch")]))
    upstream.fallback = lambda call: json_reply({})
    calls = [
        {"id": "a", "method": "post", "url": "A", "body": {}},
        {"id": "b", "method": "post", "url": "B", "body": {}},
        rest.get_call("1", "$a/$Batch", dependsOn=["a"]),
        rest.get_call("2", "$b", dependsOn=["b"]),
        rest.get_call("3", "$b/x", dependsOn=["b"]),
    ]
    found = rest.post(gateway.http_port, {"requests": calls}, version=NONE).by_id()
    assert [found[name]["status"] for name in "ab123"] == [201, 201, 400, 400, 400]
    assert len(upstream.log) == 2
