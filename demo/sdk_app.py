"""The second API of the demo: the one that the public document SDKs speak, under /v4.0/words/.

It serves the documents of the first one. Options that it does not know are refused, not passed over. There is no
authentication (see sdk_token.py).
"""

from starlette.applications import Starlette

from .errors import handlers
from .routing import Operation, routes_of
from .sdk_answers import error_answer
from .sdk_documents import SdkDocuments, SdkStorage
from .sdk_online import SdkOnline
from .sdk_token import token
from .store import Store
from .workbench import Workbench

_NONE = frozenset[str]()
_FOLDER = frozenset({"folder"})
_CHANGE = frozenset({"folder", "destFileName"})


def create_sdk_app(store: Store, bench: Workbench, prefix: str) -> Starlette:
    """The API over a store, to be mounted at the prefix."""
    storage = SdkStorage(store, prefix)
    documents = SdkDocuments(store, bench, prefix)
    online = SdkOnline(bench, store.limits.file_bytes)
    operations = [
        Operation("POST", "/connect/token", "a token, for anybody", token, _NONE),
        Operation("PUT", "/storage/file/{path:path}", "UploadFile", storage.upload, _NONE),
        Operation("GET", "/storage/file/{path:path}", "DownloadFile", storage.download, _NONE),
        Operation("DELETE", "/storage/file/{path:path}", "DeleteFile", storage.delete, _NONE),
        Operation("GET", "/storage/folder/{path:path}", "GetFilesList", storage.listing, _NONE),
        Operation("PUT", "/create", "CreateDocument", documents.create, frozenset({"fileName", "folder"})),
        Operation("PUT", "/convert", "ConvertDocument", online.convert, frozenset({"format"})),
        Operation("PUT", "/online/get/statistics", "GetDocumentStatisticsOnline", online.statistics, _NONE),
        Operation("PUT", "/online/get/search", "SearchOnline", online.search, frozenset({"pattern"})),
        Operation("PUT", "/online/put/replaceText", "ReplaceTextOnline", online.replace, _NONE),
    ]
    nodes = ("", "/sections/{section}")
    for node in nodes:
        many, one = f"{node}/paragraphs", f"{node}/paragraphs/{{index}}"
        operations += [
            Operation("PUT", f"/online/get{many}", "GetParagraphsOnline", online.paragraphs, _NONE),
            Operation("PUT", f"/online/get{one}", "GetParagraphOnline", online.paragraph, _NONE),
            Operation("PUT", f"/online/post{many}", "InsertParagraphOnline", online.insert_paragraph, _NONE),
        ]
    # The first path that fits wins, so the fixed ones come before /{name}.
    operations += [
        Operation("GET", "/{name}", "GetDocument", documents.info, _FOLDER | {"format"}),
        Operation("PUT", "/{name}/saveAs", "SaveAs", documents.save_as, _FOLDER),
        Operation("GET", "/{name}/statistics", "GetDocumentStatistics", documents.statistics, _FOLDER),
        Operation("GET", "/{name}/search", "Search", documents.search, _FOLDER | {"pattern"}),
        Operation("PUT", "/{name}/replaceText", "ReplaceText", documents.replace, _CHANGE),
    ]
    for node in nodes:
        many, one = f"/{{name}}{node}/paragraphs", f"/{{name}}{node}/paragraphs/{{index}}"
        operations += [
            Operation("GET", many, "GetParagraphs", documents.paragraphs, _FOLDER),
            Operation("POST", many, "InsertParagraph", documents.insert_paragraph, _CHANGE),
            Operation("GET", one, "GetParagraph", documents.paragraph, _FOLDER),
            Operation("DELETE", one, "DeleteParagraph", documents.delete_paragraph, _CHANGE),
        ]
    app = Starlette(routes=routes_of("", operations), exception_handlers=handlers(error_answer))
    app.router.redirect_slashes = False
    return app
