"""How calls travel: rules FR-01, FR-08, FR-09, FR-10 of the contract."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import struct
from pathlib import Path
from typing import Any

import grpc
import grpc_tools
import pytest
from batchwire.core import EnvelopeError
from batchwire.service.fronts.rpc import connect_json, connect_text, grpc_web, slices
from batchwire.v1 import batch_pb2
from google.api import httpbody_pb2
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_reflection.v1alpha import reflection_pb2
from grpc_tools import protoc
from harness import grpc_client, rest
from harness.gateway import Gateway
from harness.grpc_wire import INVALID_ARGUMENT, answer_of, head, prefixed
from harness.http2_wire import Http2Wire, request
from harness.loop_turns import turns_of
from harness.scripted import Reply, ScriptedUpstream, json_reply
from hypothesis import given, settings
from hypothesis import strategies as st

SERVICE = "/batchwire.v1.BatchService"
BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text"
CONNECT = ("application/connect+json", "application/connect+proto")


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", json_reply({"a": 1}))


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def batch(name: str, url: str = "A", first: bool = True) -> bytes:
    options = grpc_client.options("/svc/") if first else None
    return bytes(grpc_client.message(grpc_client.call(name, url), options=options).SerializeToString())


def post(version: str, gateway: Gateway, method: str, fields: dict[str, str], body: bytes) -> tuple[int, bytes]:
    path = f"{SERVICE}/{method}"
    if version == "HTTP/2":
        with Http2Wire(gateway.http_port) as wire:
            heard = wire.ask(request("POST", path, fields.items()), body)
            return heard.status, bytes(heard.data)
    answer = rest.request(gateway.http_port, "POST", path, fields, body)
    return answer.status, answer.body


def web_status(body: bytes, text: bool) -> int:
    if text:
        body = b"".join(base64.b64decode(body[at : at + 4]) for at in range(0, len(body), 4))
    while body[0] != 0x80:
        body = body[5 + int.from_bytes(body[1:5], "big") :]
    return int(body[5:].partition(b"grpc-status:")[2].partition(b"\r\n")[0])


@pytest.mark.parametrize("kind", [BINARY, TEXT])
@pytest.mark.parametrize("lead", [b"", prefixed(batch("1"))], ids=["alone", "after another"])
@pytest.mark.parametrize("cut", [1, 4, 5, 9, -1])
def test_FR_01_a_cut_body_of_grpc_web_is_invalid(
    cut: int, lead: bytes, kind: str, version: str, gateway: Gateway
) -> None:
    body = lead + prefixed(batch("2", first=not lead))[:cut]
    sent = base64.b64encode(body) if kind == TEXT else body
    status, answer = post(version, gateway, "Batch", {"content-type": kind}, sent)
    assert status == 200
    assert web_status(answer, kind == TEXT) == INVALID_ARGUMENT


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_FR_01_base64_that_is_cut_is_invalid(cut: int, version: str, gateway: Gateway) -> None:
    whole = base64.b64encode(prefixed(batch("1")))
    _, answer = post(version, gateway, "Batch", {"content-type": TEXT}, whole + whole[:cut])
    assert web_status(answer, True) == INVALID_ARGUMENT


@pytest.mark.parametrize("kind", CONNECT)
@pytest.mark.parametrize("cut", [1, 5, -1])
def test_FR_01_a_cut_body_of_connect_is_invalid(cut: int, kind: str, version: str, gateway: Gateway) -> None:
    message = batch("1")
    if kind.endswith("json"):
        message = json_format.MessageToJson(batch_pb2.BatchRequest.FromString(message)).encode()
    body = prefixed(message) + prefixed(message)[:cut]
    status, answer = post(version, gateway, "Batch", {"content-type": kind}, body)
    assert status == 200
    assert envelopes(answer)[-1][1]["error"]["code"] == "invalid_argument"


@pytest.mark.parametrize("method", ["Batch", "Execute", "BatchJson", "BatchHttp"])
def test_FR_01_a_cut_message_of_grpc_is_invalid(method: str, gateway: Gateway) -> None:
    message = b"\x12\x0f\x0a\x011\x12\x03GET\x1a\x01A"
    with Http2Wire(gateway.grpc_address) as wire:
        for cut in range(1, len(prefixed(message))):
            stream = wire.open(head(method))
            wire.send(stream, prefixed(message)[:cut], end=True)
            assert answer_of(wire.answer(stream)).code == INVALID_ARGUMENT


@given(cut=st.integers(1, 400), pieces=st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_FR_01_no_cut_goes_unseen(cut: int, pieces: int) -> None:
    from batchwire.service.fronts.rpc.grpc_web import _Unpacking

    whole = b"".join(prefixed(b"x" * size) for size in (0, 50, 120, 200))
    ends, at = set(), 0
    for size in (0, 50, 120, 200):
        at += 5 + size
        ends.add(at)
    sent = whole[:cut]

    async def unpack() -> list[bytes]:
        unpacking = _Unpacking(1000, False)
        found: list[bytes] = []
        for start in range(0, len(sent), pieces):
            found += [part async for part in unpacking(sent[start : start + pieces])]
        unpacking.finish()
        return found

    if len(sent) in ends:
        assert sum(5 + len(part) for part in asyncio.run(unpack())) == len(sent)
    else:
        with pytest.raises(EnvelopeError):
            asyncio.run(unpack())


# --- metadata


@pytest.mark.both_fronts
@pytest.mark.parametrize("value", [" v ", "v  ", "  v", " ", "a  b"])
def test_FR_08_space_around_metadata_is_none_of_it(value: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with grpc_client.Client(gateway.grpc_address) as client:
        answer = client.execute(
            batch_pb2.ExecuteRequest(options=grpc_client.options("/svc/"), calls=[grpc_client.call("1", "A")]),
            metadata=[("x-note", value), ("traceparent", " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ")],
        )
    assert [result.status for result in answer.results] == [200]
    assert (upstream.call("GET /A").header("traceparent") or "").startswith("00-0af7651916cd43dd8448eb211c80319c-")


def test_FR_08_space_around_a_field_of_http2(gateway: Gateway) -> None:
    fields = [("content-type", "application/json "), ("odata-version", " 4.01"), ("x-empty", "  ")]
    with Http2Wire(gateway.http_port) as wire:
        heard = wire.ask(request("POST", "/svc/$batch", fields), rest.encode({"requests": [rest.get_call("1", "A")]}))
    assert heard.status == 200
    assert b'"status":200' in heard.data


# --- reflection


def reflect(gateway: Gateway, package: str, **asked: Any) -> Any:
    with grpc_client.channel(gateway.grpc_address) as channel:
        method = channel.stream_stream(
            f"/{package}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        [answer] = list(method(iter([reflection_pb2.ServerReflectionRequest(**asked)]), timeout=10))
        return answer


PACKAGES = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


@pytest.mark.both_fronts
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize(
    "symbol",
    [
        "batchwire.v1.BatchService",
        "batchwire.v1.BatchService.Execute",
        "batchwire.v1.BatchService.BatchJson",
        "batchwire.v1.Call",
        "batchwire.v1.Call.url",
        "batchwire.v1.Outcome",
        "grpc.health.v1.Health.Check",
        "grpc.reflection.v1.ServerReflection.ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection",
    ],
)
def test_FR_09_reflection_finds_symbols(symbol: str, package: str, gateway: Gateway) -> None:
    answer = reflect(gateway, package, file_containing_symbol=symbol)
    assert answer.WhichOneof("message_response") == "file_descriptor_response", answer
    assert answer.file_descriptor_response.file_descriptor_proto


@pytest.mark.both_fronts
@pytest.mark.parametrize(
    "symbol", ["batchwire.v1.BatchService.Nothing", "batchwire.v1.Nothing.Execute", "batchwire.v1"]
)
def test_FR_09_reflection_finds_nothing_else(symbol: str, gateway: Gateway) -> None:
    answer = reflect(gateway, PACKAGES[0], file_containing_symbol=symbol)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.both_fronts
@pytest.mark.parametrize("package", PACKAGES)
def test_FR_09_reflection_lists_both_of_its_versions(package: str, gateway: Gateway) -> None:
    services = reflect(gateway, package, list_services="").list_services_response.service
    assert {f"{name}.ServerReflection" for name in PACKAGES} < {service.name for service in services}


def test_FR_09_proto_compiles_alone(tmp_path: Path) -> None:
    """With nothing but what every compiler brings; whose tools read the descriptor find the methods."""
    root = Path(__file__).parents[2] / "proto"
    made = tmp_path / "batch.binpb"
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{root}", f"-I{well_known}", "--include_imports", f"--descriptor_set_out={made}"]
    assert protoc.main([*arguments, str(root / "batchwire" / "v1" / "batch.proto")]) == 0
    files = {file.name: file for file in FileDescriptorSet.FromString(made.read_bytes()).file}
    assert "google/api/httpbody.proto" in files
    assert len(files["batchwire/v1/batch.proto"].service[0].method) == 4


# --- Connect


def envelopes(body: bytes) -> list[tuple[int, Any]]:
    """Flags and messages of a Connect stream; the last is JSON."""
    found: list[tuple[int, Any]] = []
    while body:
        flags, size = struct.unpack_from(">BI", body)
        assert len(body) >= 5 + size
        part, body = body[5 : 5 + size], body[5 + size :]
        found.append((flags, json.loads(part) if flags == 2 else part))
    assert [flags for flags, _ in found] == [0] * (len(found) - 1) + [2]
    return found


def test_FR_10_connect_streams_in_protobuf(version: str, gateway: Gateway) -> None:
    body = prefixed(batch("1")) + prefixed(batch("2", "none", first=False))
    status, answer = post(version, gateway, "Batch", {"content-type": CONNECT[1]}, body)
    *messages, (_, end) = envelopes(answer)
    results = grpc_client.results_of(batch_pb2.BatchResponse.FromString(message) for _, message in messages)
    assert (status, end) == (200, {})
    assert {result.id: result.status for result in results} == {"1": 200, "2": 404}


def test_FR_10_connect_streams_in_json(version: str, gateway: Gateway) -> None:
    first = {"options": {"route": "/svc/"}, "calls": [{"id": "1", "method": "GET", "url": "A"}]}
    body = prefixed(rest.encode(first)) + prefixed(
        rest.encode({"calls": [{"id": "2", "url": "none", "method": "GET"}]})
    )
    status, answer = post(version, gateway, "Batch", {"content-type": CONNECT[0]}, body)
    *messages, (_, end) = envelopes(answer)
    told = [json.loads(message) for _, message in messages]
    assert (status, end) == (200, {})
    assert {result["id"]: result["status"] for part in told for result in part.get("results", ())} == {
        "1": 200,
        "2": 404,
    }
    assert told[-1]["summary"]["calls"] == "2"


@pytest.mark.parametrize("method", ["Execute", "Batch"])
@pytest.mark.parametrize("as_json", [True, False])
def test_FR_10_large_bodies_pass_both_ways(
    method: str, as_json: bool, version: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """1 MiB up, 2 MiB down, which are converted in pieces."""
    up, down = random.Random(1).randbytes(1 << 20), random.Random(2).randbytes(1 << 21)
    upstream.on("POST", "/L", Reply(200, [("content-type", "application/pdf")], down))
    pdf = [batch_pb2.Header(name="content-type", value="application/pdf")]
    call = batch_pb2.Call(id="1", method="POST", url="L", headers=pdf, body=up)
    options = batch_pb2.BatchOptions(route="/svc/")
    asked: Any = getattr(batch_pb2, "ExecuteRequest" if method == "Execute" else "BatchRequest")
    whole = asked(options=options, calls=[call])
    raw = json_format.MessageToJson(whole).encode() if as_json else whole.SerializeToString()
    kind = "application/json" if as_json else "application/proto"
    if method == "Batch":
        kind, raw = kind.replace("/", "/connect+"), prefixed(raw)
    status, answer = post(version, gateway, method, {"content-type": kind}, raw)
    assert status == 200
    told = [message for flags, message in envelopes(answer) if flags == 0] if method == "Batch" else [answer]
    parsed: Any = json_format.Parse if as_json else _from_bytes
    [result] = [result for message in told for result in parsed(message, batch_pb2.BatchResponse()).results]
    assert (result.id, result.status, result.body) == ("1", 200, down)
    assert upstream.call("POST /L").body == up


def _from_bytes(raw: bytes, message: Any) -> Any:
    message.ParseFromString(raw)
    return message


@pytest.mark.parametrize("kind", CONNECT)
def test_FR_10_connect_streams_documents(kind: str, version: str, gateway: Gateway) -> None:
    document = httpbody_pb2.HttpBody(
        content_type="application/json", data=rest.encode({"requests": [rest.get_call("1", "A")]})
    )
    as_json = kind.endswith("json")
    message = json_format.MessageToJson(document).encode() if as_json else document.SerializeToString()
    fields = {"content-type": kind, "batchwire-route": "/svc/", "odata-version": "4.01"}
    _, answer = post(version, gateway, "BatchJson", fields, prefixed(message))
    *messages, (_, end) = envelopes(answer)
    assert end == {}
    parts = [
        json_format.Parse(part, httpbody_pb2.HttpBody()) if as_json else httpbody_pb2.HttpBody.FromString(part)
        for _, part in messages
    ]
    assert json.loads(b"".join(part.data for part in parts))["responses"][0]["status"] == 200


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        (CONNECT[0], prefixed(b'{"calls":['), "invalid_argument"),
        (CONNECT[0], prefixed(b'{"options":{"route":"/no/"}}'), "not_found"),
        (CONNECT[1], prefixed(b"\xff"), "invalid_argument"),
        (CONNECT[1], prefixed(b"", 1), "unimplemented"),
        (CONNECT[1], b"\0\x7f\0\0\0", "resource_exhausted"),
        (CONNECT[0], prefixed(b"[" * 100_000), "invalid_argument"),
        (CONNECT[0], prefixed(b'{"calls":[' + b"{}," * 50_000 + b"{}]}"), "resource_exhausted"),
    ],
)
def test_FR_10_errors_of_connect_streams(kind: str, body: bytes, code: str, version: str, gateway: Gateway) -> None:
    status, answer = post(version, gateway, "Batch", {"content-type": kind}, body)
    [(_, end)] = envelopes(answer)
    assert (status, end["error"]["code"]) == (200, code)


HEADERS = st.lists(st.builds(dict, name=st.text(max_size=3), value=st.text(max_size=3)), max_size=5)
CALLS = st.lists(
    st.fixed_dictionaries(
        {"id": st.text(max_size=5)},
        optional={
            "headers": HEADERS,
            "dependsOn": st.lists(st.text(max_size=3), max_size=250),
            "body": st.binary(max_size=9).map(lambda raw: base64.b64encode(raw).decode()),
            "condition": st.text(max_size=5),
            "timeout": st.just("1.5s"),
        },
    ),
    max_size=5,
)


@given(calls=CALLS, times=st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_FR_10_json_in_slices_is_json_in_one_piece(calls: list[dict[str, Any]], times: int) -> None:
    tree = {"calls": calls * times, "options": {"route": "/x/"}}
    whole = json_format.ParseDict(tree, batch_pb2.ExecuteRequest())
    raw = asyncio.run(connect_json.parse(json.dumps(tree).encode(), batch_pb2.ExecuteRequest))
    assert batch_pb2.ExecuteRequest.FromString(raw) == whole
    pieces, _ = asyncio.run(connect_text.text_of([raw], batch_pb2.ExecuteRequest))
    text = b"".join(map(bytes, pieces))
    assert json_format.Parse(text, batch_pb2.ExecuteRequest()) == whole


@pytest.mark.parametrize(
    "text", ["null", "[]", "{", '{"calls":{}}', '{"calls":[1]}', '{"calls":null,"calls":[]}', "\xff"]
)
def test_FR_10_what_is_no_message(text: str) -> None:
    with pytest.raises(EnvelopeError):
        asyncio.run(connect_json.parse(text.encode("latin-1"), batch_pb2.ExecuteRequest))


@pytest.mark.parametrize(
    "tree",
    [
        {"calls": [{"id": str(n), "method": "GET", "url": "A"} for n in range(16000)]},
        {"calls": [{"id": "1", "dependsOn": ["a"] * 300_000}]},
        {"calls": [{"id": "1", "headers": [{"name": "a", "value": "b"}] * 30_000}]},
        {"options": {"headers": [{"name": "a", "value": "b"}] * 30_000}},
    ],
    ids=["calls", "dependsOn", "headers", "options"],
)
async def test_FR_10_a_long_message_lets_others_run(tree: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of the loop are counted, not seconds."""
    monkeypatch.setattr(slices, "SECONDS", 0)
    _, turns = await turns_of(connect_json.parse(json.dumps(tree).encode(), batch_pb2.ExecuteRequest))
    assert turns > 200


