"""HTTP handlers of the storage: documents as bytes, whatever is in them.

Knows paths, tags and bytes only; nothing here may open a document.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .bodies import read_upload
from .conditions import is_not_modified, require_conditions
from .names import document_path, file_url
from .store import Store, Stored

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


class StorageApi:
    """Handlers over one store; `prefix` is where the app is mounted, for links."""

    def __init__(self, store: Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    async def upload(self, request: Request) -> Response:
        path = document_path(request.path_params["path"])
        require_conditions(request, self._store.find(path))
        data = await read_upload(request, self._store.limits.file_bytes)
        async with self._store.lock(path):
            old = self._store.find(path)
            require_conditions(request, old)
            stored = self._store.put(path, data)
        headers = {"ETag": stored.etag, "Location": file_url(self._prefix, path)}
        body = {"Uploaded": [path], "Errors": []}
        return JSONResponse(body, 200 if old else 201, headers)

    async def download(self, request: Request) -> Response:
        stored = self._store.get(document_path(request.path_params["path"]))
        headers = {"ETag": stored.etag, "X-Content-Type-Options": "nosniff"}
        if is_not_modified(request, stored):
            return Response(status_code=304, headers=headers)
        kind = DOCX if stored.path.lower().endswith(".docx") else "application/octet-stream"
        return Response(stored.data, media_type=kind, headers=headers)

    async def delete(self, request: Request) -> Response:
        path = document_path(request.path_params["path"])
        async with self._store.lock(path):
            require_conditions(request, self._store.get(path))
            self._store.delete(path)
        return Response(status_code=204)

    async def listing(self, request: Request) -> Response:
        folder = request.path_params.get("path", "").strip("/")
        found = self._store.listing(document_path(folder) if folder else "")
        return JSONResponse({"Value": [self._entry(stored) for stored in found]})

    def _entry(self, stored: Stored) -> dict[str, object]:
        return {
            "Name": stored.path.rpartition("/")[2],
            "Path": f"/{stored.path}",
            "IsFolder": False,
            "Size": len(stored.data),
            "ModifiedDate": stored.modified.isoformat(timespec="seconds"),
            "ETag": stored.etag,
        }
