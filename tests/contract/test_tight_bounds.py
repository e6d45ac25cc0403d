"""Every bound at its least: batches of every format still end, with every result once and nothing left over (GW-13,
GW-23). What one bound holds back, another must not wait for.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from harness import config
from harness.batches import FRONTS, Call, by_id, run_batch
from harness.dialects import (
    DOCUMENT_TYPE,
    GOOGLE_TYPE,
    Step,
    ask,
    google_document,
    google_part,
    read_document,
    read_google,
    request_id,
    steps,
)
from harness.documents import MULTIPART, WAYS, read, send
from harness.gateway import Gateway
from harness.multiparts import document_of
from harness.scripted import Received, Reply, ScriptedUpstream, json_reply

COUNT = 60
LEAST = {
    "max_pending": 2,
    "max_pending_bytes": 1,
    "max_in_flight": 2,
    "output_high_bytes": 100,
    "reorder_bytes": 100,
    "reorder_results": 2,
}


@pytest.fixture(scope="module")
def tight_gateway(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    upstreams = {"things": {"url": _things.origin + "/", "max_connections": 2}}
    with Gateway(config.make(upstreams, routes, LEAST), tmp_path_factory.mktemp("tight")) as running:
        yield running


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream, tight_gateway: Gateway) -> Iterator[None]:
    """Answers of any size, some late, some of them errors."""

    def answer(call: Received) -> Reply:
        number = int(call.path.partition("(")[2].partition(")")[0])
        status = 404 if number % 7 == 3 else 200
        return json_reply({"n": number, "x": "x" * (number % 5 * 60)}, status, delay=0.01 * (number % 3))

    upstream.fallback = answer
    yield
    tight_gateway.wait_idle()


def calls(seed: int) -> list[Call]:
    """Reads, writes, calls that wait for others, and calls that the gateway refuses."""
    chance = random.Random(seed)
    found = []
    for number in range(COUNT):
        body = b'{"x":"' + b"b" * chance.randrange(300) + b'"}' if chance.random() < 0.6 else None
        earlier = [str(one) for one in range(max(0, number - 5), number)]
        waits = [chance.choice(earlier)] if earlier and chance.random() < 0.4 else []
        url = f"../T({number})" if chance.random() < 0.2 else f"T({number})"
        kind = {} if body is None else {"content-type": "application/json"}
        found.append(Call(str(number), url, "GET" if body is None else "PUT", kind, body, waits))
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("route", ["/svc/", "/stream/"])
@pytest.mark.parametrize("prefer", ["order=request", "order=completion"])
@pytest.mark.parametrize("kind", FRONTS)
def test_json_and_protobuf(kind: str, prefer: str, route: str, seed: int, tight_gateway: Gateway) -> None:
    headers = {"Prefer": prefer} if kind in ("rest-json", "grpc-json") else {}
    found = by_id(run_batch(kind, tight_gateway, calls(seed), route=route, headers=headers))
    assert len(found) == COUNT
    for call in calls(seed):
        parents = [found[name].status for name in call.depends_on]
        expected = {400} if call.url.startswith("..") else {200, 404} if parents in ([], [200]) else {424}
        assert found[call.id].status in expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("route", ["/svc/", "/stream/"])
@pytest.mark.parametrize("way", WAYS)
def test_every_multipart_dialect(way: str, route: str, seed: int, tight_gateway: Gateway) -> None:
    given = calls(seed)
    plain = [Call(call.id, call.url, call.method, call.headers, call.body) for call in given]
    found = read(send(way, tight_gateway, document_of(plain), MULTIPART, {"Prefer": "continue-on-error"}, route=route))
    assert [part.content_id for part in found] == [call.id for call in given]

    lines = [tuple(f"{name}: {value}" for name, value in call.headers.items()) for call in given]
    made = [
        Step(call.id, call.url, call.method, ", ".join(call.depends_on), line, call.body or b"")
        for call, line in zip(given, lines, strict=True)
    ]
    found = read_document(ask("document", way, tight_gateway, steps(*made), DOCUMENT_TYPE, route=route))
    assert [request_id(part) for part in found] == [call.id for call in given]

    parts = [
        google_part(f"<{call.id}>", f"{call.method} /{call.url}", body=(call.body or b"").decode()) for call in given
    ]
    found = read_google(ask("google", way, tight_gateway, google_document(*parts), GOOGLE_TYPE, route=route))
    assert [part.content_id for part in found] == [f"<response-{call.id}>" for call in given]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("route", ["/svc/", "/stream/"])
def test_results_put_into_bodies(route: str, way: str, tight_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Each body becomes larger than all that may be pending, so that they go one at a time."""
    given = [Step("source", "T(4)")]
    given += [Step(str(n), f"T({n * 7})", "PUT", body=b"resultOf(source)") for n in range(1, 30)]
    found = read_document(ask("document", way, tight_gateway, steps(*given), DOCUMENT_TYPE, route=route))
    assert [part.status for part in found] == [200] * 30
    assert len(upstream.log) == 30
    assert {len(call.body) for call in upstream.log[1:]} == {len(found[0].body)}
