"""msgraph-core with kiota 1.9.10: statuses and typed bodies of a batch, and a collection longer than a batch.

Usage: drive.py BASE_URL (such as http://127.0.0.1:8080/v1.0).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

from graph import CHANGED, MADE, STATUSES, builder, content, item
from kiota_abstractions.method import Method
from kiota_abstractions.serialization import Parsable, ParseNode, ParseNodeFactoryRegistry, SerializationWriter
from kiota_serialization_json.json_parse_node_factory import JsonParseNodeFactory
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_content_collection import BatchRequestContentCollection

ParseNodeFactoryRegistry().CONTENT_TYPE_ASSOCIATED_FACTORIES["application/json"] = JsonParseNodeFactory()


class Thing(Parsable):
    """A model as the generators write it."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.name: str | None = None

    @staticmethod
    def create_from_discriminator_value(parse_node: ParseNode | None = None) -> Thing:
        return Thing()

    def get_field_deserializers(self) -> dict[str, Callable[[ParseNode], None]]:
        return {
            "id": lambda node: setattr(self, "id", node.get_int_value()),
            "name": lambda node: setattr(self, "name", node.get_str_value()),
        }

    def serialize(self, writer: SerializationWriter) -> None:
        writer.write_int_value("id", self.id)
        writer.write_str_value("name", self.name)


async def run(base: str) -> dict[str, Any]:
    answer = await builder(base).post(content())
    statuses = answer.get_response_status_codes()
    assert statuses == STATUSES, statuses
    names = {name: answer.get_response_by_id(name, Thing).name for name in ("1", "2", "make", "after", "changed")}
    assert names == {"1": "alpha", "2": "beta", "make": MADE, "after": MADE, "changed": CHANGED}, names
    error = json.loads(answer.get_response_stream_by_id("nope").read())
    assert error["error"]["code"] == "404", error

    many = BatchRequestContentCollection()
    for number in range(50):
        many.add_batch_request_item(item(f"n{number}", Method.GET, f"/things/{2 if number % 2 else 404}"))
    assert all(isinstance(batch, BatchRequestContent) for batch in many.get_batch_requests_for_execution())
    collected = await builder(base).post(many)
    codes = {}
    for part in collected.get_responses():
        codes.update(part.get_response_status_codes())
    assert codes == {f"n{number}": 200 if number % 2 else 404 for number in range(50)}, codes
    return {"statuses": statuses, "names": names, "collected": len(codes)}


print(json.dumps(asyncio.run(run(sys.argv[1]))))
