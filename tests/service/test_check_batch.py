"""`batchwire check --batch` judges with the settings of the route and the limits, as a running gateway does (OP-09)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from batchwire.service.check import check
from batchwire.service.cli import main
from click.testing import CliRunner
from harness import config

Check = Callable[..., list[str]]
GROUP = [{"id": name, "method": "get", "url": name, "atomicityGroup": "g"} for name in "ab"]
NO_TRANSACTION = (
    "501 AtomicityNotSupported: the upstream cannot run several calls as one transaction, so none of the group was run "
    '(if it takes OData batches itself, say so with the key batch of the upstream: "json" or "multipart")'
)


@pytest.fixture
def judge(tmp_path: Path) -> Check:
    """The lines for a batch of these calls; `limits` and all other keys of the configuration's first route."""

    def run(
        calls: list[dict[str, Any]],
        root: str | None = "/svc/",
        limits: Any = None,
        announced: bool = False,
        **route: Any,
    ) -> list[str]:
        upstreams = {
            "plain": {"url": "http://127.0.0.1:9/"},
            "native": {"url": "http://127.0.0.1:9/", "batch": "json"},
            "other": {"url": "http://127.0.0.1:9/o/", "batch": "json"},
        }
        routes = [{"root": "/svc/", "upstream": "plain", **route}, {"root": "/b/", "upstream": "plain"}]
        made = config.make(upstreams, routes, limits, listen={"http": "127.0.0.1:8080"})
        (tmp_path / "gateway.toml").write_text(config.to_toml(made))
        (tmp_path / "batch.json").write_text(json.dumps({"requests": calls}))
        return check(str(tmp_path / "gateway.toml"), str(tmp_path / "batch.json"), root, announced)

    return run


def get(url: str, **more: Any) -> dict[str, Any]:
    return {"id": "1", "method": "get", "url": url, **more}


def test_OP_09_a_group_is_judged_by_its_upstream(judge: Check) -> None:
    assert judge(GROUP) == [f"requests[{n}] ({name}): {NO_TRANSACTION}" for n, name in enumerate("ab")]
    assert judge(GROUP, upstream="native") == []


def test_OP_09_a_group_does_not_cross_upstreams(judge: Check) -> None:
    crossing = [GROUP[0], {**GROUP[1], "url": "o/b"}]
    mounts = [{"prefix": "/svc/o/", "upstream": "other"}]
    assert judge(GROUP, upstream="native", mounts=mounts) == []
    assert judge(crossing, upstream="native", mounts=mounts) == [
        f"requests[{n}] ({name}): {NO_TRANSACTION}" for n, name in enumerate("ab")
    ]
    mounts = [{"prefix": "/svc/o/", "upstream": "plain"}]
    assert len(judge([{**one, "url": "o/x"} for one in GROUP], upstream="native", mounts=mounts)) == 2


def test_OP_09_values_within_a_group_are_not_for_the_gateway(judge: Check) -> None:
    body = {"method": "post", "headers": {"content-type": "application/json"}, "body": {"x": "$a/x"}}
    [line] = judge([GROUP[0], {**GROUP[1], **body}], upstream="native")
    assert line == "requests[1] (b): 501 NotImplemented: values of a call of the same group are not supported"


def test_OP_09_batch_may_be_a_resource(judge: Check) -> None:
    assert judge([get("batch/x")]) == ["requests[0] (1): 400 BadUrl: a batch must not hold a batch"]
    assert judge([get("batch/x")], dialects=["odata"]) == []


@pytest.mark.parametrize(
    ("url", "origin", "lines"),
    [
        ("https://gw.example/svc/x", ["https://gw.example"], 0),
        ("https://other.example/svc/x", ["https://gw.example"], 1),
        ("http://127.0.0.1:8080/svc/x", [], 0),
        ("http://gw.example/svc/x", [], 1),
    ],
)
def test_OP_09_absolute_urls_are_judged_by_the_origin(judge: Check, url: str, origin: list[str], lines: int) -> None:
    found = judge([get(url)], origin=origin)
    assert found == ["requests[0] (1): 400 BadUrl: the URL leads to another server"] * lines


