"""A client that stops in the middle of a group: what is held for it is given back after client_idle_seconds.

Must hold for groups of streamed documents and for documents that are checked whole (GW-21): calls that only the
client can let go are no reason to wait for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import grpc
import h11
import pytest
from harness import config, documents, grpc_client, multiparts, rest
from harness.batches import run_batch, statuses, to_json_member, to_proto
from harness.batching import BatchingUpstream
from harness.gateway import Gateway
from harness.grouped import post, script_customers
from harness.scripted import json_reply

IDLE = 1
OPEN = [post("1"), post("2")]


@pytest.fixture(scope="module")
def impatient(_batching: BatchingUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """It waits a second for its clients. /svc/ checks documents whole, /stream/ none."""
    upstreams = {"things": {"url": _batching.origin + "/", "batch": "json"}}
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    settings = config.make(upstreams, routes, {"client_idle_seconds": IDLE})
    with Gateway(settings, tmp_path_factory.mktemp("impatient")) as running:
        yield running


@pytest.fixture(autouse=True)
def _script(things: BatchingUpstream) -> None:
    script_customers(things)


def json_text() -> bytes:
    return b'{"requests":[' + b",".join(rest.encode(to_json_member(call)) for call in OPEN)


def multipart_text() -> bytes:
    text = multiparts.document_of([OPEN])
    return text[: text.rindex(b"--cs0--")]


FORMATS = {"application/json": json_text, documents.MULTIPART: multipart_text}


@pytest.mark.parametrize("root", ["/svc/", "/stream/"])
@pytest.mark.parametrize("kind", FORMATS, ids=["json", "multipart"])
def test_an_open_group_is_given_up_over_rest(
    kind: str, root: str, impatient: Gateway, things: BatchingUpstream
) -> None:
    text: Callable[[], bytes] = FORMATS[kind]
    with rest.Wire(impatient.http_port, timeout=IDLE * 6) as wire:
        wire.begin("POST", f"{root}$batch", {"Content-Type": kind, "Transfer-Encoding": "chunked", **rest.STRICT})
        wire.chunk(text())
        try:
            answer: rest.Answer | None = wire.answer()
        except (h11.RemoteProtocolError, ConnectionError):
            answer = None
    assert answer is None or answer.status == 408
    assert things.log == []
    impatient.wait_idle(5)


def test_an_open_group_is_given_up_over_grpc(impatient: Gateway, things: BatchingUpstream) -> None:
    feed = grpc_client.Feed()
    with grpc_client.Client(impatient.grpc_address) as client:
        stream = client.stub.Batch(iter(feed), timeout=IDLE * 6)
        feed.put(grpc_client.message(*map(to_proto, OPEN), options=grpc_client.options("/stream/")))
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        feed.close()
    assert caught.value.code() != grpc.StatusCode.OK
    assert "rest of its batch" in (caught.value.details() or "")
    assert things.log == []
    impatient.wait_idle(5)


def test_a_client_that_waits_for_the_gateway_is_not_idle(impatient: Gateway, things: BatchingUpstream) -> None:
    """It takes its result, thinks for a moment and goes on: it has neither stopped to send nor to take."""
    things.on("GET", "/slow", json_reply({}, delay=IDLE * 2))
    feed = grpc_client.Feed()
    with grpc_client.Client(impatient.grpc_address) as client:
        stream = client.stub.Batch(iter(feed), timeout=20)
        feed.put(grpc_client.message(grpc_client.call("1", "slow"), options=grpc_client.options("/stream/")))
        assert [result.status for result in next(stream).results] == [200]
        time.sleep(IDLE / 2)
        feed.put(grpc_client.message(*map(to_proto, [post("2"), post("3")])))
        feed.close()
        results = grpc_client.results_of(list(stream))
    assert {result.id: result.status for result in results} == {"2": 201, "3": 201}


def test_a_slow_group_is_waited_for(impatient: Gateway, things: BatchingUpstream) -> None:
    things.batch_delay = IDLE * 2
    assert set(statuses(run_batch("grpc-batch", impatient, OPEN, route="/stream/")).values()) == {201}
    assert set(statuses(run_batch("rest-json", impatient, OPEN, route="/stream/")).values()) == {201}
