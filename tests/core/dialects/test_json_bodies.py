"""Bodies in JSON request objects: the media type decides how they travel (JB-21..27, GW-11)."""

import base64
import gzip
import json
import zlib
from typing import Any

import pytest
from batchwire.core.dialects.codings import BrokenCoding, TooLong, UnknownCoding, decode
from hypothesis import given
from hypothesis import strategies as st
from json_batches import batch, one, one_raw, read


def posted(body: Any, content_type: str | None = None, **headers: str) -> dict[str, Any]:
    if content_type is not None:
        headers["content-type"] = content_type
    return one(method="post", headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


@pytest.mark.parametrize(
    "media",
    [
        None,
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json;odata.metadata=minimal",
        "application/problem+json",
        "application/vnd.x+json;v=1",
    ],
)
@pytest.mark.parametrize("text", ['{"a": [1, "\\u00fc"]}', "[ ]", '"Zm9v"', '""', "0", "-1.5E+3", "true", "false"])
def test_json_is_forwarded_as_the_bytes_it_is(media: str | None, text: str) -> None:
    headers = f'"headers":{{"content-type":"{media}"}},' if media else ""
    call = one_raw(f'{{"id":"1","method":"post","url":"x",{headers}"body": {text} }}')
    assert call["body"] == text.encode()
    assert call["headers"] == [(b"content-type", (media or "application/json").encode())]


def test_null_is_no_body_and_needs_no_content_type() -> None:
    call = posted(None)
    assert call["body"] is None
    assert call["headers"] == []


def test_a_body_without_content_type_gets_one_beside_other_headers() -> None:
    assert posted({}, prefer="return=minimal")["headers"] == [
        (b"prefer", b"return=minimal"),
        (b"content-type", b"application/json"),
    ]


@pytest.mark.parametrize(
    ("media", "said", "sent"),
    [
        ("text/plain", 'grüß\n"dich"\u0000𝄞', 'grüß\n"dich"\u0000𝄞'.encode()),
        ("TEXT/html;charset=UTF-8", "ü", "ü".encode()),
        ("text/plain; charset=utf8", "ü", "ü".encode()),
        ('text/plain;x="a;charset=koi8-r";charset="iso-8859-1"', "ü", b"\xfc"),
        ("text/plain; Charset=latin1", "ü", b"\xfc"),
        ("text/plain;charset=us-ascii", "abc", b"abc"),
        ("text/plain", "", b""),
        ("text/json", "1", b"1"),
    ],
)
def test_text_is_sent_in_its_charset(media: str, said: str, sent: bytes) -> None:
    for ascii_only in (True, False):
        body = json.dumps(said, ensure_ascii=ascii_only)
        media_text = json.dumps(media)
        call = one_raw(f'{{"id":"1","method":"put","url":"x","body":{body},"headers":{{"content-type":{media_text}}}}}')
        assert call["refusal"] is None
        assert call["body"] == sent


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("text/plain", 1),
        ("text/plain", {"a": 1}),
        ("text/plain;charset=iso-8859-1", "€"),
        ("text/plain;charset=us-ascii", "ü"),
        ("text/plain;charset=x-none", "x"),
        ("text/plain;charset=rot13", "x"),
        ("text/plain;charset=ü", "x"),
        ("application/octet-stream", 1),
        ("application/octet-stream", ["Zm9v"]),
        ("application/octet-stream", "Zm9v!"),
        ("application/octet-stream", "Z"),
        ("application/octet-stream", "Zm9vY"),
        ("application/octet-stream", "Zg="),
        ("application/octet-stream", "Zg==="),
        ("application/octet-stream", "Zm=v"),
        ("application/octet-stream", "===="),
        ("application/octet-stream", "Zm 9"),
        ("application/octet-stream", "Zmü"),
        ("application/xml", "<a/>"),
    ],
)
def test_bodies_that_do_not_fit_their_type_are_refused(media: str, body: Any) -> None:
    call = posted(body, media)
    assert call["refusal"] == (400, "BadBody")
    assert call["body"] is None


