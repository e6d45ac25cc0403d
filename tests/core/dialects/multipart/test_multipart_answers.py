"""Answers as real clients take them apart (harness.client_readers; clients.md).

The readers are first shown to take the answers that the clients were seen to accept, so that what they say about our
answers counts.
"""

import re
from pathlib import Path

import pytest
from batchwire.core.dialects.multipart.boundaries import content_type_of, new_boundary
from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.dialects.multipart.writer import MultipartWriter
from batchwire.core.model import Call, Result
from harness.client_readers import READERS, aspose_python, google
from multipart_batches import HTTP, POST, batch, change_set, part, with_id

CAPTURES = Path(__file__).parents[3] / "contract" / "vectors" / "clients"


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*/*-res.bin")), ids=lambda path: path.parent.name + path.name)
def test_the_readers_take_what_the_clients_took(path: Path) -> None:
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    kind = re.search(rb"(?i)\r\ncontent-type: *([^\r]*)", head)
    assert kind
    parts = READERS[path.parent.name](kind[1].decode(), body)
    assert parts
    assert all(100 <= status < 600 for _, status, _ in parts)


JSON = [(b"content-type", b"application/json;charset=utf-8"), (b"etag", b'W/"1"')]
BODY = '{\r\n "name": "gämma"}'.encode()
SEEN = BODY.replace(b"\r", b" ")


def result(status: int, headers: list[tuple[bytes, bytes]], body: bytes | None = None) -> Result:
    made = Result()
    made.fill(status, headers, body)
    return made


def requested(data: bytes, **settings: object) -> list[Call]:
    reader = MultipartReader(b"b", **settings)
    reader.feed_bytes(data)
    found = []
    while (call := reader.next()) is not None:
        found.append(call)
    return found


ODATA = batch(
    part(),
    change_set(part(POST, with_id(b"1"), b"c"), part(POST, with_id(b"2"), b"c")),
    part(POST),
    change_set(part(POST, with_id(b"3"), b"c")),
)


@pytest.mark.parametrize("name", ["sap_cloud_sdk", "odata_client_multipart", "azure_tables", "pyodata_v2", "pnp_sp"])
def test_odata_clients_read_our_answers(name: str) -> None:
    boundary = new_boundary("odata")
    writer = MultipartWriter(boundary, flat=name == "pnp_sp")
    results = [
        (result(200, JSON, BODY), 0),
        (result(201, JSON, BODY), 2),
        (result(204, [(b"etag", b'"1"')]), 2),
        (result(404, JSON, b'{"error":{}}'), 0),
        (result(409, JSON, b'{"error":{}}'), 1),
    ]
    pairs = zip(requested(ODATA), results, strict=True)
    text = b"".join(writer.write_member_bytes(call, made, size) for call, (made, size) in pairs) + writer.end_bytes()
    found = READERS[name](content_type_of("odata", boundary), text)
    assert [status for _, status, _ in found] == [200, 201, 204, 404, 409]
    seen = [re.sub(rb"\s", b"", body) for _, _, body in found]
    plain = re.sub(rb"\s", b"", SEEN)
    # One client takes the last line only, so the first line of the pretty-printed body must be in it too.
    assert seen == [plain, plain, b"", b'{"error":{}}', b'{"error":{}}']


def test_the_google_client_reads_our_answers() -> None:
    data = batch(part(b"GET /a HTTP/1.1\r\n\r\n", with_id(b"<u + a b>")), part(POST, with_id(b"<u + %C3%BC>")))
    boundary = new_boundary("google")
    writer = MultipartWriter(boundary, flavour="google")
    answers = [result(204, []), result(200, JSON, BODY)]
    text = b"".join(map(writer.write_bytes, requested(data, flavour="google"), answers)) + writer.end_bytes()
    assert b"Content-ID: <response-u + a b>\r\n" in text
    found = google(content_type_of("google", boundary), text)
    assert found == [("a b", 204, b""), ("%C3%BC", 200, SEEN)]


def test_google_ids_without_brackets_get_the_prefix_too() -> None:
    (call,) = requested(batch(part(POST, with_id(b"x"))), flavour="google")
    assert b"\r\nContent-ID: response-x\r\n" in MultipartWriter(b"r", flavour="google").write_bytes(
        call, result(204, [])
    )


def documents(*ids: bytes) -> list[Call]:
    head = b"Content-Type: application/http; msgtype=request\r\n"
    data = batch(*[part(b"GET x \r\nRequestId: " + name + b"\r\n\r\n", head) for name in ids])
    return requested(data, flavour="document")


@pytest.mark.parametrize("name", ["aspose_python", "aspose_node"])
def test_document_clients_read_our_answers(name: str) -> None:
    boundary = new_boundary("document")
    writer = MultipartWriter(boundary, flavour="document")
    answers = [
        result(200, [*JSON, (b"RequestID", b"upstream")], BODY),
        result(200, [(b"content-type", b"application/octet-stream")], b"\r\nraw\r\n"),
        result(404, JSON, b"{}"),
    ]
    text = b"".join(map(writer.write_bytes, documents(b"1", b'"2\\', b"3"), answers)) + writer.end_bytes()
    assert b'form-data; name="\\"2\\\\"\r\n' in text
    found = READERS[name](content_type_of("document", boundary), text)
    assert found == [("1", 200, SEEN), ('"2\\', 200, b"\r\nraw\r\n"), ("3", 404, b"{}")]


def test_document_answers_of_the_last_result_alone() -> None:
    boundary = new_boundary("document")
    writer = MultipartWriter(boundary, flavour="document", last_only=True)
    for call in documents(b"1", b"2"):
        assert writer.write_bytes(call, result(200, JSON, call.id)) == b""
    found = aspose_python(content_type_of("document", boundary), writer.end_bytes())
    assert found == [("2", 200, b"2")]
    assert writer.end_bytes() == b"--" + boundary + b"--\r\n"


def test_our_parts_are_typed_as_the_clients_compare_them() -> None:
    (call,) = requested(batch(part(POST, HTTP)))
    text = MultipartWriter(b"r").write_bytes(call, result(200, []))
    assert text.split(b"\r\n")[1:3] == [b"Content-Type: application/http", b"Content-Transfer-Encoding: binary"]
