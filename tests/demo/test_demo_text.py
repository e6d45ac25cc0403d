"""Replacement across runs, and conversion to text and HTML."""

import html.parser
import io
import time

import httpx
import pytest
from docx import Document as load
from docx_files import W, opened, package, paragraph, related, text_run


def convert(client: httpx.Client, data: bytes, kind: str = "html") -> str:
    client.put("storage/file/t.docx", content=data)
    answer = client.get(f"t.docx/export?format={kind}")
    assert answer.status_code == 200, answer.text
    assert (
        answer.headers["content-type"]
        == {
            "html": "text/html; charset=utf-8",
            "txt": "text/plain; charset=utf-8",
        }[kind]
    )
    return answer.text


def body_of(page: str) -> str:
    return page.partition("<body>\n")[2].partition("</body>")[0]


def replace(client: httpx.Client, data: bytes, old: str, new: str, **options: bool) -> int:
    client.put("storage/file/t.docx", content=data)
    answer = client.put("t.docx/replaceText", json={"OldValue": old, "NewValue": new, **options})
    assert answer.status_code == 200, answer.text
    assert answer.json()["DocumentLink"]["Href"] == "/v4/words/t.docx"
    matches: int = answer.json()["Matches"]
    return matches


def runs(client: httpx.Client) -> list[tuple[str, bool]]:
    document = opened(client.get("storage/file/t.docx").content)
    return [(run.text, bool(run.bold)) for item in document.paragraphs for run in item.runs if run.text]


def test_replace_across_runs_keeps_formatting(client: httpx.Client) -> None:
    data = package(paragraph(text_run("Dear Mis"), text_run("ter ", "<w:b/>"), text_run("Smith, Mister")))
    assert replace(client, data, "mister", "Dr.") == 2
    assert runs(client) == [("Dear Dr.", False), (" ", True), ("Smith, Dr.", False)]


def test_replace_options(client: httpx.Client) -> None:
    data = package(paragraph(text_run("Cat cat concat a.b axb")))
    assert replace(client, data, "cat", "dog", IsMatchCase=True) == 2
    assert replace(client, data, "cat", "dog", IsMatchWholeWord=True) == 2
    assert replace(client, data, "a.b", r"\1$&<b>") == 1
    assert client.get("t.docx/text").text == "Cat cat concat \\1$&<b> axb\n"
    refused = client.put("t.docx/replaceText", json={"OldValue": "", "NewValue": "x"})
    assert refused.status_code == 400
    regex = {"OldValue": "(a+)+$", "NewValue": "x", "IsOldValueRegex": True}
    assert client.put("t.docx/replaceText", json=regex).status_code == 400


def test_replace_tabs_and_line_ends(client: httpx.Client) -> None:
    run = "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:br w:type='page'/><w:t>d</w:t></w:r>"
    data = package(paragraph(run))
    assert replace(client, data, "a\tb\nc", "x\ny\tz ") == 1
    assert opened(client.get("storage/file/t.docx").content).paragraphs[0].text == "x\ny\tz d"
    assert replace(client, data, "cd", "x") == 0


def test_replace_in_tables_headers_and_text_boxes(client: httpx.Client) -> None:
    inner = f"<w:txbxContent>{paragraph(text_run('old box'))}</w:txbxContent>"
    mc = "http://schemas.openxmlformats.org/markup-compatibility/2006"
    box = (
        f"<w:r><mc:AlternateContent xmlns:mc='{mc}'><mc:Choice>{inner}</mc:Choice>"
        f"<mc:Fallback>{inner}</mc:Fallback></mc:AlternateContent></w:r>"
    )
    table = f"<w:tbl><w:tr><w:tc>{paragraph(text_run('old cell'))}</w:tc></w:tr></w:tbl>"
    data = package(paragraph(text_run("old "), box, text_run("old")) + table)
    assert replace(client, data, "old", "new") == 4
    xml = client.get("storage/file/t.docx").content
    assert b"old" not in opened(xml).part.blob
    assert opened(xml).part.blob.count(b"new box") == 2

    with_header = load()
    with_header.sections[0].header.paragraphs[0].text = "old header"
    out = io.BytesIO()
    with_header.save(out)
    assert replace(client, out.getvalue(), "OLD", "new") == 1
    changed = opened(client.get("storage/file/t.docx").content)
    assert changed.sections[0].header.paragraphs[0].text == "new header"


def test_replace_is_linear_and_bounded(client: httpx.Client) -> None:
    data = package(paragraph(*(text_run("ab" * 500) for _ in range(500))))
    begin = time.perf_counter()
    assert replace(client, data, "b", "cc") == 250_000
    assert time.perf_counter() - begin < 10
    answer = client.put("t.docx/replaceText", json={"OldValue": "c", "NewValue": "x" * 60_000})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "DocumentTooLarge")


