"""What the JSON answers say about documents and paragraphs, with links to them.

Both APIs of the demo answer with these. A document that came in the body of a call has no place in the storage, so
it has no path and gets no links. Must never look at a request.
"""

from docx.document import Document

from . import words
from .names import document_url
from .store import Stored
from .words import Json


class Views:
    """Views of an API; `prefix` is where it is mounted."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def url(self, path: str) -> str:
        return document_url(self._prefix, path)

    def paragraph_url(self, path: str, section: int | None, *index: int) -> str:
        """URL of the paragraphs of the document or section, or of one of them."""
        above = () if section is None else ("sections", section)
        return document_url(self._prefix, path, *above, "paragraphs", *index)

    def link(self, path: str) -> Json:
        return _link(self.url(path))

    def info(self, stored: Stored, counts: Json) -> Json:
        """The document information; `counts` of words.document_info."""
        return {
            "FileName": stored.path.rpartition("/")[2],
            "FileSize": len(stored.data),
            "SourceFormat": "Docx",
            "IsEncrypted": False,
            "IsSigned": False,
            "ETag": stored.etag,
            **counts,
            "Links": [self.link(stored.path)],
        }

    def paragraphs(
        self, path: str | None, document: Document, section: int | None, skip: int = 0, top: int | None = None
    ) -> Json:
        """The paragraphs of the document or section, or a page of them."""
        found = words.placed(document, section)
        end = None if top is None else skip + top
        page = [
            {**words.describe(item), **self._paragraph_link(path, section, at)}
            for at, item in enumerate(found[skip:end], skip)
        ]
        own = self._paragraph_link(path, section)
        return {"Paragraphs": {"Count": len(found), "ParagraphLinkList": page, **own}}

    def paragraph(self, path: str | None, section: int | None, index: int, item: words.Placed) -> Json:
        """One paragraph with its runs."""
        return {"Paragraph": {**words.describe_fully(item), **self._paragraph_link(path, section, index)}}

    def _paragraph_link(self, path: str | None, section: int | None, *index: int) -> Json:
        return {} if path is None else {"Link": _link(self.paragraph_url(path, section, *index))}


def _link(url: str) -> Json:
    return {"Href": url, "Rel": "self"}
