"""grpc's client for Node.js, in an environment of its own, over the native front: in plain and over TLS."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import google.api.httpbody_pb2 as httpbody
import grpc
import pytest
from harness import config
from harness.certificates import Authority
from harness.environments import node_environment, run_client
from harness.gateway import Gateway
from harness.scripted import Received, Reply, ScriptedUpstream, json_reply

FOLDER = Path(__file__).parents[1] / "clients" / "grpc_node"
PROTO = Path(__file__).parents[2] / "proto"
GOOGLEAPIS = Path(httpbody.__file__).parents[2]
pytestmark = pytest.mark.timeout(900)  # for the first test that needs the environment


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_interop(secure: bool, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))

    def answer(received: Received) -> Reply:
        size = int(received.path.rpartition("/")[2])
        return Reply(200, [("Content-Type", "application/octet-stream")], bytes(size))

    upstream.fallback = answer
    routes = [{"root": "/svc/", "upstream": "things", "default": True}]
    listen: config.Config = {"front": "native"}
    authority = Authority(tmp_path, "authority")
    if secure:
        pair = authority.issue()
        listen["tls"] = {"cert_file": str(pair.cert), "key_file": str(pair.key)}
    settings = config.make({"things": {"url": upstream.origin + "/"}}, routes, listen=listen)
    with Gateway(settings, tmp_path, authority.trusting() if secure else None) as gateway:
        address = f"localhost:{gateway.grpc_address.rpartition(':')[2]}"
        made = node_environment(FOLDER)
        more = [authority.cert] if secure else []
        said = run_client(["node", made / "drive_interop.mjs", address, GOOGLEAPIS, PROTO, FOLDER, *more], made)
        gateway.wait_idle()
    assert said == {
        "large": 314159,
        "pingPong": 4,
        "cancelled": grpc.StatusCode.CANCELLED.value[0],
        "late": grpc.StatusCode.DEADLINE_EXCEEDED.value[0],
        "refused": grpc.StatusCode.NOT_FOUND.value[0],
        "special": "there is no route '☺ and 😈 100 %'",
        "unimplemented": [grpc.StatusCode.UNIMPLEMENTED.value[0]] * 2,
        "applied": ["order=request"],
        "health": 1,
        "many": 50,
    }
    lines = Counter(upstream.lines)
    assert (lines["GET /held"], lines["POST /size/314159"], lines["GET /size/5"]) == (2, 1, 1)
    assert all(received.aborted for received in upstream.log if received.path == "/held")
    assert sorted(len(received.body) for received in upstream.log if received.path == "/size/1") == sorted(
        [27182, 8, 1828, 45904, 27182]
    )
    assert [len(received.body) for received in upstream.log if received.path == "/size/10"] == [271828] * 2
    gate.open()