@pytest.mark.parametrize(
    "media", ["image/png", "application/xml", "multipart/mixed;boundary=b", "application/http", "x"]
)
def test_everything_else_is_base64(media: str) -> None:
    for text in ("-__-AD4__w", "-__-AD4__w==", "+//+AD4//w==", "+//+AD4//w", "\\u002b\\/\\/-AD4__w"):
        call = one_raw(f'{{"id":"1","method":"put","url":"x","headers":{{"content-type":"{media}"}},"body":"{text}"}}')
        assert call["body"] == base64.b64decode("+//+AD4//w==")


@given(st.binary(max_size=60))
def test_any_bytes_come_through_base64(data: bytes) -> None:
    for text in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode().rstrip("=")):
        assert posted(text, "application/octet-stream")["body"] == data


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("chunked", chunked(b"hello ", b"world")),
        ("gzip", gzip.compress(b"hello world", mtime=0)),
        ("X-GZip", gzip.compress(b"hello ", mtime=0) + gzip.compress(b"world", mtime=0)),
        ("deflate", zlib.compress(b"hello world")),
        ("deflate", zlib.compress(b"hello world")[2:-4]),
        ("gzip, chunked", chunked(gzip.compress(b"hello world", mtime=0))),
        ("identity", b"hello world"),
    ],
)
def test_transfer_codings_are_undone(coding: str, data: bytes) -> None:
    call = posted(base64.b64encode(data).decode(), "application/octet-stream", transfer_encoding=coding)
    assert call["refusal"] is None
    assert call["body"] == b"hello world"
    assert call["headers"] == [(b"content-type", b"application/octet-stream")]


@pytest.mark.parametrize(
    ("coding", "data", "refusal"),
    [
        ("br", b"x", (501, "UnknownTransferCoding")),
        ("chunked, br", b"x", (501, "UnknownTransferCoding")),
        ("gzip", b"x", (400, "BadBody")),
        ("gzip", gzip.compress(b"hello", mtime=0)[:-3], (400, "BadBody")),
        ("gzip", gzip.compress(b"hello", mtime=0) + b"x", (400, "BadBody")),
        ("deflate", zlib.compress(b"hello") + b"x", (400, "BadBody")),
        ("chunked", b"5\r\nhell\r\n0\r\n\r\n", (400, "BadBody")),
        ("chunked", b"5\r\nhello\r\n", (400, "BadBody")),
        ("chunked", b"-5\r\nhello\r\n0\r\n\r\n", (400, "BadBody")),
        ("chunked", b"0\r\n\r\nx\r\n\r\n", (400, "BadBody")),
        ("chunked", b"", (400, "BadBody")),
        ("gzip", gzip.compress(b"\0" * 100_000, mtime=0), (413, "BodyTooLarge")),
        ("gzip, gzip", gzip.compress(gzip.compress(b"\0" * 100_000, mtime=0), mtime=0), (413, "BodyTooLarge")),
    ],
)
def test_transfer_codings_that_cannot_be_undone(coding: str, data: bytes, refusal: tuple[int, str]) -> None:
    request = {
        "id": "1",
        "method": "post",
        "url": "x",
        "headers": {"content-type": "image/png", "transfer-encoding": coding},
        "body": base64.b64encode(data).decode(),
    }
    (call,) = read(batch(request), max_call_bytes=10_000)
    assert call["refusal"] == refusal


def test_chunked_trailers_are_dropped_and_content_encoding_knows_no_chunked() -> None:
    assert decode(b"chunked", b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", 0, transfer=True) == b"x"
    with pytest.raises(UnknownCoding):
        decode(b"chunked", chunked(b"x"), 0)


def test_many_small_gzip_members_are_refused() -> None:
    with pytest.raises(TooLong):
        decode(b"gzip", gzip.compress(b"") * 1000, 0)


def test_deflate_of_nothing_is_broken() -> None:
    with pytest.raises(BrokenCoding):
        decode(b"deflate", b"", 10)
