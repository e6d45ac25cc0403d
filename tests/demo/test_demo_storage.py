"""Upload, download, deletion and listing of documents as bytes."""

import io
from pathlib import Path

import httpx
import pytest
from batchwire.demo.app import create_app
from demo_server import serving
from docx_files import package


def test_upload_download_replace_delete(client: httpx.Client) -> None:
    first, second = package("<w:p/>"), package("<w:p/><w:p/>")
    made = client.put("storage/file/box/a%20b.docx", content=first)
    assert made.status_code == 201
    assert made.json() == {"Uploaded": ["box/a b.docx"], "Errors": []}
    assert made.headers["location"] == "/v4/words/storage/file/box/a%20b.docx"

    got = client.get(made.headers["location"].removeprefix("/v4/words/"))
    assert got.content == first
    assert got.headers["etag"] == made.headers["etag"]
    assert got.headers["content-type"].endswith("wordprocessingml.document")

    replaced = client.put("storage/file/box/a%20b.docx", content=second)
    assert replaced.status_code == 200
    assert replaced.headers["etag"] != made.headers["etag"]
    assert client.get("a%20b.docx?folder=box").json()["Document"]["ParagraphCount"] == 2
    assert client.get("a%20b.docx/text?folder=box").text == "\n\n"

    assert client.delete("storage/file/box/a%20b.docx").status_code == 204
    assert client.get("storage/file/box/a%20b.docx").status_code == 404
    assert client.delete("storage/file/box/a%20b.docx").status_code == 404


def test_form_upload(client: httpx.Client) -> None:
    data = package("<w:p/>")
    made = client.put("storage/file/f.docx", files={"fileContent": ("x.docx", io.BytesIO(data))})
    assert made.status_code == 201
    assert client.get("storage/file/f.docx").content == data


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "multipart/form-data"}, b"no boundary"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--x\r\n\r\nnot this boundary"),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nonly text\r\n--b--\r\n',
        ),
    ],
)
def test_broken_form(client: httpx.Client, headers: dict[str, str], body: bytes) -> None:
    answer = client.put("storage/file/f.docx", content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "InvalidForm"


def test_any_file_is_stored_but_not_rendered(client: httpx.Client) -> None:
    client.put("storage/file/page.html", content=b"<script>1</script>")
    got = client.get("storage/file/page.html")
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["x-content-type-options"] == "nosniff"


def test_listing(client: httpx.Client) -> None:
    client.put("storage/file/in/deep/a.docx", content=b"a")
    client.put("storage/file/inside.docx", content=b"bb")
    everything = client.get("storage/folder").json()["Value"]
    assert [entry["Path"] for entry in everything] == [
        "/in/deep/a.docx",
        "/inside.docx",
        "/report.docx",
        "/welcome.docx",
    ]
    assert everything[1]["Size"] == 2
    for spelling in ("storage/folder/in", "storage/folder/in/"):
        assert [entry["Name"] for entry in client.get(spelling).json()["Value"]] == ["a.docx"]
    assert client.get("storage/folder/none").json() == {"Value": []}


def test_document_and_folder_of_one_name(client: httpx.Client) -> None:
    assert client.put("storage/file/welcome.docx/x.docx", content=b"x").status_code == 409
    client.put("storage/file/box/x.docx", content=b"x")
    conflict = client.put("storage/file/box", content=b"x")
    assert conflict.status_code == 409
    assert conflict.json()["error"]["code"] == "PathConflict"


def test_bounds_of_the_store(small_client: httpx.Client) -> None:
    put = small_client.put
    too_large = put("storage/file/a.docx", content=bytes(50_001))
    assert (too_large.status_code, too_large.json()["error"]["code"]) == (413, "BodyTooLarge")
    chunked = put("storage/file/a.docx", content=iter([bytes(30_000), bytes(30_000)]))
    assert chunked.status_code == 413
    form = put("storage/file/a.docx", files={"f": ("x", io.BytesIO(bytes(50_001)))})
    assert form.status_code == 413

    assert put("storage/file/a.docx", content=bytes(10_000)).status_code == 201
    assert put("storage/file/a.docx", content=bytes(50_000)).status_code == 507
    assert small_client.get("storage/file/a.docx").content == bytes(10_000)
    assert put("storage/file/b.docx", content=bytes(10_000)).status_code == 201
    full = put("storage/file/c.docx", content=b"c")
    assert (full.status_code, full.json()["error"]["code"]) == (507, "StorageFull")
    small_client.delete("storage/file/b.docx")
    assert put("storage/file/c.docx", content=b"c").status_code == 201


def test_compressed_upload_is_refused(client: httpx.Client) -> None:
    answer = client.put("storage/file/a.docx", content=b"x", headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


def test_folder_keeps_documents(folder_client: httpx.Client, tmp_path: Path) -> None:
    folder_client.put("storage/file/in/a.docx", content=b"a")
    folder_client.put("storage/file/gone/b.docx", content=b"b")
    folder_client.delete("storage/file/gone/b.docx")
    folder_client.post("welcome.docx/paragraphs", json={"Text": "kept"})
    files = sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*"))
    assert files == ["in", "in/a.docx", "report.docx", "welcome.docx"]

    (tmp_path / ".hidden").write_bytes(b"no document")
    (tmp_path / "link.docx").symlink_to(tmp_path / "report.docx")
    with serving(create_app(tmp_path)) as url, httpx.Client(base_url=url) as again:
        assert again.get("welcome.docx/text").text.endswith("kept\n")
        assert again.get("storage/file/in/a.docx").content == b"a"
        assert len(again.get("storage/folder").json()["Value"]) == 3


def test_seeds_do_not_come_back(folder_client: httpx.Client, tmp_path: Path) -> None:
    folder_client.delete("welcome.docx")
    with serving(create_app(tmp_path)) as url, httpx.Client(base_url=url) as again:
        assert again.get("welcome.docx").status_code == 404
        assert again.get("report.docx").status_code == 200
