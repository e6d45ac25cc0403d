"""PL-01: work that is linear, in CPU time of this process beside that of a plain loop over the same bytes."""

import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.model import Result
from batchwire.core.plan.order import Plan
from batchwire.core.plan.urls import UrlRules
from batchwire.core.upstream.http1_answer import Answer
from batchwire.core.upstream.native.base import ready_call
from batchwire.core.upstream.native.json_form import JsonForm


def cost(run: Callable[[], object]) -> float:
    """The least CPU seconds of three runs."""
    least = 1e9
    for _ in range(3):
        before = time.process_time()
        run()
        least = min(least, time.process_time() - before)
    return least


@pytest.mark.parametrize("piece", [b"a;/", b"%41/", b"a/../", b"a%2541;/", b"\xff/", b"//a"])
def test_PL_01_a_long_url_costs_no_more_than_a_loop_over_its_segments(piece: bytes) -> None:
    url = b"A/" + piece * (300_000 // len(piece))
    rules = UrlRules(b"/svc/", ("http", "gw.example"))
    assert cost(lambda: rules.resolve(url)) < cost(lambda: [re.split(rb"[/;%]", one) for one in url.split(b"/")])


def test_PL_01_many_next_links_cost_less_than_to_parse_the_answer() -> None:
    rules = UrlRules(b"/svc/", ("http", "gw.example"))
    body = b"[" + b",".join([b'{"@nextLink":"/x"}'] * 100_000) + b"]"
    assert rules.publish_links(body, b"http://up", b"/") == body.replace(b'"/x"', b'"/svc/x"')
    assert cost(lambda: rules.publish_links(body, b"http://up", b"/")) < cost(lambda: json.loads(body))


def test_PL_01_links_of_other_servers_cost_less_than_to_parse_the_answer() -> None:
    rules = UrlRules(b"/svc/", ("http", "gw.example"))
    body = b"[" + b",".join(b'{"@nextLink":"http://%d/x"}' % n for n in range(100_000)) + b"]"
    assert rules.publish_links(body, b"http://up", b"/") is None
    assert cost(lambda: rules.publish_links(body, b"http://up", b"/")) < cost(lambda: json.loads(body))


def calls_of(requests: Iterable[dict[str, Any]]) -> list[Any]:
    reader = JsonReader()
    reader.feed_bytes(json.dumps({"requests": list(requests)}).encode())
    return [*iter(reader.next, None)]


def group_of(document: bytes) -> list[object]:
    reader = JsonReader()
    reader.feed_bytes(document)
    members = []
    while (call := reader.next()) is not None:
        members.append(ready_call(b"/x", call))
    return members


def test_PL_01_the_dependencies_of_a_group_cost_little_more_than_to_say_them() -> None:
    names = [f"c{n}" for n in range(600)]
    requests = [
        {"id": name, "method": "get", "url": "x", "atomicityGroup": "g", "dependsOn": names[:n]}
        for n, name in enumerate(names)
    ]
    members = group_of(json.dumps({"requests": requests}).encode())
    form = JsonForm()
    said = json.loads(form.encode_batch(members, True, b"/").body)
    assert said["requests"][-1]["dependsOn"] == [str(n) for n in range(1, 600)]
    assert cost(lambda: form.encode_batch(members, True, b"/")) < 8 * cost(lambda: json.dumps(requests))


def test_PL_01_a_body_of_many_strings_costs_less_than_to_parse_it() -> None:
    body = {"@id": "$a", "strings": ["@", "$", *[""] * 300_000]}
    requests = [
        {"id": name, "method": "post", "url": "x", "atomicityGroup": "g", "body": body if name == "b" else {}}
        for name in ("a", "b")
    ]
    document = json.dumps({"requests": requests}).encode()
    members = group_of(document)
    form = JsonForm()
    assert b'"@id": "$1"' in form.encode_batch(members, True, b"/").body
    assert cost(lambda: form.encode_batch(members, True, b"/")) < 2 * cost(lambda: json.loads(document))


def test_PL_01_a_call_of_many_headers_costs_little_more_than_to_parse_it() -> None:
    headers = {f"x{n}": "" for n in range(3_000)}
    requests = [{"id": str(n), "method": "get", "url": "x", "headers": headers} for n in range(5)]
    document = json.dumps({"requests": requests})

    def read() -> None:
        assert len(group_of(document.encode())) == 5

    assert cost(read) < 6 * cost(lambda: json.loads(document))


def test_PL_01_names_in_connection_cost_less_than_to_split_them() -> None:
    """They name fields that are of one hop only; those beside them are as many as an answer may have."""
    names = b"a," * 15_000
    fields = {b"h%d" % n for n in range(120)}
    head = b"HTTP/1.1 200 OK\r\nConnection: " + names + b"\r\n" + b"".join(name + b": v\r\n" for name in fields)
    answer = Answer()
    assert answer.read([head + b"Content-Length: 0\r\n\r\n"])["state"] == "done"
    assert cost(lambda: answer.read([head + b"Content-Length: 0\r\n\r\n"])) < cost(
        lambda: [name.strip().lower() in fields for name in names.split(b",")]
    )


def test_PL_01_strings_that_look_like_references_cost_no_more_for_a_long_depends_on() -> None:
    """Each names a call of which nothing is kept, so that it matters whether dependsOn names a group."""

    def entered(names: int) -> float:
        plan: Any = Plan(UrlRules(b"/"), 1)
        listed = [f"n{n}" for n in range(names)]
        for call in calls_of({"id": name, "method": "get", "url": "x"} for name in ("forgotten", *listed)):
            plan.enter(call)
            plan.take()
            plan.end(call, ended)
        asking = {"method": "post", "url": "x", "dependsOn": listed, "body": ["$forgotten/a"] * 3_000}
        made = calls_of({"id": f"a{n}", **asking} for n in range(3))
        for call in made:
            assert call.refusal is None
        return cost(lambda: plan.enter(made.pop()))

    ended: Any = Result()
    ended.fill(200, [])
    assert entered(5_000) < entered(1) + 100 * cost(lambda: json.loads(json.dumps(["n"] * 5_000)))
