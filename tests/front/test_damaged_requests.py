"""A request is damaged after calls of it have started: their results come first, then the error, which counts them.

Whatever carries the batch (GW-21, FR-01). Must never take a request for damaged that only comes in pieces.
"""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from typing import Any

import h11
import pytest
from batch_messages import reason
from batchwire.v1 import batch_pb2
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2
from harness import grpc_client, grpc_wire, rest
from harness.gateway import Gateway
from harness.grpc_wire import GrpcAnswer, answer_of, head, prefixed
from harness.http2_wire import Http2Wire, request
from harness.native import IDLE_SECONDS
from harness.scripted import Gate, ScriptedUpstream, json_reply

LIMIT = 4 << 20  # limits.grpc_max_message_bytes
GZIP = ("grpc-encoding", "gzip")
BOMB = prefixed(gzip.compress(bytes(LIMIT + 1)), 1)
DAMAGES = {
    "too large": ((LIMIT + 1).to_bytes(5, "big"), False, grpc_wire.RESOURCE_EXHAUSTED, "MessageTooLarge"),
    "unknown flag": (prefixed(b"abc", 7), False, grpc_wire.INVALID_ARGUMENT, "BadMessage"),
    "damaged gzip": (prefixed(b"not gzip", 1), False, grpc_wire.INVALID_ARGUMENT, "BadMessage"),
    "no encoding": (prefixed(b"not gzip", 1), False, grpc_wire.INTERNAL, "BadMessage"),
    "too large unpacked": (BOMB, False, grpc_wire.RESOURCE_EXHAUSTED, "MessageTooLarge"),
    "ends within a message": (prefixed(b"abc")[:-1], True, grpc_wire.INVALID_ARGUMENT, "BadMessage"),
    "ends within a prefix": (b"\0\0", True, grpc_wire.INVALID_ARGUMENT, "BadMessage"),
    "no protobuf": (prefixed(b"\xff\xff"), False, grpc_wire.INVALID_ARGUMENT, "BadMessage"),
}
METHODS = {
    "Batch": [("Batch", [])],
    "BatchJson": [("BatchJson", [("batchwire-route", "/stream/")])],
    "BatchHttp": [("BatchHttp", [("batchwire-route", "/stream/")])],
}
CHUNKED = [("Transfer-Encoding", "chunked")]
STREAM = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **rest.STRICT}
DOCUMENT = b'{"requests":[{"id":"1","method":"post","url":"held","body":{}},'


@pytest.fixture
def held(upstream: ScriptedUpstream) -> Gate:
    """Holds the answer of the call that has started."""
    gate = upstream.gate()
    upstream.on("POST", "/held", json_reply({}, gate=gate))
    return gate


def first_message(method: str) -> bytes:
    """With one POST."""
    if method in ("BatchJson", "BatchHttp"):
        made = HttpBody(content_type="application/json", data=DOCUMENT)
    else:
        kind = batch_pb2.ExecuteRequest if method == "Execute" else batch_pb2.BatchRequest
        made = kind(options=grpc_client.options(), calls=[grpc_client.call("1", "held", "POST")])
    return prefixed(made.SerializeToString())


def statuses(method: str, answer: GrpcAnswer) -> dict[str, int]:
    """Of the results that came, by id."""
    if method == "Batch":
        found = grpc_client.results_of(batch_pb2.BatchResponse.FromString(message) for message in answer.messages)
        return {result.id: result.status for result in found}
    text = b"".join(HttpBody.FromString(message).data for message in answer.messages)
    return {entry["id"]: entry["status"] for entry in json.loads(text + b"]}")["responses"]}


def started(answer: GrpcAnswer) -> str:
    """How many calls had been started, as the details of the error have it."""
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in answer.details.details)
    return str(info.metadata.get("calls_started", ""))


