"""The demo upstream: a small cloud word-processing API over real .docx documents.

An ordinary ASGI app; `batchwire demo` serves it in-process and `uvicorn batchwire.demo.app:app`
does so alone. It has two APIs over the same documents: its own, and the one of the public document SDKs
(sdk_app.py). It knows nothing of batches. There is no authentication: it must never be reachable
from anywhere but the machine it runs on.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount

from .document_api import DocumentApi
from .errors import error_response, handlers
from .routing import Operation, routes_of
from .sdk_app import create_sdk_app
from .seed import sow
from .storage_api import StorageApi
from .store import Store, StoreLimits
from .workbench import Workbench

PREFIX = "/v4/words"
SDK_PREFIX = "/v4.0/words"


def create_app(storage: Path | None = None, *, prefix: str = PREFIX, limits: StoreLimits | None = None) -> Starlette:
    """Build an app with its own documents, seeded if it has none.

    storage  folder in which documents outlive the app; None keeps them in memory only
    prefix   where the paths of its own API begin, without a slash at the end
    limits   bounds of the store
    """
    store = Store(storage, limits)
    sow(store)
    bench = Workbench(store)
    operations = _operations(DocumentApi(store, bench, prefix), StorageApi(store, prefix))
    table = [{"Method": entry.method, "Path": entry.relative_path, "Summary": entry.summary} for entry in operations]

    async def service_document(request: Request) -> Response:
        return JSONResponse({"Name": "batchwire demo", "Root": f"{prefix}/", "Operations": table})

    root = Operation("GET", "/", "this list", service_document)
    table.insert(0, {"Method": root.method, "Path": root.relative_path, "Summary": root.summary})
    app = Starlette(
        routes=[*routes_of(prefix, [root, *operations]), Mount(SDK_PREFIX, create_sdk_app(store, bench, SDK_PREFIX))],
        exception_handlers=handlers(error_response),
    )
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


app = create_app()
