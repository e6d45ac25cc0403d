"""The SDK API's operations on documents that come in the body of the call; nothing is stored.

A document is the body itself, or a part of a form beside the JSON that says what to do. The SDKs name the parts in
different cases, and not all of them give the document a file name. Must never touch the storage.
"""

from collections.abc import Callable
from typing import TypeVar

from docx.document import Document
from starlette.requests import Request
from starlette.responses import Response

from . import edits, words
from .bodies import FORM_OVERHEAD_BYTES, Model, NewParagraph, ReplaceText, parse_json, read_bytes, read_form, too_large
from .errors import ApiError
from .package import save, with_document
from .sdk_answers import changed_document_answer, file_answer, model_answer
from .search import search
from .sources import as_docx, as_format
from .targets import index_of, section_of
from .views import Views
from .words import Json
from .workbench import Workbench

Answer = TypeVar("Answer")


class SdkOnline:
    """Handlers whose work the bench does. limit: bytes of a document."""

    def __init__(self, bench: Workbench, limit: int) -> None:
        self._bench = bench
        self._limit = limit
        self._views = Views("")

    async def convert(self, request: Request) -> Response:
        wanted = request.query_params.get("format", "").lower()
        data = await self._document(request)
        kind, out = await self._bench.run(lambda: as_format(data, wanted))
        return file_answer(kind, out)

    async def statistics(self, request: Request) -> Response:
        return await self._read(request, lambda document: {"StatData": words.statistics(document)})

    async def search(self, request: Request) -> Response:
        pattern = request.query_params.get("pattern", "")
        return await self._read(request, lambda document: search(document, pattern))

    async def paragraphs(self, request: Request) -> Response:
        section = section_of(request)
        return await self._read(request, lambda document: self._views.paragraphs(None, document, section))

    async def paragraph(self, request: Request) -> Response:
        section, index = section_of(request), index_of(request)
        return await self._read(
            request, lambda document: self._views.paragraph(None, section, index, words.pick(document, section, index))
        )

    async def insert_paragraph(self, request: Request) -> Response:
        section = section_of(request)
        data, wanted = await self._document_and(request, "paragraph", NewParagraph)

        def work(document: Document) -> Json:
            (index, item), _ = edits.append(document, section, wanted)
            return self._views.paragraph(None, section, index, item)

        body, changed = await self._change(data, work)
        return changed_document_answer(body, changed)

    async def replace(self, request: Request) -> Response:
        data, wanted = await self._document_and(request, "replaceText", ReplaceText)
        body, changed = await self._change(data, lambda document: {"Matches": edits.replace(document, wanted)[0]})
        return changed_document_answer(body, changed)

    async def _read(self, request: Request, work: Callable[[Document], Json]) -> Response:
        data = await self._document(request)
        return model_answer(await self._bench.run(lambda: with_document(as_docx(data), work)))

    async def _change(self, data: bytes, work: Callable[[Document], Answer]) -> tuple[Answer, bytes]:
        def worked(document: Document) -> tuple[Answer, bytes]:
            answer = work(document)
            return answer, save(document)

        return await self._bench.run(lambda: with_document(as_docx(data), worked))

    async def _document(self, request: Request) -> bytes:
        """The document of a call that needs nothing else."""
        parts = await read_form(request, self._limit)
        if parts is None:
            return await read_bytes(request, self._limit)
        if len(parts) != 1:
            raise ApiError(400, "InvalidForm", "the form must hold the document and nothing else")
        return self._bounded(parts[0].data)

    async def _document_and(self, request: Request, name: str, model: type[Model]) -> tuple[bytes, Model]:
        """The document of a call, and the JSON that says what to do with it."""
        parts = await read_form(request, self._limit)
        if parts is None:
            raise ApiError(415, "UnsupportedMediaType", f"the body must be a form with document and {name}")
        fields = {part.name.lower(): part.data for part in parts}
        if len(parts) != 2 or fields.keys() != {"document", name.lower()}:
            raise ApiError(400, "InvalidForm", f"the form must hold document and {name}, each once")
        if len(fields[name.lower()]) > FORM_OVERHEAD_BYTES:
            raise too_large(FORM_OVERHEAD_BYTES)
        return self._bounded(fields["document"]), parse_json(fields[name.lower()], model)

    def _bounded(self, data: bytes) -> bytes:
        if len(data) > self._limit:
            raise too_large(self._limit)
        return data
