"""What the drivers of msgraph-core share: an adapter with a token, and the batch that they send.

It uses the library as its documentation does. It must not look inside what the library sends or gets.
"""

from __future__ import annotations

import json
from typing import Any

from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.method import Method
from kiota_abstractions.request_information import RequestInformation
from kiota_http.httpx_request_adapter import HttpxRequestAdapter
from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory
from kiota_serialization_json.json_serialization_writer_factory import JsonSerializationWriterFactory
from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem

TOKEN = "outer-token"
MADE = "gämma 日本"
CHANGED = "Größe ✓"


class FixedToken(AccessTokenProvider):
    """Gives the same token for every host."""

    async def get_authorization_token(
        self, uri: str, additional_authentication_context: dict[str, Any] | None = None
    ) -> str:
        return TOKEN

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


def builder(base: str) -> BatchRequestBuilder:
    adapter = HttpxRequestAdapter(
        BaseBearerTokenAuthenticationProvider(FixedToken()),
        JsonParseNodeFactory(),
        JsonSerializationWriterFactory(),
    )
    adapter.base_url = base
    return BatchRequestBuilder(adapter)


def item(name: str, method: Method, url: str, body: Any = None, after: tuple[str, ...] = ()) -> BatchRequestItem:
    request = RequestInformation()
    request.http_method = method
    request.url = url
    if body is not None:
        request.headers.try_add("Content-Type", "application/json")
        request.content = json.dumps(body).encode()
    return BatchRequestItem(request, name, list(after))


def content() -> BatchRequestContent:
    """Reads, a create, a read and a change of what is created, a failing call, a delete after a read."""
    items = [
        item("1", Method.GET, "/things/1"),
        item("2", Method.GET, "/things/2"),
        item("make", Method.POST, "/things", {"id": 71, "name": MADE}),
        item("after", Method.GET, "/things/71", after=("make",)),
        item("change", Method.PATCH, "/things/71", {"name": CHANGED}, after=("after",)),
        item("changed", Method.GET, "/things/71", after=("change",)),
        item("nope", Method.GET, "/things/404"),
        item("unmade", Method.GET, "/things/71", after=("nope",)),
        item("remove", Method.DELETE, "/things/1", after=("1",)),
    ]
    return BatchRequestContent({entry.id: entry for entry in items})


STATUSES = {
    "1": 200,
    "2": 200,
    "make": 201,
    "after": 200,
    "change": 204,
    "changed": 200,
    "nope": 404,
    "unmade": 424,
    "remove": 204,
}
