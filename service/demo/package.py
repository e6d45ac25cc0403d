"""Opening and saving .docx packages within bounds.

A .docx from a client is hostile until shown otherwise: what it unpacks to, how many parts and XML
elements it has are bounded before anybody walks through it, document type declarations are
refused, and whatever goes wrong with a damaged file is the client's error (400), never ours.
CPU-heavy: call from a worker thread. Must never read anything but the bytes it was given.
"""

import io
import zipfile
from collections.abc import Callable
from typing import TypeVar

from docx import Document as load
from docx.document import Document
from docx.opc.part import XmlPart
from docx.oxml.ns import qn

from .errors import ApiError, log

MAX_PARTS = 500
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_XML_BYTES = 16 * 1024 * 1024
MAX_ELEMENTS = 400_000

_DECLARATIONS = [mark.encode(code) for mark in ("<!DOCTYPE", "<!ENTITY") for code in ("ascii", "utf-16-le")]

Answer = TypeVar("Answer")


def with_document(data: bytes, work: Callable[[Document], Answer]) -> Answer:
    """Open `data` and give the document to `work`; damage found on the way is 400 InvalidDocument."""
    try:
        _check_bounds(data)
        document = load(io.BytesIO(data))
        if document.element.tag != qn("w:document") or document.element.body is None:
            raise ValueError("the main part is no document with a body")
        _check_elements(document)
        return work(document)
    except ApiError:
        raise
    except Exception:
        # zipfile, lxml and python-docx raise some twenty unrelated types over damaged files, and
        # python-docx reads parts late, so damage may show up anywhere in the work.
        log.info("a document could not be processed", exc_info=True)
        raise ApiError(400, "InvalidDocument", "the file is not a readable .docx document") from None


def new_document() -> Document:
    """A document from the built-in template: no paragraphs, the usual styles."""
    return load()


def save(document: Document) -> bytes:
    """The document as .docx bytes; 413 if it has grown past what `with_document` would open."""
    out = io.BytesIO()
    document.save(out)
    data = out.getvalue()
    with zipfile.ZipFile(out) as package:
        _check_sizes(package.infolist())
    return data


def _check_bounds(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        entries = package.infolist()
        _check_sizes(entries)
        # zipfile reads no more of an entry than the size declared for it, so the sum just checked
        # bounds what is really unpacked here and by python-docx.
        for entry in entries:
            if _is_xml(entry):
                text = package.read(entry)
                if any(mark in text for mark in _DECLARATIONS):
                    raise ApiError(400, "InvalidDocument", "the document declares a document type")


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    xml = sum(entry.file_size for entry in entries if _is_xml(entry))
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_PARTS or unpacked > MAX_UNPACKED_BYTES or xml > MAX_XML_BYTES:
        raise ApiError(413, "DocumentTooLarge", "the document unpacks to more than is allowed")


def _check_elements(document: Document) -> None:
    package = document.part.package
    parts = package.iter_parts() if package else ()
    count = sum(part.element.xpath("count(//*)") for part in parts if isinstance(part, XmlPart))
    if count > MAX_ELEMENTS:
        raise ApiError(413, "DocumentTooLarge", f"a document may have {MAX_ELEMENTS} XML elements")


def _is_xml(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.lower().endswith((".xml", ".rels"))
