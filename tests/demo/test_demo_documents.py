"""Documents and their paragraphs: every operation, as a client sees it."""

import httpx
import pytest
from docx_files import opened, package, paragraph, text_run

SECTION_END = "<w:sectPr/>"


def stored(client: httpx.Client, data: bytes, name: str = "t.docx") -> None:
    assert client.put(f"storage/file/{name}", content=data).status_code == 201


def texts(client: httpx.Client, url: str) -> list[str]:
    return [item["Text"] for item in client.get(url).json()["Paragraphs"]["ParagraphLinkList"]]


def test_service_document_lists_what_there_is(client: httpx.Client) -> None:
    listed = client.get("").json()
    assert listed["Root"] == "/v4/words/"
    assert len(listed["Operations"]) == 26
    assert listed["Operations"][0]["Path"] == ""
    for entry in listed["Operations"]:
        path = entry["Path"].replace("{section}", "0").replace("{index}", "0").replace("{name}", "no.docx")
        answer = client.request(entry["Method"], path.replace("{path}", "no.docx"))
        assert answer.status_code != 405, entry
    assert client.request("TRACE", "welcome.docx").status_code == 405


def test_create_document(client: httpx.Client) -> None:
    made = client.post("documents", json={"Name": "new one.docx", "Paragraphs": ["Grüße", "a\nb\tc"]})
    assert made.status_code == 201
    assert made.headers["location"] == "/v4/words/new%20one.docx"
    info = made.json()["Document"]
    assert info["ParagraphCount"] == 2
    assert info["ETag"] == made.headers["etag"]
    assert client.get("new%20one.docx").json() == made.json()
    assert client.get("new%20one.docx/text").text == "Grüße\na\nb\tc\n"
    document = opened(client.get("storage/file/new%20one.docx").content)
    assert [item.text for item in document.paragraphs] == ["Grüße", "a\nb\tc"]

    again = client.post("documents", json={"Name": "new one.docx"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "DocumentExists")


def test_location_in_a_folder_leads_there(client: httpx.Client) -> None:
    made = client.post("documents", json={"Name": "in box/a.docx", "Paragraphs": ["x"]})
    assert made.headers["location"] == "/v4/words/a.docx?folder=in%20box"
    host = str(client.base_url).removesuffix("/v4/words/")
    assert client.get(host + made.headers["location"]).json()["Document"]["FileName"] == "a.docx"
    added = client.post("a.docx/paragraphs?folder=in+box", json={"Text": "y"})
    assert client.get(host + added.headers["location"]).json() == added.json()


def test_append_and_read(client: httpx.Client) -> None:
    client.post("documents", json={"Name": "a.docx", "Paragraphs": ["one"]})
    added = client.post("a.docx/paragraphs", json={"Text": "two", "Style": "Heading 2"})
    assert added.status_code == 201
    assert added.headers["location"] == "/v4/words/a.docx/paragraphs/1"
    body = added.json()["Paragraph"]
    assert (body["NodeId"], body["Text"], body["Style"]) == ("0.1", "two", "Heading 2")
    assert body["ChildNodes"] == [{"NodeId": "0.1.0", "Text": "two", "Bold": False, "Italic": False}]
    assert client.get("a.docx/paragraphs/1").json() == added.json()
    assert client.get("a.docx").headers["etag"] == added.headers["etag"]

    by_section = client.post("a.docx/sections/0/paragraphs", json={"Text": "three", "Position": None})
    assert by_section.headers["location"] == "/v4/words/a.docx/sections/0/paragraphs/2"
    assert texts(client, "a.docx/paragraphs") == texts(client, "a.docx/sections/0/paragraphs")
    assert texts(client, "a.docx/paragraphs") == ["one", "two", "three"]


def test_paging(client: httpx.Client) -> None:
    client.post("documents", json={"Name": "a.docx", "Paragraphs": [str(n) for n in range(1500)]})
    listed = client.get("a.docx/paragraphs").json()["Paragraphs"]
    assert (listed["Count"], len(listed["ParagraphLinkList"])) == (1500, 1000)
    page = client.get("a.docx/paragraphs?skip=1498&top=5").json()["Paragraphs"]["ParagraphLinkList"]
    assert [item["Text"] for item in page] == ["1498", "1499"]
    assert page[0]["Link"]["Href"] == "/v4/words/a.docx/paragraphs/1498"
    assert client.get("a.docx/paragraphs?skip=-1").status_code == 400
    assert client.get("a.docx/paragraphs?top=x").status_code == 400


def test_put_patch_delete_paragraph(client: httpx.Client) -> None:
    client.post("documents", json={"Name": "a.docx", "Paragraphs": ["one", "two", "three"]})
    put = client.put("a.docx/paragraphs/1", json={"Text": "TWO", "Style": "List Bullet"})
    assert (put.status_code, put.json()["Paragraph"]["Style"]) == (200, "List Bullet")
    patched = client.patch("a.docx/sections/0/paragraphs/1", json={"Style": "Quote"})
    assert (patched.json()["Paragraph"]["Text"], patched.json()["Paragraph"]["Style"]) == ("TWO", "Quote")
    assert client.put("a.docx/paragraphs/1", json={"Style": "Quote"}).status_code == 400
    assert client.delete("a.docx/paragraphs/0").status_code == 204
    assert texts(client, "a.docx/paragraphs") == ["TWO", "three"]


def test_put_takes_links_and_runs_away(client: httpx.Client) -> None:
    link = f"<w:hyperlink w:anchor='x'>{text_run('link')}</w:hyperlink>"
    stored(client, package(paragraph(text_run("a ", "<w:b/>"), link, text_run(" b"))))
    assert client.get("t.docx/paragraphs/0").json()["Paragraph"]["Text"] == "a link b"
    client.put("t.docx/paragraphs/0", json={"Text": "plain"})
    assert [run["Text"] for run in client.get("t.docx/paragraphs/0").json()["Paragraph"]["ChildNodes"]] == ["plain"]


def test_sections(client: httpx.Client) -> None:
    ending = paragraph(text_run("end of 0"), properties=SECTION_END)
    stored(client, package(f"{paragraph(text_run('a'))}{ending}{paragraph(text_run('b'))}<w:sectPr/>"))
    assert client.get("t.docx").json()["Document"]["SectionCount"] == 2
    assert texts(client, "t.docx/sections/0/paragraphs") == ["a", "end of 0"]
    assert texts(client, "t.docx/sections/1/paragraphs") == ["b"]
    missing = client.get("t.docx/sections/2/paragraphs")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "SectionNotFound")

    added = client.post("t.docx/sections/0/paragraphs", json={"Text": "new end"})
    assert added.json()["Paragraph"]["NodeId"] == "0.2"
    client.post("t.docx/sections/1/paragraphs", json={"Text": "c"})
    assert texts(client, "t.docx/sections/0/paragraphs") == ["a", "end of 0", "new end"]
    assert texts(client, "t.docx/sections/1/paragraphs") == ["b", "c"]
    nodes = client.get("t.docx/paragraphs").json()["Paragraphs"]["ParagraphLinkList"]
    assert [node["NodeId"] for node in nodes] == ["0.0", "0.1", "0.2", "1.0", "1.1"]

    client.delete("t.docx/sections/0/paragraphs/2")
    assert texts(client, "t.docx/sections/0/paragraphs") == ["a", "end of 0", "b", "c"]


