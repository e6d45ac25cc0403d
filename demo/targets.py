"""What the URL of a request names: a document, a section, a paragraph, numbers in the query.

Must never let a path through that `names.document_path` has not seen.
"""

from starlette.requests import Request

from .errors import ApiError
from .names import document_path


def path_of(request: Request) -> str:
    """The document that the URL names: the name in the path, in the folder of the query if there is one."""
    name: str = request.path_params["name"]
    folder = request.query_params.get("folder", "").strip("/")
    return document_path(f"{folder}/{name}" if folder else name)


def section_of(request: Request) -> int | None:
    """The section the URL names; None where it speaks of the whole document."""
    text: str | None = request.path_params.get("section")
    return None if text is None else _node_number(text)


def index_of(request: Request) -> int:
    """The paragraph the URL names."""
    return _node_number(request.path_params["index"])


def _node_number(text: str) -> int:
    if not _is_number(text):
        raise ApiError(404, "NodeNotFound", "sections and paragraphs are named by numbers from 0")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def query_number(request: Request, key: str, default: int) -> int:
    """A whole number of the query; 400 for anything else."""
    text = request.query_params.get(key, str(default))
    if not _is_number(text):
        raise ApiError(400, "InvalidQuery", f"{key} must be a whole number, 0 or more")
    return int(text)
