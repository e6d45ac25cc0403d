"""Groups in streamed documents and within narrow bounds: rules GW-13, GW-21, GW-23 and MP-01.

A group is held until it is closed, while little else may be held: nothing may wait for ever, and no group may run
of which the end was never seen.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator

import h11
import pytest
from harness import config, documents, grpc_client, multiparts, rest
from harness.batches import FRONTS, Call, by_id, check_error, run_batch, statuses, to_json_member, to_proto
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import patch, post, script_customers
from harness.scripted import Reply, json_reply

STREAM = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **rest.STRICT}
GROUP = 20


@pytest.fixture(scope="module", params=["json", "multipart"])
def narrow(
    request: pytest.FixtureRequest, _batching: BatchingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway that streams, with bounds that are smaller than a group; /single/ runs one call at a time."""
    limits = {
        "max_in_flight": 2,
        "max_pending": 4,
        "reorder_results": 4,
        "max_group_calls": 30,
        "max_call_bytes": 20_000,
        "max_response_bytes": 20_000,
    }
    things = {"url": _batching.origin + "/", "batch": request.param}
    upstreams = {
        "things": things,
        "single": {**things, "max_connections": 1, "max_in_flight": 1},
        "coalesced": {**things, "coalesce": 20},
    }
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True, "streaming_threshold": 0},
        {"root": "/single/", "upstream": "single", "streaming_threshold": 0},
        {"root": "/coalesced/", "upstream": "coalesced", "streaming_threshold": 0},
    ]
    for route in routes:
        route["origin"] = "http://gw.example"
    with Gateway(config.make(upstreams, routes, limits), tmp_path_factory.mktemp("narrow")) as running:
        yield running


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream) -> Iterator[None]:
    script_customers(things)
    for n in range(60):
        things.on("GET", f"/A({n})", json_reply({"n": n}))
    yield
    assert things.problems == []


def group(name: str, size: int = GROUP) -> list[Call]:
    return [post(f"{name}{n}", group=name) for n in range(size)]


def singles(name: str, size: int = 10) -> list[Call]:
    return [Call(f"{name}{n}", f"A({n})") for n in range(size)]


def mixed() -> list[Call]:
    later = [Call(f"z{n}", f"A({n})", depends_on=["g"]) for n in range(10)]
    return [*singles("a"), *group("g"), *singles("b"), *group("h"), *later, *group("i", 2)]


@pytest.mark.parametrize("route", ["/svc/", "/single/", "/coalesced/"])
def test_GW_13_groups_larger_than_what_may_be_pending_run(
    route: str, front: str, narrow: Gateway, things: BatchingUpstream
) -> None:
    found = statuses(run_batch(front, narrow, mixed(), route=route))
    assert found == {call.id: 201 if call.group else 200 for call in mixed()}
    assert len(things.applied) == 2 * GROUP + 2


