"""Long texts are read and written in slices (PL-01): seen by counters, and by what comes out."""

import json
from typing import Any

import pytest
from batchwire.core.session import turns
from core_driving import Request, answer, serving, session_of, taken

LONG = 1_200_000


def posted(body: str, media: str) -> bytes:
    """The batch as bytes: `body` is the inside of the string."""
    head = {"id": "a", "method": "post", "url": "x", "headers": {"content-type": media}}
    return b'{"requests":[' + json.dumps(head).encode()[:-1] + b',"body":"' + body.encode() + b'"}]}'


async def run(batch: bytes) -> tuple[list[Request], dict[str, Any], int]:
    """What the upstream got, the result, and how often the batch rested."""
    async with serving(lambda _: answer(204)) as (server, _, route):
        before = turns.stats()["slices"]
        session = session_of(route, dialect="json")
        session.feed(batch)
        session.feed_end()
        (result,) = json.loads(await taken(session))["responses"]
        return server.requests, result, int(turns.stats()["slices"] - before)


@pytest.mark.parametrize(
    ("inside", "text", "codec"),
    [
        ("\ufffd", "\ufffd", "gb18030"),
        (r"\ufffd", "\ufffd", "gb18030"),
        ("aあ", "aあ", "iso-2022-jp"),
        (r"\ud83d\ude00", "\U0001f600", "utf-16"),
    ],
)
async def test_PL_01_JB_24_a_long_text_is_encoded_in_slices(inside: str, text: str, codec: str) -> None:
    (request,), result, rests = await run(posted(inside * LONG, f"text/plain;charset={codec}"))
    assert result["status"] == 204
    assert request.body == (text * LONG).encode(codec)
    assert rests >= 2


async def test_PL_01_JB_24_escapes_are_undone_in_slices() -> None:
    (request,), _, rests = await run(posted(r"\u00e9" * LONG, "text/plain"))
    assert request.body == ("é" * LONG).encode()
    assert rests >= 2


async def test_PL_01_JB_25_escaped_data_is_read_in_slices() -> None:
    (request,), _, rests = await run(posted(r"\u0041" * LONG, "a/b"))
    assert request.body == b"\0" * (LONG * 3 // 4)
    assert rests >= 2
    none, result, _ = await run(posted(r"\u0041" * LONG + r"\ud800", "a/b"))
    assert none == []
    assert result["body"]["error"]["message"].startswith("the body is not base64url")


@pytest.mark.parametrize(
    ("tail", "code"), [("\U00020000", "BadBody"), (r"\ud800", "BadText"), ("\U00020000" + r"\ud800", "BadText")]
)
async def test_PL_01_a_long_text_that_is_wrong_at_its_end_is_not_sent(tail: str, code: str) -> None:
    requests, result, rests = await run(posted("한" * 4 * LONG + tail, "text/plain;charset=euc-kr"))
    assert requests == []
    assert (result["status"], result["body"]["error"]["code"]) == (400, code)
    assert rests >= 2


async def answered(media: str, body: bytes) -> tuple[dict[str, Any], int]:
    """The result of a call that is answered so, and how often the batch rested."""
    async with serving(lambda _: answer(200, body, [("Content-Type", media)])) as (_, _, route):
        before = turns.stats()["slices"]
        session = session_of(route, dialect="json")
        session.feed(b'{"requests":[{"id":"a","method":"get","url":"x"}]}')
        session.feed_end()
        (result,) = json.loads(await taken(session))["responses"]
        return result, int(turns.stats()["slices"] - before)


@pytest.mark.parametrize("media", ["text/plain", "application/json"])
@pytest.mark.parametrize("codec", ["gb18030", "utf-16", "iso-2022-jp", "tis-620"])
async def test_PL_01_AN_02_a_long_answer_in_another_charset_is_read_in_slices(media: str, codec: str) -> None:
    text = {"gb18030": "\ufffd", "utf-16": "é", "iso-2022-jp": "aあ", "tis-620": "ก"}[codec]
    text *= 12_000_000 // len(text.encode(codec))
    body = text if media == "text/plain" else json.dumps([text], ensure_ascii=False)
    result, rests = await answered(f"{media};charset={codec}", body.encode(codec))
    assert result["body"] == (text if media == "text/plain" else [text])
    assert result["headers"]["content-type"] == f"{media};charset=utf-8"
    assert rests >= 1 or codec == "utf-16"  # which is as fast as a copy


async def test_PL_01_AN_01_a_long_answer_that_is_wrong_at_its_end_is_read_in_slices() -> None:
    text = "\ufffd" * LONG
    result, rests = await answered("text/plain;charset=gb18030", text.encode("gb18030") + b"\x81")
    assert result["headers"]["content-type"] == "application/octet-stream"
    assert rests >= 2
    result, _ = await answered("application/json;charset=gb18030", text.encode("gb18030"))
    assert result["headers"]["content-type"] == "text/plain"
    assert result["body"] == text
    result, _ = await answered("application/json", b" " * 10 * LONG)
    assert "body" not in result


async def test_PL_01_a_long_answer_is_checked_in_slices() -> None:
    value = list(range(LONG))
    result, rests = await answered("application/json", json.dumps(value).encode())
    assert result["body"] == value
    assert rests >= 1
