"""Large answers and a client that does not read: the gateway holds what AN-05 says, and every call has its answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from batchwire.v1 import batch_pb2
from harness import config, grpc_client, rest
from harness.gateway import Gateway, Gateways
from harness.memory import Peak
from harness.pouring import SIZE, PouringUpstream

MIB = 1 << 20
CALLS = 64
BOUND = 256 * MIB


@pytest.fixture(scope="module")
def _pouring() -> Iterator[PouringUpstream]:
    with PouringUpstream() as upstream:
        yield upstream


@pytest.fixture
def pouring(_pouring: PouringUpstream) -> PouringUpstream:
    _pouring.reset()
    return _pouring


@pytest.fixture(scope="module")
def _gateways(_pouring: PouringUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    upstreams = {"main": {"url": _pouring.origin + "/"}, "few": {"url": _pouring.origin + "/", "max_connections": 2}}
    upstreams["hasty"] = {"url": _pouring.origin + "/", "call_timeout_seconds": 2}
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "main", "default": True},
        {"root": "/few/", "upstream": "few"},
        {"root": "/hasty/", "upstream": "hasty"},
    ]
    with Gateways(config.make(upstreams, routes), lambda: tmp_path_factory.mktemp("pouring")) as gateways:
        yield gateways


@pytest.fixture
def gateway(_gateways: Gateways, served_by: str) -> Gateway:
    """/svc/ leads to the pouring upstream, /few/ over two connections, /hasty/ with two seconds a call."""
    return _gateways.get(served_by)


def calls(count: int, first: int = 0) -> list[dict[str, object]]:
    return [rest.get_call(str(n), f"large/{n}") for n in range(first, first + count)]


def begin(wire: rest.Wire, requests: list[dict[str, object]], root: str = "/svc/", **fields: str) -> None:
    text = rest.encode({"requests": requests})
    head = {"Content-Type": "application/json", "Content-Length": str(len(text)), **rest.STRICT, **fields}
    wire.begin("POST", f"{root}$batch", head)
    wire.send(text)


def drain(wire: rest.Wire, mark: bytes = b'"status":200') -> int:
    """Reads the whole answer and counts a text in it."""
    count, tail = 0, b""
    assert wire.head().status == 200
    while piece := wire.data():
        tail += piece
        count += tail.count(mark)
        tail = tail[-(len(mark) - 1) :]
    return count


@pytest.mark.both_fronts
@pytest.mark.parametrize("fields", [{}, {"Prefer": "order=request"}, {"Accept": "multipart/mixed"}])
def test_AN_05_a_client_that_does_not_read_costs_a_bound(
    fields: dict[str, str], gateway: Gateway, pouring: PouringUpstream
) -> None:
    mark = b"HTTP/1.1 200 " if "Accept" in fields else b'"status":200'
    with Peak(gateway) as peak, rest.Wire(gateway.http_port, timeout=120, receive_buffer=65536) as wire:
        begin(wire, calls(CALLS), **fields)
        assert pouring.wait_until(lambda: pouring.started == CALLS)
        # Others are served as ever meanwhile, by the same upstream.
        for _ in range(50):
            [one] = rest.post(gateway.http_port, {"requests": [rest.get_call("1", "small")]}).responses
            assert one["body"] == "fine"
        assert peak.grown < BOUND
        assert drain(wire, mark) == CALLS
    assert peak.grown < BOUND, f"{peak.grown >> 20} MiB"
    assert pouring.ended == CALLS
    gateway.wait_idle()


@pytest.mark.both_fronts
@pytest.mark.parametrize("ordered", [False, True])
def test_AN_05_over_grpc(ordered: bool, gateway: Gateway, pouring: PouringUpstream) -> None:
    order = batch_pb2.RESULT_ORDER_REQUEST if ordered else batch_pb2.RESULT_ORDER_COMPLETION
    options = grpc_client.options(takes_parts=True, result_order=order)
    asked = [grpc_client.call(str(n), f"large/{n}") for n in range(CALLS)]
    sizes: dict[str, int] = {}
    with Peak(gateway) as peak, grpc_client.Client(gateway.grpc_address) as client:
        stream = client.stub.Batch(iter([grpc_client.message(*asked, options=options)]), timeout=120)
        assert pouring.wait_until(lambda: pouring.started == CALLS)
        for message in stream:
            assert message.ByteSize() <= 4 * MIB
            for result in message.results:
                sizes[result.id] = sizes.get(result.id, 0) + len(result.body)
    assert sizes == {str(n): SIZE for n in range(CALLS)}
    if ordered:
        assert list(sizes) == [str(n) for n in range(CALLS)]
    assert peak.grown < BOUND, f"{peak.grown >> 20} MiB"


@pytest.mark.parametrize("fields", [{}, {"Prefer": "order=request"}])
def test_AN_05_calls_that_wait_for_a_connection_do_not_wait_for_ever(
    fields: dict[str, str], gateway: Gateway, pouring: PouringUpstream
) -> None:
    """The earliest call depends on one behind which others have taken all connections."""
    requests = [rest.get_call("a", "small"), rest.get_call("b", "large/0", dependsOn=["a"]), *calls(20, 2)]
    with rest.Wire(gateway.http_port, timeout=60, receive_buffer=65536) as wire:
        begin(wire, requests, "/few/", **fields)
        assert pouring.wait_until(lambda: pouring.started >= 2)
        assert drain(wire) == 22
    gateway.wait_idle()


def test_AN_05_a_slow_client_makes_no_time_out(gateway: Gateway, pouring: PouringUpstream) -> None:
    """Calls have two seconds; the client begins to read when these are over."""
    with rest.Wire(gateway.http_port, timeout=60, receive_buffer=65536) as wire:
        begin(wire, calls(16), "/hasty/")
        assert pouring.wait_until(lambda: pouring.started == 16)
        threading.Event().wait(3)
        assert drain(wire) == 16


def test_AN_05_many_batches_share_the_bound_of_the_process(gateway: Gateway, pouring: PouringUpstream) -> None:
    """Twelve clients that do not read, then read: 96 answers of 16 MB."""
    wires = [rest.Wire(gateway.http_port, timeout=120, receive_buffer=65536) for _ in range(12)]
    found: list[int] = []
    with Peak(gateway) as peak:
        for wire in wires:
            begin(wire, calls(8))
        assert pouring.wait_until(lambda: pouring.started == 96)
        readers = [threading.Thread(target=lambda w=wire: found.append(drain(w))) for wire in wires]  # type: ignore[misc]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(120)
    for wire in wires:
        wire.socket.close()
    assert found == [8] * 12
    assert peak.grown < 900 * MIB, f"{peak.grown >> 20} MiB"
    gateway.wait_idle()


def test_AN_05_clients_that_leave_give_everything_back(gateway: Gateway, pouring: PouringUpstream) -> None:
    for _ in range(5):
        pouring.reset()
        with rest.Wire(gateway.http_port, receive_buffer=65536) as wire:
            begin(wire, calls(16))
            assert pouring.wait_until(lambda: pouring.started == 16)
        gateway.wait_idle()
    with rest.Wire(gateway.http_port, timeout=60) as wire:
        begin(wire, calls(4))
        assert drain(wire) == 4