@pytest.mark.parametrize("route", ["/svc/", "/single/", "/coalesced/"])
@pytest.mark.parametrize(
    ("version", "prefer"), [(rest.STRICT, "order=request"), ({}, "x")], ids=["asked", "compatible"]
)
def test_GW_23_groups_larger_than_the_window_keep_the_order(
    version: dict[str, str], prefer: str, route: str, narrow: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/A(0)", json_reply({"n": 0}, delay=0.2))
    document = {"requests": [to_json_member(call) for call in mixed()]}
    answer = rest.post(narrow.http_port, document, {"Prefer": prefer}, root=route, version=version)
    assert [found["id"] for found in answer.responses] == [call.id for call in mixed()]
    assert {found["status"] for found in answer.responses} == {200, 201}


def test_MP_01_change_sets_larger_than_the_window_run_in_order(
    way: str, narrow: Gateway, things: BatchingUpstream
) -> None:
    items: list[Call | list[Call]] = [*singles("a", 6), group("g"), *singles("b", 6), group("h")]
    found = documents.parts(way, narrow, *items)
    sizes = [None if part.members is None else len(part.members) for part in found]
    assert sizes == [*[None] * 6, GROUP, *[None] * 6, GROUP]


def test_GW_23_a_group_may_depend_on_what_the_window_holds_back(
    front: str, narrow: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/A(0)", json_reply({"n": 0}, delay=0.2))
    calls = [*singles("a"), *group("g"), *singles("b")]
    calls[-11].depends_on = ["a0", "a9"]
    assert calls[-11].group
    results = run_batch(front, narrow, calls)
    assert {result.status for result in results} == {200, 201}


def begin(gateway: Gateway, wire: rest.Wire, *calls: Call) -> None:
    wire.begin("POST", "/svc/$batch", STREAM)
    texts = b",".join(rest.encode(to_json_member(call)) for call in calls)
    wire.chunk(b'{"requests":[' + texts)


def test_GW_21_a_streamed_group_runs_as_soon_as_it_is_closed(narrow: Gateway, things: BatchingUpstream) -> None:
    with rest.Wire(narrow.http_port) as wire:
        begin(narrow, wire, *group("g", 3))
        assert not things.wait_until(lambda: bool(things.log), timeout=0.4)
        wire.chunk(b"," + rest.encode(to_json_member(Call("next", "ok"))))
        things.wait_for_calls(2)
        assert things.sizes == [3]
        wire.chunk(b"]}")
        wire.chunk(b"")
        assert {found["status"] for found in wire.answer().responses} == {200, 201}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b',{"id":"half',
        b',{"id":"g0","method":"get","url":"ok"}]}',
        b',{"id":"a b","method":"get","url":"ok"}]}',
        b",7]}",
        b'],"requests":[]}',
    ],
    ids=["cut", "cut-in-a-call", "id-twice", "bad-id", "no-object", "requests-twice"],
)
def test_GW_21_a_group_whose_end_is_unseen_never_runs(text: bytes, narrow: Gateway, things: BatchingUpstream) -> None:
    """A truncated upload must not run half a group, nor a whole one that might have gone on."""
    with rest.Wire(narrow.http_port) as wire:
        begin(narrow, wire, *group("g", 3))
        if text:
            wire.chunk(text)
        wire.chunk(b"")
        try:
            answer: rest.Answer | None = wire.answer()
        except (h11.RemoteProtocolError, ConnectionError):
            answer = None
    assert answer is None or answer.status == 400
    assert things.batches == []
    narrow.wait_idle()


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("vanish", ["cancel", "close"])
def test_GW_21_a_group_whose_client_cancels_never_runs(
    vanish: str, size: int, narrow: Gateway, things: BatchingUpstream
) -> None:
    """Its requests end then, too: that is not the end of the group. One alone is held as well (GW-04 a)."""
    for _ in range(10):
        feed = grpc_client.Feed()
        with grpc_client.Client(narrow.grpc_address) as client:
            stream = client.stub.Batch(iter(feed), timeout=20)
            calls = [to_proto(call) for call in [Call("before", "ok"), *group("g", size)]]
            feed.put(grpc_client.message(*calls, options=grpc_client.options()))
            assert [result.id for result in next(stream).results] == ["before"]
            if vanish == "cancel":
                stream.cancel()
            else:
                client.channel.close()
            narrow.wait_idle()
            feed.close()
    assert [call.line for call in things.log] == ["GET /ok"] * 10


def test_GW_21_a_streamed_change_set_that_is_cut_never_runs(narrow: Gateway, things: BatchingUpstream) -> None:
    text = multiparts.document_of([group("g", 3)])
    fields = {**STREAM, "Content-Type": documents.MULTIPART}
    for end in range(len(text) - 12, 40, -61):
        with rest.Wire(narrow.http_port) as wire:
            wire.begin("POST", "/svc/$batch", fields)
            wire.chunk(text[:end])
            wire.chunk(b"")
            try:
                answer: rest.Answer | None = wire.answer()
            except (h11.RemoteProtocolError, ConnectionError):
                answer = None
        assert answer is None or answer.status == 400, text[:end]
    assert things.log == []
    narrow.wait_idle()


