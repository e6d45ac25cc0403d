"""Groups and change sets through the gateway to a real OData server with transactions: SAP CAP (GW-04 b, GW-20)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import config, rest
from harness.batches import GRPC_BATCH, REST, Call, by_id, run_batch
from harness.cap import INSTALL, Cap
from harness.gateway import Gateway

pytestmark = pytest.mark.timeout(INSTALL)
JSON = {"content-type": "application/json"}


@pytest.fixture(params=["json", "multipart"])
def gateway(request: pytest.FixtureRequest, cap: Cap, tmp_path: Path) -> Iterator[Gateway]:
    """Groups of /svc/ run in CAP; independent calls of /coalesced/ travel twenty at once."""
    upstream = {"url": cap.origin + cap.root, "batch": request.param}
    settings = config.make(
        {"cap": upstream, "coalescing": {**upstream, "coalesce": 20}},
        [
            {"root": "/svc/", "upstream": "cap", "default": True, "origin": "http://gw.example"},
            {"root": "/coalesced/", "upstream": "coalescing"},
        ],
    )
    with Gateway(settings, tmp_path) as running:
        yield running
        running.wait_idle()


def insert(name: str, key: int, stock: int = 5, **more: Any) -> Call:
    body = json.dumps({"ID": key, "title": f"book {key}", "stock": stock}).encode()
    return Call(name, "Books", "POST", dict(JSON), body, **more)


@pytest.mark.parametrize("front", [REST, GRPC_BATCH])
def test_a_group_of_several_is_one_transaction(front: str, cap: Cap, gateway: Gateway) -> None:
    calls = [insert("a", 1, group="g"), insert("b", 2, group="g"), Call("c", "Books(2)", depends_on=["g"])]
    results = by_id(run_batch(front, gateway, calls))
    assert {name: result.status for name, result in results.items()} == {"a": 201, "b": 201, "c": 200}
    assert results["a"].group == "g"
    assert cap.keys("Books") == {1, 2}


@pytest.mark.parametrize("front", [REST, GRPC_BATCH])
def test_a_failing_member_rolls_the_others_back(front: str, cap: Cap, gateway: Gateway) -> None:
    """JR-12: CAP itself answers 201 for members that it rolled back; here they are 424."""
    calls = [
        insert("good", 1, group="g"),
        insert("bad", 2, 5000, group="g"),
        insert("last", 3, group="g"),
        Call("after", "Books", depends_on=["g"]),
        insert("other", 4),
    ]
    results = by_id(run_batch(front, gateway, calls))
    assert {name: result.status for name, result in results.items()} == {
        "good": 424,
        "bad": 400,
        "last": 424,
        "after": 424,
        "other": 201,
    }
    assert cap.keys("Books") == {4}


def test_outside_dependencies_and_references(cap: Cap, gateway: Gateway) -> None:
    """GW-20: what the group needs of others is there before its first call; `$new` inside it is CAP's to resolve."""
    calls = [
        insert("first", 1),
        Call("change", "$first", "PATCH", dict(JSON), b'{"stock": 6}', ["first"], "g"),
        insert("new", 2, group="g"),
        Call("more", "$new", "PATCH", dict(JSON), b'{"stock": 7}', ["new"], "g"),
    ]
    results = by_id(run_batch(REST, gateway, calls))
    assert [results[name].status // 100 for name in ("first", "change", "new", "more")] == [2, 2, 2, 2]
    assert (cap.row("Books(1)")["stock"], cap.row("Books(2)")["stock"]) == (6, 7)


def change_set(*stocks: int) -> bytes:
    part = (
        "--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {0}\r\n\r\n{1}\r\n"
    )
    write = "POST Books HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{}"
    members = "".join(
        part.format(key, write.format(json.dumps({"ID": key, "title": "t", "stock": stock})))
        for key, stock in enumerate(stocks, 1)
    )
    read = "--b\r\nContent-Type: application/http\r\n\r\nGET Books HTTP/1.1\r\n\r\n\r\n"
    return f"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{members}--c--\r\n{read}--b--\r\n".encode()


def post_change_set(gateway: Gateway, *stocks: int) -> str:
    fields = {"Content-Type": "multipart/mixed; boundary=b", "Prefer": "odata.continue-on-error"}
    answer = rest.request(gateway.http_port, "POST", "/svc/$batch", fields, change_set(*stocks))
    assert answer.status == 200
    return answer.body.decode()


def test_a_change_set_of_several(cap: Cap, gateway: Gateway) -> None:
    text = post_change_set(gateway, 5, 6)
    assert text.count("HTTP/1.1 201 Created") == 2
    assert "multipart/mixed; boundary=changesetresponse_" in text
    assert text.count("HTTP/1.1 200 OK") == 1
    assert cap.keys("Books") == {1, 2}


def test_a_failed_change_set_is_one_part(cap: Cap, gateway: Gateway) -> None:
    """MP-08, GW-19: the failing member speaks for all."""
    text = post_change_set(gateway, 5, 5000, 6)
    assert text.count("HTTP/1.1 400 Bad Request") == 1
    assert "HTTP/1.1 201" not in text
    assert "changesetresponse_" not in text
    assert "Content-ID: 2\r\n" in text
    assert text.count("HTTP/1.1 200 OK") == 1
    assert cap.keys("Books") == set()


def test_coalesced_calls_succeed_and_fail_alone(cap: Cap, gateway: Gateway) -> None:
    requests = [rest.get_call("none", "Books(99)")]
    for key in range(1, 60):
        body = {"ID": key, "title": "t", "stock": 5000 if key == 30 else key}
        requests.append({"id": f"b{key}", "method": "post", "url": "Books", "headers": dict(JSON), "body": body})
    # CAP refuses a whole JSON batch for a body that is no object: such a call must not share one.
    requests.append({"id": "odd", "method": "put", "url": "Books(1)", "headers": dict(JSON), "body": [1]})
    found = rest.post(gateway.http_port, {"requests": requests}, root="/coalesced/").by_id()
    assert found["odd"]["status"] >= 400
    assert found["none"]["status"] == 404
    assert found["b30"]["status"] == 400
    assert {found[f"b{key}"]["status"] for key in range(1, 60) if key != 30} == {201}
    assert cap.keys("Books") == set(range(1, 60)) - {30}
