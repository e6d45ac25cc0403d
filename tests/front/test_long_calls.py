"""Watch and ServerReflectionInfo last as long as their clients like (FR-15): few, in turns, and bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import h2.connection
import pytest
from batchwire.service.fronts.rpc import rpc_methods
from batchwire.service.fronts.rpc.reflection import Reflection
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from h2.settings import SettingCodes
from harness.gateway import Gateway
from harness.grpc_wire import (
    OK,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    answer_of,
    call,
    head,
    messages_of,
    prefixed,
)
from harness.http2_wire import CANCEL, Fields, Http2Wire
from harness.scripted import ScriptedUpstream
from hyperframe.frame import PingFrame
from in_process import come_true, whole_front

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
CHECK = head(path="/grpc.health.v1.Health/Check")
WATCH = head(path="/grpc.health.v1.Health/Watch")
REFLECTION = head(path="/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
MOST_LONG, MOST_WAITING, LONGEST, STEPS = 16, 128, 4096, 16


def symbol(name: str = "batchwire.v1.BatchService", **more: Any) -> bytes:
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=name, **more)
    return bytes(request.SerializeToString())


def watch(wire: Http2Wire) -> int:
    stream = wire.open(WATCH)
    wire.send(stream, prefixed(b""), end=True)
    return stream


def told(wire: Http2Wire, stream: int) -> list[int]:
    """What a Watch has been told up to now."""
    found = messages_of(bytes(wire.heard[stream].data))
    return [int(health_pb2.HealthCheckResponse.FromString(message).status) for message in found]


def answers(data: bytes) -> list[Any]:
    return [reflection_pb2.ServerReflectionResponse.FromString(message) for message in messages_of(data)]


def test_FR_15_a_connection_has_few_long_calls_and_refuses_no_check(gateway: Gateway) -> None:
    with Http2Wire(gateway.grpc_address) as wire, Http2Wire(gateway.grpc_address) as other:
        open_now = [wire.open(REFLECTION)] + [watch(wire) for _ in range(MOST_LONG - 1)]
        for stream in open_now[1:]:
            wire.wait(lambda stream=stream: told(wire, stream) == [SERVING], "the first status")  # type: ignore[misc]
        for fields in (WATCH, REFLECTION):
            refused = call(wire, fields, b"")
            assert refused.code == RESOURCE_EXHAUSTED
            assert str(MOST_LONG) in refused.message
        checks = [wire.open(CHECK) for _ in range(300)]
        for stream in checks:
            wire.send(stream, prefixed(b""), end=True)
        assert {answer_of(wire.answer(stream)).code for stream in checks} == {OK}
        stream = watch(other)
        other.wait(lambda: told(other, stream) == [SERVING], "the status on another connection")
        wire.reset(open_now[-1])
        last = watch(wire)
        wire.wait(lambda: told(wire, last) == [SERVING], "the status of one in the place of another")


def test_FR_15_a_message_of_these_methods_is_short(gateway: Gateway) -> None:
    with Http2Wire(gateway.grpc_address) as wire:
        for fields in (CHECK, WATCH, REFLECTION):
            answer = call(wire, fields, b"a" * (LONGEST + 1))
            assert answer.code == RESOURCE_EXHAUSTED
            assert str(LONGEST) in answer.message


def test_FR_15_what_is_read_and_not_answered_is_bounded(gateway: Gateway) -> None:
    """A client that takes nothing gets no answers, and what it asks for meanwhile is not kept."""
    with Http2Wire(gateway.grpc_address, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0}) as wire:
        for message, count in ((b"", MOST_WAITING * 2), (symbol(host="h" * 1000), 20)):
            stream = wire.open(REFLECTION)
            wire.send(stream, prefixed(message) * count)
            # The first answer waits for the client, and the status behind it.
            wire.h2.increment_flow_control_window(1 << 20, stream)
            wire.flush()
            answer = answer_of(wire.answer(stream))
            assert answer.code == RESOURCE_EXHAUSTED
            assert len(answer.messages) < 3


def test_FR_15_requests_that_come_at_once_are_answered_in_their_order(gateway: Gateway) -> None:
    names = ["batchwire.v1.BatchService", "batchwire.v1.Call", "google.api.HttpBody", "no.such.Thing", ""] * 12
    with Http2Wire(gateway.grpc_address) as wire:
        answer = call(wire, REFLECTION, *map(symbol, names))
    assert answer.code == OK
    found = answers(bytes(answer.heard.data))
    assert [one.original_request.file_containing_symbol for one in found] == names
    files = [
        {FileDescriptorProto.FromString(raw).name for raw in one.file_descriptor_response.file_descriptor_proto}
        for one in found[:5]
    ]
    assert "batchwire/v1/batch.proto" in files[0] & files[1]
    assert files[2:] == [{"google/api/httpbody.proto", "google/protobuf/any.proto"}, set(), set()]
    assert {one.error_response.error_code for one in found[3:5]} == {5}


async def test_FR_15_answers_that_wait_share_what_is_long_of_them() -> None:
    reflection = Reflection()
    asked = [
        reflection_pb2.ServerReflectionRequest.FromString(symbol(f"batchwire.v1.{name}", host=name))
        for name in ("BatchService", "Call", "BatchService")
    ]
    made = [await reflection.pieces(request) for request in asked]
    assert len({id(pieces[1]) for pieces in made}) == 1
    assert all(len(pieces[0]) < 100 for pieces in made)
    whole = [answers(prefixed(b"".join(pieces)))[0] for pieces in made]
    assert [one.original_request for one in whole] == asked


async def test_FR_15_the_methods_go_on_in_turns(upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests come at once, few of them are looked at in one turn of the loop (PL-01)."""
    connections, each = 30, 10
    turn = 0
    looked: Counter[int] = Counter()
    parsed = rpc_methods.parsed

    def counted(message: bytes, kind: Any) -> Any:
        looked[turn] += 1
        return parsed(message, kind)

    monkeypatch.setattr(rpc_methods, "parsed", counted)
    async with whole_front(upstream.origin) as (port, _):
        clients = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
        for _, writer in clients:
            writer.write(_calls(each, REFLECTION, symbol()))

        async def count() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        await come_true(lambda: looked.total() >= connections * each)
        counting.cancel()
        for _, writer in clients:
            writer.close()
    assert max(looked.values()) <= STEPS


