"""JSON of Connect in slices is the JSON of one piece, and no step of it takes in a whole body (FR-10).

Turns of the loop and bytes of a step are counted, not seconds.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from batchwire.core import EnvelopeError
from batchwire.service.fronts.rpc import connect_json, connect_text, pieces, slices
from batchwire.v1 import batch_pb2 as pb
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.message import Message
from harness.loop_turns import turns_of
from hypothesis import given, settings
from hypothesis import strategies as st

LARGE = 3_000_000
STEP = 2 * slices.PIECE_BYTES


@pytest.fixture
def _each_step_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SECONDS", 0)


@pytest.mark.usefixtures("_each_step_rests")
@pytest.mark.parametrize("kind", [pb.ExecuteResponse, pb.BatchResponse, HttpBody])
async def test_FR_10_a_large_body_becomes_json_in_steps(kind: Any) -> None:
    body = bytes(range(256)) * (LARGE // 256)
    if kind is HttpBody:
        whole: Message = HttpBody(content_type="a/b", data=body)
    else:
        result = pb.Result(id="1", status=200, headers=[pb.Header(name="a", value="ü")], body=body, atomicity_group="g")
        whole = kind(results=[result, pb.Result(id="2", body=b"")], summary=pb.BatchSummary(calls=2))
    text, _ = await connect_text.text_of([whole.SerializeToString()], kind)
    assert sum(map(len, text)) == sum(len(bytes(piece)) for piece in text)
    assert b"".join(map(bytes, text)).decode() == json_format.MessageToJson(whole, indent=None)
    assert max(map(len, text)) <= STEP, "each is made when it is sent"


@pytest.mark.usefixtures("_each_step_rests")
@pytest.mark.parametrize("slash", ["/", "\\/", "\\u002f"])
@pytest.mark.parametrize("kind", [pb.ExecuteRequest, HttpBody])
async def test_FR_10_the_json_of_a_large_body_is_read_in_steps(kind: Any, slash: str, monkeypatch: Any) -> None:
    body = bytes(range(256)) * (LARGE // 256)
    calls = [pb.Call(id=str(n), url='a"b\\', body=body[n:], atomicity_group="g") for n in range(3)]
    whole = HttpBody(data=body) if kind is HttpBody else kind(options=pb.BatchOptions(route="/"), calls=calls)
    text = json_format.MessageToJson(whole).replace("/", slash).encode()
    longest, decode, loads = 0, base64.urlsafe_b64decode, json.loads

    def noted(step: Any) -> Any:
        def run(data: Any, *args: Any, **more: Any) -> Any:
            nonlocal longest
            longest = max(longest, len(data))
            return step(data, *args, **more)

        return run

    monkeypatch.setattr(base64, "urlsafe_b64decode", noted(decode))
    monkeypatch.setattr(json, "loads", noted(loads))
    message, turns = await turns_of(connect_json.parse(text, kind))
    assert kind.FromString(message) == whole
    assert longest <= STEP
    assert turns >= len(text) // STEP


SIZES = st.sampled_from([0, 1, 2, 3, 100, 12_287, 12_288, 12_289, 49_151, 49_152, 65_535, 65_536, 65_537, 200_001])


@given(
    results=st.lists(st.tuples(st.text(max_size=4), SIZES, st.integers(0, 9)), max_size=4),
    calls=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_FR_10_text_in_slices_is_text_in_one_piece(results: list[tuple[str, int, int]], calls: int) -> None:
    made = [
        pb.Result(id=name, status=status, body=b"\xfb" * size, timings=pb.Timings(), body_continues=bool(status % 2))
        for name, size, status in results
    ]
    whole = pb.BatchResponse(results=made, summary=pb.BatchSummary(calls=calls) if calls else None)
    text, _ = asyncio.run(connect_text.text_of([whole.SerializeToString()], pb.BatchResponse))
    assert b"".join(map(bytes, text)).decode() == json_format.MessageToJson(whole, indent=None)


@given(
    sizes=st.lists(SIZES, max_size=4), url=st.text(max_size=30), times=st.sampled_from([1, 1000]), padded=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_FR_10_json_with_long_strings_is_read_as_in_one_piece(
    sizes: list[int], url: str, times: int, padded: bool
) -> None:
    calls: list[dict[str, Any]] = []
    for size in sizes:
        body = base64.b64encode(b"\xfb" * size).decode()
        headers = [{"name": url * times, "value": "v"}]
        calls.append({"body": body if padded else body.rstrip("="), "url": url * times, "headers": headers})
    tree = {"calls": calls}
    whole = json_format.ParseDict(tree, pb.ExecuteRequest())
    for ascii_only in (True, False):
        text = json.dumps(tree, ensure_ascii=ascii_only).encode()
        assert pb.ExecuteRequest.FromString(asyncio.run(connect_json.parse(text, pb.ExecuteRequest))) == whole


A = "A" * 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"calls":[{"body":"@*"}]}', "calls[0].body: is not base64"),
        ('{"calls":[{"body":"@AA==@AA"}]}', "calls[0].body: is not base64"),
        ('{"calls":[{"body":"@\\n"}]}', "calls[0].body: is not base64"),
        ('{"calls":[{"body":"@\\x"}]}', "calls[0].body: is not base64"),
        ('{"calls":[{"body":"@A"}]}', "calls[0].body: is not base64"),
        ('{"calls":[{"body":"@"},]}', "the body is no JSON, at character 100022"),
        ('{"calls":[{"url":"@\n"}]}', "the body is no JSON, at character 100018"),
        ('{"calls":[{"body":"@', "the body is no JSON, at character 18"),
        ('{"calls":[{"body":"@\\', "the body is no JSON, at character 18"),
        ('{"@":1}', f"{'A' * 99}…: there is no such member"),
        ('{"@":1,"@":1}', f"the body is no JSON of a message: the member {'A' * 99 + '…'!r} is given twice"),
        ('{"options":"@"}', "options: is not what the member takes"),
        ('"@"', "the body: must be an object"),
    ],
)
async def test_FR_10_what_is_wrong_with_long_strings(text: str, message: str) -> None:
    with pytest.raises(EnvelopeError) as caught:
        await connect_json.parse(text.replace("@", A).encode(), pb.ExecuteRequest)
    assert (caught.value.code, caught.value.message) == ("BadMessage", message)


@pytest.mark.usefixtures("_each_step_rests")
async def test_PL_01_those_who_rest_share_a_turn() -> None:
    """However many conversions run: one of them goes on in each turn of the loop."""
    text = json.dumps({"data": base64.b64encode(b"a" * 500_000).decode()}).encode()
    _, alone = await turns_of(connect_json.parse(text, HttpBody))
    _, together = await turns_of(asyncio.gather(*(connect_json.parse(text, HttpBody) for _ in range(8))))
    assert alone >= len(text) // STEP
    assert together >= 8 * (alone // 2 - 2), "who rests for a turn lets the loop have two"


@pytest.mark.usefixtures("_each_step_rests")
async def test_PL_01_one_who_is_cancelled_keeps_nobody_waiting() -> None:
    text = json.dumps({"data": base64.b64encode(b"a" * 500_000).decode()}).encode()
    tasks = [asyncio.ensure_future(connect_json.parse(text, HttpBody)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    async with asyncio.timeout(30):
        assert await tasks[2]


@pytest.mark.usefixtures("_each_step_rests")
async def test_FR_10_the_message_of_execute_is_put_together_in_steps() -> None:
    chunks = [bytes([number]) * LARGE for number in range(3)]
    whole, turns = await turns_of(pieces.joined(list(chunks)))
    assert whole == b"".join(chunks)
    assert turns >= 3 * LARGE // STEP
