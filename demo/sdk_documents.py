"""The SDK API's operations on stored documents.

The work is that of the other API (words, edits, workbench); only the answers differ. A stored text file can be read
like a document, but only a .docx can be changed. Must never answer a success with another status than 200.
"""

from collections.abc import Callable

from docx.document import Document
from starlette.requests import Request
from starlette.responses import Response

from . import edits, words
from .bodies import NewParagraph, ReplaceText, SaveOptions, read_json, read_upload
from .conditions import require_conditions
from .errors import ApiError
from .names import document_path, new_document_path
from .package import with_document
from .sdk_answers import empty_answer, file_answer, model_answer
from .search import search
from .sources import as_docx, as_format
from .storage_api import StorageApi
from .store import Store, Stored
from .targets import index_of, path_of, section_of
from .views import Views
from .words import Json
from .workbench import Answer, Workbench


class SdkDocuments:
    """Handlers over one store, whose work the bench does; `prefix` is where the API is mounted, for links."""

    def __init__(self, store: Store, bench: Workbench, prefix: str) -> None:
        self._store = store
        self._bench = bench
        self._views = Views(prefix)

    async def create(self, request: Request) -> Response:
        folder = request.query_params.get("folder", "").strip("/")
        name = request.query_params.get("fileName", "")
        path = new_document_path(f"{folder}/{name}" if folder else name)

        def work() -> tuple[bytes, Json]:
            data = words.create([])
            return data, with_document(data, words.document_info)

        async with self._store.lock(path):
            if self._store.find(path):
                raise ApiError(409, "DocumentExists", f"there is already a document '{path}'")
            data, info = await self._bench.run(work)
            stored = self._store.put(path, data)
        return model_answer({"Document": self._views.info(stored, info)}, stored.etag)

    async def info(self, request: Request) -> Response:
        stored = self._store.get(path_of(request))
        wanted = request.query_params.get("format")
        if wanted is not None:
            kind, data = await self._bench.run(lambda: as_format(stored.data, wanted.lower()))
            return file_answer(kind, data, stored.etag)
        return await self._read(
            request, lambda stored, document: {"Document": self._views.info(stored, words.document_info(document))}
        )

    async def save_as(self, request: Request) -> Response:
        wanted = await read_json(request, SaveOptions)
        source, target = self._store.get(path_of(request)), document_path(wanted.file_name)
        _, data = await self._bench.run(lambda: as_format(source.data, wanted.save_format.lower()))
        async with self._store.lock(target):
            stored = self._store.put(target, data)
        places = {"SourceDocument": self._views.link(source.path), "DestDocument": self._views.link(stored.path)}
        return model_answer({"SaveResult": places}, stored.etag)

    async def statistics(self, request: Request) -> Response:
        return await self._read(
            request,
            lambda stored, document: {
                "DocumentLink": self._views.link(stored.path),
                "StatData": words.statistics(document),
            },
        )

    async def search(self, request: Request) -> Response:
        pattern = request.query_params.get("pattern", "")
        return await self._read(request, lambda stored, document: search(document, pattern))

    async def replace(self, request: Request) -> Response:
        wanted = await read_json(request, ReplaceText)
        stored, matches = await self._change(request, lambda document: edits.replace(document, wanted))
        return model_answer({"DocumentLink": self._views.link(stored.path), "Matches": matches}, stored.etag)

    async def paragraphs(self, request: Request) -> Response:
        section = section_of(request)
        return await self._read(
            request, lambda stored, document: self._views.paragraphs(stored.path, document, section)
        )

    async def paragraph(self, request: Request) -> Response:
        section, index = section_of(request), index_of(request)

        def work(stored: Stored, document: Document) -> Json:
            return self._views.paragraph(stored.path, section, index, words.pick(document, section, index))

        return await self._read(request, work)

    async def insert_paragraph(self, request: Request) -> Response:
        wanted = await read_json(request, NewParagraph)
        section, path = section_of(request), _target(request) or path_of(request)

        def work(document: Document) -> tuple[Json, bool]:
            (index, item), changed = edits.append(document, section, wanted)
            return self._views.paragraph(path, section, index, item), changed

        stored, body = await self._change(request, work)
        return model_answer(body, stored.etag)

    async def delete_paragraph(self, request: Request) -> Response:
        section, index = section_of(request), index_of(request)
        await self._change(request, lambda document: edits.delete(document, section, index))
        return empty_answer()

    async def _read(self, request: Request, work: Callable[[Stored, Document], Json]) -> Response:
        stored = self._store.get(path_of(request))
        body = await self._bench.run(lambda: with_document(as_docx(stored.data), lambda found: work(stored, found)))
        return model_answer(body, stored.etag)

    async def _change(self, request: Request, work: Callable[[Document], tuple[Answer, bool]]) -> tuple[Stored, Answer]:
        return await self._bench.change(
            path_of(request), lambda old: require_conditions(request, old), work, _target(request)
        )


class SdkStorage(StorageApi):
    """The storage with the answers of the SDK API; download and listing are the same."""

    async def upload(self, request: Request) -> Response:
        path = document_path(request.path_params["path"])
        data = await read_upload(request, self._store.limits.file_bytes)
        async with self._store.lock(path):
            require_conditions(request, self._store.find(path))
            stored = self._store.put(path, data)
        return model_answer({"Uploaded": [path], "Errors": []}, stored.etag)

    async def delete(self, request: Request) -> Response:
        await super().delete(request)
        return empty_answer()


def _target(request: Request) -> str | None:
    """Where a changed document is to be stored, if not in its place: a path of the storage."""
    name = request.query_params.get("destFileName")
    return None if name is None else new_document_path(name)
