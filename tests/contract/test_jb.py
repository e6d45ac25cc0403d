"""The JSON batch request, its envelope and members: rules JB-01 to JB-12 of the contract."""

from __future__ import annotations

from typing import Any

import pytest
from harness import rest
from harness.batches import Call, by_id, check_error, run_batch, statuses
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply

VERBS = ["DELETE", "GET", "PATCH", "POST", "PUT"]


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A(1)")


def inner(gateway: Gateway, member: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The response object of the only request object of a batch."""
    [response] = rest.post(gateway.http_port, {"requests": [member]}, **more).responses
    return response


def check_inner_400(gateway: Gateway, upstream: ScriptedUpstream, member: dict[str, Any]) -> None:
    response = inner(gateway, member)
    assert response["status"] == 400, response
    assert response["id"] == member["id"]
    assert rest.is_odata_error(response["body"])
    assert upstream.lines == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b'"requests"',
        b"{}",
        b'{"request":[]}',
        b'{"Requests":[]}',
        b'{"requests":{}}',
        b'{"requests":null}',
        b'{"requests":[1]}',
        b'{"requests":[[]]}',
        b'{"requests":[]',
        b'{"requests":[]}}',
        b'{"requests":[]} x',
        b'{"requests":[],}',
        b'{"requests":[{"id":"1","method":"get","url":"A(1)"},]}',
        b'{"requests":[{"id":"1","method":"get","url":"A(1)"}',
        b"{'requests':[]}",
        b'{"requests":[{"id":"1","method":"get","url":"A\xff"}]}',
        b'{"requests":[{"id":"1","method":"get","url":"A(1)","x":01}]}',
        b'{"requests":[{"id":"1","method":"get","url":"A(1)","x":NaN}]}',
        b'{"requests":[{"id":"1","method":"get","url":"A(1)\n"}]}',
    ],
)
def test_JB_01_not_a_batch_document_is_400(text: bytes, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.post(gateway.http_port, text)
    assert answer.status == 400, answer.body
    assert rest.is_odata_error(answer.json())
    assert upstream.lines == []


def test_JB_01_byte_order_mark_and_space_are_accepted(gateway: Gateway) -> None:
    text = b'\xef\xbb\xbf \r\n\t{ "requests" : [ {"url":"A(1)","method":"get","id":"1"} ] } \n'
    assert rest.post(gateway.http_port, text).by_id()["1"]["status"] == 200


@pytest.mark.parametrize("root", ["/svc/", "/stream/"])
def test_JB_02_no_requests_at_all(root: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert rest.post(gateway.http_port, {"requests": []}, root=root).json() == {"responses": []}
    assert upstream.lines == []


def test_JB_02_empty_batch_on_every_front(front: str, gateway: Gateway) -> None:
    assert run_batch(front, gateway, []) == []


@pytest.mark.parametrize("missing", ["url", "method"])
def test_JB_03_missing_url_or_method_is_inner_400(missing: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    member = {"id": "1", "method": "get", "url": "A(1)"}
    del member[missing]
    check_inner_400(gateway, upstream, member)


def test_JB_03_missing_id_refuses_the_batch(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [rest.get_call("1", "A(1)"), {"method": "get", "url": "A(1)"}]
    assert rest.post(gateway.http_port, {"requests": calls}).status == 400
    assert upstream.lines == []


@pytest.mark.parametrize("name", ["method", "url"])
@pytest.mark.parametrize("value", [1, None, True, ["get"], {}])
def test_JB_03_they_are_strings(name: str, value: object, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_inner_400(gateway, upstream, {**rest.get_call("1", "A(1)"), name: value})


@pytest.mark.parametrize(
    "url",
    [
        "$batch",
        "%24batch",
        "/svc/$batch",
        "/svc/%24batch",
        "./$batch",
        "A/../$batch",
        "$batch/",
        "$batch?x=1",
        "%24%62atch",
        "http://gw.example/svc/$batch",
    ],
)
def test_JB_04_nested_batch_is_refused(url: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    results = by_id(run_batch(front, gateway, [Call("1", url, "POST", body=b'{"requests":[]}'), Call("2", "A(1)")]))
    check_error(results["1"], 400)
    assert results["2"].status == 200
    assert upstream.lines == ["GET /A(1)"]


@pytest.mark.parametrize("root", ["/svc/", "/stream/"])
def test_JB_05_annotations_of_the_envelope_are_ignored(root: str, gateway: Gateway) -> None:
    document = {"@my.note": {"a": [1, {"b": None}]}, "requests": [rest.get_call("1", "A(1)")], "@x.y": 2.5e-3}
    assert rest.post(gateway.http_port, document, root=root).by_id()["1"]["status"] == 200


def test_JB_06_unknown_members_are_ignored_and_names_are_case_sensitive(gateway: Gateway) -> None:
    member = rest.get_call("1", "A(1)", comment={"a": []}, Body=1, Method="x")
    member["@my.note"] = "x"
    assert inner(gateway, member)["status"] == 200


def test_JB_06_members_in_any_order(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", Reply(204, expect_body=b'{"x":1}', expect_headers={"content-type": "application/json"}))
    text = b"""{"requests":[{"body":{"x":1},"headers":{"content-type":"application/json"},
        "url":"A","method":"post","id":"1"}]}"""
    assert rest.post(gateway.http_port, text).by_id()["1"]["status"] == 204


def test_JB_06_headers_after_the_body_decide_about_the_body(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/A", Reply(204, expect_body=b"plain"))
    text = b'{"requests":[{"id":"1","method":"post","url":"A","body":"plain","headers":{"content-type":"text/plain"}}]}'
    assert rest.post(gateway.http_port, text).by_id()["1"]["status"] == 204


@pytest.mark.parametrize("verb", VERBS)
def test_JB_07_methods_in_any_case(verb: str, front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on(verb, "/M", Reply(204))
    calls = [Call(str(n), "M", spelling) for n, spelling in enumerate([verb, verb.lower(), verb.capitalize()])]
    assert set(statuses(run_batch(front, gateway, calls)).values()) == {204}
    assert upstream.lines == [f"{verb} /M"] * 3


def test_JB_07_mixed_case_in_json(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("PATCH", "/M", Reply(204))
    assert inner(gateway, {"id": "1", "method": "pAtCh", "url": "M"})["status"] == 204


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "GETX", "G ET", "", "GET /x", "HEADX", "MERGES"])
def test_JB_07_other_methods_are_inner_400(
    method: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    results = by_id(run_batch(front, gateway, [Call("1", "A(1)", method), Call("2", "A(1)")]))
    check_error(results["1"], 400)
    assert results["2"].status == 200
    assert upstream.lines == ["GET /A(1)"]


@pytest.mark.parametrize("method", ["head", "OPTIONS", "Merge"])
def test_JB_07_what_only_the_compatible_profile_takes_is_inner_400(
    method: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert inner(gateway, {"id": "1", "method": method, "url": "A(1)"})["status"] == 400
    assert upstream.lines == []


@pytest.mark.parametrize("value", ["1", "null", "true", '["1"]', "{}"])
def test_JB_08_id_is_a_string(value: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    text = f'{{"requests":[{{"id":{value},"method":"get","url":"A(1)"}}]}}'.encode()
    assert rest.post(gateway.http_port, text).status == 400
    assert upstream.lines == []


def test_JB_08_an_escaped_id_is_the_same_id(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    text = b'{"requests":[{"id":"\\u0061","method":"get","url":"A(1)"}]}'
    assert list(rest.post(gateway.http_port, text).by_id()) == ["a"]
    upstream.reset()
    twice = b'{"requests":[{"id":"\\u0061","method":"get","url":"x"},{"id":"a","method":"get","url":"x"}]}'
    assert rest.post(gateway.http_port, twice).status == 400
    assert upstream.lines == []


def test_JB_09_absolute_path(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A(1)?$select=a,b&x=%20")
    calls = [Call("1", "/svc/A(1)"), Call("2", "/svc/A(1)?$select=a,b&x=%20")]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 200, "2": 200}
    assert sorted(upstream.lines) == ["GET /A(1)", "GET /A(1)?$select=a,b&x=%20"]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("A(1)", "/A(1)"),
        ("A('a%3Ab')", "/A('a%3Ab')"),
        ("A/B/C?x=/../y&z=:", "/A/B/C?x=/../y&z=:"),
        ("?$top=1", "/?$top=1"),
        ("A%2FB", "/A%2FB"),
        ("./A(1)", "/A(1)"),
        ("A/./B", "/A/B"),
        ("A/../B", "/B"),
        ("A//B", "/A//B"),
        ("caf%C3%A9", "/caf%C3%A9"),
    ],
)
def test_JB_10_relative_to_the_service_root(
    url: str, path: str, front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", path)
    assert statuses(run_batch(front, gateway, [Call("1", url)])) == {"1": 200}, upstream.lines


def test_JB_10_base_path_of_the_upstream(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/api/v1/A(1)?x=1")
    calls = [Call("1", "A(1)?x=1"), Call("2", "/base/A(1)?x=1")]
    assert statuses(run_batch(front, gateway, calls, route="/base/")) == {"1": 200, "2": 200}


def test_JB_11_an_unlisted_reference_is_implicit_or_400(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The tolerance list takes it as a dependency; the letter is an inner 400. Never `$new` upstream."""
    upstream.on("POST", "/C", json_reply({}, 201, [("Location", "http://gw.example/svc/C(7)")], delay=0.2))
    upstream.on("GET", "/C(7)/Orders")
    calls = [{"id": "new", "method": "post", "url": "C", "body": {}}, rest.get_call("2", "$new/Orders")]
    found = rest.post(gateway.http_port, {"requests": calls}).by_id()
    assert found["new"]["status"] == 201
    if found["2"]["status"] == 200:
        assert upstream.lines == ["POST /C", "GET /C(7)/Orders"]
    else:
        assert found["2"]["status"] == 400
        assert upstream.lines == ["POST /C"]


def test_JB_11_compatible_adds_the_dependency(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/C", json_reply({}, 201, [("Location", "http://gw.example/svc/C(7)")], delay=0.2))
    upstream.on("GET", "/C(7)/Orders")
    calls = [{"id": "new", "method": "post", "url": "C", "body": {}}, rest.get_call("2", "$new/Orders")]
    found = rest.post(gateway.http_port, {"requests": calls}, version={}).by_id()
    assert found["2"]["status"] == 200
    assert upstream.lines == ["POST /C", "GET /C(7)/Orders"]


@pytest.mark.parametrize("group", ["a b", "g/1", "ä"])
def test_JB_12_group_names_are_request_ids(group: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "A(1)", atomicityGroup=group)]})
    if answer.status != 400:
        assert answer.by_id()["1"]["status"] == 400
    assert upstream.lines == []


@pytest.mark.parametrize("order", [0, 1])
def test_JB_12_group_name_differs_from_every_id(order: int, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [rest.get_call("1", "A(1)", atomicityGroup="x"), rest.get_call("x", "A(1)")]
    answer = rest.post(gateway.http_port, {"requests": calls[::-1] if order else calls})
    assert answer.status == 400
    assert upstream.lines == []
