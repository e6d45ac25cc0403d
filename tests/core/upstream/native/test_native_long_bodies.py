"""Long bodies are put into a JSON batch for an upstream in slices (PL-01), as short ones are in one go (JB-23..25)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from batchwire.core import Route
from batchwire.core.session import turns
from batchwire.core.upstream.native.base import UnfitMember
from batchwire.v1 import batch_pb2 as pb
from core_driving import RawServer, answer, call, session_of, taken, upstream_of
from native_calls import JSON, JSON_FORM, encode, member, seen_in


@pytest.fixture(autouse=True)
def _forced() -> Iterator[None]:
    yield
    turns.force(0)


def typed(media: str) -> tuple[tuple[str, str], ...]:
    return (("content-type", media),)


UNITS = ["a", "\x01", 'é"\\', "中😀"]


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "gb18030"])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("size", [65_536, 65_537, 131_072, 400_001])
def test_JB_24_a_long_text_is_what_it_was(unit: str, size: int, charset: str, atomic: bool) -> None:
    text = (unit * size)[:size]
    made = member("a", body=text.encode(charset), headers=typed(f"text/plain;charset={charset}"))
    seen, after = seen_in(encode(JSON_FORM, made, member("b", body=b"{}"), atomic=atomic))
    assert seen.body == text.encode()
    assert seen.headers["content-type"] == "text/plain;charset=utf-8"
    assert after.body == b"{}"


@pytest.mark.parametrize("size", [65_537, 393_215, 393_216, 393_217, 1_000_000])
def test_JB_25_long_data_is_what_it_was(size: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert seen_in(encode(JSON_FORM, member("a", body=data, headers=typed("a/b"))))[0].body == data


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_JB_23_long_json_is_the_bytes_it_was(mark: bytes) -> None:
    body = b"[" + b"1.0, " * 200_000 + b"2] "
    assert body in encode(JSON_FORM, member("a", body=mark + body, headers=(JSON,))).body


@pytest.mark.parametrize(
    ("media", "body", "message"),
    [
        ("application/json", b"[" + b"1," * 200_000 + b"]", "the body is not the JSON that its content-type says"),
        ("application/json", b"[" + b"1," * 200_000 + b"1", "the body is not the JSON that its content-type says"),
        ("application/json", b"[" + b"1," * 200_000 + b"1]x", "the body is not the JSON that its content-type says"),
        ("application/json", b"1" + b" " * 600_000 + b"1", "the body is not the JSON that its content-type says"),
        ("text/plain", b"a" * 600_000 + b"\xff", "the text body is not in the charset it says"),
        ("text/plain;charset=none", b"a" * 600_000, "the charset of the text body is not supported"),
    ],
)
@pytest.mark.parametrize("atomic", [True, False])
def test_JB_26_what_is_wrong_at_its_end_is_not_sent(media: str, body: bytes, message: str, atomic: bool) -> None:
    with pytest.raises(UnfitMember) as raised:
        encode(JSON_FORM, member("a", body=b"{}"), member("b", body=body, headers=typed(media)), atomic=atomic)
    assert (raised.value.index, raised.value.message) == (1, message)


@pytest.mark.parametrize("media", ["text/plain", "image/png", "application/json"])
async def test_PL_01_a_long_body_of_a_group_is_written_in_slices(media: str) -> None:
    body = b"[" + b"1," * 1_000_000 + b"1]"
    said = {"responses": [{"id": "1", "status": 204}, {"id": "2", "status": 204}]}
    made = answer(200, json.dumps(said).encode(), [("Content-Type", "application/json")])
    async with RawServer(lambda _: made) as server, upstream_of(server) as upstream:
        upstream.take_batches("json")
        before = turns.stats()["slices"]
        turns.force(1)
        session = session_of(Route(root="/svc/", upstream=upstream))
        calls = [
            call(name, "x", "POST", body=body, headers=[("content-type", media)], atomicity_group="g") for name in "ab"
        ]
        session.feed(pb.BatchRequest(calls=calls).SerializeToString())
        session.feed_end()
        await taken(session)
        assert len(server.requests) == 1
        assert turns.stats()["slices"] - before >= 2 * len(body) // 393_216
