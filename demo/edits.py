"""The changes of documents that both APIs offer, as the bodies of their calls ask for them.

Each gives what the answer says, and whether the document was changed. Must never look at a request or store anything.
"""

from docx.document import Document

from . import words
from .bodies import NewParagraph, ReplaceText
from .replace import replace_text


def replace(document: Document, wanted: ReplaceText) -> tuple[int, bool]:
    """Replaces text; how often."""
    matches = replace_text(
        document,
        wanted.old_value,
        wanted.new_value,
        match_case=bool(wanted.is_match_case),
        whole_word=bool(wanted.is_match_whole_word),
    )
    return matches, matches > 0


def append(document: Document, section: int | None, wanted: NewParagraph) -> tuple[tuple[int, words.Placed], bool]:
    """Appends a paragraph to the document or section; its index there and the paragraph."""
    index = words.append(document, section, wanted.text, wanted.style)
    return (index, words.pick(document, section, index)), True


def delete(document: Document, section: int | None, index: int) -> tuple[None, bool]:
    """Deletes a paragraph of the document or section."""
    words.remove(words.pick(document, section, index))
    return None, True
