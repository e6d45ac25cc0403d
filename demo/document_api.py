"""HTTP handlers of documents and their paragraphs.

A change runs under the lock of its document (workbench.py); nothing here may wait for a client while it does.
"""

from collections.abc import Callable
from typing import TypeVar

from docx.document import Document
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import edits, words
from .bodies import CopyDocument, NewDocument, NewParagraph, ParagraphUpdate, ReplaceText, read_json
from .conditions import is_not_modified, require_conditions
from .convert import CONVERTERS
from .errors import ApiError
from .names import new_document_path
from .package import with_document
from .store import Store, Stored
from .targets import index_of, path_of, query_number, section_of
from .views import Views
from .words import Json
from .workbench import Workbench

PAGE = 1000

Answer = TypeVar("Answer")


class DocumentApi:
    """Handlers over one store, whose work the bench does; `prefix` is where the app is mounted, for links."""

    def __init__(self, store: Store, bench: Workbench, prefix: str) -> None:
        self._store = store
        self._bench = bench
        self._views = Views(prefix)

    async def create(self, request: Request) -> Response:
        wanted = await read_json(request, NewDocument)
        path = new_document_path(wanted.name)

        def work() -> tuple[bytes, Json]:
            data = words.create(wanted.paragraphs)
            return data, with_document(data, words.document_info)

        async with self._store.lock(path):
            self._require_absent(path)
            data, info = await self._bench.run(work)
            stored = self._store.put(path, data)
        return self._answer({"Document": self._views.info(stored, info)}, stored, 201, self._views.url(path))

    async def copy(self, request: Request) -> Response:
        source = self._store.get(path_of(request))
        require_conditions(request, source)
        path = new_document_path((await read_json(request, CopyDocument)).dest_name)
        info = await self._bench.run(lambda: with_document(source.data, words.document_info))
        async with self._store.lock(path):
            self._require_absent(path)
            stored = self._store.put(path, source.data)
        return self._answer({"Document": self._views.info(stored, info)}, stored, 201, self._views.url(path))

    async def info(self, request: Request) -> Response:
        if "format" in request.query_params:
            return await self.export(request)
        return await self._read(
            request, lambda stored, document: {"Document": self._views.info(stored, words.document_info(document))}
        )

    async def delete(self, request: Request) -> Response:
        path = path_of(request)
        async with self._store.lock(path):
            require_conditions(request, self._store.get(path))
            self._store.delete(path)
        return Response(status_code=204)

    async def export(self, request: Request) -> Response:
        return await self._convert(request, request.query_params.get("format", "").lower())

    async def text(self, request: Request) -> Response:
        return await self._convert(request, "txt")

    async def statistics(self, request: Request) -> Response:
        return await self._read(
            request,
            lambda stored, document: {
                "DocumentLink": self._views.link(stored.path),
                "StatData": words.statistics(document),
            },
        )

    async def replace(self, request: Request) -> Response:
        wanted = await read_json(request, ReplaceText)
        stored, matches = await self._change(request, lambda document: edits.replace(document, wanted))
        return self._answer({"DocumentLink": self._views.link(stored.path), "Matches": matches}, stored)

    async def paragraphs(self, request: Request) -> Response:
        section = section_of(request)
        skip, top = query_number(request, "skip", 0), min(query_number(request, "top", PAGE), PAGE)

        return await self._read(
            request,
            lambda stored, document: self._views.paragraphs(stored.path, document, section, skip, top),
        )

    async def paragraph(self, request: Request) -> Response:
        section, index = section_of(request), index_of(request)

        def work(stored: Stored, document: Document) -> Json:
            return self._views.paragraph(stored.path, section, index, words.pick(document, section, index))

        return await self._read(request, work)

    async def append_paragraph(self, request: Request) -> Response:
        wanted = await read_json(request, NewParagraph)
        section = section_of(request)
        path = path_of(request)

        def work(document: Document) -> tuple[tuple[int, Json], bool]:
            (index, item), changed = edits.append(document, section, wanted)
            return (index, self._views.paragraph(path, section, index, item)), changed

        stored, (index, body) = await self._change(request, work)
        return self._answer(body, stored, 201, self._views.paragraph_url(path, section, index))

    async def put_paragraph(self, request: Request) -> Response:
        wanted = await read_json(request, ParagraphUpdate)
        if wanted.text is None:
            raise ApiError(400, "InvalidBody", "Text: a PUT replaces the text; use PATCH to keep it")
        return await self._update_paragraph(request, wanted)

    async def patch_paragraph(self, request: Request) -> Response:
        return await self._update_paragraph(request, await read_json(request, ParagraphUpdate))

    async def delete_paragraph(self, request: Request) -> Response:
        section, index = section_of(request), index_of(request)
        stored, _ = await self._change(request, lambda document: edits.delete(document, section, index))
        return Response(status_code=204, headers={"ETag": stored.etag})

    async def _update_paragraph(self, request: Request, wanted: ParagraphUpdate) -> Response:
        section, index = section_of(request), index_of(request)
        path = path_of(request)

        def work(document: Document) -> tuple[Json, bool]:
            item = words.pick(document, section, index)
            words.update(document, item, wanted.text, wanted.style)
            return self._views.paragraph(path, section, index, item), True

        stored, body = await self._change(request, work)
        return self._answer(body, stored)

    async def _convert(self, request: Request, format_name: str) -> Response:
        if format_name not in CONVERTERS:
            raise ApiError(400, "UnsupportedFormat", f"format must be one of {', '.join(sorted(CONVERTERS))}")
        kind, converter = CONVERTERS[format_name]
        stored = self._store.get(path_of(request))
        out = await self._bench.run(lambda: with_document(stored.data, converter))
        headers = {
            "ETag": stored.etag,
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        if is_not_modified(request, stored):
            return Response(status_code=304, headers=headers)
        return Response(out, media_type=kind, headers=headers)

    async def _read(self, request: Request, work: Callable[[Stored, Document], Json]) -> Response:
        stored = self._store.get(path_of(request))
        # A condition counts only where the answer would be 200 (RFC 9110, 13.2.1): first the work.
        body = await self._bench.run(lambda: with_document(stored.data, lambda found: work(stored, found)))
        if is_not_modified(request, stored):
            return Response(status_code=304, headers={"ETag": stored.etag})
        return self._answer(body, stored)

    async def _change(self, request: Request, work: Callable[[Document], tuple[Answer, bool]]) -> tuple[Stored, Answer]:
        return await self._bench.change(path_of(request), lambda old: require_conditions(request, old), work)

    def _require_absent(self, path: str) -> None:
        if self._store.find(path):
            raise ApiError(409, "DocumentExists", f"there is already a document '{path}'")

    @staticmethod
    def _answer(body: Json, stored: Stored, status: int = 200, location: str | None = None) -> Response:
        headers = {"ETag": stored.etag}
        if location:
            headers["Location"] = location
        return JSONResponse(body, status, headers)