def test_empty_document(client: httpx.Client) -> None:
    stored(client, package(""))
    assert texts(client, "t.docx/paragraphs") == []
    assert client.get("t.docx/text").text == ""
    assert client.post("t.docx/sections/0/paragraphs", json={"Text": "first"}).status_code == 201


def test_statistics(client: httpx.Client) -> None:
    table = f"<w:tbl><w:tr><w:tc>{paragraph(text_run('in table'))}</w:tc></w:tr></w:tbl>"
    stored(client, package(f"{paragraph(text_run('three little words'))}<w:p/>{table}"))
    assert client.get("t.docx/statistics").json()["StatData"] == {
        "WordCount": 5,
        "ParagraphCount": 2,
        "CharacterCount": 23,
        "CharacterCountWithSpaces": 26,
        "TableCount": 1,
    }


def test_copy_and_delete(client: httpx.Client) -> None:
    copied = client.post("welcome.docx/copy", json={"DestName": "copy.docx"})
    assert (copied.status_code, copied.headers["location"]) == (201, "/v4/words/copy.docx")
    assert client.get("copy.docx/text").text == client.get("welcome.docx/text").text
    assert client.post("welcome.docx/copy", json={"DestName": "copy.docx"}).status_code == 409
    client.post("copy.docx/paragraphs", json={"Text": "only here"})
    assert client.get("copy.docx/text").text != client.get("welcome.docx/text").text
    assert client.delete("copy.docx").status_code == 204
    assert client.get("copy.docx").status_code == 404


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", "no.docx", None),
        ("GET", "no.docx/text", None),
        ("GET", "no.docx/export?format=html", None),
        ("GET", "no.docx/statistics", None),
        ("GET", "no.docx/paragraphs", None),
        ("GET", "welcome.docx/paragraphs/99", None),
        ("GET", f"welcome.docx/paragraphs/{'9' * 5000}", None),
        ("GET", "welcome.docx/paragraphs/x", None),
        ("GET", "welcome.docx/sections/1/paragraphs/0", None),
        ("GET", "welcome.docx/nothing", None),
        ("DELETE", "no.docx", None),
        ("DELETE", "welcome.docx/paragraphs/99", None),
        ("POST", "no.docx/paragraphs", {"Text": "x"}),
        ("POST", "welcome.docx/sections/7/paragraphs", {"Text": "x"}),
        ("PUT", "no.docx/replaceText", {"OldValue": "x", "NewValue": "y"}),
        ("PATCH", "welcome.docx/paragraphs/99", {"Text": "x"}),
        ("POST", "no.docx/copy", {"DestName": "x.docx"}),
    ],
)
def test_not_found(client: httpx.Client, method: str, url: str, body: object) -> None:
    answer = client.request(method, url, json=body) if body else client.request(method, url)
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["code"].endswith("NotFound")
    assert error["message"]


