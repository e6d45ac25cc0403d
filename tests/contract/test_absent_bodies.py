"""What an answer says of a body that is not there, or not as the upstream sent it: rules AN-10 and AN-11."""

from __future__ import annotations

import base64
import gzip
import hashlib
from http.client import HTTPResponse
from io import BytesIO

import pytest
from harness import multiparts
from harness.batches import JSON_FRONTS, Call, run_batch
from harness.documents import parts
from harness.gateway import Gateway
from harness.scripted import Reply, ScriptedUpstream, json_reply

JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain")
GZIP = ("Content-Encoding", "gzip")
LONG = b"x" * 1234
COMPATIBLE = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"}
PART = {"head": b"HEAD A HTTP/1.1\r\n\r\n", "not modified": b"GET A HTTP/1.1\r\n\r\n"}


def more(front: str) -> dict[str, str]:
    return COMPATIBLE if front in JSON_FRONTS else {}


def test_AN_10_head_tells_length_and_coding(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("HEAD", "/A", Reply(200, [TEXT, GZIP, ("ETag", '"7"')], LONG))
    [found] = run_batch(front, gateway, [Call("1", "A", "HEAD")], headers=more(front))
    said = {name: found.headers.get(name) for name in ("content-length", "content-encoding", "etag", "content-type")}
    assert said == {"content-length": "1234", "content-encoding": "gzip", "etag": '"7"', "content-type": "text/plain"}
    assert (found.status, found.body or b"") == (200, b"")


def test_AN_10_head_tells_them_in_multipart(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("HEAD", "/A", Reply(200, [TEXT, GZIP], LONG))
    upstream.on("GET", "/A", json_reply({}))
    found, after = parts(way, gateway, Call("1", "A", "HEAD"), Call("2", "A"))
    assert (found.header("content-length"), found.header("content-encoding"), found.body) == ("1234", "gzip", b"")
    assert (after.header("content-length"), after.body) == ("2", b"{}"), "what follows is in its place"


def test_AN_10_a_304_tells_the_length_of_the_200(front: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", Reply(304, [("Content-Length", "1234"), GZIP]))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    assert (found.status, found.body or b"") == (304, b"")
    assert (found.headers["content-length"], found.headers["content-encoding"]) == ("1234", "gzip")


def test_AN_10_a_304_tells_it_in_multipart(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A", Reply(304, [("Content-Length", "1234")]))
    [found] = parts(way, gateway, Call("1", "A"))
    assert (found.status, found.header("content-length"), found.body) == (304, "1234", b"")


def test_AN_10_no_length_where_the_upstream_says_none(
    front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("HEAD", "/A", Reply(200, [TEXT], LONG, chunked=True))
    [found] = run_batch(front, gateway, [Call("1", "A", "HEAD")], headers=more(front))
    assert "content-length" not in found.headers
    [part] = parts(way, gateway, Call("1", "A", "HEAD"))
    assert part.header("content-length") is None


def test_AN_10_the_length_of_a_body_that_is_there_is_not_said_twice(
    front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(200, [TEXT], LONG))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    assert "content-length" not in found.headers
    [part] = parts(way, gateway, Call("1", "A"))
    assert [value for name, value in part.headers if name.lower() == "content-length"] == ["1234"]


@pytest.mark.parametrize("media", [JSON, TEXT, ("Content-Type", "image/png")])
def test_AN_10_an_empty_body_keeps_its_coding(
    media: tuple[str, str], front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(200, [media, GZIP]))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    assert (found.headers["content-encoding"], found.body or b"") == ("gzip", b"")
    [part] = parts(way, gateway, Call("1", "A"))
    assert (part.header("content-encoding"), part.header("content-length"), part.body) == ("gzip", "0", b"")


@pytest.mark.parametrize("case", PART)
def test_AN_10_parsers_that_know_the_request_read_the_part(
    case: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """As clients do that read a part with the HTTP parser of their language, and tell it the method."""
    upstream.on("HEAD", "/A", Reply(200, [TEXT], LONG))
    upstream.on("GET", "/A", Reply(304, [("Content-Length", "1234")]))
    method = "HEAD" if case == "head" else "GET"
    [part] = parts(way, gateway, multiparts.part(PART[case]))
    lines = [part.line, *(f"{name}: {value}" for name, value in part.headers), "", ""]

    class Socket:
        def makefile(self, _: str) -> BytesIO:
            return BytesIO("\r\n".join(lines).encode())

    response = HTTPResponse(Socket(), method=method)  # type: ignore[arg-type]
    response.begin()
    assert (response.read(), response.getheader("content-length")) == (b"", "1234")


def test_AN_10_a_length_that_is_said_twice_is_said_once(
    front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(304, [("Content-Length", "5"), ("content-length", "5")]))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    [part] = parts(way, gateway, Call("1", "A"))
    assert (found.headers["content-length"], part.header("content-length")) == ("5", "5")


def digests(body: bytes) -> list[tuple[str, str]]:
    sha = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return [
        ("Content-MD5", base64.b64encode(hashlib.md5(body).digest()).decode()),
        ("Digest", f"SHA-256={sha}"),
        ("Content-Digest", f"sha-256=:{sha}:"),
        ("Repr-Digest", f"sha-256=:{sha}:"),
    ]


NAMES = [name.lower() for name, _ in digests(b"")]


def test_AN_11_digests_of_coded_bytes_go_with_the_coding(
    front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    coded = gzip.compress(b"hello", mtime=0)
    upstream.on("GET", "/A", Reply(200, [TEXT, GZIP, ("ETag", '"7"'), *digests(coded)], coded))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    kept = [name for name in NAMES if name in found.headers]
    if front in JSON_FRONTS:
        assert (found.body, kept, found.headers["etag"]) == (b"hello", [], '"7"')
        assert "content-encoding" not in found.headers
    else:
        assert (found.body, kept, found.headers["content-encoding"]) == (coded, NAMES, "gzip")
    [part] = parts(way, gateway, Call("1", "A"))
    assert (part.body, part.header("etag"), part.header("content-encoding")) == (b"hello", '"7"', None)
    assert not [name for name in NAMES if part.header(name)]


@pytest.mark.parametrize("body", [b'{"a": 1}', b"{\r\n}", '{"a":"é"}'.encode("latin-1")])
def test_AN_11_digests_stay_where_the_bytes_do(
    body: bytes, front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    media = "application/json" if body.isascii() else "application/json;charset=latin-1"
    upstream.on("GET", "/A", Reply(200, [("Content-Type", media), *digests(body)], body))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    [part] = parts(way, gateway, Call("1", "A"))
    # JSON inside of JSON is the same bytes, as text that the harness has parsed.
    same = body.isascii() if front in JSON_FRONTS else found.body == body
    assert [name for name in NAMES if name in found.headers] == (NAMES if same else [])
    assert [name for name in NAMES if part.header(name)] == (NAMES if part.body == body else [])
    assert part.body == body.replace(b"\r", b" ")


@pytest.mark.parametrize(
    "body", [b'\xef\xbb\xbf{"a": 1}', b' {"a": 1}', b'{"a": 1}\n', b"\t7", b"\n[]" + b" " * 300_000]
)
def test_AN_11_json_in_json_is_without_the_white_space_around_it(
    body: bytes, front: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(200, [JSON, *digests(body)], body))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    [part] = parts(way, gateway, Call("1", "A"))
    assert [name for name in NAMES if name in found.headers] == ([] if front in JSON_FRONTS else NAMES)
    assert part.body == body
    assert [name for name in NAMES if part.header(name)] == NAMES


def test_AN_11_links_that_are_rewritten_change_the_bytes(
    front: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = b'{"@odata.nextLink":"%s/A?$skip=1"}' % upstream.origin.encode()
    upstream.on("GET", "/A", Reply(200, [JSON, *digests(body)], body))
    [found] = run_batch(front, gateway, [Call("1", "A")])
    assert found.body != body
    assert not [name for name in NAMES if name in found.headers]