def test_GW_13_a_streamed_group_over_the_limit_never_runs(narrow: Gateway, things: BatchingUpstream) -> None:
    """What ran before it is reported; the answer does not pass for a complete one (ER-07)."""
    with rest.Wire(narrow.http_port) as wire:
        begin(narrow, wire, Call("before", "ok"))
        assert wire.head().status == 200
        body = b""
        while b'"path":"/ok"' not in body:
            body += wire.data()
        for call in group("g", 31):
            wire.chunk(b"," + rest.encode(to_json_member(call)))
        remainder, whole = wire.remainder()
    assert not whole
    assert not (body + remainder).rstrip().endswith(b"]}")
    assert [call.line for call in things.log] == ["GET /ok"]


def test_GW_13_a_group_of_many_bytes_is_413(narrow: Gateway, things: BatchingUpstream) -> None:
    """Each call is small enough, all together are not: a group is held as a whole."""
    calls = [post(f"{n}", "Customers", {"pad": "p" * 9_000}) for n in range(4)]
    answer = rest.post(narrow.http_port, {"requests": [to_json_member(call) for call in calls]})
    assert answer.status == 413
    assert things.log == []


@pytest.mark.parametrize("front", FRONTS)
def test_GW_13_an_answer_to_a_group_over_the_limit_is_502(
    front: str, narrow: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/Big", json_reply({"pad": "p" * 15_000}))
    calls = [*(post(f"{n}", "Big") for n in range(3)), Call("after", "ok", depends_on=["g"])]
    results = by_id(run_batch(front, narrow, calls))
    for n in range(3):
        check_error(results[f"{n}"], 502)
    check_error(results["after"], 424)


def test_GW_04_one_connection_is_enough(front: str, narrow: Gateway, things: BatchingUpstream) -> None:
    calls = [
        post("new", group=""),
        *(patch(f"g{n}", "$new", depends_on=["new"]) for n in range(5)),
        post("h0", group="h", depends_on=["g"]),
        patch("h1", "$h0", group="h"),
        Call("end", "$h0", depends_on=["h"]),
    ]
    things.on("PATCH", "/Customers(7)", Reply(204))
    found = statuses(run_batch(front, narrow, calls, route="/single/"))
    assert found == {"new": 201, **{f"g{n}": 204 for n in range(5)}, "h0": 201, "h1": 204, "end": 200}
    assert things.peak == 1


def test_PL_02_a_group_is_bounded_by_what_its_bodies_become(narrow: Gateway, things: BatchingUpstream) -> None:
    """Each of them is below max_call_bytes; filled in, all together are not."""
    things.on("GET", "/long", json_reply({"x": "y" * 15_000}))
    filled = [rest.get_call(f"g{n}", "Customers", method="post", atomicityGroup="g", dependsOn=["a"]) for n in range(3)]
    for one in filled:
        one["headers"] = {"content-type": "application/json"}
        one["body"] = {"Name": "$a/x"}
    found = rest.post(narrow.http_port, {"requests": [rest.get_call("a", "long"), *filled]}).by_id()
    assert sorted(found[f"g{n}"]["status"] for n in range(3)) == [413, 424, 424]
    assert "GroupTooLarge" in str(found)
    assert not [line for line in things.lines if "$batch" in line]


def test_PL_02_a_group_is_bounded_by_what_its_codings_hide(narrow: Gateway, things: BatchingUpstream) -> None:
    body = gzip.compress(gzip.compress(json.dumps({"Name": "y" * 15_000}).encode()))
    coded = {"content-type": "application/octet-stream", "content-encoding": "gzip, gzip"}
    calls = [
        {
            **rest.get_call(f"g{n}", "Customers", method="post", atomicityGroup="g"),
            "headers": coded,
            "body": base64.urlsafe_b64encode(body).decode().rstrip("="),
        }
        for n in range(6)
    ]
    found = rest.post(narrow.http_port, {"requests": calls}).by_id()
    told = sorted(found[f"g{n}"]["status"] for n in range(6))
    assert told in ([400, *[424] * 5], [201] * 6)
    if told[0] == 400:
        assert "larger than the gateway may make it" in str(found)
