"""Names that try to leave the storage, and files that try to harm whoever opens them."""

import contextlib
import http.client
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from batchwire.demo.errors import ApiError
from batchwire.demo.package import with_document
from batchwire.demo.words import statistics
from docx_files import W, lying_bomb, package, paragraph, related, text_run, zipped
from hypothesis import given
from hypothesis import strategies as st

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
    "document type in utf-16 without a mark": (package("", parts={"word/other.xml": doctype("utf-16-be")}), 400),
    "document type in utf-32": (package("", parts={"word/other.xml": doctype("utf-32")}), 400),
    "document type in utf-32 without a mark": (package("", parts={"word/other.xml": doctype("utf-32-le")}), 400),
    "document type in utf-7": (package("", parts={"word/other.xml": doctype("utf-7")}), 400),
    "document type under another name": (package("", main="word/d.bin", parts={"word/o.png": doctype("utf-8")}), 400),
    "document type in the main part": (package("", parts={"word/document.xml": doctype("utf-32-be")}), 400),
    "deep xml": (package("<w:sdt>" * 5000 + "</w:sdt>" * 5000), 400),
    "many parts": (package("", parts={f"word/{n}.bin": b"" for n in range(600)}), 413),
    "many elements": (package("<w:p/>" * 400_001), 413),
    "many elements, no .xml": (package("<w:p/>" * 2_000_000, main="word/d.bin"), 413),
    "many attributes": (package("".join(f"<w:p a{n}='' b='' c=''/>" for n in range(100_000))), 413),
    "many namespaces": (package("<w:p xmlns:a='a' xmlns:b='b'/>" * 100_000), 413),
    "many comments": (package("<!---->" * 300_000), 413),
    "many instructions": (package("<?a?>" * 300_000), 413),
    "many small parts": (
        package("<w:p/>" * 100_000, parts=dict.fromkeys(map(str, range(9)), "<a>" + "<b/>" * 50_000 + "</a>")),
        413,
    ),
    "many relations": (package("", relations=related("a", "image") * 150_000), 413),
    "xml bomb under another name": (package("<!--" + " " * 17_000_000 + "-->", main="word/d.bin"), 413),
    "long directory": (zipped({}) + b"PK\x01\x02" * 20_000, 413),
    "xml bomb": (package("", parts={"word/big.xml": b" " * 17_000_000}), 413),
    "zip bomb": (package("", parts={"word/media/big.png": b"\0" * 70_000_000}), 413),
    "zip bomb that lies": (lying_bomb(), 400),
    "zip bomb that lies well": (lying_bomb(checked=True), 400),
    "bzip2": (package("", method=zipfile.ZIP_BZIP2), 400),
    "lzma": (package("", method=zipfile.ZIP_LZMA), 400),
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


MEASURED = """
import re, sys
from pathlib import Path
from batchwire.demo.errors import ApiError
from batchwire.demo.package import with_document
from batchwire.demo.words import statistics
data = sys.stdin.buffer.read()
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
try:
    with_document(data, statistics)
except ApiError as error:
    print(error.status, end=" ")
else:
    print(200, end=" ")
print((peak() - before) // 1024)
"""


@pytest.mark.parametrize(
    ("made", "status"),
    [
        pytest.param(lambda: package("<w:p/>" * 9_000_000, main="word/d.bin"), 413, id="main part not named .xml"),
        pytest.param(lambda: package("<w:p/>" * 2_500_000), 413, id="main part of a small file"),
        pytest.param(lambda: package("<w:p/>" * 249_900), 200, id="as many elements as are allowed"),
        pytest.param(lambda: lying_bomb(300_000_000, checked=True), 413, id="300 MB declared as 10 bytes"),
        pytest.param(lambda: package("", parts={"a.bin": bytes(300_000_000)}), 413, id="300 MB"),
    ],
)
def test_memory_of_a_hostile_file(made: Callable[[], bytes], status: int) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], input=made(), capture_output=True, check=True)
    answered, grown = map(int, done.stdout.split())
    assert (answered, grown < 256) == (status, True), grown


@given(
    st.dictionaries(
        st.sampled_from(["word/document.xml", "word/d.bin", "x.xml", "y.rels", "z.png", "a"]),
        st.one_of(
            st.binary(max_size=300),
            st.tuples(st.text(max_size=60), st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-7", "utf-16-be"])).map(
                lambda drawn: f"<?xml version='1.0'?>{drawn[0]}<!DOCTYPE a><a/>".encode(drawn[1], "replace")
            ),
        ),
    ),
    st.binary(max_size=40),
    st.integers(0, 2000),
)
def test_any_file_is_a_document_or_refused(parts: dict[str, str | bytes], noise: bytes, at: int) -> None:
    data = package(paragraph(text_run("x")), parts=parts)
    damaged = data[:at] + noise + data[at + len(noise) :]
    for each in (data, damaged):
        with contextlib.suppress(ApiError):
            with_document(each, statistics)


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
