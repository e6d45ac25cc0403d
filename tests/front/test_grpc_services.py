"""grpc.health.v1 and reflection beside BatchService, by grpc's own clients over both fronts of the gateway."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from batchwire.v1 import batch_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from harness import config, grpc_client
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream, json_reply

SERVICE = "batchwire.v1.BatchService"
HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
pytestmark = pytest.mark.both_fronts


@pytest.fixture
def channel(gateway: Gateway) -> Iterator[grpc.Channel]:
    with grpc_client.channel(gateway.grpc_address) as made:
        yield made


@pytest.fixture
def own_gateway(_things: ScriptedUpstream, served_by: str, tmp_path: Path) -> Iterator[Gateway]:
    routes = [{"root": "/svc/", "upstream": "things", "default": True}]
    listen = {"front": served_by, "grace_seconds": 4}
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, listen=listen)
    with Gateway(settings, tmp_path) as running:
        yield running


def check(channel: grpc.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return int(health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status)


@pytest.mark.parametrize("service", ["", SERVICE])
def test_check(service: str, channel: grpc.Channel) -> None:
    assert check(channel, service) == SERVING


def test_check_of_what_is_not_there(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        check(channel, "no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_many_checks_on_one_connection(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    asked = [stub.Check.future(health_pb2.HealthCheckRequest(), timeout=20) for _ in range(200)]
    assert {answer.result().status for answer in asked} == {SERVING}


@pytest.mark.parametrize(("service", "status"), [("", SERVING), (SERVICE, SERVING), ("no.such", SERVICE_UNKNOWN)])
def test_watch_says_how_it_is_at_once(service: str, status: int, channel: grpc.Channel) -> None:
    watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service), timeout=20)
    assert next(watching).status == status
    watching.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        next(watching)
    assert caught.value.code() is grpc.StatusCode.CANCELLED


def test_watch_tells_of_the_drain(own_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Load balancers learn it while the batches that run come to their end; a watch does not keep the gateway."""
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    seen: list[int] = []
    results: list[Any] = []

    def watch(channel: grpc.Channel) -> None:
        try:
            for answer in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE)):
                seen.append(answer.status)
        except grpc.RpcError:
            seen.append(-1)

    def run(client: grpc_client.Client) -> None:
        calls = [grpc_client.call("1", "held")]
        results.extend(client.execute(batch_pb2.ExecuteRequest(calls=calls, options=grpc_client.options())).results)

    with grpc_client.Client(own_gateway.grpc_address) as client:
        threads = [threading.Thread(target=watch, args=[client.channel]), threading.Thread(target=run, args=[client])]
        for thread in threads:
            thread.start()
        upstream.wait_for_calls(1)
        own_gateway.wait(lambda: seen == [SERVING], "the first status")
        own_gateway.terminate()
        own_gateway.wait(lambda: len(seen) > 1, "the second status")
        assert seen[1] == NOT_SERVING
        assert results == []
        gate.open()
        for thread in threads:
            thread.join(20)
    assert [result.status for result in results] == [200]
    assert seen[2:] in ([], [-1])
    own_gateway.stop()


# --- reflection


def ask(channel: grpc.Channel, *requests: Any) -> list[Any]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return list(stub.ServerReflectionInfo(iter(requests), timeout=10))


def test_reflection_lists_the_services(channel: grpc.Channel) -> None:
    [answer] = ask(channel, reflection_pb2.ServerReflectionRequest(list_services=""))
    assert {service.name for service in answer.list_services_response.service} == {
        SERVICE,
        HEALTH,
        REFLECTION,
        "grpc.reflection.v1.ServerReflection",
    }


def test_reflection_gives_the_files(channel: grpc.Channel) -> None:
    """As a command-line client asks: the symbol first, then what its file needs."""
    answers = ask(
        channel,
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="batchwire.v1.BatchRequest"),
        reflection_pb2.ServerReflectionRequest(file_by_filename="google/api/httpbody.proto"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Thing"),
    )
    files = [
        {FileDescriptorProto.FromString(raw).name for raw in answer.file_descriptor_response.file_descriptor_proto}
        for answer in answers
    ]
    assert "batchwire/v1/batch.proto" in files[0]
    assert "batchwire/v1/batch.proto" in files[1]
    assert "google/api/httpbody.proto" in files[2]
    assert answers[3].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