def test_inline_html(client: httpx.Client) -> None:
    relation = (
        '<Relationship Id="h1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        'hyperlink" Target="https://example.org/?a=1&amp;b=&quot;" TargetMode="External"/>'
        '<Relationship Id="h2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        'hyperlink" Target="javascript:alert(1)" TargetMode="External"/>'
    )
    links = "".join(f"<w:hyperlink r:id='{at}'>{text_run(at)}</w:hyperlink>" for at in ("h1", "h2", "h3"))
    marks = text_run("b", "<w:b/>") + text_run("i", "<w:i/>") + text_run("both", "<w:b/><w:i/>")
    more = text_run("u", '<w:u w:val="single"/>') + text_run("s", "<w:strike/>")
    script = text_run("2", '<w:vertAlign w:val="superscript"/>')
    data = package(paragraph(text_run("&lt;&amp;\"'&gt;"), marks, more, script, links), relations=relation)
    assert body_of(convert(client, data)) == (
        "<p>&lt;&amp;&quot;&#x27;&gt;<strong>b</strong><em>i</em><em><strong>both</strong></em>"
        '<u>u</u><s>s</s><sup>2</sup><a href="https://example.org/?a=1&amp;b=&quot;" '
        'rel="noopener noreferrer">h1</a>h2h3</p>\n'
    )


def test_headings_lists_and_title(client: httpx.Client) -> None:
    paragraphs = [
        ("Heading 1", "Top <1>"),
        ("List Bullet", "a"),
        ("List Bullet 2", "a.a"),
        ("List Number 2", "a.1"),
        ("List Bullet", "b"),
        ("List Number", "first"),
        ("List Number", "second"),
        ("Normal", "text"),
        ("List Number 3", "alone"),
        ("Heading 7", "deep"),
    ]
    client.post("documents", json={"Name": "l.docx"})
    for style, text in paragraphs:
        client.post("l.docx/paragraphs", json={"Text": text, "Style": style})
    page = client.get("l.docx?format=html").text
    assert "<title>Top &lt;1&gt;</title>" in page
    assert body_of(page).replace("\n", "") == (
        "<h1>Top &lt;1&gt;</h1><ul><li>a<ul><li>a.a</li></ul><ol><li>a.1</li></ol></li><li>b</li></ul>"
        "<ol><li>first</li><li>second</li></ol><p>text</p><ol><li>alone</li></ol><h6>deep</h6>"
    )
    assert client.get("l.docx/text").text == (
        "Top <1>\n- a\n  - a.a\n  1. a.1\n- b\n1. first\n2. second\ntext\n1. alone\ndeep\n"
    )


def test_lists_by_numbering_definitions(client: httpx.Client) -> None:
    numbering = (
        f"<w:numbering xmlns:w='{W}'><w:abstractNum w:abstractNumId='5'>"
        "<w:lvl w:ilvl='0'><w:numFmt w:val='decimal'/></w:lvl>"
        "<w:lvl w:ilvl='1'><w:numFmt w:val='bullet'/></w:lvl></w:abstractNum>"
        "<w:num w:numId='3'><w:abstractNumId w:val='5'/></w:num></w:numbering>"
    )

    def item(text: str, level: int, number: int = 3) -> str:
        mark = f"<w:numPr><w:ilvl w:val='{level}'/><w:numId w:val='{number}'/></w:numPr>"
        return paragraph(text_run(text), properties=mark)

    body = item("a", 0) + item("b", 1) + item("c", 0) + item("none", 0, 0) + item("unknown", 0, 77)
    data = package(body, relations=related("numbering", "numbering"), parts={"word/numbering.xml": numbering})
    assert convert(client, data, "txt") == "1. a\n  - b\n2. c\nnone\n- unknown\n"


def test_table_with_merged_cells(client: httpx.Client) -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text_run(text))}</w:tc>"

    wide, begin, more = '<w:gridSpan w:val="2"/>', '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    nested = f"<w:tc><w:tbl><w:tr>{cell('in')}</w:tr></w:tbl><w:p/></w:tc>"
    data = package(
        f"<w:tbl><w:tr><w:trPr><w:tblHeader/></w:trPr>{cell('H', wide)}</w:tr>"
        f"<w:tr>{cell('tall', begin)}{cell('x')}</w:tr><w:tr>{cell('', more)}{nested}</w:tr></w:tbl>"
    )
    assert body_of(convert(client, data)).replace("\n", "") == (
        '<table><tr><th colspan="2">H</th></tr><tr><td rowspan="2">tall</td><td>x</td></tr>'
        "<tr><td><table><tr><td>in</td></tr></table><p></p></td></tr></table>"
    )
    assert convert(client, data, "txt") == "H\ntall\tx\nin\n"


def test_seeds_convert_to_balanced_html(client: httpx.Client) -> None:
    class Balance(html.parser.HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.seen: set[str] = set()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.seen.add(tag)
            if tag not in ("meta", "br"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    seen: set[str] = set()
    for name in ("welcome.docx", "report.docx"):
        balance = Balance()
        balance.feed(client.get(f"{name}/export?format=html").text)
        assert balance.open == []
        seen |= balance.seen
    assert seen >= {"h1", "p", "ul", "ol", "li", "table", "th", "td", "strong", "em"}


@pytest.mark.parametrize("query", ["", "?format=", "?format=pdf", "?format=../x"])
def test_unknown_format(client: httpx.Client, query: str) -> None:
    answer = client.get(f"welcome.docx/export{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "UnsupportedFormat")
