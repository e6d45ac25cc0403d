"""HTTP handlers of documents and their paragraphs.

Work on .docx files runs in a small pool of threads, so the event loop stays free and calls overlap.
A change is read, worked and stored under the lock of its document: concurrent changes of one
document follow each other and none is lost, changes of different documents run side by side.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from docx.document import Document
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from . import words
from .bodies import CopyDocument, NewDocument, NewParagraph, ParagraphUpdate, ReplaceText, read_json
from .conditions import is_not_modified, require_conditions
from .convert import CONVERTERS
from .errors import ApiError
from .names import document_path, document_url, new_document_path
from .package import save, with_document
from .replace import replace_text
from .store import Store, Stored

WORKERS = 4
PAGE = 1000

Json = dict[str, Any]
Answer = TypeVar("Answer")


class DocumentApi:
    """Handlers over one store; `prefix` is where the app is mounted, for links."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._workers = ThreadPoolExecutor(WORKERS, "demo-docx")

    async def create(self, request: Request) -> Response:
        wanted = await read_json(request, NewDocument)
        path = new_document_path(wanted.name)

        def work() -> tuple[bytes, Json]:
            data = words.create(wanted.paragraphs)
            return data, with_document(data, words.document_info)

        async with self._store.lock(path):
            self._require_absent(path)
            data, info = await self._in_thread(work)
            stored = self._store.put(path, data)
        return self._answer({"Document": self._info(stored, info)}, stored, 201, self._url(path))

    async def copy(self, request: Request) -> Response:
        source = self._store.get(_path_of(request))
        require_conditions(request, source)
        path = new_document_path((await read_json(request, CopyDocument)).dest_name)
        info = await self._in_thread(lambda: with_document(source.data, words.document_info))
        async with self._store.lock(path):
            self._require_absent(path)
            stored = self._store.put(path, source.data)
        return self._answer({"Document": self._info(stored, info)}, stored, 201, self._url(path))

    async def info(self, request: Request) -> Response:
        if "format" in request.query_params:
            return await self.export(request)
        return await self._read(
            request, lambda stored, document: {"Document": self._info(stored, words.document_info(document))}
        )

    async def delete(self, request: Request) -> Response:
        path = _path_of(request)
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
                "DocumentLink": self._link(self._url(stored.path)),
                "StatData": words.statistics(document),
            },
        )

    async def replace(self, request: Request) -> Response:
        wanted = await read_json(request, ReplaceText)

        def work(document: Document) -> tuple[int, bool]:
            matches = replace_text(
                document,
                wanted.old_value,
                wanted.new_value,
                match_case=bool(wanted.is_match_case),
                whole_word=bool(wanted.is_match_whole_word),
            )
            return matches, matches > 0

        stored, matches = await self._change(request, work)
        return self._answer({"DocumentLink": self._link(self._url(stored.path)), "Matches": matches}, stored)

    async def paragraphs(self, request: Request) -> Response:
        section = _section(request)
        skip, top = _query_number(request, "skip", 0), min(_query_number(request, "top", PAGE), PAGE)

        def work(stored: Stored, document: Document) -> Json:
            found = words.placed(document, section)
            page = [
                {**words.describe(item), "Link": self._link(self._paragraph_url(stored.path, section, at))}
                for at, item in enumerate(found[skip : skip + top], skip)
            ]
            link = self._link(self._paragraph_url(stored.path, section))
            return {"Paragraphs": {"Count": len(found), "ParagraphLinkList": page, "Link": link}}

        return await self._read(request, work)

    async def paragraph(self, request: Request) -> Response:
        section, index = _section(request), _index(request)

        def work(stored: Stored, document: Document) -> Json:
            return self._paragraph(stored.path, section, index, words.pick(document, section, index))

        return await self._read(request, work)

    async def append_paragraph(self, request: Request) -> Response:
        wanted = await read_json(request, NewParagraph)
        section = _section(request)
        path = _path_of(request)

        def work(document: Document) -> tuple[tuple[int, Json], bool]:
            index = words.append(document, section, wanted.text, wanted.style)
            new = words.pick(document, section, index)
            return (index, self._paragraph(path, section, index, new)), True

        stored, (index, body) = await self._change(request, work)
        return self._answer(body, stored, 201, self._paragraph_url(path, section, index))

    async def put_paragraph(self, request: Request) -> Response:
        wanted = await read_json(request, ParagraphUpdate)
        if wanted.text is None:
            raise ApiError(400, "InvalidBody", "Text: a PUT replaces the text; use PATCH to keep it")
        return await self._update_paragraph(request, wanted)

    async def patch_paragraph(self, request: Request) -> Response:
        return await self._update_paragraph(request, await read_json(request, ParagraphUpdate))

    async def delete_paragraph(self, request: Request) -> Response:
        section, index = _section(request), _index(request)

        def work(document: Document) -> tuple[None, bool]:
            words.remove(words.pick(document, section, index))
            return None, True

        stored, _ = await self._change(request, work)
        return Response(status_code=204, headers={"ETag": stored.etag})

    async def _update_paragraph(self, request: Request, wanted: ParagraphUpdate) -> Response:
        section, index = _section(request), _index(request)
        path = _path_of(request)

        def work(document: Document) -> tuple[Json, bool]:
            item = words.pick(document, section, index)
            words.update(document, item, wanted.text, wanted.style)
            return self._paragraph(path, section, index, item), True

        stored, body = await self._change(request, work)
        return self._answer(body, stored)

    async def _convert(self, request: Request, format_name: str) -> Response:
        if format_name not in CONVERTERS:
            raise ApiError(400, "UnsupportedFormat", f"format must be one of {', '.join(sorted(CONVERTERS))}")
        kind, converter = CONVERTERS[format_name]
        stored = self._store.get(_path_of(request))
        out = await self._in_thread(lambda: with_document(stored.data, converter))
        headers = {
            "ETag": stored.etag,
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        if is_not_modified(request, stored):
            return Response(status_code=304, headers=headers)
        return Response(out, media_type=kind, headers=headers)

    async def _read(self, request: Request, work: Callable[[Stored, Document], Json]) -> Response:
        stored = self._store.get(_path_of(request))
        # A condition counts only where the answer would be 200 (RFC 9110, 13.2.1): first the work.
        body = await self._in_thread(lambda: with_document(stored.data, lambda found: work(stored, found)))
        if is_not_modified(request, stored):
            return Response(status_code=304, headers={"ETag": stored.etag})
        return self._answer(body, stored)

    async def _change(self, request: Request, work: Callable[[Document], tuple[Answer, bool]]) -> tuple[Stored, Answer]:
        """Run `work` on the document; store the result if it says that it changed something."""
        path = _path_of(request)

        def worked(document: Document) -> tuple[Answer, bytes | None]:
            answer, changed = work(document)
            return answer, save(document) if changed else None

        async with self._store.lock(path):
            old = self._store.get(path)
            require_conditions(request, old)
            answer, data = await self._in_thread(lambda: with_document(old.data, worked))
            # On the loop, not in the thread: if the caller is cancelled while the thread works, the
            # lock is gone by the time it ends, and nothing may be stored any more.
            stored = old if data is None else self._store.put(path, data)
        return stored, answer

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)

    def _require_absent(self, path: str) -> None:
        if self._store.find(path):
            raise ApiError(409, "DocumentExists", f"there is already a document '{path}'")

    def _url(self, path: str) -> str:
        return document_url(self._prefix, path)

    def _paragraph_url(self, path: str, section: int | None, *index: int) -> str:
        above = () if section is None else ("sections", section)
        return document_url(self._prefix, path, *above, "paragraphs", *index)

    def _paragraph(self, path: str, section: int | None, index: int, item: words.Placed) -> Json:
        link = self._link(self._paragraph_url(path, section, index))
        return {"Paragraph": {**words.describe_fully(item), "Link": link}}

    def _info(self, stored: Stored, counts: Json) -> Json:
        return {
            "FileName": stored.path.rpartition("/")[2],
            "FileSize": len(stored.data),
            "SourceFormat": "Docx",
            "IsEncrypted": False,
            "IsSigned": False,
            "ETag": stored.etag,
            **counts,
            "Links": [self._link(self._url(stored.path))],
        }

    @staticmethod
    def _link(url: str) -> Json:
        return {"Href": url, "Rel": "self"}

    @staticmethod
    def _answer(body: Json, stored: Stored, status: int = 200, location: str | None = None) -> Response:
        headers = {"ETag": stored.etag}
        if location:
            headers["Location"] = location
        return JSONResponse(body, status, headers)


def _path_of(request: Request) -> str:
    """The document the URL names: the name in the path, in the folder of the query if there is one."""
    name: str = request.path_params["name"]
    folder = request.query_params.get("folder", "").strip("/")
    return document_path(f"{folder}/{name}" if folder else name)


def _section(request: Request) -> int | None:
    """The section the URL names; None where it speaks of the whole document."""
    text: str | None = request.path_params.get("section")
    return None if text is None else _node_number(text)


def _index(request: Request) -> int:
    return _node_number(request.path_params["index"])


def _node_number(text: str) -> int:
    if not _is_number(text):
        raise ApiError(404, "NodeNotFound", "sections and paragraphs are named by numbers from 0")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _query_number(request: Request, key: str, default: int) -> int:
    text = request.query_params.get(key, str(default))
    if not _is_number(text):
        raise ApiError(400, "InvalidQuery", f"{key} must be a whole number, 0 or more")
    return int(text)
