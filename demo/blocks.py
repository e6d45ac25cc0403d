"""A document read into plain blocks: headings, list items, paragraphs and tables of styled text.

The one place that knows how word processors mark up structure (styles and what they are based on,
numbering definitions, merged cells). The renderers in `convert.py` see only these blocks. A style
chain that loops, or a level that is out of range, must never hang or overflow anything here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from docx.document import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml.ns import qn
from docx.text.hyperlink import Hyperlink
from docx.text.paragraph import Paragraph
from docx.text.run import Run

MAX_STYLE_CHAIN = 16
MAX_LEVEL = 8
MAX_SPAN = 63

_HEADING = re.compile(r"(?i)heading ([1-9])$")
_LIST = re.compile(r"(?i)list (bullet|number)(?: ([2-9]))?$")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text in one look; `link` is an address outside the document or empty."""

    text: str
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    script: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class TextBlock:
    """A paragraph. `heading` 1..6 or 0; `level` 0..8 of a list item or -1; `ordered` says which list."""

    spans: list[Span]
    heading: int = 0
    level: int = -1
    ordered: bool = False

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)


@dataclass(slots=True)
class Cell:
    """A table cell; `rows` grows while the cells merged into it from below are met."""

    blocks: "list[Block]"
    columns: int = 1
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    cells: list[Cell]
    header: bool


@dataclass(frozen=True, slots=True)
class Table:
    rows: list[Row]


Block = TextBlock | Table


@dataclass(frozen=True, slots=True)
class _StyleFacts:
    """What a style or those it is based on say; None = nothing. `numbering` is (numId, level)."""

    heading: int = 0
    list_level: int = -1
    list_ordered: bool = False
    numbering: tuple[int, int] | None = None
    bold: bool | None = None
    italic: bool | None = None


