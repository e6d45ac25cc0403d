"""What references make of URLs and headers is bounded and counted (PL-02, PL-12), seen from inside."""

import asyncio
import json
from typing import Any

import psutil
import pytest
from batchwire.core import Limits, Route
from core_driving import RawServer, Request, answer, serving, session_of, taken, upstream_of

LONG = "x" * 20_000


def member(name: str, url: str = "x", **more: Any) -> dict[str, Any]:
    return {"id": name, "method": "get", "url": url, **more}


async def results(route: Route, *members: dict[str, Any]) -> dict[str, tuple[int, str]]:
    """Statuses, and the code where the gateway answered, by id."""
    session = session_of(route, dialect="json")
    session.feed(json.dumps({"requests": members}).encode())
    session.feed_end()
    text = await taken(session)
    assert session.failure is None
    found = json.loads(text)["responses"]
    return {one["id"]: (one["status"], one.get("body", {}).get("error", {}).get("code", "")) for one in found}


def tagged(_: Request) -> bytes:
    return answer(200, b'{"v":"' + b"v" * 20_000 + b'"}', [("Content-Type", "application/json"), ("ETag", f'"{LONG}"')])


@pytest.mark.parametrize("url", [f"$a/{LONG}", f"{LONG}?q=$a/v"])
async def test_PL_12_a_url_with_references_filled_in_has_the_bound_of_a_url(url: str) -> None:
    async with serving(tagged) as (server, _, route):
        found = await results(route, member("a", LONG), member("b", url, dependsOn=["a"]), member("c", "$a/y"))
        assert found == {"a": (200, ""), "b": (400, "UrlTooLong"), "c": (200, "")}
        assert len(server.requests) == 2


async def test_PL_12_headers_with_etags_filled_in_have_the_bound_of_headers() -> None:
    lines = {"If-Match": "$a", "If-None-Match": "$a"}
    async with serving(tagged) as (server, _, route):
        found = await results(
            route, member("a"), member("b", headers=lines), member("c", headers={"If-Match": "$a"}), member("d", "$b/x")
        )
        refused = {"b": (400, "HeadersTooLarge"), "d": (424, "FailedDependency")}
        assert found == {"a": (200, ""), "c": (200, ""), **refused}
        assert len(server.requests) == 2


@pytest.mark.parametrize("more", [{"url": "$a/x"}, {"headers": {"If-Match": "$a"}}])
async def test_PL_02_what_references_make_of_a_call_counts(more: dict[str, Any]) -> None:
    """Each of them is small as the client says it; filled in, all together would hold 80 MB."""
    go = asyncio.Event()

    async def held(request: Request) -> bytes:
        if request.target == b"/" + LONG.encode():
            return tagged(request)
        await go.wait()
        return answer(204)

    async with serving(held, limits=Limits(max_in_flight=2, max_pending_bytes=4 << 20)) as (server, _, route):
        before = psutil.Process().memory_info().rss
        members = [member("a", LONG), *({**member(str(n)), **more} for n in range(4000))]
        running = asyncio.ensure_future(results(route, *members))
        await server.until(lambda: len(server.requests) == 3)
        assert psutil.Process().memory_info().rss - before < 30 << 20
        go.set()
        found = await running
        assert (found.pop("a"), set(found.values())) == ((200, ""), {(204, "")})


def ran(request: Request) -> bytes:
    """200 for a call, and for each call of a batch."""
    value: Any = {}
    if request.target.endswith(b"$batch"):
        value = {"responses": [{"id": one["id"], "status": 200} for one in json.loads(request.body)["requests"]]}
    return answer(200, json.dumps(value).encode(), [("Content-Type", "application/json")])


@pytest.mark.parametrize(("tail", "linked"), [(3_000, True), (20_000, False)], ids=["a chain", "a star"])
async def test_PL_12_members_that_refer_to_members_have_urls_within_bounds(tail: int, linked: bool) -> None:
    """A chain makes each URL longer than the one before it; a star makes many."""
    members = [
        member(f"m{n}", f"$m{n - 1 if linked else 0}/" + "x" * tail if n else "x", method="patch", atomicityGroup="g")
        for n in range(60)
    ]
    after = [member("near", "$m9/y", dependsOn=["g"]), member("far", "$m59/y", dependsOn=["g"])]
    async with RawServer(ran) as server, upstream_of(server) as upstream:
        upstream.take_batches("json")
        found = await results(Route(root="/svc/", upstream=upstream), *members, *after)
        assert {found[f"m{n}"][0] for n in range(60)} == {200}
        assert found["near"] == (200, "")
        assert found["far"] == (400, "UnresolvedReference")
        assert [len(one.target) > 9_000 for one in server.requests] == [False, True]


async def test_PL_12_a_member_of_a_group_whose_url_leads_nowhere_is_refused() -> None:
    """It has no URL any more that could be measured."""

    def elsewhere(_: Request) -> bytes:
        return answer(201, b"{}", [("Content-Type", "application/json"), ("Location", "http://elsewhere.example/x")])

    async with RawServer(elsewhere) as server, upstream_of(server) as upstream:
        upstream.take_batches("json")
        route = Route(root="/svc/", upstream=upstream)
        group = {"atomicityGroup": "g", "dependsOn": ["a"]}
        found = await results(
            route, member("a", method="post"), member("b", "$a/x", **group), member("c", "y", **group)
        )
        assert found == {"a": (201, ""), "b": (400, "UnresolvedReference"), "c": (424, "FailedDependency")}
        assert len(server.requests) == 1
