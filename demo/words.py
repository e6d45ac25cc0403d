"""What the API does to paragraphs of a document, and what it tells about them.

Works on an open python-docx document and speaks in plain dicts shaped like the word-processing
API's JSON. Knows nothing of HTTP paths, storage or tags. Paragraphs are those of the body, in
order; those inside tables are not counted. Indices begin with 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.styles.style import ParagraphStyle
from docx.text.hyperlink import Hyperlink
from docx.text.paragraph import Paragraph
from docx.text.run import Run

from .blocks import DocumentReader, Table, text_of
from .errors import ApiError
from .package import new_document, save

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """A body paragraph and where it is: number of its section, index within the section."""

    paragraph: Paragraph
    section: int
    index: int

    @property
    def node_id(self) -> str:
        return f"{self.section}.{self.index}"


def placed(document: Document, section: int | None = None) -> list[Placed]:
    """The body's paragraphs, all or of one section; 404 for a section that does not exist."""
    found = list(_walk(document))
    if section is None:
        return found
    if section > _last_section(found):
        raise ApiError(404, "SectionNotFound", "the document has no such section")
    return [item for item in found if item.section == section]


def pick(document: Document, section: int | None, index: int) -> Placed:
    """One paragraph of the body or of a section; 404 beyond the last."""
    found = placed(document, section)
    if index >= len(found):
        raise ApiError(404, "ParagraphNotFound", "the document has no such paragraph")
    return found[index]


def create(texts: list[str]) -> bytes:
    """A new document with one paragraph for each text."""
    document = new_document()
    for text in texts:
        document.add_paragraph(text)
    return save(document)


def append(document: Document, section: int | None, text: str, style: str | None) -> int:
    """Add a paragraph at the end of the body or section. Its index among them is returned."""
    there = placed(document, section)
    chosen = _style(document, style) if style is not None else None
    new = document.add_paragraph(text, chosen)
    last = there[-1].paragraph if there else None
    if section is not None and last is not None and _ends_section(last):
        # The properties that end a section belong to its last paragraph: they move to the new one.
        last._p.addnext(new._p)
        new._p.get_or_add_pPr().append(last._p.pPr.sectPr)  # type: ignore[union-attr]
    return len(there)


def update(document: Document, item: Placed, text: str | None, style: str | None) -> None:
    """Set text (the formatting of single runs goes with the old text) and style where given."""
    if style is not None:
        item.paragraph.style = _style(document, style)
    if text is not None:
        for child in [*item.paragraph.iter_inner_content()]:
            element = child._hyperlink if isinstance(child, Hyperlink) else child._r
            item.paragraph._p.remove(element)
        item.paragraph.add_run(text)


def remove(item: Placed) -> None:
    """Delete a paragraph. If it ended a section, that section joins the next, as in a word processor."""
    item.paragraph._p.getparent().remove(item.paragraph._p)


def describe(item: Placed) -> Json:
    """Short form of a paragraph, as it stands in a list."""
    return {"NodeId": item.node_id, "Text": item.paragraph.text}


def describe_fully(item: Placed) -> Json:
    """A paragraph with its style and its runs as child nodes."""
    style = item.paragraph.style
    runs = [
        {
            "NodeId": f"{item.node_id}.{number}",
            "Text": run.text,
            "Bold": bool(run.bold),
            "Italic": bool(run.italic),
        }
        for number, run in enumerate(_runs(item.paragraph))
    ]
    return {**describe(item), "Style": style.name if style else None, "ChildNodes": runs}


def document_info(document: Document) -> Json:
    """Counts for the document information."""
    found = placed(document)
    return {
        "ParagraphCount": len(found),
        "SectionCount": _last_section(found) + 1,
        "TableCount": len(document.tables),
    }


def statistics(document: Document) -> Json:
    """Words, characters and paragraphs of the body, tables included; headers and footers not."""
    blocks = DocumentReader(document).blocks()
    texts = list(text_of(blocks))
    return {
        "WordCount": sum(len(text.split()) for text in texts),
        "ParagraphCount": sum(1 for text in texts if text.strip()),
        "CharacterCount": sum(len("".join(text.split())) for text in texts),
        "CharacterCountWithSpaces": sum(map(len, texts)),
        "TableCount": sum(isinstance(block, Table) for block in blocks),
    }


def _walk(document: Document) -> Iterator[Placed]:
    section = index = 0
    for paragraph in document.paragraphs:
        yield Placed(paragraph, section, index)
        section, index = (section + 1, 0) if _ends_section(paragraph) else (section, index + 1)


def _last_section(found: list[Placed]) -> int:
    if not found:
        return 0
    return found[-1].section + _ends_section(found[-1].paragraph)


def _ends_section(paragraph: Paragraph) -> bool:
    properties = paragraph._p.pPr
    return properties is not None and properties.sectPr is not None


def _runs(paragraph: Paragraph) -> Iterator[Run]:
    for child in paragraph.iter_inner_content():
        if isinstance(child, Hyperlink):
            yield from child.runs
        else:
            yield child


def _style(document: Document, name: str) -> ParagraphStyle:
    for style in document.styles:
        if style.type == WD_STYLE_TYPE.PARAGRAPH and name in (style.name, style.style_id):
            assert isinstance(style, ParagraphStyle)
            return style
    raise ApiError(400, "UnknownStyle", "the document has no paragraph style of this name")