@dataclass
class DocumentReader:
    """Reads the body of one document; keeps what it has learnt about styles and numbering."""

    document: Document
    _styles: dict[str, _StyleFacts] = field(default_factory=dict)
    _formats: dict[tuple[int, int], str] | None = None

    def blocks(self) -> list[Block]:
        """The blocks of the body in document order."""
        return self._blocks_of(self.document.element.body)

    def _blocks_of(self, container: Any) -> list[Block]:
        found: list[Block] = []
        for element in container:
            if element.tag == qn("w:p"):
                found.append(self._text_block(element))
            elif element.tag == qn("w:tbl"):
                found.append(self._table(element))
        return found

    def _text_block(self, element: Any) -> TextBlock:
        style = self._style_facts(element.pPr.style if element.pPr is not None else None)
        spans = list(self._spans(Paragraph(element, self.document._body)))
        if style.heading:
            return TextBlock(spans, heading=min(style.heading, 6))
        number = _numbering(element.pPr) or style.numbering
        if number is not None and number[0] == 0:
            return TextBlock(spans)
        if style.list_level >= 0:
            deeper = number[1] if number else 0
            return TextBlock(spans, level=max(style.list_level, deeper), ordered=style.list_ordered)
        if number is not None:
            return TextBlock(spans, level=number[1], ordered=self._format(*number) != "bullet")
        return TextBlock(spans)

    def _spans(self, paragraph: Paragraph) -> Iterator[Span]:
        for child in paragraph.iter_inner_content():
            if isinstance(child, Hyperlink):
                relations = self.document.part.rels
                link = child.url if child._hyperlink.rId in relations else ""
                for run in child.runs:
                    yield self._span(run, link)
            else:
                yield self._span(child, "")

    def _span(self, run: Run, link: str) -> Span:
        style = self._style_facts(run._r.style)
        font = run.font
        return Span(
            text=run.text,
            bold=bool(style.bold if font.bold is None else font.bold),
            italic=bool(style.italic if font.italic is None else font.italic),
            underline=bool(font.underline),
            strike=bool(font.strike or font.double_strike),
            script="sup" if font.superscript else "sub" if font.subscript else "",
            link=link,
        )

    def _table(self, element: Any) -> Table:
        rows: list[Row] = []
        open_cells: dict[int, Cell] = {}
        for tr in element.iterchildren(qn("w:tr")):
            cells: list[Cell] = []
            column = 0
            for tc in tr.iterchildren(qn("w:tc")):
                span = max(1, min(tc.grid_span, MAX_SPAN))
                merged = tc.vMerge
                if merged == "continue" and column in open_cells:
                    open_cells[column].rows += 1
                else:
                    cell = Cell(self._blocks_of(tc), span)
                    cells.append(cell)
                    if merged == "restart":
                        open_cells[column] = cell
                    else:
                        open_cells.pop(column, None)
                column += span
            rows.append(Row(cells, bool(tr.xpath("./w:trPr/w:tblHeader[not(@w:val='0' or @w:val='false')]"))))
        return Table(rows)

    def _style_facts(self, style_id: str | None) -> _StyleFacts:
        if style_id is None:
            return _StyleFacts()
        known = self._styles.get(style_id)
        if known is None:
            known = self._styles[style_id] = self._read_style(style_id)
        return known

    def _read_style(self, style_id: str) -> _StyleFacts:
        heading, level, ordered = 0, -1, False
        numbering: tuple[int, int] | None = None
        bold = italic = None
        styles: Any = self.document.styles.element
        style = styles.get_by_id(style_id)
        for _ in range(MAX_STYLE_CHAIN):
            if style is None:
                break
            name = style.name_val or ""
            if not heading and name.lower() == "title":
                heading = 1
            elif not heading and (match := _HEADING.match(name)):
                heading = int(match[1])
            if level < 0 and (match := _LIST.match(name)):
                level, ordered = int(match[2] or 1) - 1, match[1].lower() == "number"
            if numbering is None:
                numbering = _numbering(style.pPr)
            if style.rPr is not None:
                bold = style.rPr._get_bool_val("b") if bold is None else bold
                italic = style.rPr._get_bool_val("i") if italic is None else italic
            style = style.base_style
        return _StyleFacts(heading, level, ordered, numbering, bold, italic)

    def _format(self, number: int, level: int) -> str:
        if self._formats is None:
            self._formats = dict(self._read_formats())
        return self._formats.get((number, level), "bullet")

    def _read_formats(self) -> Iterator[tuple[tuple[int, int], str]]:
        try:
            part: Any = self.document.part.part_related_by(RELATIONSHIP_TYPE.NUMBERING)
        except KeyError:
            return
        abstract: dict[str, dict[int, str]] = {}
        for element in part.element.iterchildren(qn("w:abstractNum")):
            levels = abstract.setdefault(element.get(qn("w:abstractNumId")), {})
            for level in element.iterchildren(qn("w:lvl")):
                shape = level.find(qn("w:numFmt"))
                if shape is not None:
                    levels[int(level.get(qn("w:ilvl")))] = shape.get(qn("w:val"))
        for element in part.element.iterchildren(qn("w:num")):
            of = element.find(qn("w:abstractNumId"))
            for depth, shape in abstract.get(of.get(qn("w:val")) if of is not None else "", {}).items():
                yield (int(element.get(qn("w:numId"))), depth), shape


def text_of(blocks: list[Block]) -> Iterator[str]:
    """The text of each paragraph in the blocks, those in table cells included."""
    for block in blocks:
        if isinstance(block, TextBlock):
            yield block.text
        else:
            for row in block.rows:
                for cell in row.cells:
                    yield from text_of(cell.blocks)


def _numbering(properties: Any) -> tuple[int, int] | None:
    """(numId, level) of paragraph properties; numId 0 says: no list here, whatever the style says."""
    if properties is None or properties.numPr is None or properties.numPr.numId is None:
        return None
    found = properties.numPr
    return found.numId.val, max(0, min(found.ilvl.val if found.ilvl is not None else 0, MAX_LEVEL))
