"""The demo upstream: a small cloud word-processing API over real .docx documents.

An ordinary ASGI app; `batchwire demo` serves it in-process and `uvicorn batchwire.service.demo.app:app`
does so alone. It knows nothing of batches. There is no authentication: it must never be reachable
from anywhere but the machine it runs on.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .document_api import DocumentApi
from .errors import error_response, handlers
from .seed import sow
from .storage_api import StorageApi
from .store import Store, StoreLimits
from .workbench import Workbench

PREFIX = "/v4/words"

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """One entry of the API; `path` is a Starlette path template below the prefix."""

    method: str
    path: str
    summary: str
    handler: Handler


def create_app(storage: Path | None = None, *, prefix: str = PREFIX, limits: StoreLimits | None = None) -> Starlette:
    """Build an app with its own documents, seeded if it has none.

    storage  folder in which documents outlive the app; None keeps them in memory only
    prefix   where the app sees its paths begin, without a slash at the end
    limits   bounds of the store
    """
    store = Store(storage, limits)
    sow(store)
    operations = _operations(DocumentApi(store, Workbench(store), prefix), StorageApi(store, prefix))
    table = [{"Method": entry.method, "Path": _plain(entry.path), "Summary": entry.summary} for entry in operations]

    async def service_document(request: Request) -> Response:
        return JSONResponse({"Name": "batchwire demo", "Root": f"{prefix}/", "Operations": table})

    root = Operation("GET", "/", "this list", service_document)
    table.insert(0, {"Method": root.method, "Path": _plain(root.path), "Summary": root.summary})
    app = Starlette(routes=_routes(prefix, [root, *operations]), exception_handlers=handlers(error_response))
    # A redirect would name the host of the request; a path that is not there is simply 404.
    app.router.redirect_slashes = False
    return app


def _operations(documents: DocumentApi, storage: StorageApi) -> list[Operation]:
    # The first path that fits wins, so the fixed ones come before /{name}.
    listed = [
        Operation("PUT", "/storage/file/{path:path}", "upload a document", storage.upload),
        Operation("GET", "/storage/file/{path:path}", "download a document", storage.download),
        Operation("DELETE", "/storage/file/{path:path}", "delete a document", storage.delete),
        Operation("GET", "/storage/folder", "list all documents", storage.listing),
        Operation("GET", "/storage/folder/{path:path}", "list the documents of a folder", storage.listing),
        Operation("POST", "/documents", "create a document", documents.create),
        Operation("GET", "/{name}", "document information (with ?format=, like export)", documents.info),
        Operation("DELETE", "/{name}", "delete a document", documents.delete),
        Operation("GET", "/{name}/text", "plain text", documents.text),
        Operation("GET", "/{name}/export", "convert: ?format=txt or html", documents.export),
        Operation("GET", "/{name}/statistics", "count words and paragraphs", documents.statistics),
        Operation("PUT", "/{name}/replaceText", "replace text", documents.replace),
        Operation("POST", "/{name}/copy", "copy a document", documents.copy),
    ]
    for above, what in (("", "the document"), ("/sections/{section}", "a section")):
        many, one = f"/{{name}}{above}/paragraphs", f"/{{name}}{above}/paragraphs/{{index}}"
        listed += [
            Operation("GET", many, f"list the paragraphs of {what}", documents.paragraphs),
            Operation("POST", many, f"append a paragraph to {what}", documents.append_paragraph),
            Operation("GET", one, "one paragraph with its runs", documents.paragraph),
            Operation("PUT", one, "replace a paragraph", documents.put_paragraph),
            Operation("PATCH", one, "change text or style of a paragraph", documents.patch_paragraph),
            Operation("DELETE", one, "delete a paragraph", documents.delete_paragraph),
        ]
    return listed


def _routes(prefix: str, operations: list[Operation]) -> list[Route]:
    """One route for each path, so that a 405 names all methods of that path."""
    by_path: dict[str, dict[str, Handler]] = {}
    for entry in operations:
        by_path.setdefault(entry.path, {})[entry.method] = entry.handler
    return [Route(prefix + path, _dispatch(methods), methods=[*methods]) for path, methods in by_path.items()]


def _dispatch(methods: dict[str, Handler]) -> Handler:
    async def endpoint(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _plain(path: str) -> str:
    """The path relative to the service root, as it would stand in a batch."""
    return path.removeprefix("/").replace(":path}", "}")


app = create_app()
