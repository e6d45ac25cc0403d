"""Groups through two gateways: the first re-emits them to the second as to any service with $batch (GW-04 b).

So the second one judges what the first one writes, and the first reads what the second one answers; the service root
of the second lies below a path, as that of most services does. The second answers batches alone, so that no test here
sends a call that travels by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import config, documents, multiparts, rest
from harness.batches import JSON_FRONTS, Call, by_id, check_error, run_batch, statuses
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import delete, failing, patch, post, script_customers
from harness.scripted import Reply, json_reply


def gateway_before(url: str, folder: pytest.TempPathFactory, form: str, coalesce: int = 1) -> Gateway:
    upstream = {"url": url, "batch": form, "coalesce": coalesce, "forward_authorization": True}
    route = {"root": "/svc/", "upstream": "next", "default": True, "origin": "http://gw.example"}
    return Gateway(config.make({"next": upstream}, [route]), folder.mktemp("chain"))


@pytest.fixture(scope="module")
def second(_batching: BatchingUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway_before(_batching.origin + "/", tmp_path_factory, "json") as running:
        yield running


@pytest.fixture(scope="module", params=["json", "multipart"])
def first(
    request: pytest.FixtureRequest, second: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    url = f"http://127.0.0.1:{second.http_port}/svc/"
    with gateway_before(url, tmp_path_factory, request.param, 20) as running:
        yield running


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream) -> Iterator[None]:
    script_customers(things)
    things.on("POST", "/Customers(7)/Orders", json_reply({}, 201, [("Location", f"{things.origin}/Orders(9)")]))
    things.on("PATCH", "/Orders(9)", Reply(204))
    yield
    assert things.problems == []


def test_GW_04_a_group_stays_one_transaction(front: str, first: Gateway, things: BatchingUpstream) -> None:
    calls = [
        post("new"),
        patch("change", "$new", headers={"if-match": "$new"}),
        post("order", "$new/Orders"),
        delete("gone", "Customers(3)"),
        patch("later", "$order", group="h", depends_on=["g"]),
        patch("again", "$change", group="h", headers={"if-match": "$new"}),
    ]
    results = by_id(run_batch(front, first, calls))
    found = {name: result.status for name, result in results.items()}
    assert found == {"new": 201, "change": 204, "order": 201, "gone": 204, "later": 204, "again": 204}
    assert results["new"].json() == {"ID": 7, "Name": "Ada"}
    assert results["new"].headers["location"].endswith("/svc/Customers(7)")
    assert things.sizes == [4, 2]
    matches = [call.header("if-match") for call in things.unpacked if call.line == "PATCH /Customers(7)"]
    assert matches == ['W/"7"'] * 2


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_JR_12_a_failure_is_that_of_its_member(bad: int, front: str, first: Gateway, things: BatchingUpstream) -> None:
    results = by_id(run_batch(front, first, [*failing(bad), Call("after", "ok", depends_on=["g"])]))
    for n in range(3):
        assert results[f"m{n}"].status == (412 if n == bad else 424)
    check_error(results[f"m{bad}"], 412)
    check_error(results["after"], 424)
    assert things.applied == []


def test_MP_08_a_change_set_fails_as_one(way: str, first: Gateway, things: BatchingUpstream) -> None:
    good, bad = documents.parts(way, first, [post("x"), delete("y", "Customers(3)")], failing(1))
    assert good.members is not None
    assert {member.content_id: member.status for member in good.members} == {"x": 201, "y": 204}
    assert bad.members is None
    assert (bad.status, bad.content_id) == (412, "m1")


def test_GW_04_what_the_second_cannot_run_as_one_does_not_run(
    front: str, first: Gateway, things: BatchingUpstream
) -> None:
    """A GET in a group: the first may pass it on as JSON only, the second runs it."""
    found = statuses(run_batch(front, first, [post("1"), Call("2", "Customers(7)", group="g")]))
    by_json = 'batch = "json"' in first.config_file.read_text()
    assert found == ({"1": 201, "2": 200} if by_json else {"1": 501, "2": 501})
    assert len(things.applied) == by_json


def test_GW_04_coalesced_calls_are_unpacked_there(front: str, first: Gateway, things: BatchingUpstream) -> None:
    for n in range(30):
        things.on("GET", f"/A({n})", json_reply({"n": n}))
    things.on("GET", "/A(7)", Reply(304, [("ETag", '"7"')]))
    results = by_id(run_batch(front, first, [Call(f"c{n}", f"A({n})") for n in range(30)]))
    assert results["c7"].status == 304
    assert [results[f"c{n}"].json() for n in range(30) if n != 7] == [{"n": n} for n in range(30) if n != 7]


@pytest.mark.parametrize("media", ["image/png", "application/json"])
def test_AN_01_what_stays_coded_says_so_through_both_and_once(
    media: str, front: str, first: Gateway, things: BatchingUpstream
) -> None:
    """Both find that the coding cannot be undone; the client is told of it as by one gateway."""
    things.on("GET", "/A(1)", Reply(200, [("Content-Type", media), ("Content-Encoding", "br")], b"\xff\0"))
    things.on("GET", "/A(2)", json_reply({}))
    coded, plain = run_batch(front, first, [Call("1", "A(1)"), Call("2", "A(2)")])
    assert (coded.status, coded.headers["content-encoding"], coded.body) == (200, "br", b"\xff\0")
    assert coded.headers.get("batchwire-note", "").count("the content-encoding cannot be undone: br") == 1
    assert "batchwire-note" not in plain.headers


def test_GW_15_a_change_set_that_breaks_off_behind_the_second_fails(
    way: str, first: Gateway, things: BatchingUpstream
) -> None:
    def breaks_off(_: object) -> Reply:
        raise ConnectionResetError

    things.batch_answer = breaks_off
    text = multiparts.document_of([[post("x"), post("y")]])
    [part] = documents.read(documents.send(way, first, text))
    assert part.members is None
    assert part.status == 502
    assert rest.is_odata_error(part.json())
    assert len(things.batches) == 1


@pytest.mark.parametrize("group", ["g", ""], ids=["group", "coalesced"])
@pytest.mark.parametrize("front", JSON_FRONTS)
def test_GW_17_the_credentials_of_the_batch_are_on_the_batches_and_never_in_them(
    front: str, group: str, first: Gateway, things: BatchingUpstream
) -> None:
    """MB-17; the second gateway would refuse a call that bears them."""
    things.on("POST", "/Customers", Reply(204))
    calls = [post("1", group=group), post("2", group=group)]
    results = run_batch(front, first, calls, headers={"Authorization": "Bearer secret"})
    assert [result.status for result in results] == [204, 204]
    assert {call.header("authorization") for call in things.log} == {"Bearer secret"}
    assert {call.header("authorization") for call in things.unpacked} <= {None}


def test_GW_04_the_hops_are_counted(front: str, first: Gateway, things: BatchingUpstream) -> None:
    run_batch(front, first, [post("1"), post("2")])
    assert things.batches[0].header("batchwire-hop") == "2"
    assert [call.header("batchwire-hop") for call in things.unpacked] == [None, None]
