"""Which upstream a path belongs to, however it is spelled (OP-10)."""

from __future__ import annotations

from typing import Any

import pytest
from harness import rest
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def ask(gateway: Gateway, url: str) -> dict[str, Any]:
    return rest.post(gateway.http_port, {"requests": [rest.get_call("1", url)]}, root="/mounted/").responses[0]


@pytest.mark.parametrize("url", ["orders/1", "%6frders/1", "%6Frders/1", "%6f%72%64%65%72%73/1", "/mounted/%6frders/1"])
def test_OP_10_the_mount_takes_its_path_however_it_is_spelled(
    url: str, gateway: Gateway, upstream: ScriptedUpstream, orders: ScriptedUpstream
) -> None:
    orders.on("GET", "/1", json_reply({}))
    assert ask(gateway, url)["status"] == 200
    assert (orders.lines, upstream.lines) == (["GET /1"], [])


@pytest.mark.parametrize("url", ["orders%2F1", "%256frders/1", "xorders/1", "orders?x=/1", "orders", "Orders/1"])
def test_OP_10_what_only_looks_like_it_goes_elsewhere(
    url: str, gateway: Gateway, upstream: ScriptedUpstream, orders: ScriptedUpstream
) -> None:
    ask(gateway, url)
    assert orders.lines == []
    assert upstream.lines == [f"GET /{url}"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spelling=st.lists(st.sampled_from(["plain", "upper", "lower"]), min_size=6, max_size=6),
    rest_of_it=st.sampled_from(["a%2fb", "1"]),
)
def test_OP_10_any_spelling_leads_to_one_upstream_and_keeps_what_follows(
    spelling: list[str], rest_of_it: str, gateway: Gateway, upstream: ScriptedUpstream, orders: ScriptedUpstream
) -> None:
    orders.reset()
    upstream.reset()
    forms = {"plain": "{}", "upper": "%{:02X}", "lower": "%{:02x}"}
    name = "".join(
        forms[form].format(letter if form == "plain" else ord(letter))
        for letter, form in zip("orders", spelling, strict=True)
    )
    ask(gateway, f"{name}/{rest_of_it}")
    assert (orders.lines, upstream.lines) == ([f"GET /{rest_of_it}"], [])
