"""Input that is small and well-formed but made to cost: it is answered in little time, and the errors it is told stay
small (GW-13). One batch must not stop the others, which share the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from harness import grpc_client, rest
from harness.dialects import DOCUMENT_TYPE, Step, ask, read_document, steps
from harness.documents import GRPC, JSON, MULTIPART, Refused, parts, read, send
from harness.gateway import Gateway
from harness.multiparts import HTTP_TYPE, document, part
from harness.scripted import ScriptedUpstream, json_reply

CPU_SECONDS = 3.0
"""Of the gateway: most take a tenth of it. What they guard against took 4 to 40."""
CONTINUE = {"Prefer": "continue-on-error"}
SOURCE = part(b"GET A HTTP/1.1\r\n\r\n", HTTP_TYPE + b"Content-ID: 1\r\n")
PUT_JSON = b"PUT A HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"
PUT_FORM = b"PUT A HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=f"
HALF = b"a," * 8_000

COSTLY = {
    "connection names": [part(b"GET A\r\nConnection: " + HALF + b"\r\n" + b"x: \r\n" * 2_500 + b"\r\n")] * 10,
    "parameters": [part(PUT_FORM + b"; a" * 9_000 + b"\r\n\r\nx")] * 20,
    "quotes": [part(PUT_FORM + b'; a="\\' * 5_000 + b"\r\n\r\nx")] * 20,
    "preferences": [part(b"GET A\r\nPrefer: " + b";" * 30_000 + b"\r\n\r\n")] * 20,
    "etags": [SOURCE, *[part(b"PUT A\r\nIf-Match: " + b"$1, " * 7_000 + b"\r\n\r\nx")] * 20],
    "ids": [part(b"GET A\r\n\r\n", HTTP_TYPE + b"Content-ID: a\r\n" * 1_900)],
    "references in a query": [SOURCE, *[part(b"GET A?f=" + b"$1/a " * 6_000 + b"\r\n\r\n")] * 20],
    "references in a body": [SOURCE, part(PUT_JSON + b"[" + b'"$1",' * 100_000 + b"1]")],
    "brackets": [part(PUT_JSON + b"[" * 500_000)],
    "dots": [part(b"GET " + b"a/../" * 100_000 + b"\r\n\r\n")],
    "way up": [part(b"GET " + b"a/" * 100_000 + b"../" * 100_000 + b"\r\n\r\n")],
    "percents": [part(b"GET " + b"%25" * 200_000 + b"\r\n\r\n")],
    "spaces": [part(b"GET " + b" " * 900_000 + b"A\r\n\r\n")],
}


@contextmanager
def little_work(gateway: Gateway) -> Iterator[None]:
    before = gateway.cpu_seconds()
    yield
    assert gateway.cpu_seconds() - before < CPU_SECONDS


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.fallback = lambda _: json_reply({"a": 1})


@pytest.mark.parametrize("texts", COSTLY.values(), ids=COSTLY)
def test_costly_parts_are_answered_soon(texts: list[bytes], way: str, gateway: Gateway) -> None:
    with little_work(gateway):
        found = parts(way, gateway, *texts, headers=CONTINUE)
    assert len(found) == len(texts)
    gateway.wait_idle()


def test_costly_steps_are_answered_soon(way: str, gateway: Gateway) -> None:
    form = ("Content-Type: multipart/form-data; boundary=f",)
    many = [Step("1", "A"), *(Step(str(number), "A", after="1, " * 10_000) for number in range(2, 30))]
    flood = [Step("1", "A"), Step("2", "A", "PUT", headers=form, body=b"--f\r\n\r\nresultOf(1)\r\n" * 40_000)]
    for given in (many, flood):
        with little_work(gateway):
            found = read_document(ask("document", way, gateway, steps(*given), DOCUMENT_TYPE))
        assert [one.status for one in found] == [200] * len(given)


def test_costly_json_headers_are_answered_soon(way: str, gateway: Gateway) -> None:
    headers = {"connection": HALF.decode(), **{f"x{number}": "" for number in range(2_500)}}
    calls = [rest.get_call(str(number), "A", headers=headers) for number in range(10)]
    with little_work(gateway):
        answer = send(way, gateway, rest.encode({"requests": calls}), JSON)
    assert len(answer.responses) == 10


@pytest.mark.parametrize("length", [40_000, 1_000_000, 16_000_000])
def test_GW_13_url_longer_than_the_headers_may_be_is_400(
    length: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with little_work(gateway):
        long = part(b"GET A?f=" + b"$1/a " * (length // 5) + b"\r\n\r\n")
        found = read(
            send(way, gateway, document(long, SOURCE), headers=CONTINUE, pieces=0 if way == "rest" else 1 << 20)
        )
    assert [one.status for one in found] == [400, 200]
    assert upstream.lines == ["GET /A"]
    call = {"id": "1", "method": "get", "url": "A?f=" + "$1/a " * 7_000}
    assert send(way, gateway, rest.encode({"requests": [call]}), JSON).by_id()["1"]["status"] == 400
    assert upstream.lines == ["GET /A"]


# --- errors over gRPC, which clients bound by the size of metadata

LONG = "a" * 30_000


def status_of(run: object) -> grpc.StatusCode:
    with pytest.raises((grpc.RpcError, Refused)) as caught:
        run()  # type: ignore[operator]
    error = caught.value
    status = error.status if isinstance(error, Refused) else error.code()  # type: ignore[union-attr]
    assert isinstance(status, grpc.StatusCode)
    return status


def test_long_ids_in_errors_keep_their_status(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    one = part(b"GET A\r\n\r\n", HTTP_TYPE + f"Content-ID: {LONG}\r\n".encode())
    assert status_of(lambda: send(GRPC, gateway, document(one, one), MULTIPART)) is grpc.StatusCode.INVALID_ARGUMENT
    twice = rest.encode({"requests": [rest.get_call(LONG, "A"), rest.get_call(LONG, "A")]})
    assert status_of(lambda: send(GRPC, gateway, twice, JSON)) is grpc.StatusCode.INVALID_ARGUMENT
    duplicate = grpc_client.message(*[grpc_client.call(LONG, "A")] * 2, options=grpc_client.options())
    split = [grpc_client.call(str(n), "A", atomicity_group="" if n == 1 else LONG) for n in range(3)]
    with grpc_client.Client(gateway.grpc_address) as client:
        for message in (duplicate, grpc_client.message(*split, options=grpc_client.options())):
            assert status_of(lambda sent=message: client.batch([sent])) is grpc.StatusCode.INVALID_ARGUMENT
    assert upstream.lines == []


@pytest.mark.parametrize("name", [LONG, "γ" * 5_000, "\\'\"" * 2_000], ids=["ascii", "greek", "quotes"])
def test_long_routes_in_errors_keep_their_status(name: str, gateway: Gateway) -> None:
    message = grpc_client.message(grpc_client.call("1", "A"), options=grpc_client.options(f"/{name}/"))
    with grpc_client.Client(gateway.grpc_address) as client:
        assert status_of(lambda: client.batch([message])) is grpc.StatusCode.NOT_FOUND
