"""The API of the document SDKs: shapes that their models read, work on the same documents, 200 for every success."""

import io
import re
import zipfile

import httpx
import pytest
from docx_files import opened, package, paragraph, text_run

TWO = package(paragraph(text_run("eins")) + paragraph(text_run("zwei (zwei)")))
JSON = {"content-type": "application/json"}


@pytest.fixture
def sdk(client: httpx.Client) -> httpx.Client:
    """The client, its root moved to the SDK API of the same demo."""
    client.base_url = client.base_url.copy_with(path="/v4.0/words/")
    return client


def texts(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["Text"] for item in answer.json()["Paragraphs"]["ParagraphLinkList"]]


def check_error(answer: httpx.Response, status: int, code: str) -> None:
    """An error as the SDKs read it; they die of any other shape."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"RequestId", "Error"}
    assert set(body["Error"]) == {"Code", "Message", "Description", "DateTime"}
    assert body["Error"]["Code"] == code
    assert re.match(r"\d{4}-\d\d-\d\dT", body["Error"]["DateTime"])


def two_parts(answer: httpx.Response) -> tuple[bytes, bytes]:
    """Model and Document of an online change, taken apart as the SDKs do it."""
    assert answer.status_code == 200, answer.text
    kind, boundary = answer.headers["content-type"].split(" ")
    assert kind == "multipart/mixed;"
    matched = re.fullmatch(r'boundary="([^"=]+)"', boundary)
    assert matched
    first, second = answer.content.split(f"--{matched[1]}".encode())[1:3]
    assert b'name="Model"' in first
    assert b'name="Document"' in second
    return tuple(part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in (first, second))  # type: ignore[return-value]


def test_token_for_anybody(sdk: httpx.Client) -> None:
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "geheim"}
    first, second = sdk.post("connect/token", data=form), sdk.post("connect/token", data=form)
    assert first.status_code == 200
    assert first.json()["token_type"] == "bearer"
    assert first.json()["access_token"] != second.json()["access_token"]
    assert first.headers["cache-control"] == "no-store"
    assert "geheim" not in first.text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "client_id": "a"}, 400),
        ({"grant_type": "client_credentials"}, 400),
        ({str(n): "x" for n in range(40)}, 400),
        ({"grant_type": "client_credentials", "client_id": "a" * 10_000}, 413),
    ],
)
def test_token_refused(sdk: httpx.Client, form: dict[str, str], status: int) -> None:
    answer = sdk.post("connect/token", data=form)
    assert answer.status_code == status
    assert "access_token" not in answer.text


def test_token_wants_a_form(sdk: httpx.Client) -> None:
    check_error(sdk.post("connect/token", json={"client_id": "a"}), 415, "UnsupportedMediaType")


def test_storage(sdk: httpx.Client) -> None:
    url = "storage/file/in%20box/Gr%C3%BC%C3%9Fe.docx"
    made = sdk.put(url, content=TWO)
    assert made.status_code == 200
    assert made.json()["Uploaded"] == ["in box/Grüße.docx"]
    assert sdk.get(url).content == TWO
    assert [entry["Name"] for entry in sdk.get("storage/folder/in%20box").json()["Value"]] == ["Grüße.docx"]
    assert texts(sdk.get("Gr%C3%BC%C3%9Fe.docx/paragraphs?folder=in+box")) == ["eins", "zwei (zwei)"]
    deleted = sdk.delete(url)
    assert (deleted.status_code, deleted.content) == (200, b"")
    check_error(sdk.get(url), 404, "DocumentNotFound")
    check_error(sdk.delete(url), 404, "DocumentNotFound")


def test_both_apis_share_the_documents(sdk: httpx.Client) -> None:
    sdk.put("storage/file/shared.docx", content=TWO)
    assert sdk.get(sdk.base_url.join("/v4/words/shared.docx/text")).text == "eins\nzwei (zwei)\n"


def test_document(sdk: httpx.Client) -> None:
    sdk.put("storage/file/d.docx", content=TWO)
    document = sdk.get("d.docx").json()["Document"]
    assert {"FileName": "d.docx", "FileSize": len(TWO), "SourceFormat": "Docx"}.items() <= document.items()
    assert document["Links"] == [{"Href": "/v4.0/words/d.docx", "Rel": "self"}]
    assert sdk.get("d.docx?format=TXT").text == "eins\nzwei (zwei)\n"
    assert "<p>eins</p>" in sdk.get("d.docx?format=html").text
    assert opened(sdk.get("d.docx?format=docx").content).paragraphs[0].text == "eins"
    check_error(sdk.get("d.docx?format=pdf"), 400, "UnsupportedFormat")
    counts = sdk.get("d.docx/statistics").json()["StatData"]
    assert (counts["WordCount"], counts["ParagraphCount"]) == (3, 2)


def test_create(sdk: httpx.Client) -> None:
    made = sdk.put("create?fileName=neu.docx&folder=a%20b")
    assert made.status_code == 200
    assert made.json()["Document"]["FileName"] == "neu.docx"
    assert texts(sdk.get("neu.docx/paragraphs?folder=a+b")) == []
    check_error(sdk.put("create?fileName=neu.docx&folder=a+b"), 409, "DocumentExists")
    check_error(sdk.put("create"), 400, "InvalidName")
    check_error(sdk.put("create?fileName=../x.docx"), 400, "InvalidName")


def test_paragraphs(sdk: httpx.Client) -> None:
    sdk.put("storage/file/p.docx", content=TWO)
    added = sdk.post("p.docx/sections/0/paragraphs", json={"Text": "Grüße", "Position": None})
    assert added.status_code == 200
    assert added.json()["Paragraph"]["NodeId"] == "0.2"
    assert added.json()["Paragraph"]["Link"]["Href"] == "/v4.0/words/p.docx/sections/0/paragraphs/2"
    one = sdk.get("p.docx/paragraphs/2").json()["Paragraph"]
    assert one["ChildNodes"][0]["Text"] == "Grüße"
    deleted = sdk.delete("p.docx/paragraphs/0")
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert texts(sdk.get("p.docx/sections/0/paragraphs")) == ["zwei (zwei)", "Grüße"]
    check_error(sdk.get("p.docx/paragraphs/9"), 404, "ParagraphNotFound")
    check_error(sdk.get("p.docx/sections/1/paragraphs"), 404, "SectionNotFound")
    check_error(sdk.post("p.docx/paragraphs", json={"Text": "x", "Position": {"NodeId": "0.0"}}), 400, "InvalidBody")


def test_long_documents_are_listed_whole(sdk: httpx.Client) -> None:
    lines = [str(number) for number in range(1500)]
    answer = sdk.put("online/get/paragraphs", content="\n".join(lines).encode())
    assert texts(answer) == lines


def test_change_to_another_place(sdk: httpx.Client) -> None:
    sdk.put("storage/file/from.docx", content=TWO)
    added = sdk.post("from.docx/paragraphs?destFileName=box/to.docx", json={"Text": "drei"})
    assert added.json()["Paragraph"]["Link"]["Href"] == "/v4.0/words/to.docx/paragraphs/2?folder=box"
    assert texts(sdk.get("from.docx/paragraphs")) == ["eins", "zwei (zwei)"]
    assert texts(sdk.get("to.docx/paragraphs?folder=box")) == ["eins", "zwei (zwei)", "drei"]
    same = sdk.put("from.docx/replaceText?destFileName=copy.docx", json={"OldValue": "nie", "NewValue": "x"})
    assert same.json()["Matches"] == 0
    assert sdk.get("storage/file/copy.docx").content == TWO
    check_error(sdk.delete("from.docx/paragraphs/0?destFileName=../to.docx"), 400, "InvalidName")


def test_a_change_honours_if_match(sdk: httpx.Client) -> None:
    sdk.put("storage/file/m.docx", content=TWO)
    changed = sdk.post("m.docx/paragraphs", json={"Text": "x"}, headers={"if-match": '"other"'})
    check_error(changed, 412, "PreconditionFailed")
    assert sdk.get("storage/file/m.docx").content == TWO


def test_replace_and_search(sdk: httpx.Client) -> None:
    sdk.put("storage/file/s.docx", content=TWO)
    found = sdk.get("s.docx/search", params={"pattern": r"\(zwei\)"}).json()
    assert found["SearchResults"]["ResultsList"] == [
        {
            "RangeStart": {"Node": {"NodeId": "0.1"}, "Offset": 5},
            "RangeEnd": {"Node": {"NodeId": "0.1"}, "Offset": 11},
        }
    ]
    wanted = {"OldValue": "ZWEI", "NewValue": "drei", "IsMatchCase": False, "ApplySuperscript": None}
    assert sdk.put("s.docx/replaceText", json=wanted).json()["Matches"] == 2
    assert len(sdk.get("s.docx/search?pattern=drei").json()["SearchResults"]["ResultsList"]) == 2
    assert sdk.get("s.docx/search?pattern=zwei").json()["SearchResults"]["ResultsList"] == []


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("", "InvalidQuery"),
        ("x" * 5000, "InvalidQuery"),
        ("(a+)+$", "UnsupportedPattern"),
        (r"\d", "UnsupportedPattern"),
        ("end\\", "UnsupportedPattern"),
    ],
)
def test_patterns_that_are_no_plain_text(sdk: httpx.Client, pattern: str, code: str) -> None:
    check_error(sdk.get("welcome.docx/search", params={"pattern": pattern}), 400, code)


def test_save_as(sdk: httpx.Client) -> None:
    sdk.put("storage/file/from.docx", content=TWO)
    options = {"SaveFormat": "txt", "FileName": "out/to.txt", "ZipOutput": None}
    saved = sdk.put("from.docx/saveAs", json=options).json()["SaveResult"]
    assert saved["SourceDocument"]["Href"] == "/v4.0/words/from.docx"
    assert saved["DestDocument"]["Href"] == "/v4.0/words/to.txt?folder=out"
    assert sdk.get("storage/file/out/to.txt").text == "eins\nzwei (zwei)\n"
    # A stored text is read like a document; only a .docx can be changed.
    assert texts(sdk.get("to.txt/paragraphs?folder=out")) == ["eins", "zwei (zwei)"]
    check_error(sdk.post("to.txt/paragraphs?folder=out", json={"Text": "x"}), 400, "InvalidDocument")
    check_error(sdk.put("from.docx/saveAs", json={**options, "ZipOutput": True}), 400, "InvalidBody")


def test_convert(sdk: httpx.Client) -> None:
    made = sdk.put("convert?format=docx", content="\ufeffeins\r\nGrüße\n\n".encode())
    assert made.status_code == 200
    assert [item.text for item in opened(made.content).paragraphs] == ["eins", "Grüße", ""]
    assert sdk.put("convert?format=txt", content=made.content).text == "eins\nGrüße\n\n"
    page = sdk.put("convert?format=html", content=b"<script>x</script>")
    assert "<script>" not in page.text
    assert page.headers["content-security-policy"].startswith("sandbox")
    form = sdk.put("convert?format=txt", files={"document": ("a.docx", made.content)})
    assert form.text == "eins\nGrüße\n\n"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "InvalidDocument"),
        (b"\xff\xfe\x00", 400, "InvalidDocument"),
        (b"text \x00 with a nul", 400, "InvalidDocument"),
        (b"PK\x03\x04 and nothing", 400, "InvalidDocument"),
        (b"\n" * 20_000, 413, "DocumentTooLarge"),
        (b"x" * (1 << 20) + b"x", 413, "DocumentTooLarge"),
        (b"\0" * ((16 << 20) + 1), 413, "BodyTooLarge"),
    ],
)
@pytest.mark.parametrize("url", ["convert?format=txt", "online/get/paragraphs", "online/get/statistics"])
def test_bodies_that_are_no_document(sdk: httpx.Client, url: str, body: bytes, status: int, code: str) -> None:
    check_error(sdk.put(url, content=body), status, code)


def test_online_reads(sdk: httpx.Client) -> None:
    listed = sdk.put("online/get/sections/0/paragraphs", content=TWO)
    assert texts(listed) == ["eins", "zwei (zwei)"]
    assert "Link" not in listed.json()["Paragraphs"], "what is not stored has no address"
    one = sdk.put("online/get/paragraphs/1", content=TWO).json()["Paragraph"]
    assert (one["NodeId"], one["Text"]) == ("0.1", "zwei (zwei)")
    assert sdk.put("online/get/statistics", content=TWO).json()["StatData"]["WordCount"] == 3
    found = sdk.put("online/get/search?pattern=zwei", content=TWO).json()["SearchResults"]["ResultsList"]
    assert len(found) == 2


@pytest.mark.parametrize("names", [("document", "paragraph"), ("Document", "Paragraph")])
@pytest.mark.parametrize("file_name", ["a.docx", None])
def test_online_insert(sdk: httpx.Client, names: tuple[str, str], file_name: str | None) -> None:
    """The SDKs write the names of parts in different cases; one of them gives the document no file name."""
    files = {names[0]: (file_name, io.BytesIO(TWO)), names[1]: (None, b'{"Text": "Gr\\u00fc\\u00dfe"}')}
    model, document = two_parts(sdk.put("online/post/sections/0/paragraphs", files=files))
    assert b'"NodeId": "0.2"' in model
    assert [item.text for item in opened(document).paragraphs] == ["eins", "zwei (zwei)", "Grüße"]


def test_online_replace(sdk: httpx.Client) -> None:
    files = {"document": ("a", TWO), "replaceText": (None, b'{"OldValue": "zwei", "NewValue": "drei"}')}
    model, document = two_parts(sdk.put("online/put/replaceText", files=files))
    assert b'"Matches": 2' in model
    assert zipfile.is_zipfile(io.BytesIO(document))
    assert opened(document).paragraphs[1].text == "drei (drei)"


PARAGRAPH = ("paragraph", (None, b'{"Text": "x"}'))


@pytest.mark.parametrize(
    "files",
    [
        [("document", ("a", TWO))],
        [PARAGRAPH],
        [("document", ("a", TWO)), PARAGRAPH, PARAGRAPH],
        [("document", ("a", TWO)), ("document", ("b", TWO))],
        [("document", ("a", TWO)), ("other", (None, b"{}"))],
        [("document", ("a", TWO))] * 9,
    ],
)
def test_forms_with_the_wrong_parts(sdk: httpx.Client, files: list[tuple[str, tuple[str | None, bytes]]]) -> None:
    check_error(sdk.put("online/post/paragraphs", files=files), 400, "InvalidForm")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b""),  # what one SDK sends in a batch
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"no part at all"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="document"\r\n\r\ncut'),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nno name\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"y" * 20_000 + b"\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n'),
        (f"multipart/form-data; boundary={'b' * 300}", b"--" + b"b" * 300 + b"--\r\n"),
    ],
)
def test_broken_forms(sdk: httpx.Client, kind: str, body: bytes) -> None:
    check_error(sdk.put("online/post/paragraphs", content=body, headers={"content-type": kind}), 400, "InvalidForm")


def test_json_instead_of_a_form(sdk: httpx.Client) -> None:
    check_error(sdk.put("online/post/paragraphs", json={"Text": "x"}), 415, "UnsupportedMediaType")


def test_a_long_instruction_is_refused(sdk: httpx.Client) -> None:
    files = {"document": ("a", TWO), "paragraph": (None, b'{"Text": "' + b"x" * 70_000 + b'"}')}
    check_error(sdk.put("online/post/paragraphs", files=files), 413, "BodyTooLarge")


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "welcome.docx?password=x"),
        ("GET", "welcome.docx/paragraphs?storage=other"),
        ("POST", "welcome.docx/paragraphs?revisionAuthor=me"),
        ("PUT", "convert?format=txt&outPath=x.txt"),
        ("PUT", "storage/file/a.docx?storageName=other"),
    ],
)
def test_options_that_are_not_known_are_refused(sdk: httpx.Client, method: str, url: str) -> None:
    check_error(sdk.request(method, url, content=b'{"Text": "x"}', headers=JSON), 400, "UnsupportedOption")


@pytest.mark.parametrize(
    "name", ["..%2Fx.docx", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a%00.docx", "con.docx", "a%5Cb.docx"]
)
def test_bad_names(sdk: httpx.Client, name: str) -> None:
    answer = sdk.put(f"storage/file/{name}", content=TWO)
    assert answer.status_code == 400
    check_error(answer, 400, "InvalidName")


def test_routing_errors_have_the_shape_of_this_api(sdk: httpx.Client) -> None:
    check_error(sdk.get("no/such/path/at/all"), 404, "NotFound")
    wrong = sdk.post("convert?format=txt", content=TWO)
    check_error(wrong, 405, "MethodNotAllowed")
    assert wrong.headers["allow"] == "PUT"
    assert "error" in sdk.get(sdk.base_url.join("/v4/words/no-such.docx")).json(), "the first API keeps its own shape"