class _Name(str):
    """A name that counts how often it is compared with another."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Name.compared += 1
        return str(self) == other


def test_FR_10_a_member_given_twice_is_found_in_linear_time() -> None:
    """Comparisons are counted, not seconds."""
    _Name.compared = 0
    with pytest.raises(ValueError, match="'999' is given twice"):
        connect_json._members([(_Name(number), 1) for number in (*range(1000), 999)])
    assert _Name.compared < 10_000


@pytest.mark.parametrize("members", [160_001, 390_000])
def test_FR_10_members_of_a_message_have_a_bound(members: int) -> None:
    text = "{" + ",".join(f'"{number:x}":1' for number in range(members)) + "}"
    with pytest.raises(EnvelopeError) as caught:
        asyncio.run(connect_json.parse(text.encode(), batch_pb2.ExecuteRequest))
    assert (caught.value.status, caught.value.code) == (413, "MessageTooLarge")


async def test_FR_10_text_of_grpc_web_is_decoded_in_turns() -> None:
    unpack = grpc_web._Unpacking(1 << 20, text=True)

    async def unpacked() -> list[bytes]:
        return [message async for message in unpack(base64.b64encode(prefixed(b"a" * (1 << 20))))]

    found, turns = await turns_of(unpacked())
    assert found == [b"a" * (1 << 20)]
    assert turns > 16