@pytest.mark.parametrize(
    ("limits", "route", "calls", "line"),
    [
        (
            {"max_calls": 1}, {}, [get("x"), get("y", id="2")],
            "batch: 400 TooManyCalls: a batch must not have more than 1 calls (limits.max_calls)",
        ),
        (
            {"max_group_calls": 1}, {"upstream": "native"}, GROUP,
            "requests[1].atomicityGroup: 413 GroupTooLarge: a group of calls must not have more than 1 calls "
            "(limits.max_group_calls) and 16777216 bytes (limits.max_call_bytes)",
        ),
        (
            {"max_request_bytes": 20}, {}, [get("x")],
            "batch: 413 BatchTooLarge: the batch is larger than limits.max_request_bytes (20 bytes)",
        ),
        (
            {"max_header_bytes": 10}, {}, [get("x" * 11)],
            "requests[0] (1): 400 UrlTooLong: a URL must not have more than 10 bytes (limits.max_header_bytes)",
        ),
    ],
)  # fmt: skip
def test_OP_09_limits_are_those_of_the_configuration(
    judge: Check, limits: Any, route: Any, calls: list[dict[str, Any]], line: str
) -> None:
    assert judge(calls, limits=limits, **route) == [line]
    assert [told for told in judge(calls, upstream="native") if "limits." in told] == []


def test_OP_09_authorization_inside_is_judged_by_the_policy(judge: Check) -> None:
    call = get("x", headers={"Authorization": "Bearer x"})
    assert judge([call]) == []  # taken if it is that of the batch
    [line] = judge([call], allow_inner_authorization="reject")
    assert line.endswith(
        "400 HeaderNotAllowed: the header Authorization must not be in an inner request "
        "(allow_inner_authorization of the route)"
    )


def test_OP_09_a_condition_says_what_is_wrong(judge: Check) -> None:
    [line] = judge([get("x", **{"if": "1 plus 1"})])
    assert line.startswith("requests[0] (1): 424 FailedDependency: the condition cannot be evaluated: ")


def test_OP_09_the_profile_is_the_routes(judge: Check) -> None:
    assert judge([get("/x")]) == []
    assert judge([get("/x")], profile="strict") == [
        "requests[0] (1): 400 BadUrl: the URL does not lie under the service root"
    ]


def test_OP_09_the_route_must_be_known(judge: Check) -> None:
    assert judge([], root="/none/") == ["--root: there is no route /none/; there are /svc/, /b/"]
    assert judge([], root=None) == ["--root: say which of /svc/, /b/"]
    assert judge([], root=None, default=True) == []
    assert judge([], dialects=["google"]) == ["batch: the route /svc/ takes no OData batches (dialects: google)"]


def test_OP_09_strict_is_for_clients_that_announce_odata_4_01(judge: Check) -> None:
    mail = [{**get("x"), "id": "a@b"}]
    assert judge(mail) == judge(mail, profile="compatible", announced=True) == []
    [line] = judge(mail, announced=True)
    assert line.startswith("requests[0].id: 400 BadId: ")
    assert judge(mail, profile="strict") == [line]


def test_OP_09_strict_is_for_batches(tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text(json.dumps({"requests": [{**get("x"), "id": "a@b"}]}))
    command = CliRunner()
    found = command.invoke(main, ["check", "--strict", "--batch", str(tmp_path / "batch.json")])
    assert (found.exit_code, found.output.partition(": ")[0]) == (1, "requests[0].id")
    assert command.invoke(main, ["check", "--batch", str(tmp_path / "batch.json")]).exit_code == 0
    assert "--strict is for --batch" in command.invoke(main, ["check", "--strict", "--config", "x"]).output
