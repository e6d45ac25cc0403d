"""Answers as real clients take them apart: by hand, by regular expressions, by http.client (clients.md).

Each function here does what the client's own code does. They are first shown to take the answers that the
clients were seen to accept, so that what they say about our answers counts.
"""

import email.parser
import http.client
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from batchwire.core.dialects.multipart.boundaries import content_type_of, new_boundary
from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.dialects.multipart.writer import MultipartWriter
from batchwire.core.model import Call, Result
from multipart_batches import HTTP, POST, batch, change_set, part, with_id

CAPTURES = Path(__file__).parents[3] / "contract" / "vectors" / "clients"
Part = tuple[str, int, bytes]
"""Id (or ""), status, body."""


def sap(content_type: str, text: bytes) -> list[Part]:
    """Boundary: all after "boundary="; the body is the last line of a part; change sets nested."""
    boundary = content_type.split("boundary=")[1]
    found: list[Part] = []
    for piece in text.decode().split("--" + boundary)[1:-1]:
        head = piece.strip().split("\r\n\r\n")[0]
        if nested := re.search(r"^Content-Type: (multipart/mixed;.*)$", head, re.M):
            inner = piece.strip().split("\r\n\r\n", 1)[1]
            found += sap(nested[1].strip(), (inner + "\r\n").encode())
            continue
        lines = piece.strip().split("\r\n")
        status = next(re.match(r"HTTP/1.1 (\d+) .+", line) for line in lines if line.startswith("HTTP"))
        assert status
        body = "" if status[1] == "204" else lines[-1]
        found.append(("", int(status[1]), body.encode()))
    return found


def light_odata(content_type: str, text: bytes) -> list[Part]:
    """Part type exactly application/http, in this spelling; reason needed; bare boundary as last parameter."""
    boundary = content_type.split("boundary=").pop()
    found: list[Part] = []
    for piece in text.decode().split(f"--{boundary}")[1:-1]:
        kind = re.search(r"Content-Type: (.*)\r\n", piece)
        assert kind
        if kind[1] == "application/http":
            _, message = piece.split("\r\n\r\n", 1)
            status = re.match(r"HTTP/1.1 (\d+) (.*)\r\n", message)
            assert status
            found.append(("", int(status[1]), message.split("\r\n\r\n", 1)[1].strip().encode()))
        else:
            assert kind[1].startswith("multipart/mixed")
            found += light_odata(kind[1], piece.split("\r\n\r\n", 1)[1].encode())
    return found


def pnp_sp(_: str, text: bytes) -> list[Part]:
    """Lines, with a state; only flat parts whose delimiter begins --batchresponse_."""
    found: list[Part] = []
    state, status, body = "batch", 0, ""
    lines = text.decode().split("\n")
    assert lines[-1] == ""
    for number, line in enumerate(lines[:-1]):
        if line.startswith("--batchresponse_"):
            if number:
                found.append(("", status, body.strip().encode()))
            state, body = "headers", ""
        elif state == "headers" and line.strip() == "":
            state = "status"
        elif state == "status":
            match = re.match(r"^HTTP/[0-9.]+ +([0-9]+) +(.*)", line)
            assert match
            status, state = int(match[1]), "inner"
        elif state == "inner" and line.strip() == "":
            state = "body"
        elif state == "body":
            body += line
    return found


class Socket:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self.data)


def by_http_client(content_type: str, text: bytes) -> list[Part]:
    """azure-data-tables and pyodata: email for the parts, http.client for the messages."""
    message = email.parser.BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + text)
    found: list[Part] = []
    for each in message.walk():
        if each.get_content_type() == "application/http":
            answer = http.client.HTTPResponse(Socket(each.get_payload(decode=True)))  # type: ignore[arg-type]
            answer.begin()
            found.append((each.get("Content-ID", ""), answer.status, answer.read()))
    return found


def google(content_type: str, text: bytes) -> list[Part]:
    """email for the parts; each has an id; status line of three words, then headers, at least one."""
    parser = email.parser.FeedParser()
    parser.feed(f"content-type: {content_type}\r\n\r\n" + text.decode())
    message = parser.close()
    found = []
    for each in message.get_payload():
        header = each["Content-ID"]
        assert header[0] == "<"
        assert header[-1] == ">"
        assert "+" in header
        _, identifier = header[1:-1].split(" + ", 1)
        status_line, payload = each.get_payload().split("\n", 1)
        _, status, _ = status_line.split(" ", 2)
        head, body = payload.split("\r\n\r\n", 1)
        assert ":" in head
        found.append((identifier, int(status), body.encode()))
    return found


def aspose_python(content_type: str, text: bytes) -> list[Part]:
    """requests-toolbelt for the parts; the first word is a number; RequestId in this spelling, the last one counts."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    assert boundary
    delimiter = b"--" + boundary[1].encode()
    found = []
    for piece in (b"\r\n" + text).split(b"\r\n" + delimiter)[1:]:
        if piece in (b"--", b"--\r\n"):
            continue
        assert piece.startswith(b"\r\n")
        _, message = piece[2:].split(b"\r\n\r\n", 1)
        head, body = message.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        found.append((headers["RequestId"], int(first.split(" ")[0]), body))
    return found


def aspose_node(content_type: str, text: bytes) -> list[Part]:
    boundary = content_type.split(" ")[1].split("=")[1][1:-1]
    return aspose_python(f"multipart/mixed; boundary={boundary}", text)


READERS: dict[str, Callable[[str, bytes], list[Part]]] = {
    "sap_cloud_sdk": sap,
    "odata_client_multipart": light_odata,
    "pnp_sp": pnp_sp,
    "azure_tables": by_http_client,
    "pyodata_v2": by_http_client,
    "google_python": google,
    "aspose_python": aspose_python,
    "aspose_node": aspose_node,
}


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
