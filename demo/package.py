"""Opening and saving .docx packages within bounds.

A .docx from a client is hostile until shown otherwise: what it unpacks to is bounded by what is read of it, while it
is read, and the nodes of its XML before a tree of them is built. Names and declared sizes are believed in nothing,
document type declarations are refused, and whatever goes wrong with a damaged file is the client's error (400), never
ours. CPU-heavy: call from a worker thread. Must never read anything but the bytes it was given.
"""

import contextlib
import copy
import io
import threading
import zipfile
from collections.abc import Callable, Mapping
from typing import TypeVar

from docx import Document as load
from docx.document import Document
from docx.oxml.ns import qn
from lxml import etree

from .errors import ApiError, log

MAX_PARTS = 500
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_XML_BYTES = 16 * 1024 * 1024
MAX_NODES = 250_000
"""Elements, attributes, namespaces, comments and processing instructions of all parts together."""

# `<a/>`: no node is written in less, so XML that is not larger has not too many.
_LEAST_NODE_BYTES = 4
# A package whose trees may be large is worked on alone.
_LARGE_BYTES = 1024 * 1024
_large = threading.Lock()

_CHUNK = 256 * 1024
_ENTRY_MARK = b"PK\x01\x02"
# What the format allows; zipfile unpacks the others in pieces of any size.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

Answer = TypeVar("Answer")


def with_document(data: bytes, work: Callable[[Document], Answer]) -> Answer:
    """Open `data` and give the document to `work`; damage found on the way is 400 InvalidDocument."""
    try:
        with _large if _check(data) > _LARGE_BYTES else contextlib.nullcontext():
            document = load(io.BytesIO(data))
            if document.element.tag != qn("w:document") or document.element.body is None:
                raise ValueError("the main part is no document with a body")
            return work(document)
    except ApiError:
        raise
    except Exception:
        # zipfile, lxml and python-docx raise some twenty unrelated types over damaged files, and
        # python-docx reads parts late, so damage may show up anywhere in the work.
        log.info("a document could not be processed", exc_info=True)
        raise _invalid("the file is not a readable .docx document") from None


def new_document() -> Document:
    """A document from the built-in template: no paragraphs, the usual styles."""
    return load()


def save(document: Document) -> bytes:
    """The document as .docx bytes; 413 if it has grown past what `with_document` would open."""
    out = io.BytesIO()
    document.save(out)
    data = out.getvalue()
    _check(data)
    return data


def _check(data: bytes) -> int:
    """Reads the package once within the bounds; the bytes it unpacks to."""
    # zipfile makes an object of every entry that the directory lists before it can be asked how many there are.
    if data.count(_ENTRY_MARK) > 20 * MAX_PARTS:
        raise _too_large()
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        entries = package.infolist()
        if len(entries) > MAX_PARTS:
            raise _too_large()
        parts = []
        total = named_xml = 0
        for entry in entries:
            part = _read(package, entry, MAX_UNPACKED_BYTES - total)
            total += len(part)
            if entry.filename.lower().endswith((".xml", ".rels")):
                named_xml += len(part)
                if named_xml > MAX_XML_BYTES:
                    raise _too_large()
            parts.append(part)
    scan = _Scan(counting=total > MAX_NODES * _LEAST_NODE_BYTES)
    while parts:
        scan.add(parts.pop())
    return total


def _read(package: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    """What an entry unpacks to, at most `limit` bytes; python-docx unpacks exactly as much when it reads the entry."""
    if entry.compress_type not in _METHODS:
        raise _invalid("the document is packed in a way that .docx files are not")
    # zipfile cuts what it has unpacked to the declared size. Here it is told of one beyond the limit, so that more than
    # was declared shows instead of being unpacked unseen, and unpacks in pieces.
    unbounded = copy.copy(entry)
    unbounded.file_size = limit + 2 * _CHUNK
    out = bytearray()
    with package.open(unbounded) as source:
        while chunk := source.read(_CHUNK):
            out += chunk
            if len(out) > limit:
                raise _too_large()
    if len(out) != entry.file_size:
        raise _invalid("the document declares sizes that are not its own")
    return bytes(out)


class _Begun(Exception):
    """The root element begins: what comes before it is all that was asked for."""


class _Scan:
    """Target of an XML parser: what python-docx may make trees of is gone through without making any.

    Whether a part is XML is known from its content type, which the package states itself, so each is tried by the
    parser and the way that python-docx takes; what is not XML fails there as it does here.
    """

    def __init__(self, counting: bool) -> None:
        self._counting = counting
        self._nodes = 0
        self._xml_bytes = 0
        self._part_bytes = 0

    def add(self, part: bytes) -> None:
        """413 if with this part there are too many nodes, or too much XML; 400 if it declares a document type."""
        self._part_bytes = len(part)
        try:
            etree.fromstring(part, etree.XMLParser(target=self, resolve_entities=False))
        except (_Begun, etree.XMLSyntaxError, ValueError):
            return

    def start(self, tag: str, attributes: Mapping[str, str], namespaces: Mapping[str, str]) -> None:
        if self._part_bytes:
            self._xml_bytes += self._part_bytes
            self._part_bytes = 0
            if self._xml_bytes > MAX_XML_BYTES:
                raise _too_large()
            if not self._counting:
                raise _Begun
        self._count(1 + len(attributes) + len(namespaces))

    def comment(self, text: str) -> None:
        self._count(1)

    def pi(self, target: str, data: str | None = None) -> None:
        self._count(1)

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise _invalid("the document declares a document type")

    def close(self) -> None:
        """Nothing was built."""

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise ApiError(413, "DocumentTooLarge", f"a document may have {MAX_NODES} XML elements and attributes")


def _too_large() -> ApiError:
    return ApiError(413, "DocumentTooLarge", "the document unpacks to more than is allowed")


def _invalid(message: str) -> ApiError:
    return ApiError(400, "InvalidDocument", message)