def test_method_not_allowed_names_all_methods(client: httpx.Client) -> None:
    answer = client.post("welcome.docx/paragraphs/0", json={})
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "PATCH", "DELETE"}
    assert answer.json()["error"]["code"] == "MethodNotAllowed"


def test_head(client: httpx.Client) -> None:
    answer = client.head("welcome.docx")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"]


@pytest.mark.parametrize(
    ("url", "content", "status"),
    [
        ("documents", b"{", 400),
        ("documents", b"[]", 400),
        ("documents", b"", 400),
        ("documents", b'{"Name": 7}', 400),
        ("documents", b'{"Paragraphs": []}', 400),
        ("documents", b'{"Name": "a.docx", "Paragraphs": "no list"}', 400),
        ("documents", b'{"Name": "a.docx", "Secret1234": 1}', 400),
        ("documents", b'{"Name": "a.txt"}', 400),
        ("documents", b'{"Name": "a.docx", "Paragraphs": ["\\u0000"]}', 400),
        ("documents", b'{"Name": "a.docx", "Paragraphs": ["\\ud800"]}', 400),
        ("documents", b'{"Name": "\xff.docx"}', 400),
        ("documents", b"[" * 100_000, 400),
        ("documents", b" " * 1_048_577, 413),
        ("welcome.docx/paragraphs", b'{"Text": "a", "Style": "No Such Style"}', 400),
        ("welcome.docx/paragraphs", b'{"Text": "a", "Style": "Emphasis"}', 400),
        ("welcome.docx/paragraphs", b'{"Text": "a", "Position": {"NodeId": "0.0"}}', 400),
        ("welcome.docx/paragraphs", b'{"Text": null}', 400),
    ],
)
def test_bad_json(client: httpx.Client, url: str, content: bytes, status: int) -> None:
    answer = client.post(url, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert "Secret1234" not in answer.text


def test_content_types(client: httpx.Client) -> None:
    def post(kind: str) -> int:
        body = b'{"Text": "x"}'
        answer = client.post("welcome.docx/paragraphs", content=body, headers={"content-type": kind})
        return answer.status_code

    assert post("application/json; charset=utf-8") == 201
    assert post("application/vnd.demo+json") == 201
    assert post("text/plain") == 415
    assert post("application/x-www-form-urlencoded") == 415