def broken_batch(gateway: Gateway, code: str, before: int) -> dict[str, Any]:
    """The line of the last batch since `before` lines of the log that broke off so; those of others may come late."""

    def lines() -> list[dict[str, Any]]:
        return [e for e in gateway.logs()[before:] if (e.get("ended"), e.get("code")) == ("broken", code)]

    gateway.wait(lambda: bool(lines()), "the line of the batch")
    line = lines()[-1]
    assert line["calls"] == 1
    return line


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("method", METHODS)
def test_GW_21_FR_01_a_damaged_message_comes_behind_the_results_of_what_had_started(
    method: str, damage: str, held: Gate, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    data, end, code, name = DAMAGES[damage]
    [(_, fields)] = METHODS[method]
    lines = len(gateway.logs())
    with Http2Wire(gateway.grpc_address) as wire:
        stream = wire.open(head(method, fields if damage == "no encoding" else [*fields, GZIP]))
        wire.send(stream, first_message(method))
        upstream.wait_for_calls(1)
        wire.send(stream, data, end=end)
        wire.ping()
        wire.wait(lambda: bool(wire.pongs), "the damage has been read")
        assert not wire.heard[stream].ended, "what runs is waited for"
        held.open()
        answer = answer_of(wire.answer(stream))
    assert (answer.code, reason(answer), started(answer)) == (code, name, "1")
    assert statuses(method, answer) == {"1": 200}
    assert broken_batch(gateway, name, lines)["succeeded"] == 1


@pytest.mark.parametrize("more", [1, 1000])
def test_GW_21_FR_01_what_follows_a_damaged_message_is_read_into_nothing(
    more: int, held: Gate, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """More than any window has room for."""
    with Http2Wire(gateway.grpc_address) as wire:
        stream = wire.open(head("Batch"))
        wire.send(stream, first_message("Batch"))
        upstream.wait_for_calls(1)
        wire.send(stream, prefixed(b"abc", 7))
        for _ in range(more):
            wire.send(stream, prefixed(b"x" * 4096))
        held.open()
        answer = answer_of(wire.answer(stream))
    assert (statuses("Batch", answer), started(answer)) == ({"1": 200}, "1")


def test_GW_21_a_second_message_of_execute_says_what_had_started(
    held: Gate, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Its one message would be the whole answer, so there is none."""
    with Http2Wire(gateway.grpc_address) as wire:
        stream = wire.open(head())
        wire.send(stream, first_message("Execute"))
        upstream.wait_for_calls(1)
        wire.send(stream, first_message("Execute"), end=True)
        held.open()
        answer = answer_of(wire.answer(stream))
    assert (answer.code, reason(answer), started(answer)) == (grpc_wire.UNIMPLEMENTED, "TooManyMessages", "1")
    assert answer.messages == []


def test_GW_21_FR_05_a_slow_message_says_what_had_started(
    attacked: Gateway, nothing_left: None, upstream: ScriptedUpstream
) -> None:
    """Its call runs on for longer than a message may take to begin."""
    upstream.on("POST", "/held", json_reply({}, delay=2 * IDLE_SECONDS))
    lines = len(attacked.logs())
    with Http2Wire(attacked.grpc_address) as wire:
        stream = wire.open(head("Batch"))
        wire.send(stream, first_message("Batch"))
        upstream.wait_for_calls(1)
        wire.send(stream, prefixed(b"abc")[:-1])
        answer = answer_of(wire.answer(stream))
    assert (answer.code, reason(answer)) == (grpc_wire.DEADLINE_EXCEEDED, "ClientTooSlow")
    assert (statuses("Batch", answer), started(answer)) == ({"1": 200}, "1")
    assert broken_batch(attacked, "ClientTooSlow", lines)["succeeded"] == 1


# --- over HTTP

BROKEN_CHUNK = b"zz\r\n"
HTTP_DAMAGES = {"chunks": (BROKEN_CHUNK, "BadFraming"), "gzip": (b"8\r\nnot gzip\r\n", "MalformedEncoding")}


def begun(wire: rest.Wire, damage: str, fields: dict[str, str]) -> None:
    """A batch with one POST, of which the damage is still to come."""
    coded = damage == "gzip"
    more = {"Content-Encoding": "gzip"} if coded else {}
    wire.begin("POST", "/stream/$batch", {**STREAM, **more, **fields})
    packer = zlib.compressobj(wbits=31)
    data = packer.compress(DOCUMENT) + packer.flush(zlib.Z_FULL_FLUSH) if coded else DOCUMENT
    wire.chunk(data)


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("damage", HTTP_DAMAGES)
def test_GW_21_a_damaged_body_of_http1_says_what_had_started(
    damage: str, closes: bool, held: Gate, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Whether the client closes its side behind it or not. The answer is the error where none of it had been sent."""
    lines = len(gateway.logs())
    data, code = HTTP_DAMAGES[damage]
    with rest.Wire(gateway.http_port) as wire:
        begun(wire, damage, {})
        upstream.wait_for_calls(1)
        wire.send(data)
        if closes and damage == "chunks":
            wire.socket.shutdown(socket.SHUT_WR)
        held.open()
        answer = wire.answer()
        assert (answer.status, answer.json()["error"]["code"]) == (400, code)
        assert answer.header("batchwire-calls-started") == "1"
        if damage == "chunks":
            assert answer.header("connection") == "close"
            assert wire.closed()
    gateway.wait_idle()
    [line] = [entry for entry in gateway.logs()[lines:] if entry.get("event") == "batch"]
    assert (line["code"], line["succeeded"]) == (code, 1)


@pytest.mark.parametrize("damage", HTTP_DAMAGES)
def test_GW_21_results_come_before_the_damage_of_a_body_of_http1(
    damage: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    data, code = HTTP_DAMAGES[damage]
    upstream.on("POST", "/held")
    with rest.Wire(gateway.http_port) as wire:
        begun(wire, damage, {"TE": "trailers"})
        assert wire.head().status == 200
        body = wire.data()
        wire.send(data)
        while isinstance(event := wire.event(), h11.Data):
            body += event.data
        assert json.loads(body + b"]}")["responses"][0]["status"] == 200
        [(name, value)] = event.headers
        error = json.loads(value)["error"]
        assert (name, error["code"]) == (b"odata-error", code)
        assert "1 calls had been started" in error["message"]
        assert wire.closed()


def test_GW_21_what_follows_a_damaged_coding_is_not_decoded(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Nor waited for: the error comes while the rest of the body does."""
    upstream.on("POST", "/held")
    with Http2Wire(gateway.http_port) as wire:
        fields = [("content-type", "application/json"), ("odata-version", "4.01"), ("content-encoding", "gzip")]
        stream = wire.open(request("POST", "/stream/$batch", [*fields, ("te", "trailers")]))
        packer = zlib.compressobj(wbits=31)
        wire.send(stream, packer.compress(DOCUMENT) + packer.flush(zlib.Z_FULL_FLUSH))
        heard = wire.heard[stream]
        wire.wait(lambda: b'"status":200' in heard.data, "the result")
        wire.send(stream, b"not gzip" * 4)
        wire.answer(stream)
    assert json.loads(dict(heard.trailers)["odata-error"])["error"]["code"] == "MalformedEncoding"


PROTOCOLS = {"grpc-web": "application/grpc-web+proto", "connect": "application/connect+proto"}


@pytest.mark.parametrize("damage", [BROKEN_CHUNK, b"8\r\n" + prefixed(b"abc", 7) + b"\r\n", b"2\r\n\0\0\r\n0\r\n\r\n"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_GW_21_FR_01_so_over_grpc_web_and_connect(
    protocol: str, damage: bytes, held: Gate, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    lines = len(gateway.logs())
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", f"{grpc_wire.SERVICE}/Batch", [*CHUNKED, ("Content-Type", PROTOCOLS[protocol])])
        wire.chunk(first_message("Batch"))
        upstream.wait_for_calls(1)
        wire.send(damage)
        held.open()
        body = wire.answer().body
    messages = []
    while body[0] == 0:
        size = 5 + int.from_bytes(body[1:5], "big")
        messages.append(batch_pb2.BatchResponse.FromString(body[5:size]))
        body = body[size:]
    assert [result.status for result in grpc_client.results_of(messages)] == [200]
    if protocol == "connect":
        error = json.loads(body[5:])["error"]
        assert error["code"] == "invalid_argument"
        assert error["details"][0]["debug"]["metadata"] == {"calls_started": "1"}
    else:
        assert b"grpc-status:3\r\n" in body
        assert b"1 calls had been started" in body
    code = "BadFraming" if damage == BROKEN_CHUNK else "BadMessage"
    assert broken_batch(gateway, code, lines)["succeeded"] == 1
