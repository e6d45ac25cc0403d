"""Rules CL: methods, versions and forms that clients use and the specifications did not foresee."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from batchwire.v1 import batch_pb2
from harness import config, grpc_client, rest
from harness.batches import JSON_FRONTS, Call, run_batch, statuses
from harness.documents import MULTIPART, parts, send
from harness.gateway import Gateway
from harness.multiparts import change_set, document, part, part_of, read
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

NONE: dict[str, str] = {}


@pytest.fixture
def gateway(ways_gateway: Gateway) -> Gateway:
    return ways_gateway


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")


# --- CL-01, CL-02


@pytest.mark.parametrize(
    "accept",
    [
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
        "*;q=.5",
        "application/json;q=.1",
        "application/json; q=0.33333",
        "application/json;q=1.00000",
        "application/json;q=1.",
        "multipart/mixed;q=0., application/json;q=.001",
    ],
)
def test_CL_01_qualities_as_clients_write_them(accept: str, gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}, {"Accept": accept}, version=NONE)
    assert answer.by_id()["1"]["status"] == 200


@pytest.mark.parametrize(
    "accept", ["text/csv;q=.2", "*;q=0", "*/*;q=.", "*/*;q=.0", "*/*;q=1.1", "*/*;q=-.2", "*/*;q="]
)
def test_CL_01_and_still_nothing_acceptable(accept: str, gateway: Gateway) -> None:
    answer = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A")]}, {"Accept": accept}, version=NONE)
    assert answer.status == 406


def json_with(headers: str) -> bytes:
    return b'{"requests":[{"id":"1","method":"post","url":"A","headers":{%b},"body":{}}]}' % headers.encode()


@pytest.mark.parametrize("version", [rest.STRICT, NONE])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ('"content-type":"application/json","Content-Type":"application/json"', 201),
        ('"content-type":"application/json","Content-Type":" application/json "', 201),
        ('"Prefer":"return=minimal","prefer":"return=minimal","PREFER":"return=minimal"', 201),
        ('"content-type":"application/json","Content-Type":"application/json;x=y"', 400),
        ('"content-type":"application/json","Content-Type":""', 400),
        ('"prefer":"return=minimal","Prefer":"return=representation"', 400),
        ('"if-match":"\\"a\\"","If-Match":"\\"ab\\""', 400),
    ],
)
def test_CL_02_equal_fields_are_one(
    headers: str, status: int, version: Mapping[str, str], gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/A", json_reply({}, 201))
    answer = rest.post(gateway.http_port, json_with(headers), version=version)
    [found] = answer.responses
    assert found["status"] == status
    if status == 400:
        assert upstream.log == []
        return
    [call] = upstream.log
    names = [name for name, _ in call.headers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("second", "status"), [("application/json", 201), ("text/plain", 400)])
def test_CL_02_content_type_in_every_dialect(
    second: str, status: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/A", json_reply({}, 201))
    lines = f"POST A HTTP/1.1\r\nContent-Type: application/json\r\ncontent-type: {second}\r\n\r\n{{}}"
    [found] = parts(way, gateway, part(lines.encode()))
    assert found.status == status
    made = grpc_client.call("1", "A", "POST", body=b"{}")
    for name, value in (("Content-Type", "application/json"), ("content-type", second)):
        made.headers.add(name=name, value=value)
    with grpc_client.Client(gateway.grpc_address) as client:
        [result] = client.execute(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=[made])).results
    assert result.status == status
    assert all([v for n, v in call.headers if n == "content-type"] == ["application/json"] for call in upstream.log)


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "OPTIONS"])
def test_JB_26_the_content_type_of_a_call_without_a_body_goes(
    method: str, front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """In every dialect, wherever it stands."""
    upstream.fallback = lambda _: Reply(204)
    for headers in ({"Content-Type": "application/json", "X-A": "1"}, {"X-A": "1", "Content-Type": "text/plain;a=b"}):
        call = Call("1", "typed", method, headers)
        if not (method in ("HEAD", "OPTIONS") and front in JSON_FRONTS):  # JB-07
            assert statuses(run_batch(front, gateway, [call])) == {"1": 204}
        [found] = parts(way, gateway, call)
        assert found.status == 204
    assert upstream.log
    for received in upstream.log:
        assert (received.header("content-type"), received.header("x-a")) == (None, "1")
    many = {f"X-{n}": "x" * 100 for n in range(20)}
    upstream.reset()
    upstream.fallback = lambda _: Reply(204)
    [found] = parts(way, gateway, Call("1", "typed", method, {**many, "Content-Type": "a/b", "X-A": "1"}))
    [received] = upstream.log
    assert (received.header("content-type"), received.header("x-a"), received.header("x-19")) == (None, "1", "x" * 100)


# --- CL-03


@pytest.mark.parametrize("spelling", ["MERGE", "merge"])
@pytest.mark.parametrize(("route", "method"), [("/svc/", "MERGE"), ("/patched/", "PATCH")])
def test_CL_03_merge_in_every_dialect(
    route: str, method: str, spelling: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on(method, "/A", Reply(204))
    call = Call(
        "1", "A", spelling, {"If-Match": "*", "X-HTTP-Method": "DELETE", "x-http-method-override": "PUT"}, b"{}"
    )
    more = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"} if "json" in front else {}
    results = run_batch(front, gateway, [call], route=route, headers=more)
    assert statuses(results) == {"1": 204}
    [seen] = upstream.log
    assert seen.line == f"{method} /A"
    assert seen.body == b"{}"
    assert not {name for name, _ in seen.headers if "method" in name}


def test_CL_03_merge_of_a_change_set_of_one(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("MERGE", "/A", Reply(204))
    [found] = parts(way, gateway, [Call("1", "A", "MERGE", {"Content-Type": "application/json"}, b"{}")])
    assert [one.status for one in found.members or []] == [204]
    assert upstream.call("MERGE /A").header("content-length") == "2"


def test_CL_03_a_merge_without_a_body_says_so(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("MERGE", "/A", Reply(204))
    assert parts(way, gateway, Call("1", "A", "MERGE"))[0].status == 204
    assert upstream.call("MERGE /A").header("content-length") == "0"


def test_CL_03_merge_names_what_it_changes(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """GW-14: as PATCH does."""
    upstream.on("MERGE", "/A", Reply(204))
    upstream.on("GET", "/A/x")
    found = run_batch("grpc-execute", gateway, [Call("1", "A", "MERGE"), Call("2", "$1/x", depends_on=["1"])])
    assert statuses(found) == {"1": 204, "2": 200}


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_CL_03_head_and_options_in_every_dialect(
    method: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on(
        method, "/A", Reply(200, [("X-Here", "yes"), ("Allow", "GET"), ("Content-Type", "application/json")], b"{}")
    )
    more = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"} if "json" in front else {}
    [result] = run_batch(front, gateway, [Call("1", "A", method)], headers=more)
    assert (result.status, result.headers["x-here"]) == (200, "yes")
    assert (result.body or b"") == (b"" if method == "HEAD" else b"{}")
    assert upstream.lines == [f"{method} /A"]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_CL_03_head_and_options_in_multipart(
    method: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on(method, "/A", Reply(200, [("X-Here", "yes"), ("Content-Type", "application/json")], b'{"a":1}'))
    found, after = parts(way, gateway, Call("1", "A", method), Call("2", "A"))
    assert (found.status, found.header("x-here"), after.status) == (200, "yes", 200)
    assert found.body == (b"" if method == "HEAD" else b'{"a":1}')


@pytest.mark.parametrize("url", ["A", "../out", "missing", "$batch"])
def test_CL_03_no_answer_to_head_has_a_body(url: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("HEAD", "/missing", odata_error(404))
    [found] = parts(way, gateway, Call("1", url, "HEAD"))
    assert found.body == b""
    assert (found.header("content-length") is None) is (url in ("../out", "$batch")), "AN-10: only an upstream knows it"
    assert found.status in (400, 404)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "GET", "DELETE"])
def test_CL_03_these_have_no_body(method: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    [found] = parts(way, gateway, Call("1", "A", method, {"Content-Type": "text/plain"}, b"x"))
    assert found.status == 400
    assert upstream.log == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_CL_03_a_change_set_has_none_of_them(
    method: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    [found] = parts(way, gateway, [Call("1", "A", method)])
    assert (found.members, found.status) == (None, 400)
    assert upstream.log == []


def test_CL_03_head_and_options_travel_alone(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Upstreams' batches do not have them, so that they must not be put into one with others."""
    upstream.on("HEAD", "/A", Reply(200))
    upstream.on("OPTIONS", "/A", Reply(204))
    target = {"url": upstream.origin + "/", "batch": "json", "coalesce": 20}
    made = config.make({"things": target}, [{"root": "/svc/", "upstream": "things", "default": True}])
    with Gateway(made, tmp_path_factory.mktemp("coalesced")) as running:
        calls = [Call(f"{n}", "A", method) for n, method in enumerate(["HEAD", "OPTIONS", "HEAD"])]
        assert statuses(run_batch("grpc-batch", running, calls)) == {"0": 200, "1": 204, "2": 200}
    assert sorted(upstream.lines) == ["HEAD /A", "HEAD /A", "OPTIONS /A"]


