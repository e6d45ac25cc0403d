"""The client's address in the log line of a batch has one form, whoever has told it: CL-13."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
import pytest
from batchwire.core.peers import peer_name
from batchwire.v1 import batch_pb2, batch_pb2_grpc
from harness import config, grpc_client, rest
from harness.gateway import Gateway
from harness.http2_wire import Http2Wire, request
from harness.scripted import ScriptedUpstream, json_reply

DOCUMENT = rest.encode({"requests": []})
FORWARDED = [
    ({"forwarded": 'for="[2001:db8::7]:4711"'}, "[2001:db8::7]:0"),
    ({"x-forwarded-for": "2001:db8::7"}, "[2001:db8::7]:0"),
    ({"x-forwarded-for": "::ffff:192.0.2.7"}, "192.0.2.7:0"),
    ({"x-forwarded-for": "192.0.2.7"}, "192.0.2.7:0"),
]


def post(gateway: Gateway, over: str, fields: dict[str, str]) -> str:
    """The peer of a batch's log line."""
    lines = len(gateway.logs())
    sent = {"content-type": "application/json", **fields}
    if over == "HTTP/2":
        with Http2Wire(gateway.http_port) as wire:
            assert wire.ask(request("POST", "/svc/$batch", sent.items()), DOCUMENT).status == 200
    else:
        assert rest.request(gateway.http_port, "POST", "/svc/$batch", sent, DOCUMENT).status == 200
    return peer(gateway, lines)


def peer(gateway: Gateway, lines: int) -> str:
    gateway.wait(lambda: bool(peers(gateway, lines)), "the line of the batch")
    return peers(gateway, lines)[-1]


def peers(gateway: Gateway, lines: int) -> list[str]:
    return [entry["peer"] for entry in gateway.logs()[lines:] if entry.get("event") == "batch"]


@pytest.mark.parametrize("over", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(("fields", "expected"), FORWARDED)
def test_CL_13_a_forwarded_address(fields: dict[str, str], expected: str, over: str, trusting_gateway: Gateway) -> None:
    assert post(trusting_gateway, over, fields) == expected


@pytest.mark.both_fronts
@pytest.mark.parametrize(("fields", "expected"), FORWARDED)
def test_CL_13_a_forwarded_address_over_grpc(
    fields: dict[str, str], expected: str, served_by: str, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    """The limit of one client is that of who is behind the proxy, too."""
    listen = {"http": "127.0.0.1:0", "grpc": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"]}
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    limits = {"max_batches_per_client": 1}
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, listen=listen, limits=limits)
    upstream.on("GET", "/held", json_reply({}, gate=(gate := upstream.gate())))
    message = batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=[grpc_client.call("1", "held")])
    with Gateway(config.served(served_by, settings), tmp_path) as gateway:
        lines = len(gateway.logs())
        with grpc.insecure_channel(gateway.grpc_address) as channel:
            stub = batch_pb2_grpc.BatchServiceStub(channel)
            first = stub.Execute.future(message, metadata=tuple(fields.items()))
            upstream.wait_for_calls(1)
            other = stub.Execute.future(message, metadata=(("x-forwarded-for", "198.51.100.9"),))
            upstream.wait_for_calls(2)
            gate.open()
            assert [r.status for r in (*first.result().results, *other.result().results)] == [200, 200]
        gateway.wait(lambda: len(peers(gateway, lines)) == 2, "both lines")
        assert sorted(peers(gateway, lines)) == sorted([expected, "198.51.100.9:0"])


@pytest.mark.both_fronts
def test_CL_13_a_direct_client_has_the_same_form(upstream: ScriptedUpstream, served_by: str, tmp_path: Path) -> None:
    listen = {"http": "127.0.0.1:0", "grpc": "[::1]:0"}
    routes: list[config.Config] = [{"root": "/svc/", "upstream": "things", "default": True}]
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, listen=listen)
    with Gateway(config.served(served_by, settings), tmp_path) as gateway:
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", post(gateway, "HTTP/1.1", {}))
        lines = len(gateway.logs())
        with grpc_client.Client(gateway.grpc_address) as client:
            client.batch([grpc_client.message(options=grpc_client.options())])
        assert re.fullmatch(r"\[::1\]:[1-9]\d*", peer(gateway, lines))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.1", "192.0.2.1:80"),
        ("2001:db8::1", "[2001:db8::1]:80"),
        ("::ffff:192.0.2.1", "192.0.2.1:80"),
        ("fe80::1%eth0", "[fe80::1%eth0]:80"),
    ],
)
def test_CL_13_names(host: str, name: str) -> None:
    assert peer_name(host, 80) == name
