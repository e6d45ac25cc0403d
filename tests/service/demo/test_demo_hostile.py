"""Names that try to leave the storage, and files that try to harm whoever opens them."""

import http.client
import json
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from docx_files import W, lying_bomb, package, paragraph, related, text_run, zipped

BAD_NAMES = [
    "..",
    "../a.docx",
    "a/../b.docx",
    "a//b.docx",
    ".hidden.docx",
    "a.docx/",
    "a.docx ",
    "a.docx.",
    "c:a.docx",
    "a\\b.docx",
    "a\x00.docx",
    "a\n.docx",
    "a\u202exdoc.docx",
    "con.docx",
    "x" * 201 + ".docx",
    "a/" * 8 + "b.docx",
    "",
]


def raw(root: str, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """A request whose path is sent as it is; most clients would tidy it."""
    connection = http.client.HTTPConnection(urlsplit(root).netloc, timeout=30)
    try:
        connection.request(method, f"/v4/words/{path}", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(client: httpx.Client, name: str) -> None:
    created = client.post("documents", json={"Name": name})
    copied = client.post("welcome.docx/copy", json={"DestName": name})
    for answer in (created, copied):
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidName")


@pytest.mark.parametrize(
    "path",
    [
        "storage/file/../../etc/passwd",
        "storage/file/..%2f..%2fetc/passwd",
        "storage/file/%2e%2e/%2e%2e/x.docx",
        "storage/file//etc//passwd",
        "storage/file/a%5c..%5cb",
        "storage/file/a%00.docx",
        "storage/file/",
        "storage/folder/..",
        "..%2fwelcome.docx",
        "%2e%2e",
        "welcome.docx?folder=..",
        "welcome.docx?folder=a/../..",
        "welcome.docx/text?folder=%2e%2e",
        f"{quote('welcome.docx')}%0d%0aX: y",
    ],
)
def test_no_path_leaves_the_storage(root: str, path: str) -> None:
    for method in ("GET", "DELETE", "PUT"):
        status, body = raw(root, method, path.replace(" ", "%20"), b"x" if method == "PUT" else None)
        assert status in (400, 404, 405)
        assert json.loads(body)["error"]["code"]
    assert httpx.get(f"{root}welcome.docx").status_code == 200


def test_nothing_is_written_beside_the_folder(folder_client: httpx.Client, tmp_path: Path) -> None:
    before = sorted(tmp_path.parent.iterdir())
    root = str(folder_client.base_url)
    for path in ("../x.docx", "%2e%2e/x.docx", "..%2fx.docx", "a/..%2f..%2fx.docx"):
        status, body = raw(root, "PUT", f"storage/file/{path}", b"x")
        assert status in (400, 404)
        assert str(tmp_path).encode() not in body
    assert sorted(tmp_path.parent.iterdir()) == before
    assert len(list(tmp_path.iterdir())) == 2


def doctype(encoding: str) -> bytes:
    text = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><x>&e;</x>'
    return text.encode(encoding)


STYLE_LOOP = (
    f"<w:styles xmlns:w='{W}'>"
    "<w:style w:type='paragraph' w:styleId='A'><w:name w:val='A'/><w:basedOn w:val='B'/></w:style>"
    "<w:style w:type='paragraph' w:styleId='B'><w:name w:val='B'/><w:basedOn w:val='A'/></w:style></w:styles>"
)

REFUSED: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "text": (b"hello", 400),
    "zip of nothing": (zipped({}), 400),
    "zip of something else": (zipped({"a.txt": "a"}), 400),
    "cut in half": (package(paragraph(text_run("x")))[:400], 400),
    "no xml": (package("", parts={"word/document.xml": b"\x00\x01"}), 400),
    "wrong root": (package("", parts={"word/document.xml": "<a/>"}), 400),
    "no body": (package("", parts={"word/document.xml": f"<w:document xmlns:w='{W}'/>"}), 400),
    "broken relations": (package("", relations=related("missing", "styles")), 400),
    "document type": (package("", parts={"word/other.xml": doctype("utf-8")}), 400),
    "document type in utf-16": (package("", parts={"word/other.xml": doctype("utf-16")}), 400),
    "deep xml": (package("<w:sdt>" * 5000 + "</w:sdt>" * 5000), 400),
    "many parts": (package("", parts={f"word/{n}.bin": b"" for n in range(600)}), 413),
    "many elements": (package("<w:p/>" * 400_001), 413),
    "xml bomb": (package("", parts={"word/big.xml": b" " * 17_000_000}), 413),
    "zip bomb": (package("", parts={"word/media/big.png": b"\0" * 70_000_000}), 413),
    "zip bomb that lies": (lying_bomb(), 400),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_hostile_file_is_refused_by_every_operation(client: httpx.Client, kind: str) -> None:
    data, status = REFUSED[kind]
    assert client.put("storage/file/h.docx", content=data).status_code == 201
    begin = time.perf_counter()
    answers = [
        client.get("h.docx"),
        client.get("h.docx/text"),
        client.get("h.docx/export?format=html", headers={"if-none-match": "*"}),
        client.get("h.docx/statistics"),
        client.get("h.docx/paragraphs"),
        client.post("h.docx/paragraphs", json={"Text": "x"}),
        client.put("h.docx/replaceText", json={"OldValue": "x", "NewValue": "y"}),
        client.post("h.docx/copy", json={"DestName": "i.docx"}),
    ]
    assert time.perf_counter() - begin < 30
    for answer in answers:
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["code"] in ("InvalidDocument", "DocumentTooLarge")
        assert "Traceback" not in answer.text
        assert "/" not in answer.json()["error"]["message"]
    assert client.get("storage/file/h.docx").content == data


def test_looping_styles_do_not_hang(client: httpx.Client) -> None:
    body = paragraph(text_run("x"), properties="<w:pStyle w:val='A'/>")
    data = package(body, relations=related("styles", "styles"), parts={"word/styles.xml": STYLE_LOOP})
    client.put("storage/file/s.docx", content=data)
    assert client.get("s.docx/export?format=html").status_code == 200
    assert client.get("s.docx/paragraphs/0").json()["Paragraph"]["Style"] == "A"


def test_huge_spans_are_cut(client: httpx.Client) -> None:
    cell = "<w:tc><w:tcPr><w:gridSpan w:val='2000000000'/></w:tcPr><w:p/></w:tc>"
    client.put("storage/file/s.docx", content=package(f"<w:tbl><w:tr>{cell}</w:tr></w:tbl>"))
    assert 'colspan="63"' in client.get("s.docx/export?format=html").text


def test_text_in_a_document_cannot_become_markup(client: httpx.Client) -> None:
    evil = '</title><script>alert("1")</script>'
    client.post("documents", json={"Name": "e.docx"})
    client.post("e.docx/paragraphs", json={"Text": evil, "Style": "Heading 1"})
    answer = client.get("e.docx/export?format=html")
    assert "<script" not in answer.text
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_client_that_leaves_does_no_harm(root: str) -> None:
    for _ in range(3):
        connection = http.client.HTTPConnection(urlsplit(root).netloc, timeout=30)
        connection.putrequest("PUT", "/v4/words/storage/file/half.docx")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"only a little")
        connection.close()
    assert httpx.get(f"{root}storage/file/half.docx").status_code == 404
    assert httpx.get(f"{root}welcome.docx").status_code == 200
