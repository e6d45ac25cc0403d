"""How large messages of the gRPC API become, whatever the bodies are: rules AN-06 to AN-08."""

from __future__ import annotations

import gzip
from typing import Any

import grpc
import pytest
from batchwire.client import AsyncClient, Call, Client
from batchwire.v1 import batch_pb2
from google.api.httpbody_pb2 import HttpBody
from harness import grpc_client, rest
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream
from hypothesis import given, settings
from hypothesis import strategies as st

MIB = 1 << 20
IMAGE = [("Content-Type", "image/png"), ("ETag", '"7"')]
pytestmark = pytest.mark.both_fronts


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/five", Reply(200, IMAGE, bytes(range(256)) * (5 * MIB // 256)))
    upstream.on("GET", "/small", Reply(200, IMAGE, b"small"))
    for n in range(4):
        upstream.on("GET", f"/three/{n}", Reply(200, IMAGE, b"%d" % n * 3_200_000))


@pytest.mark.parametrize("method", ["BatchJson", "BatchHttp"])
def test_AN_06_documents_come_in_pieces(method: str, gateway: Gateway) -> None:
    text = rest.encode({"requests": [rest.get_call(str(n), f"three/{n}") for n in range(4)]})
    with grpc_client.Client(gateway.grpc_address) as client:
        asked = iter([HttpBody(content_type="application/json", data=text)])
        messages = list(getattr(client.stub, method)(asked, timeout=30))
    assert max(message.ByteSize() for message in messages) <= MIB
    found = rest.Answer(200, [], b"".join(message.data for message in messages)).by_id()
    assert {name: len(one["body"]) for name, one in found.items()} == {str(n): 4_266_667 for n in range(4)}


def test_AN_07_a_large_body_is_left_out_and_the_rest_is_there(gateway: Gateway) -> None:
    asked = [grpc_client.call("1", "five"), grpc_client.call("2", "small"), grpc_client.call("3", "three/1")]
    with grpc_client.Client(gateway.grpc_address) as client:
        messages = client.batch([grpc_client.message(*asked, options=grpc_client.options())])
        answer = client.execute(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=asked))
    for results in (grpc_client.results_of(messages), answer.results):
        found = {result.id: result for result in results}
        assert len(results) == 3
        assert (found["1"].status, found["1"].body_left_out, found["1"].body_bytes) == (200, True, 5 * MIB)
        assert not found["1"].HasField("body")
        headers = {header.name: header.value for header in found["1"].headers}
        assert headers["etag"] == '"7"'
        assert str(5 * MIB) in headers["batchwire-note"]
        assert (found["2"].body, found["2"].body_left_out) == (b"small", False)
        assert len(found["3"].body) == 3_200_000


