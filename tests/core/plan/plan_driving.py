"""A plan driven without a session: calls from JSON, results from Python values."""

import base64
import json
from typing import Any

from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.model import Call, Result
from batchwire.core.plan.order import Plan
from batchwire.core.plan.urls import UrlRules

PLANS: list[Any] = []  # those that the test has made


def driven(reference_bytes: int = 8 << 20, in_process: int = 64 << 20, result_of: bool = False) -> Any:
    """A fixture closes it."""
    plan = Plan(UrlRules(b"/"), reference_bytes, process_reference_bytes=in_process, result_of=result_of)
    PLANS.append(plan)
    return plan


def make_call(
    name: str, url: str = "x", *, depends_on: list[str] | None = None, condition: str = "", **body: Any
) -> Any:
    """A GET, or a POST with `body` (a JSON value), or with `content` (bytes) of a content type `media`."""
    member: dict[str, Any] = {"id": name, "method": "get", "url": url, "dependsOn": depends_on or []}
    if condition:
        member["if"] = condition
    if "body" in body:
        member |= {"method": "post", "body": body["body"]}
    elif "content" in body:
        media = body.get("media", "application/octet-stream")
        encoded = base64.urlsafe_b64encode(body["content"]).decode()
        member |= {"method": "post", "headers": {"content-type": media}, "body": encoded}
    reader = JsonReader()
    reader.feed_bytes(json.dumps({"requests": [member]}).encode())
    call = reader.next()
    assert isinstance(call, Call)
    assert call.refusal is None
    return call


def result_of(content: bytes, media: str = "application/octet-stream", status: int = 200) -> Any:
    result = Result()
    result.fill(status, [(b"Content-Type", media.encode())], content)
    return result


def json_result(value: Any, status: int = 200) -> Any:
    return result_of(json.dumps(value).encode(), "application/json", status)
