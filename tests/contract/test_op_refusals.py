"""What the metrics and the log say of batches that are refused, and of calls that have no result: OP-14 and OP-15."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from batchwire.service.refusals import LINES_A_SECOND, RefusalLog
from batchwire.v1 import batch_pb2
from google.api import httpbody_pb2
from harness import config, grpc_client, rest
from harness.batches import GRPC_BATCH, REST, Call, run_batch
from harness.gateway import Gateway, Gateways
from harness.http2 import Raw, grpc_request, headers
from harness.http2_wire import Http2Wire, request
from harness.scripted import ScriptedUpstream, json_reply
from structlog.testing import capture_logs

JSON = ("content-type", "application/json")
SERVICE = "/batchwire.v1.BatchService"
WEB, STREAM = ("content-type", "application/grpc-web+proto"), ("content-type", "application/connect+json")


@pytest.fixture(scope="module")
def _narrow(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/odata/", "upstream": "things", "dialects": ["odata"]},
    ]
    limits = {"max_batches": 2, "max_batches_per_client": 1, "max_request_bytes": 20_000, "max_hops": 1}
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, limits)
    with Gateways(settings, lambda: tmp_path_factory.mktemp("narrow")) as gateways:
        yield gateways


@pytest.fixture
def narrow(_narrow: Gateways, served_by: str) -> Gateway:
    """One client may have one batch at a time, of at most 20,000 bytes."""
    return _narrow.get(served_by)


def refused(gateway: Gateway) -> dict[str, float]:
    return {k: v for k, v in gateway.metrics().items() if k.startswith("batchwire_batches_refused_total")}


def told_of(gateway: Gateway, ask: Callable[[], object], front: str, route: str, reason: str, status: int) -> None:
    """One batch is refused: it is counted once, and a line says so."""
    before, lines = refused(gateway), len(gateway.logs())
    ask()
    label = f'batchwire_batches_refused_total{{front="{front}",reason="{reason}",route="{route}"}}'

    def counted() -> dict[str, float]:
        after = refused(gateway)
        return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}

    gateway.wait(lambda: bool(counted()), "the count")
    assert counted() == {label: 1}
    expected = {"front": front, "route": route, "code": reason, "status": status, "level": "info"}

    def line() -> bool:
        """There, or counted in another because there were many."""
        new = [entry for entry in gateway.logs()[lines:] if entry.get("event") in ("batch refused", "batches refused")]
        return any(entry.items() >= expected.items() or entry.get("untold") for entry in new)

    gateway.wait(line, f"a line of {expected}")


FORM = ("content-type", "multipart/form-data; boundary=b")

REQUESTS = {
    "405": ("GET", "/svc/$batch", [], b"", "rest", "/svc/", "MethodNotAllowed", 405),
    "415": ("POST", "/svc/$batch", [("content-type", "text/xml")], b"", "rest", "/svc/", "UnsupportedMediaType", 415),
    "413": ("POST", "/svc/$batch", [JSON], b"x" * 20_001, "rest", "/svc/", "RequestTooLarge", 413),
    "404": ("POST", "/none/$batch", [JSON], b"", "rest", "", "NotFound", 404),
    "misspelt": ("POST", "/svc/$Batch", [JSON], b"", "rest", "/svc/", "NotFound", 404),
    "dialect": ("PUT", "/odata/batch", [], b"", "rest", "/odata/", "NotFound", 404),
    "batch 415": ("POST", "/svc/batch", [FORM], b"", "rest", "/svc/", "UnsupportedMediaType", 415),
    "batch 405": ("GET", "/svc/batch", [], b"", "rest", "/svc/", "MethodNotAllowed", 405),
}
CALLS = {
    "no call": ("GET", f"{SERVICE}/Execute", [], b"", "grpc", "", "MethodNotAllowed", 405),
    "no protocol": ("POST", f"{SERVICE}/Batch", [("content-type", "a/b")], b"", "grpc", "",
                    "UnsupportedMediaType", 415),
    "gRPC-Web": ("POST", f"{SERVICE}/Nothing", [WEB], b"", "grpc", "", "UnknownMethod", 501),
    "gRPC-Web message": ("POST", f"{SERVICE}/Batch", [WEB], b"\x07\0\0\0\0", "grpc", "", "BadMessage", 400),
    "Connect": ("POST", f"{SERVICE}/Batch", [JSON], b"{}", "grpc", "", "NotUnary", 501),
    "Connect route": ("POST", f"{SERVICE}/Execute", [JSON], b'{"options":{"route":"/no/"}}', "grpc", "",
                      "UnknownRoute", 404),
    "Connect hops": ("POST", f"{SERVICE}/Execute", [JSON, ("batchwire-hop", "1")], b"{}", "grpc", "/svc/",
                     "LoopDetected", 508),
    "Connect stream": ("POST", f"{SERVICE}/Batch", [STREAM, ("connect-content-encoding", "br")], b"", "grpc", "",
                       "UnknownEncoding", 501),
}  # fmt: skip


@pytest.mark.both_fronts
@pytest.mark.parametrize("name", REQUESTS)
def test_OP_14_a_request_over_http_1(name: str, narrow: Gateway) -> None:
    method, path, fields, body, *told = REQUESTS[name]
    told_of(narrow, lambda: rest.request(narrow.http_port, method, path, fields, body), *told)


@pytest.mark.parametrize("name", {**REQUESTS, **CALLS})
def test_OP_14_a_request_over_http_2(name: str, narrow: Gateway) -> None:
    method, path, fields, body, *told = {**REQUESTS, **CALLS}[name]

    def ask() -> None:
        with Http2Wire(narrow.http_port) as wire:
            wire.ask(request(method, path, [*fields, ("content-length", str(len(body)))]), body)

    told_of(narrow, ask, *told)


DOCUMENT = httpbody_pb2.HttpBody(content_type="text/xml", data=b"x")
ROUTED = [("batchwire-route", "/svc/")]
RPCS = {
    "route": ("Execute", batch_pb2.ExecuteRequest(options=grpc_client.options("/no/")), [], "", "UnknownRoute", 404),
    "hops": ("Execute", batch_pb2.ExecuteRequest(), [("batchwire-hop", "1")], "/svc/", "LoopDetected", 508),
    "document": ("BatchHttp", iter([DOCUMENT]), ROUTED, "/svc/", "UnsupportedMediaType", 415),
    "dialect": ("BatchHttp", iter([DOCUMENT]), [*ROUTED, ("batchwire-dialect", "x")], "/svc/", "UnknownDialect", 400),
}


@pytest.mark.both_fronts
@pytest.mark.parametrize("name", RPCS)
def test_OP_14_a_call_of_grpc(name: str, narrow: Gateway) -> None:
    method, sent, metadata, *told = RPCS[name]
    if not isinstance(sent, batch_pb2.ExecuteRequest):
        sent = iter([DOCUMENT])

    def ask() -> None:
        with grpc_client.Client(narrow.grpc_address) as client, pytest.raises(grpc.RpcError):
            list(getattr(client.stub, method)(sent, timeout=10, metadata=metadata))

    told_of(narrow, ask, "grpc", *told)


def test_OP_14_a_grpc_call_that_never_says_which_batch_it_is(narrow: Gateway) -> None:
    def say_nothing() -> None:
        # A gRPC library would cancel the call at the same moment.
        with Raw(int(narrow.grpc_address.rpartition(":")[2])) as raw:
            raw.send(headers(1, grpc_request("Batch", ("grpc-timeout", "500m")), end=False))
            assert raw.answer(1).grpc_status == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]

    def say_too_much() -> None:
        with grpc_client.Client(narrow.grpc_address) as client, pytest.raises(grpc.RpcError):
            list(client.channel.stream_stream(f"{SERVICE}/Batch")(iter([bytes((4 << 20) + 1)]), timeout=10))

    told_of(narrow, say_nothing, "grpc", "", "DeadlineExceeded", 408)
    told_of(narrow, say_too_much, "grpc", "", "MessageTooLarge", 413)


@pytest.mark.both_fronts
def test_OP_14_too_many_batches(narrow: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    thread = threading.Thread(target=lambda: run_batch(REST, narrow, [Call("1", "held")]))
    thread.start()
    try:
        upstream.wait_for_calls(1)
        document = {"requests": [rest.get_call("1", "A")]}
        told_of(narrow, lambda: rest.post(narrow.http_port, document), "rest", "/svc/", "TooManyBatches", 429)

        def by_grpc() -> None:
            with pytest.raises(Exception, match="RESOURCE_EXHAUSTED"):
                run_batch(GRPC_BATCH, narrow, [Call("1", "A")])

        told_of(narrow, by_grpc, "grpc", "/svc/", "TooManyBatches", 429)
    finally:
        gate.open()
        thread.join()


def test_OP_14_a_gateway_that_stops(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/held", json_reply({}, gate=gate))
    settings = config.make({"things": {"url": upstream.origin + "/"}}, [{"root": "/svc/", "upstream": "things"}])
    with Gateway(settings, tmp_path) as gateway:
        thread = threading.Thread(target=lambda: run_batch(REST, gateway, [Call("1", "held")]))
        thread.start()
        try:
            upstream.wait_for_calls(1)
            gateway.terminate()
            gateway.wait(lambda: not gateway.ready(), "/readyz no longer 200")
            told_of(gateway, lambda: rest.post(gateway.http_port, {}), "rest", "/svc/", "Draining", 503)
        finally:
            gate.open()
            thread.join()


def test_OP_14_a_flood_is_counted_whole_and_told_in_few_lines(narrow: Gateway) -> None:
    before, lines, flood = sum(refused(narrow).values()), len(narrow.logs()), 300
    with rest.Wire(narrow.http_port) as wire:
        for _ in range(flood):
            wire.begin("GET", "/svc/$batch")
            assert wire.answer().status == 405

    def told() -> list[dict[str, object]]:
        return [entry for entry in narrow.logs()[lines:] if str(entry.get("event")).endswith("refused")]

    def counted() -> int:
        return sum(int(str(entry.get("untold", 0))) + (entry["event"] == "batch refused") for entry in told())

    narrow.wait(lambda: counted() >= flood, "all of them in the log")
    assert len(told()) < flood / 2
    assert sum(refused(narrow).values()) == before + flood


def test_OP_14_lines_are_few_and_count_the_rest() -> None:
    now = 100.0
    log = RefusalLog(lambda: now)

    def lines() -> list[tuple[str, int]]:
        return [(entry["event"], entry.get("untold", 0)) for entry in captured]

    with capture_logs() as captured:
        for _ in range(LINES_A_SECOND + 5):
            log.add("rest", "/", 429, "TooManyBatches", "1.2.3.4:5")
        log.tell_rest()
        assert lines() == [("batch refused", 0)] * LINES_A_SECOND
        now += 1
        log.add("rest", "/", 429, "TooManyBatches", "1.2.3.4:5")
        assert lines()[LINES_A_SECOND:] == [("batch refused", 5)]
        for _ in range(LINES_A_SECOND):
            log.add("rest", "/", 429, "TooManyBatches", "1.2.3.4:5")
        now += 1
        log.tell_rest()
        log.tell_rest()
        assert lines()[-1] == ("batches refused", 1)
        assert len(lines()) == 2 * LINES_A_SECOND + 1


@pytest.mark.both_fronts
@pytest.mark.parametrize("by", ["rest", "grpc"])
def test_OP_15_calls_of_a_cancelled_batch_are_counted(by: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/A", json_reply({}))
    for name in ("b", "c"):
        upstream.on("GET", f"/held/{name}", json_reply({}, gate=gate))
    before, lines = gateway.metrics(), len(gateway.logs())
    calls = [("a", "A", []), ("b", "held/b", []), ("c", "held/c", []), ("d", "A", ["b"])]
    try:
        if by == "rest":
            body = rest.encode({"requests": [rest.get_call(id, url, dependsOn=after) for id, url, after in calls]})
            with rest.Wire(gateway.http_port) as wire:
                wire.begin("POST", "/svc/$batch", [JSON, ("content-length", str(len(body)))])
                wire.send(body)
                upstream.wait_for_calls(3)
                wire.reset()
        else:
            with grpc_client.Client(gateway.grpc_address) as client:
                sent = grpc_client.message(
                    *(grpc_client.call(id, url, depends_on=after) for id, url, after in calls),
                    options=grpc_client.options(),
                )
                rpc = client.stub.Batch(iter([sent]))
                upstream.wait_for_calls(3)
                rpc.cancel()
        gateway.wait_idle()
    finally:
        gate.open()
    after = gateway.metrics()
    outcomes = {}
    for outcome in ("succeeded", "abandoned", "not_started"):
        label = f'batchwire_calls_total{{outcome="{outcome}",route="/svc/"}}'
        outcomes[outcome] = after.get(label, 0) - before.get(label, 0)
    assert outcomes == {"succeeded": 1, "abandoned": 2, "not_started": 1}

    def line() -> bool:
        told = [entry for entry in gateway.logs()[lines:] if entry.get("ended") == "cancelled"]
        return bool(told) and told[-1].items() >= {"calls": 4, "abandoned": 2, "not_started": 1}.items()

    gateway.wait(line, "the line of the batch")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"{SERVICE}/Nope", "batches go to the service root of a route, with $batch behind it."),
        ("/svc/$Batch", "batches go to /svc/$batch."),
    ],
)
def test_OP_14_where_nothing_is_it_says_where_batches_go(narrow: Gateway, path: str, words: str) -> None:
    answer = rest.request(narrow.http_port, "POST", path, body=b"")
    assert (answer.status, answer.json()["error"]["message"]) == (404, f"There is nothing here; {words}")


@pytest.mark.both_fronts
@pytest.mark.parametrize(
    ("method", "path", "field", "status", "allow"),
    [
        ("POST", "/svc/batch", FORM, 415, None),
        ("POST", "/svc/batch/x/v1", JSON, 415, None),
        ("POST", "/svc/batch", ("content-type", ""), 415, None),
        ("GET", "/svc/batch", JSON, 405, "POST, PUT"),
        ("DELETE", "/svc/batch/x", JSON, 405, "POST"),
        ("PUT", "/svc/batch/x", FORM, 405, "POST"),
        ("PUT", "/svc/batch", JSON, 415, None),
        ("POST", "/odata/batch", FORM, 404, None),
        ("GET", "/odata/batch", JSON, 404, None),
        ("POST", "/svc/batches", FORM, 404, None),
        ("POST", "/svc/x/batchy", FORM, 404, None),
    ],
)
def test_CL_11_at_the_address_of_batches_another_type_or_method_is_told(
    method: str, path: str, field: tuple[str, str], status: int, allow: str | None, narrow: Gateway
) -> None:
    answer = rest.request(narrow.http_port, method, path, [field], b"{}")
    assert (answer.status, answer.header("allow")) == (status, allow)
    if status == 415 and method == "POST":
        message = answer.json()["error"]["message"]
        assert message.startswith("A batch that is POSTed must be multipart/mixed")
        assert ("sent with PUT" in message) == (path == "/svc/batch")
