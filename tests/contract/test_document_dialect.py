"""`PUT {root}batch`, the dialect of the document SDKs, on the wire: clients.md 1a and 1b."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest
from harness import config, rest
from harness.dialects import (
    DOCUMENT_PART,
    DOCUMENT_TYPE,
    Step,
    ask,
    is_document_error,
    raw,
    read_document,
    request_id,
    step_part,
    steps,
)
from harness.documents import GRPC, REST, Refused
from harness.gateway import Gateway
from harness.multiparts import Part, document
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

FIRST = "7d0a0f9b-ab6e-4df3-bd5c-5132bd84f079"
SECOND = "8c14a609-6512-49e3-b3c7-03f403e81177"


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    for name in "abcdef":
        upstream.on("GET", f"/{name}")
    upstream.on("GET", "/broken", odata_error(500))
    upstream.on("PUT", "/sink")


def run(way: str, gateway: Gateway, *items: Step, **more: object) -> list[Part]:
    """The parts of the answer; one for each call, in the order of the request."""
    found = read_document(ask("document", way, gateway, steps(*items), DOCUMENT_TYPE, **more))  # type: ignore[arg-type]
    assert [request_id(part) for part in found] == [item.id for item in items]
    return found


def statuses(parts: list[Part]) -> list[int]:
    return [part.status for part in parts]


# --- the form of the answer


def test_document_answer_has_the_form_that_the_sdks_cut_apart(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", json_reply({"Text": "Grüße"}))
    upstream.on("GET", "/b", Reply(204))
    good, empty, bad = run(way, gateway, Step(FIRST, "a"), Step(SECOND, "b"), Step("3", "broken"))
    assert (good.line, empty.line, bad.line) == ("200 OK", "204 No Content", "500 Internal Server Error")
    assert good.json() == {"Text": "Grüße"}
    assert good.header("Content-Type") == "application/json"
    assert (empty.body, empty.header("Content-Length")) == (b"", "0")
    assert dict(good.fields)["Content-Type"].startswith("application/http")


def test_HD_13_wait_is_the_deadline_of_a_document_batch(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/b", json_reply({}, gate=gate))
    items = steps(Step("1", "a"), Step("2", "b"), Step("3", "c", after="2"))
    try:
        answer = ask("document", way, gateway, items, DOCUMENT_TYPE, {"Prefer": "Wait=1"})
    finally:
        gate.open()
    assert statuses(read_document(answer)) == [200, 504, 504]
    assert answer.header("preference-applied") == "Wait=1"


def test_AS_09_a_document_answer_has_no_interim_parts(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    run(way, gateway, Step("1", "a", headers=("Prefer: respond-async, return=minimal",)))
    assert upstream.call("GET /a").header("prefer") == "return=minimal"


def test_document_answer_has_no_request_id_of_the_upstream(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """The SDK takes the last one for its own."""
    upstream.on("GET", "/a", json_reply({}, headers=[("RequestId", "theirs"), ("requestid", "too")]))
    (part,) = run(way, gateway, Step(FIRST, "a"))
    assert part.header("RequestId") == FIRST


def test_document_ids_do_not_reach_the_upstream(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    run(way, gateway, Step("1", "a"), Step("2", "b", after="1", headers=("X-Mine: yes",)))
    for call in upstream.log:
        assert call.header("requestid") is None
        assert call.header("dependson") is None
    assert upstream.call("GET /b").header("x-mine") == "yes"


def test_document_outer_type_may_be_mixed(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The Node SDK: multipart/mixed, no space after the URL, no line end after the close delimiter."""
    part = (
        b"Content-Type: application/http; msgtype=request\r\nContent-Disposition: form-data\r\n\r\n"
        b"GET a\r\nRequestId: 1\r\n\r\n"
    )
    answer = ask("document", way, gateway, document(part, end=b""), "multipart/mixed; boundary=b")
    assert statuses(read_document(answer)) == [200]
    assert upstream.lines == ["GET /a"]


