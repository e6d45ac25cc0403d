"""The table of an API's operations, and the routes made of it.

A path answers 405 for methods that none of its operations has; an operation may say which options of the query it
knows. Must never know what an operation does.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .errors import ApiError

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """One entry of an API; `path` is a Starlette path template below the prefix.

    options: names in the query that it knows; any other is refused. None: whatever comes is let through.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    options: frozenset[str] | None = None

    @property
    def relative_path(self) -> str:
        """The path relative to the service root, as it would stand in a batch."""
        return self.path.removeprefix("/").replace(":path}", "}")


def routes_of(prefix: str, operations: list[Operation]) -> list[Route]:
    """One route for each path, so that a 405 names all methods of that path."""
    by_path: dict[str, dict[str, Operation]] = {}
    for entry in operations:
        by_path.setdefault(entry.path, {})[entry.method] = entry
    return [Route(prefix + path, _dispatch(methods), methods=[*methods]) for path, methods in by_path.items()]


def _dispatch(methods: dict[str, Operation]) -> Handler:
    async def endpoint(request: Request) -> Response:
        operation = methods["GET" if request.method == "HEAD" else request.method]
        if operation.options is not None and not operation.options.issuperset(request.query_params.keys()):
            known = ", ".join(sorted(operation.options)) or "none"
            raise ApiError(400, "UnsupportedOption", f"the query has an option that is not known here; known: {known}")
        return await operation.handler(request)

    return endpoint
