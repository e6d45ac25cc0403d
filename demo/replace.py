"""Replacing text wherever it stands in a document, across runs, keeping their formatting.

A word processor splits a sentence into runs at will, so a match may begin in one run and end in
another: the new text takes the formatting of the run in which the match begins. Body, tables, text
boxes, headers and footers are searched; a match never crosses a paragraph, a picture or a field
mark. Work is linear in the text, and what replacement may add to a document is bounded.
"""

import re
from collections.abc import Iterator
from typing import Any

from docx.document import Document
from docx.opc.part import XmlPart
from docx.oxml.ns import nsmap, qn
from docx.oxml.parser import OxmlElement
from docx.parts.document import DocumentPart
from docx.parts.hdrftr import FooterPart, HeaderPart

from .errors import ApiError

MAX_ADDED_CHARACTERS = 8 * 1024 * 1024

_PARAGRAPH, _RUN, _TEXT = qn("w:p"), qn("w:r"), qn("w:t")
_TAB, _BREAK, _RETURN = qn("w:tab"), qn("w:br"), qn("w:cr")
_TRANSPARENT = {qn("w:rPr"), qn("w:lastRenderedPageBreak")}
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
# Stands for what is no text. It cannot occur in XML, so no search text can match it.
_BARRIER = "\x00"


def replace_text(document: Document, old: str, new: str, *, match_case: bool, whole_word: bool) -> int:
    """Replace every `old` by `new`, both taken literally. Returns how often; 413 if too much."""
    pattern = re.escape(old)
    if whole_word:
        pattern = rf"(?<!\w){pattern}(?!\w)"
    search = re.compile(pattern, 0 if match_case else re.IGNORECASE)
    matches = room = 0
    for part in _story_parts(document):
        for paragraph in [*part.element.iter(_PARAGRAPH)]:
            found = _replace_in(paragraph, search, new, MAX_ADDED_CHARACTERS - room)
            room += found * len(new)
            # A text box is stored twice, for new and for old programs. Both are kept alike, one counts.
            if next(paragraph.iterancestors(_FALLBACK), None) is None:
                matches += found
    return matches


def _story_parts(document: Document) -> Iterator[XmlPart]:
    package = document.part.package
    for part in package.iter_parts() if package else ():
        if isinstance(part, DocumentPart | HeaderPart | FooterPart):
            yield part


def _replace_in(paragraph: Any, search: re.Pattern[str], new: str, room: int) -> int:
    pieces = [(child, _text_of(child)) for run in _own_runs(paragraph) for child in run]
    pieces = [(child, text) for child, text in pieces if text]
    text = "".join(piece for _, piece in pieces)
    found = [match.span() for match in search.finditer(text)]
    if len(found) * len(new) > room:
        raise ApiError(413, "DocumentTooLarge", f"a call may add {MAX_ADDED_CHARACTERS} characters")
    if found:
        changed = _rebuild([len(piece) for _, piece in pieces], text, found, new)
        for (element, before), after in zip(pieces, changed, strict=True):
            if after != before:
                _rewrite(element, after)
    return len(found)


def _own_runs(paragraph: Any) -> Iterator[Any]:
    for run in paragraph.iter(_RUN):
        # Runs of a text box anchored in this paragraph belong to the paragraphs in the box.
        if next(run.iterancestors(_PARAGRAPH)) is paragraph:
            yield run


def _text_of(child: Any) -> str:
    if child.tag == _TEXT:
        return child.text or ""
    if child.tag in _TRANSPARENT:
        return ""
    if child.tag == _TAB:
        return "\t"
    if child.tag == _RETURN:
        return "\n"
    if child.tag == _BREAK and child.get(qn("w:type"), "textWrapping") == "textWrapping":
        return "\n"
    return _BARRIER


def _rebuild(lengths: list[int], text: str, found: list[tuple[int, int]], new: str) -> list[str]:
    """The text of each piece after replacement; one pass over pieces and matches together."""
    out: list[list[str]] = [[] for _ in lengths]
    ends, total = [], 0
    for length in lengths:
        total += length
        ends.append(total)
    piece = 0

    def keep(start: int, stop: int) -> None:
        nonlocal piece
        while start < stop:
            while ends[piece] <= start:
                piece += 1
            cut = min(stop, ends[piece])
            out[piece].append(text[start:cut])
            start = cut

    done = 0
    for start, stop in found:
        keep(done, start)
        while ends[piece] <= start:
            piece += 1
        out[piece].append(new)
        done = stop
    keep(done, total)
    return ["".join(parts) for parts in out]


def _rewrite(element: Any, text: str) -> None:
    """Put elements that hold `text` in place of one; tabs and line ends become elements of their own."""
    for part in filter(None, re.split(r"([\t\n])", text)):
        made: Any = OxmlElement({"\t": "w:tab", "\n": "w:br"}.get(part, "w:t"))
        if made.tag == _TEXT:
            made.text = part
            if part.strip() != part:
                made.set(f"{{{nsmap['xml']}}}space", "preserve")
        element.addprevious(made)
    element.getparent().remove(element)
