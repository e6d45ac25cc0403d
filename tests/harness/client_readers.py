"""Multipart answers as real clients take them apart: by hand, by regular expressions, by http.client (clients.md).

Each function does what the client's own code does, and fails where that would. Must never be kinder than the client.
"""

from __future__ import annotations

import email.parser
import http.client
import io
import re
from collections.abc import Callable

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
