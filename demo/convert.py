"""Documents as plain text and as HTML.

Text from a document is always escaped in HTML, and only web and mail addresses become links; the
answer must never carry a script or fetch anything. CPU-heavy: call from a worker thread.
"""

from collections.abc import Callable
from html import escape
from urllib.parse import urlsplit

from docx.document import Document

from .blocks import Block, DocumentReader, Row, Span, Table, TextBlock

_LINK_SCHEMES = {"http", "https", "mailto"}


def to_text(document: Document) -> str:
    """One line for each paragraph, "- " or "1. " before list items, tabs between table cells."""
    return "".join(f"{line}\n" for line in _text_lines(DocumentReader(document).blocks()))


def to_html(document: Document) -> str:
    """A complete HTML document: headings, paragraphs, nested lists, tables, inline formatting."""
    blocks = DocumentReader(document).blocks()
    title = next((block.text for block in blocks if isinstance(block, TextBlock) and block.heading), "")
    return (
        f'<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"</head>\n<body>\n{_html_blocks(blocks)}</body>\n</html>\n"
    )


CONVERTERS: dict[str, tuple[str, Callable[[Document], str]]] = {
    "txt": ("text/plain", to_text),
    "html": ("text/html", to_html),
}


class _Lists:
    """The lists that are open while blocks go by. Levels that are skipped do not open empty lists."""

    def __init__(self) -> None:
        self.open: list[bool] = []
        self.counts: list[int] = []

    def enter(self, block: TextBlock) -> tuple[int, bool]:
        """How many open lists end before this item, and whether a new one begins."""
        depth = min(block.level, len(self.open))
        closed = max(0, len(self.open) - depth - 1)
        if depth < len(self.open) and self.open[depth] != block.ordered:
            closed += 1
        keep = len(self.open) - closed
        del self.open[keep:], self.counts[keep:]
        begins = keep <= depth
        if begins:
            self.open.append(block.ordered)
            self.counts.append(0)
        self.counts[-1] += 1
        return closed, begins


def _text_lines(blocks: list[Block]) -> list[str]:
    lines: list[str] = []
    lists = _Lists()
    for block in blocks:
        if isinstance(block, Table):
            lists = _Lists()
            lines += ["\t".join(_cell_text(cell.blocks) for cell in row.cells) for row in block.rows]
        elif block.level < 0:
            lists = _Lists()
            lines.append(block.text)
        else:
            lists.enter(block)
            mark = f"{lists.counts[-1]}. " if block.ordered else "- "
            lines.append("  " * (len(lists.open) - 1) + mark + block.text)
    return lines


def _cell_text(blocks: list[Block]) -> str:
    return " ".join(" ".join(line.split()) for line in _text_lines(blocks)).strip()


def _html_blocks(blocks: list[Block]) -> str:
    out: list[str] = []
    lists = _Lists()
    for block in blocks:
        if isinstance(block, TextBlock) and block.level >= 0:
            out.append(_html_item(block, lists))
            continue
        out += [_list_end(ordered) for ordered in reversed(lists.open)]
        lists = _Lists()
        if isinstance(block, Table):
            out.append(f"<table>\n{''.join(map(_html_row, block.rows))}</table>\n")
        else:
            tag = f"h{block.heading}" if block.heading else "p"
            out.append(f"<{tag}>{_html_spans(block.spans)}</{tag}>\n")
    out += [_list_end(ordered) for ordered in reversed(lists.open)]
    return "".join(out)


def _html_item(block: TextBlock, lists: _Lists) -> str:
    before = list(lists.open)
    closed, begins = lists.enter(block)
    out = "".join(_list_end(ordered) for ordered in reversed(before[len(before) - closed :]))
    if begins:
        nested = "\n" if len(lists.open) > 1 else ""
        out += nested + ("<ol>\n" if block.ordered else "<ul>\n")
    else:
        out += "</li>\n"
    return f"{out}<li>{_html_spans(block.spans)}"


def _list_end(ordered: bool) -> str:
    return "</li>\n</ol>\n" if ordered else "</li>\n</ul>\n"


def _html_row(row: Row) -> str:
    tag = "th" if row.header else "td"
    out = []
    for cell in row.cells:
        spans = f' colspan="{cell.columns}"' if cell.columns > 1 else ""
        spans += f' rowspan="{cell.rows}"' if cell.rows > 1 else ""
        out.append(f"<{tag}{spans}>{_html_cell(cell.blocks)}</{tag}>")
    return f"<tr>{''.join(out)}</tr>\n"


def _html_cell(blocks: list[Block]) -> str:
    match blocks:
        case [TextBlock(heading=0, level=-1) as only]:
            return _html_spans(only.spans)
    return _html_blocks(blocks)


def _html_spans(spans: list[Span]) -> str:
    return "".join(map(_html_span, spans))


def _html_span(span: Span) -> str:
    if not span.text:
        return ""
    out = escape(span.text).replace("\n", "<br>").replace("\t", "&emsp;")
    marks = {"strong": span.bold, "em": span.italic, "u": span.underline, "s": span.strike}
    for tag in [span.script, *(tag for tag, wanted in marks.items() if wanted)]:
        out = f"<{tag}>{out}</{tag}>" if tag else out
    if span.link and _is_web_address(span.link):
        out = f'<a href="{escape(span.link)}" rel="noopener noreferrer">{out}</a>'
    return out


def _is_web_address(link: str) -> bool:
    try:
        return urlsplit(link).scheme.lower() in _LINK_SCHEMES
    except ValueError:
        return False
