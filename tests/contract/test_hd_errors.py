"""The continue-on-error preference: rules HD-14 to HD-18 of the contract."""

from __future__ import annotations

import pytest
from harness import rest
from harness.batches import GRPC_BATCH, GRPC_EXECUTE, Call, check_error, run_batch, statuses
from harness.batches import by_id as results_by_id
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, odata_error

FIRST = rest.get_call("1", "Bad")
SECOND = rest.get_call("2", "Good", dependsOn=["1"], if_="true")


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/Bad", odata_error(500))
    upstream.on("GET", "/Good")


def goes_on(gateway: Gateway, upstream: ScriptedUpstream, fields: rest.Fields) -> bool:
    """Whether the second call runs after the first one failed (it only waits for it)."""
    found = rest.post(gateway.http_port, {"requests": [FIRST, SECOND]}, fields).by_id()
    assert found["1"]["status"] == 500
    assert found["2"]["status"] in (200, 424)
    assert ("GET /Good" in upstream.lines) == (found["2"]["status"] == 200)
    return bool(found["2"]["status"] == 200)


@pytest.mark.parametrize("name", ["continue-on-error", "odata.continue-on-error", "OData.Continue-On-Error"])
def test_HD_14_prefixed_and_plain_names(name: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert not goes_on(gateway, upstream, {"Prefer": f"{name}=false"})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["continue-on-error"], True),
        (["continue-on-error=FALSE"], False),
        (['x; y=1, CONTINUE-ON-ERROR="TRUE"'], True),
        (['x; y=1, CONTINUE-ON-ERROR="False"'], False),
        (['x; y="a, continue-on-error=false"'], True),
        (["continue-on-error=false, continue-on-error=true"], False),
        (["continue-on-error", "continue-on-error=false"], True),
        (["unknown", "another=1", "continue-on-error = false"], False),
        (["continue-on-error=false; foo=bar"], False),
    ],
)
def test_HD_15_syntax_of_preferences(
    lines: list[str], expected: bool, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert goes_on(gateway, upstream, [("Prefer", line) for line in lines]) is expected


def test_HD_16_the_default_of_json_is_to_go_on(front: str, gateway: Gateway) -> None:
    calls = [Call("1", "Bad"), Call("2", "Good", depends_on=["1"], condition="true"), Call("3", "Good")]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 500, "2": 200, "3": 200}


def test_HD_17_false_stops_and_the_rest_gets_424(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    calls = [
        Call("1", "Bad"),
        Call("2", "Good", depends_on=["1"], condition="true"),
        Call("3", "Good", depends_on=["2"], condition="true"),
    ]
    found = results_by_id(run_batch(front, gateway, calls, continue_on_error=False))
    assert found["1"].status == 500
    check_error(found["2"], 424)
    check_error(found["3"], 424)
    assert upstream.lines == ["GET /Bad"]


@pytest.mark.parametrize("front", [GRPC_BATCH, GRPC_EXECUTE])
def test_HD_17_explicit_true_goes_on(front: str, gateway: Gateway) -> None:
    calls = [Call("1", "Bad"), Call("2", "Good", depends_on=["1"], condition="true")]
    assert statuses(run_batch(front, gateway, calls, continue_on_error=True)) == {"1": 500, "2": 200}


def test_HD_18_inner_preference_does_not_steer_the_batch(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    inner = {"prefer": "continue-on-error=false"}
    calls = [Call("1", "Bad", headers=inner), Call("2", "Good", depends_on=["1"], condition="true")]
    assert statuses(run_batch(front, gateway, calls)) == {"1": 500, "2": 200}
    assert upstream.call("GET /Bad").header("prefer") == "continue-on-error=false"