# --- CL-04, CL-05

OLD = [
    {"DataServiceVersion": "2.0"},
    {"MaxDataServiceVersion": "2.0"},
    {"DataServiceVersion": "1.0", "MaxDataServiceVersion": "3.0;NetFx"},
    {"DataServiceVersion": "3.0;"},
    {"OData-Version": "2.0"},
    {"OData-Version": "1.0"},
    {"OData-Version": "3.0"},
]
LATER = [
    {},
    {"OData-Version": "4.0"},
    {"OData-Version": "4.01"},
    {"OData-MaxVersion": "4.0"},
    {"OData-Version": "4.0", "DataServiceVersion": "2.0"},
    {"DataServiceVersion": "4.0"},
]


def three(gateway: Gateway, headers: Mapping[str, str], route: str = "/svc/") -> rest.Answer:
    body = document(*(part_of(Call("", url)) for url in ("missing", "A", "A")))
    return rest.post(gateway.http_port, body, {"Content-Type": MULTIPART, **headers}, root=route, version=NONE)


@pytest.mark.parametrize("headers", OLD)
def test_CL_04_old_versions_go_on_after_an_error(
    headers: dict[str, str], gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/missing", odata_error(404))
    answer = three(gateway, headers)
    assert [one.status for one in read(answer.header("content-type"), answer.body)] == [404, 200, 200]
    assert upstream.lines == ["GET /missing", "GET /A", "GET /A"]
    stopping = three(gateway, {**headers, "Prefer": "continue-on-error=false"})
    assert [one.status for one in read(stopping.header("content-type"), stopping.body)] == [404]


@pytest.mark.parametrize("headers", LATER)
def test_CL_04_later_ones_stop_but_on_a_route_that_says_so(
    headers: dict[str, str], gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/missing", odata_error(404))
    answer = three(gateway, headers)
    assert [one.status for one in read(answer.header("content-type"), answer.body)] == [404]
    answer = three(gateway, headers, "/on/")
    assert [one.status for one in read(answer.header("content-type"), answer.body)] == [404, 200, 200]
    answer = three(gateway, {**headers, "Prefer": "odata.continue-on-error=false"}, "/on/")
    assert [one.status for one in read(answer.header("content-type"), answer.body)] == [404]


@pytest.mark.parametrize("route", ["/svc/", "/on/"])
def test_CL_04_change_set_answers_stay_nested(route: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", json_reply({}, 201))
    failed = change_set(part_of(Call("1", "missing", "DELETE")))
    made = change_set(part_of(Call("2", "A", "POST")))
    headers = {"Content-Type": MULTIPART, "DataServiceVersion": "2.0"}
    answer = rest.post(gateway.http_port, document(failed, made), headers, root=route, version=NONE)
    first, second = read(answer.header("content-type"), answer.body)
    assert (first.members, first.status) == (None, 404)
    assert [one.status for one in second.members or []] == [201]


@pytest.mark.parametrize("headers", OLD)
def test_CL_05_old_versions_are_answered_in_their_own_field(
    headers: dict[str, str], gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    said = {"1": "1.0", "2": "2.0", "3": "3.0"}
    version = said[
        headers.get("OData-Version", headers.get("MaxDataServiceVersion", headers.get("DataServiceVersion", "")))[0]
    ]
    taken = three(gateway, headers)
    refused = three(gateway, {**headers, "If-Match": "x"})
    broken = rest.post(gateway.http_port, b"--b", {"Content-Type": MULTIPART, **headers}, version=NONE)
    probed = rest.request(gateway.http_port, "HEAD", "/svc/$batch", headers)
    unknown = rest.request(gateway.http_port, "POST", "/nowhere/$batch", headers, b"")
    assert [one.status for one in (taken, refused, broken, probed, unknown)] == [202, 400, 400, 200, 404]
    for answer in (taken, refused, broken, probed, unknown):
        assert answer.header("dataserviceversion") == version
        assert answer.header("odata-version") is None
    assert {call.header("odata-version") for call in upstream.log} == {None}


@pytest.mark.parametrize("headers", LATER)
def test_CL_05_later_ones_as_before(headers: dict[str, str], gateway: Gateway) -> None:
    answer = three(gateway, headers)
    assert answer.status == 200
    assert answer.header("odata-version") == headers.get("OData-Version", "4.0")
    assert answer.header("dataserviceversion") is None


# --- CL-07


def refused_set(way: str, gateway: Gateway, headers: Mapping[str, str], *more: Call) -> rest.Answer:
    """A change set of two, which no plain upstream can run."""
    body = document(change_set(part_of(Call("1", "A", "POST")), part_of(Call("2", "A", "POST"))), *map(part_of, more))
    return send(way, gateway, body, headers={"Prefer": "continue-on-error", **headers}, version=NONE)


def test_CL_07_the_error_of_a_refused_set_is_nested(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = refused_set(way, gateway, {"x-ms-version": "2019-02-02"}, Call("3", "A"))
    first, second = read(answer.header("content-type"), answer.body)
    [only] = first.members or []
    assert (only.status, only.content_id, second.status) == (501, "1", 200)
    assert rest.is_odata_error(only.json())


def test_CL_07_not_for_others(way: str, gateway: Gateway) -> None:
    answer = refused_set(way, gateway, {}, Call("3", "A"))
    first, _ = read(answer.header("content-type"), answer.body)
    assert (first.members, first.status) == (None, 501)


def test_CL_07_a_set_of_one_that_fails(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", odata_error(409))
    found = parts(
        way,
        gateway,
        [Call("1", "A", "POST")],
        [Call("2", "A", "POST")],
        headers={"x-ms-version": "1", "Prefer": "continue-on-error"},
    )
    assert [[one.status for one in each.members or []] for each in found] == [[409], [409]]