def test_FR_15_attempts_in_thousands_cost_little(target: Gateway) -> None:
    """`target` looks at its memory, and at another client."""
    sent = _calls(1000, WATCH, b"") + PingFrame(0, b"12345678").serialize()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            connected = stack.enter_context(socket.create_connection(("127.0.0.1", target.http_port), 20))
            connected.sendall(sent)
            heard = b""
            while b"12345678" not in heard:
                data = connected.recv(1 << 20)
                assert data, "the gateway has closed the connection"
                heard = heard[-8:] + data


def _calls(count: int, fields: Fields, message: bytes) -> bytes:
    """A connection's first bytes, with so many calls of one message each."""
    made = h2.connection.H2Connection()
    made.initiate_connection()
    for _ in range(count):
        stream = made.get_next_available_stream_id()
        made.send_headers(stream, fields)
        made.send_data(stream, prefixed(message))
    return bytes(made.data_to_send())


def test_FR_15_a_client_that_takes_nothing_is_cut(attacked: Gateway) -> None:
    with Http2Wire(attacked.grpc_address, settings={SettingCodes.INITIAL_WINDOW_SIZE: 0}) as wire:
        watching, asking = watch(wire), wire.open(REFLECTION)
        wire.send(asking, prefixed(symbol()) * 3)
        for stream in (watching, asking):
            assert wire.answer(stream).reset == CANCEL


def test_FR_15_long_calls_end_with_the_gateway(new_gateway: Callable[..., Gateway]) -> None:
    """They are told, and have their status: the end of the process waits for none of them."""
    running = new_gateway()
    with Http2Wire(running.grpc_address) as wire:
        streams = [watch(wire), watch(wire)]
        for stream in streams:
            wire.wait(lambda stream=stream: told(wire, stream) == [SERVING], "the first status")  # type: ignore[misc]
        asking = wire.open(REFLECTION)
        wire.send(asking, prefixed(symbol()))
        wire.wait(lambda: bool(wire.heard[asking].data), "an answer")
        running.terminate()
        for stream in streams:
            assert answer_of(wire.answer(stream)).code == UNAVAILABLE
            assert told(wire, stream) == [SERVING, NOT_SERVING]
        answer = answer_of(wire.answer(asking))
        assert (answer.code, answer.message) == (UNAVAILABLE, "the gateway is stopping")
        wire.wait_closed()
    running.stop()


def test_FR_15_while_a_gateway_retires_its_watches_go_on(new_gateway: Callable[..., Gateway]) -> None:
    running = new_gateway(drain_delay_seconds=3)
    narrow = {SettingCodes.INITIAL_WINDOW_SIZE: 0}
    with Http2Wire(running.grpc_address) as wire, Http2Wire(running.grpc_address, settings=narrow) as slow:
        stream = watch(wire)
        wire.wait(lambda: told(wire, stream) == [SERVING], "the first status")
        behind = watch(slow)
        slow.wait(lambda: bool(slow.heard[behind].headers), "the head of its answer")
        running.terminate()
        wire.wait(lambda: told(wire, stream) == [SERVING, NOT_SERVING], "the second status")
        assert not any(entry.get("event") == "draining" for entry in running.logs())
        slow.h2.increment_flow_control_window(1000, behind)
        slow.flush()
        slow.wait(lambda: told(slow, behind) == [SERVING, NOT_SERVING], "the latest status")
        with Http2Wire(running.grpc_address) as later:
            new = watch(later)
            later.wait(lambda: told(later, new) == [NOT_SERVING], "the status for who comes now")
            for one, watching in ((wire, stream), (slow, behind), (later, new)):
                assert answer_of(one.answer(watching)).code == UNAVAILABLE
    running.stop()