@pytest.mark.parametrize("size", [65_536, 100_000, MIB, 4 * MIB])
def test_AN_07_no_message_is_larger_than_said(size: int, gateway: Gateway) -> None:
    asked = [grpc_client.call(f"{name[:4]}.{n}", name) for n in range(20) for name in ("small", "three/1", "five")]
    for parts in (False, True):
        options = grpc_client.options(max_message_bytes=size, takes_parts=parts)
        with grpc_client.Client(gateway.grpc_address, **{"grpc.max_receive_message_length": size}) as client:
            messages = client.batch([grpc_client.message(*asked, options=options)])
        results = grpc_client.results_of(messages)
        assert len({result.id for result in results}) == 60
        if parts:
            joined = joined_bodies(results)
            assert {name: len(body) for name, body in joined.items() if name[0] == "f"} == {
                f"five.{n}": 5 * MIB for n in range(20)
            }
            assert all(body == bytes(range(256)) * (5 * MIB // 256) for name, body in joined.items() if name[0] == "f")
        else:
            assert len(results) == 60


def joined_bodies(results: list[Any]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    open_name = None
    for result in results:
        assert open_name in (None, result.id)
        assert (result.id in found) == (open_name is not None)
        found[result.id] = found.get(result.id, b"") + result.body
        open_name = result.id if result.body_continues else None
    assert open_name is None
    return found


def test_AN_07_execute_keeps_room_for_all(gateway: Gateway) -> None:
    """Bodies that together are larger than the message, then many small results."""
    asked = [grpc_client.call(f"t{n}", f"three/{n % 4}") for n in range(10)]
    asked += [grpc_client.call(f"s{n}", "small") for n in range(2_000)]
    with grpc_client.Client(gateway.grpc_address) as client:
        answer = client.execute(batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=asked))
    assert len(answer.results) == len(asked)
    assert {result.status for result in answer.results} == {200}
    assert all(result.HasField("body") != result.body_left_out for result in answer.results)
    assert answer.summary.succeeded == len(asked)


@pytest.mark.parametrize("order", [batch_pb2.RESULT_ORDER_COMPLETION, batch_pb2.RESULT_ORDER_REQUEST])
@pytest.mark.parametrize(
    ("count", "method", "url"), [(600, "GET", "small"), (500, "POST", "much"), (3, "POST", "much")]
)
def test_AN_07_execute_is_never_larger_than_said(
    count: int, method: str, url: str, order: int, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """Heads and small bodies that are too large together: every call was run, so every result must be there."""
    upstream.on("POST", "/much", Reply(201, [*IMAGE, *((f"X-{n}", "v" * 900) for n in range(30))], b"made" * 200))
    asked = [grpc_client.call(str(n), url, method) for n in range(count)]
    options = grpc_client.options(max_message_bytes=65_536, result_order=order)
    with grpc_client.Client(gateway.grpc_address, **{"grpc.max_receive_message_length": 65_536}) as client:
        answer = client.execute(batch_pb2.ExecuteRequest(options=options, calls=asked))
    assert {result.id for result in answer.results} == {str(n) for n in range(count)}
    assert {result.status for result in answer.results} == {201 if url == "much" else 200}
    assert answer.summary.succeeded == count
    for result in answer.results:
        note = "".join(header.value for header in result.headers if header.name == "batchwire-note")
        assert result.HasField("body") != result.body_left_out
        assert ("body" in note) == result.body_left_out
        assert (len(result.headers) >= (32 if url == "much" else 2)) != ("headers left out" in note)


def test_AN_07_execute_is_refused_before_any_call_runs_when_its_results_cannot_fit(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    asked = [grpc_client.call(str(n), "small") for n in range(1_000)]
    options = grpc_client.options(max_message_bytes=65_536)
    with grpc_client.Client(gateway.grpc_address) as client:
        with pytest.raises(grpc.RpcError) as caught:
            client.execute(batch_pb2.ExecuteRequest(options=options, calls=asked))
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "use Batch" in caught.value.details()
        assert upstream.lines == []
        assert len(grpc_client.results_of(client.batch([grpc_client.message(*asked, options=options)]))) == 1_000


def test_AN_07_an_id_that_no_message_of_the_answer_holds_is_refused(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    asked = [grpc_client.call("1", "small"), grpc_client.call("i" * 65_536, "small")]
    with grpc_client.Client(gateway.grpc_address) as client, pytest.raises(grpc.RpcError) as caught:
        client.batch([grpc_client.message(*asked, options=grpc_client.options(max_message_bytes=65_536))])
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert upstream.lines == []


def test_AN_07_a_head_as_large_as_a_message_leaves_its_body_whole(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Latin-1 grows when it becomes UTF-8; the lengths of the ids go through all sizes that the head can have."""
    upstream.on("GET", "/head", Reply(200, [("X-A", "\xe9" * 16_200), ("X-B", "\xe9" * 16_100)], b"body" * 50_000))
    asked = [grpc_client.call("i" * n, "head") for n in range(700, 900)]
    options = grpc_client.options(max_message_bytes=65_536, takes_parts=True)
    with grpc_client.Client(gateway.grpc_address, **{"grpc.max_receive_message_length": 65_536}) as client:
        results = grpc_client.results_of(client.batch([grpc_client.message(*asked, options=options)]))
    assert set(joined_bodies(results).values()) == {b"body" * 50_000}
    noted = {"headers left out" in result.headers[-1].value for result in results if result.headers}
    assert noted == {True, False}  # there were heads on both sides of the bound


async def test_AN_07_our_clients_have_every_body(gateway: Gateway) -> None:
    asked = [Call("five"), Call("three/1"), Call("small"), Call("five")]
    sizes = [5 * MIB, 3_200_000, 5, 5 * MIB]
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        assert [len(result.body or b"") for result in await client.execute(asked)] == sizes
        assert [len(result.body or b"") async for result in client.run(asked, ordered=True)] == sizes
    with Client(gateway.grpc_address, route="/svc/") as blocking:
        assert [len(result.body or b"") for result in blocking.execute(asked)] == sizes
        assert [len(result.body or b"") for result in blocking.run(asked, ordered=True)] == sizes
    small = [("grpc.max_receive_message_length", 100_000)]
    with Client(gateway.grpc_address, route="/svc/", channel_options=small) as narrow:
        assert [len(result.body or b"") for result in narrow.run(asked, ordered=True)] == sizes
        cut, *others = narrow.execute(asked)
        assert [result.left_out_bytes for result in (cut, *others)] == [5 * MIB, 3_200_000, 0, 5 * MIB]
        assert cut.raise_for_status() is cut
        for read in (cut.json, lambda: cut.text):
            with pytest.raises(ValueError, match=r"the body of '0' \(5242880 bytes\) was left out"):
                read()
        # So many results do not fit one message for certain: they come in several.
        assert [result.body for result in narrow.execute([Call("small")] * 1_500)] == [b"small"] * 1_500
    async with AsyncClient(gateway.grpc_address, route="/svc/", channel_options=small) as narrow_too:
        assert [result.body for result in await narrow_too.execute([Call("small")] * 1_500)] == [b"small"] * 1_500


async def test_AN_08_our_clients_send_large_bodies(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = bytes(range(251)) * (9 * MIB // 251)
    upstream.on("POST", "/take", Reply(200, IMAGE, b"taken", expect_body=body))
    asked = [Call("small"), Call("take", "POST", body=body), Call("small"), Call("take", "POST", body=body)]
    async with AsyncClient(gateway.grpc_address, route="/svc/") as client:
        assert [result.body async for result in client.run(asked, ordered=True)] == [b"small", b"taken"] * 2
        assert [result.body for result in await client.execute(asked)] == [b"small", b"taken"] * 2

        async def paced() -> Any:
            for call in asked:
                yield call

        assert [result.body async for result in client.run(paced(), ordered=True)] == [b"small", b"taken"] * 2
    with Client(gateway.grpc_address, route="/svc/") as blocking:
        assert [result.body for result in blocking.run(asked, ordered=True)] == [b"small", b"taken"] * 2
    assert upstream.problems == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.data())
def test_AN_08_parts_in_any_messages_are_one_body(parts: list[bytes], data: st.DataObject) -> None:
    from batchwire.core.dialects.proto_reader import ProtoReader
    from batchwire.core.headers import HeaderBlock

    sent = [grpc_client.call("1", "x", "POST", body=parts[0], body_continues=len(parts) > 1)]
    sent += [batch_pb2.Call(id="1", body=part, body_continues=n < len(parts)) for n, part in enumerate(parts[1:], 2)]
    sent += [grpc_client.call("2", "y")]
    reader = ProtoReader(HeaderBlock(False, 1000))
    while sent:
        count = data.draw(st.integers(1, len(sent)))
        reader.feed_bytes(grpc_client.message(*sent[:count]).SerializeToString())
        del sent[:count]
    reader.end()
    found = [reader.next().describe(), reader.next().describe()]
    assert reader.next() is None
    assert [(one["id"], one["body"]) for one in found] == [(b"1", b"".join(parts)), (b"2", None)]


FIRST = grpc_client.call("1", "take", "POST", body=b"x", body_continues=True)
WRONG = {
    "another id": [FIRST, batch_pb2.Call(id="2", body=b"y")],
    "other fields": [FIRST, batch_pb2.Call(id="1", url="y", body=b"y")],
    "no end": [FIRST],
    "no first part": [batch_pb2.Call(id="1", method="POST", url="take", body_continues=True)],
    "too large": [FIRST, *[batch_pb2.Call(id="1", body=b"y" * 3 * MIB, body_continues=True)] * 6],
}


@pytest.mark.parametrize("calls", WRONG.values(), ids=WRONG)
def test_AN_08_wrong_parts_are_refused(calls: list[Any], gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with grpc_client.Client(gateway.grpc_address) as client, pytest.raises(grpc.RpcError) as caught:
        client.batch(
            [
                grpc_client.message(call, options=grpc_client.options() if n == 0 else None)
                for n, call in enumerate(calls)
            ]
        )
    expected = grpc.StatusCode.RESOURCE_EXHAUSTED if len(calls) > 2 else grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.code() == expected
    assert upstream.lines == []
    gateway.wait_idle()


def test_AN_07_a_compressed_body_stays_what_it_is(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = gzip.compress(b"{}")
    upstream.on("GET", "/zip", Reply(200, [*IMAGE, ("Content-Encoding", "gzip")], body))
    with grpc_client.Client(gateway.grpc_address) as client:
        [result] = grpc_client.results_of(
            client.batch([grpc_client.message(grpc_client.call("1", "zip"), options=grpc_client.options())])
        )
    assert (result.body, result.body_bytes) == (body, 0)