@pytest.mark.parametrize("pieces", [1, 7, 64])
def test_document_in_any_cut(pieces: int, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    parts = run(way, gateway, Step("1", "a"), Step("2", "sink", "PUT", body=b"x\r\n--\r\ny"), pieces=pieces)
    assert statuses(parts) == [200, 200]
    assert upstream.call("PUT /sink").body == b"x\r\n--\r\ny"


def test_document_bare_part_is_a_batch_of_one(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """What the Python SDK means to send for one call; the answer is multipart all the same."""
    message = b"PUT sink \r\nContent-Type: text/plain\r\nRequestId: 1\r\n\r\nthe text"
    (part,) = read_document(ask("document", way, gateway, message, "application/http; msgtype=request"))
    assert (part.line, request_id(part)) == ("200 OK", "1")
    assert upstream.call("PUT /sink").body == b"the text"


def test_document_last_result_alone(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The last one of the request, not the last one to finish."""
    gate = upstream.gate()
    upstream.on("GET", "/a", json_reply({"n": 1}, gate=gate))
    upstream.on("GET", "/b", json_reply({"n": 2}))
    query = "?displayIntermediateResults=false"
    upstream.fallback = lambda _: (gate.open(), json_reply({"n": 3}))[1]  # type: ignore[func-returns-value]
    body = steps(Step("1", "a"), Step("2", "b"), Step("3", "last"))
    (part,) = read_document(ask("document", REST, gateway, body, DOCUMENT_TYPE, query=query))
    assert (request_id(part), part.json()) == ("3", {"n": 3})
    assert sorted(upstream.lines) == ["GET /a", "GET /b", "GET /last"]


def test_document_last_result_alone_when_it_has_failed(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = steps(Step("1", "broken"), Step("2", "a", after="1"))
    answer = ask("document", REST, gateway, body, DOCUMENT_TYPE, query="?displayIntermediateResults=false")
    (part,) = read_document(answer)
    assert (request_id(part), part.status) == ("2", 424)
    assert upstream.lines == ["GET /broken"]


@pytest.mark.parametrize("query", ["", "?displayIntermediateResults=true", "?other=false"])
def test_document_all_results_otherwise(query: str, gateway: Gateway) -> None:
    assert statuses(run(REST, gateway, Step("1", "a"), Step("2", "b"), query=query)) == [200, 200]


# --- order


def test_document_calls_run_concurrently_and_are_answered_in_order(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/a", json_reply({}, gate=gate))

    def last(_: object) -> Reply:
        gate.open()
        return json_reply({})

    upstream.fallback = last
    assert statuses(run(way, gateway, Step("1", "a"), Step("2", "last"))) == [200, 200]


def test_document_depends_on_waits_for_its_parent(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a", json_reply({}, delay=0.2))
    assert statuses(run(way, gateway, Step("1", "a"), Step("2", "b", after="1"), Step("3", "c"))) == [200] * 3
    finished = upstream.call("GET /a").finished
    assert finished is not None
    assert finished <= upstream.call("GET /b").started
    assert upstream.call("GET /c").started < finished


def test_document_failed_parent_is_424_and_its_children_do_not_run(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    items = [Step("1", "broken"), Step("2", "a", after="1"), Step("3", "b", after="2"), Step("4", "c")]
    assert statuses(run(way, gateway, *items)) == [500, 424, 424, 200]
    assert sorted(upstream.lines) == ["GET /broken", "GET /c"]


@pytest.mark.parametrize("status", [301, 304, 404])
def test_document_parent_succeeds_with_2xx_alone(
    status: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", Reply(status, [("Location", "/svc/b")]))
    assert statuses(run(way, gateway, Step("1", "a"), Step("2", "b", after="1"))) == [status, 424]
    assert upstream.lines == ["GET /a"]


def test_document_unknown_parent_is_400(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert statuses(run(way, gateway, Step("1", "a", after="nobody"), Step("2", "b"))) == [400, 200]
    assert upstream.lines == ["GET /b"]


def test_document_call_that_waits_for_itself_is_400(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert statuses(run(way, gateway, Step("1", "a", after="1"), Step("2", "b"))) == [400, 200]
    assert upstream.lines == ["GET /b"]


def test_document_cycle_ends_and_runs_nothing_of_it(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    items = [Step("1", "a", after="3"), Step("2", "b", after="1"), Step("3", "c", after="2"), Step("4", "d")]
    assert statuses(run(way, gateway, *items)) == [400, 424, 424, 200]
    assert upstream.lines == ["GET /d"]


@pytest.mark.parametrize("between", ["", "x", "xx"])
def test_document_ids_are_case_sensitive(between: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    items = [Step(between + "a", "a"), Step(between + "A", "broken"), Step("2", "b", after=between + "a")]
    assert statuses(run(way, gateway, *items)) == [200, 500, 200]


# --- resultOf


def test_document_result_of_as_whole_body(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The raw bytes, of any type, and with a length of their own; it waits without DependsOn."""
    content = bytes(range(256)) * 40
    upstream.on("GET", "/a", Reply(200, [("Content-Type", "application/octet-stream")], content, delay=0.1))
    sink = Step(
        SECOND,
        "sink",
        "PUT",
        headers=("Content-Type: application/octet-stream",),
        body=f"resultOf({FIRST})".encode(),
    )
    found = ask("document", way, gateway, steps(Step(FIRST, "a"), sink), DOCUMENT_TYPE)
    assert found.body.count(content) == 1
    call = upstream.call("PUT /sink")
    assert call.body == content
    assert call.header("content-length") == str(len(content))


def form(*contents: bytes) -> bytes:
    head = b'--f\r\nContent-Disposition: form-data; name="%d"\r\nContent-Type: application/octet-stream\r\n\r\n%b\r\n'
    return b"".join(head % (n, content) for n, content in enumerate(contents)) + b"--f--\r\n"


FORM = ("Content-Type: multipart/form-data; boundary=f",)


def test_document_result_of_as_part_of_a_form(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/a", json_reply({"v": "one"}))
    upstream.on("GET", "/b", json_reply({"v": "two"}))
    body = form(b"resultOf(1)", b'{"Text": "x"}', b"resultOf(2)", b"resultOf(1)")
    parts = run(way, gateway, Step("1", "a"), Step("2", "b"), Step("3", "sink", "PUT", headers=FORM, body=body))
    assert statuses(parts) == [200] * 3
    assert upstream.call("PUT /sink").body == form(b'{"v":"one"}', b'{"Text": "x"}', b'{"v":"two"}', b'{"v":"one"}')


@pytest.mark.parametrize("said", ['"f"', "f; charset=utf-8", '"f" ; x=y', "f"])
def test_document_result_of_in_a_form_whose_boundary_is_said_otherwise(
    said: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    headers = (f"content-type: Multipart/Form-Data;boundary={said}",)
    sink = Step("2", "sink", "PUT", headers=headers, body=form(b"resultOf(1)").replace(b"\r\n", b"\n"))
    assert statuses(run(way, gateway, Step("1", "a"), sink)) == [200, 200]
    assert upstream.call("PUT /sink").body == form(b'{"path":"/a"}').replace(b"\r\n", b"\n")


def test_document_form_without_result_of_is_passed_byte_for_byte(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = form(bytes(set(range(256)) - {10, 13}), b"\r\n\r\n", b"see resultOf(1) for it", b"resultOf(1) ")
    run(way, gateway, Step("1", "a"), Step("2", "sink", "PUT", headers=FORM, body=body))
    assert upstream.call("PUT /sink").body == body


def test_document_result_of_is_not_looked_for_in_results(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", Reply(200, [("Content-Type", "text/plain")], b"resultOf(2)"))
    upstream.on("GET", "/b", Reply(200, [("Content-Type", "text/plain")], b"secret"))
    run(way, gateway, Step("1", "a"), Step("2", "b"), Step("3", "sink", "PUT", body=b"resultOf(1)"))
    assert upstream.call("PUT /sink").body == b"resultOf(2)"


@pytest.mark.parametrize("body", [b"resultOf(1)", form(b"resultOf(1)")])
@pytest.mark.parametrize("after", ["", "1"])
def test_document_result_of_a_failed_call_runs_nothing(
    body: bytes, after: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    sink = Step("2", "sink", "PUT", after=after, headers=FORM, body=body)
    assert statuses(run(way, gateway, Step("1", "broken"), sink)) == [500, 424]
    assert upstream.lines == ["GET /broken"]


@pytest.mark.parametrize("name", ["nobody", "2", "3"])
def test_document_result_of_no_earlier_call_is_400(
    name: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Nobody, itself or a later one: the literal never reaches the upstream (GW-14)."""
    sink = Step("2", "sink", "PUT", headers=FORM, body=form(f"resultOf({name})".encode()))
    assert statuses(run(way, gateway, Step("1", "a"), sink, Step("3", "b"))) == [200, 400, 200]
    assert sorted(upstream.lines) == ["GET /a", "GET /b"]


def test_document_result_of_an_empty_answer_is_an_empty_body(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/a", Reply(204))
    parts = run(way, gateway, Step("1", "a"), Step("2", "sink", "PUT", headers=FORM, body=form(b"resultOf(1)")))
    assert statuses(parts) == [204, 200]
    assert upstream.call("PUT /sink").body == form(b"")


# --- what calls may say


def test_document_call_with_two_ids_is_400(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    two = step_part(Step("2", "b", headers=("RequestId: 3",)))
    found = read_document(ask("document", way, gateway, document(GOOD, two), DOCUMENT_TYPE))
    assert statuses(found) == [200, 400]
    assert upstream.lines == ["GET /a"]


def test_document_bodies_know_no_references_but_result_of(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """`$1` is a price here, in bodies, queries and headers; nor is it one in a path."""
    upstream.on("GET", "/a", json_reply({"v": 5}, headers=[("ETag", '"e"'), ("Location", "/svc/c")]))
    upstream.on("PUT", "/sink?f=$1/v")
    text = b'{"Text":"$1","Price":"$1/v","x@odata.bind":"$1"}'
    head = ("Content-Type: application/json", "If-Match: $1")
    parts = run(way, gateway, Step("1", "a"), Step("2", "sink?f=$1/v", "PUT", after="1", headers=head, body=text))
    assert statuses(parts) == [200, 200]
    call = upstream.call("PUT /sink?f=$1/v")
    assert (call.body, call.header("if-match")) == (text, "$1")


def test_document_urls_stay_under_the_root(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    urls = ["http://other.example/a", "../a", "x/%2e%2e/%2e%2e/a", "//other.example/a", "/other/../../a"]
    found = run(way, gateway, *(Step(str(n), url) for n, url in enumerate(urls)))
    assert set(statuses(found)) == {400}
    assert upstream.lines == []


def test_document_urls_may_be_whole(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    found = run(way, gateway, Step("1", "http://gw.example/svc/a"), Step("2", "/svc/b"), Step("3", "c?x=a+b%20"))
    assert statuses(found)[:2] == [200, 200]
    assert sorted(upstream.lines) == ["GET /a", "GET /b", "GET /c?x=a+b%20"]


def test_document_authorization_is_the_outer_one(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    outer = {"Authorization": "Bearer outer"}
    assert statuses(run(way, gateway, Step("1", "a"), headers=outer, route="/trusted/")) == [200]
    assert upstream.call("GET /a").header("authorization") == "Bearer outer"
    upstream.log.clear()
    assert statuses(run(way, gateway, Step("1", "a"), headers=outer)) == [200]
    assert upstream.call("GET /a").header("authorization") is None
    inner = Step("1", "b", headers=("Authorization: Bearer inner",))
    assert statuses(run(way, gateway, inner, headers=outer, route="/trusted/")) == [400]
    assert upstream.lines == ["GET /a"]


# --- whole batches that are refused

GOOD = step_part(Step("1", "a"))
NO_ID = DOCUMENT_PART + b"\r\nGET a \r\n\r\n"


def refused(way: str, gateway: Gateway, body: bytes, content_type: str = DOCUMENT_TYPE) -> Refused:
    with pytest.raises(Refused) as caught:
        ask("document", way, gateway, body, content_type)
    if way == REST:
        assert is_document_error(caught.value.details.encode()), caught.value.details
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        steps(Step("1", "a"), Step("1", "b")),
        document(GOOD, NO_ID),
        document(GOOD, step_part(Step("", "b"))),
        document(GOOD, step_part(Step("ü", "b"))),
        document(GOOD, step_part(Step("x" * 10_000, "b"))),
        document(GOOD)[:-6],
        document(GOOD)[:-9],
        b"",
        b"no multipart at all",
    ],
    ids=["duplicate", "none", "empty", "no-ascii", "long", "cut", "cut-in-part", "nothing", "text"],
)
def test_document_broken_batch_is_400_and_runs_nothing(
    body: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert refused(way, gateway, body).bad_envelope
    assert upstream.lines == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("multipart/form-data", 400),
        ("multipart/mixed; boundary=", 400),
        ("multipart/form-data; boundary=" + "x" * 71, 400),
        ("application/json", 415),
        ("application/http; msgtype=response", 415),
        ("text/plain", 415),
    ],
)
def test_document_type_that_is_not_taken(
    content_type: str, status: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    found = refused(way, gateway, document(GOOD), content_type).status
    assert found in (status, grpc.StatusCode.INVALID_ARGUMENT)
    assert upstream.lines == []


def test_document_error_of_a_batch_that_is_too_large(
    way: str, small_gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    found = refused(way, small_gateway, steps(*(Step(str(n), "a", body=b"y" * 3_900) for n in range(6))))
    assert found.status in (413, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert upstream.lines == []


@pytest.mark.parametrize(
    ("items", "place"),
    [
        (steps(Step("1", "a"), Step("2", "b"), Step("1", "c")), "requests[2].id"),
        (document(GOOD, NO_ID), "requests[1].id"),
        (document(GOOD, GOOD.replace(b": 1", b": " + b"x" * 2000)), "requests[1].id"),
    ],
)
def test_ER_01_a_document_error_says_which_call(items: bytes, place: str, gateway: Gateway) -> None:
    """As `target` does in the other dialects; the SDKs read no such field."""
    error = refused(REST, gateway, items)
    told = json.loads(error.details)["Error"]
    assert told["Description"] == f"{place}: {told['Message']}"


def test_document_error_where_no_route_is(gateway: Gateway) -> None:
    answer = raw("document", gateway, document(GOOD), DOCUMENT_TYPE, route="/nowhere/")
    assert answer.status == 404
    assert is_document_error(answer.body), answer.body


def test_document_error_of_a_gateway_that_takes_no_more(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """429 while a batch is open, 503 while the gateway stops."""
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, {"max_batches": 1})
    gate = upstream.gate()
    upstream.on("GET", "/a", json_reply({}, gate=gate))
    with Gateway(settings, tmp_path) as busy, rest.Wire(busy.http_port) as wire:
        body = document(GOOD)
        wire.begin("PUT", "/svc/batch", {"Content-Type": DOCUMENT_TYPE, "Content-Length": str(len(body))})
        wire.send(body)
        upstream.wait_for_calls(1)
        full = raw("document", busy, body, DOCUMENT_TYPE)
        busy.terminate()
        busy.wait(lambda: raw("document", busy, body, DOCUMENT_TYPE).status == 503, "503")
        stopping = raw("document", busy, body, DOCUMENT_TYPE)
        gate.open()
        assert statuses(read_document(wire.answer())) == [200]
    assert (full.status, stopping.status) == (429, 503)
    assert is_document_error(full.body), full.body
    assert is_document_error(stopping.body), stopping.body
    assert full.header("retry-after") == "1"


def test_document_dialect_over_grpc_needs_its_name(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Without it a part of the type application/http is one of OData, which knows no RequestId."""
    found = ask("document", GRPC, gateway, steps(Step("1", "a")), DOCUMENT_TYPE)
    assert json.loads(read_document(found)[0].body) == {"path": "/a"}
    with pytest.raises(Refused) as caught:
        ask("nonsense", GRPC, gateway, steps(Step("1", "a")), DOCUMENT_TYPE)
    assert caught.value.status is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Step("2", "a", after="zz"), "DependsOn names 'zz', which is no earlier call"),
        (Step("2", "sink", "PUT", body=b"resultOf(zz)"), "resultOf(zz) names no earlier call of the batch"),
    ],
)
def test_JB_17_an_unknown_call_is_told_in_the_words_of_the_dialect(
    step: Step, said: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    _, refused = run(REST, gateway, Step("1", "a"), step)
    assert refused.status == 400
    assert said in refused.body.decode()


def test_GB_01_a_form_that_is_posted_to_the_other_endpoint_is_told_the_way(gateway: Gateway) -> None:
    body = steps(Step("1", "a"))
    answer = rest.request(gateway.http_port, "POST", "/svc/$batch", [("content-type", DOCUMENT_TYPE)], body)
    assert answer.status == 415
    assert b"PUT to {root}batch" in answer.body
