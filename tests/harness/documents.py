"""A batch document of any format over REST and over gRPC BatchHttp: `send(way, gateway, body, content_type)`.

The answer comes as rest.Answer from both, so that one test states a rule of the multipart format once. Must never
soften what a front answered: a document that is refused raises `Refused`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import grpc
from google.api import httpbody_pb2

from . import batches, grpc_client, multiparts, rest
from .batches import Call, Refused, Result
from .gateway import Gateway
from .multiparts import Part

REST = "rest"
GRPC = "grpc"
WAYS = (REST, GRPC)
MULTIPART = "multipart/mixed; boundary=b"
JSON = "application/json"
FORMATS = {"json": JSON, "multipart": MULTIPART}
ACCEPTED = {"json": "application/json", "multipart": "multipart/mixed"}


def send(
    way: str,
    gateway: Gateway,
    body: bytes,
    content_type: str = MULTIPART,
    headers: Mapping[str, str] | None = None,
    *,
    route: str = "/svc/",
    version: Mapping[str, str] = rest.STRICT,
    pieces: int = 0,
    timeout: float = 30.0,
) -> rest.Answer:
    """Sends a document, in pieces of so many bytes when asked, and reads the whole answer."""
    outer = {**version, **(headers or {})}
    if way == REST:
        answer = _over_rest(gateway, body, content_type, outer, route, pieces)
        if answer.status not in (200, 202):
            raise Refused(answer.status, answer.body.decode())
        return answer
    cuts = [body[at : at + pieces] for at in range(0, len(body), pieces)] if pieces else [body]
    messages = [httpbody_pb2.HttpBody(content_type="" if n else content_type, data=cut) for n, cut in enumerate(cuts)]
    metadata = [(name.lower(), value) for name, value in {"batchwire-route": route, **outer}.items()]
    with grpc_client.Client(gateway.grpc_address) as client:
        call = client.stub.BatchHttp(iter(messages), timeout=timeout, metadata=metadata)
        try:
            found = list(call)
        except grpc.RpcError as error:
            raise Refused(error.code(), error.details() or "") from None
        fields = [(key, value) for key, value in call.initial_metadata() if isinstance(value, str)]
    types = {message.content_type for message in found}
    assert len(types) == 1, types
    return rest.Answer(200, [*fields, ("content-type", types.pop())], b"".join(message.data for message in found))


def _over_rest(
    gateway: Gateway, body: bytes, content_type: str, outer: dict[str, str], route: str, pieces: int
) -> rest.Answer:
    if not pieces:
        return rest.post(gateway.http_port, body, {"Content-Type": content_type, **outer}, root=route, version={})
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", f"{route}$batch", {"Content-Type": content_type, "Transfer-Encoding": "chunked", **outer})
        for at in range(0, len(body), pieces):
            wire.chunk(body[at : at + pieces])
        wire.chunk(b"")
        return wire.answer()


def parts(way: str, gateway: Gateway, *items: bytes | Call | list[Call], **more: object) -> list[Part]:
    """Sends a multipart document of these parts (a list of calls is a change set) and reads the parts of the answer."""
    texts = [
        item
        if isinstance(item, bytes)
        else multiparts.part_of(item)
        if isinstance(item, Call)
        else multiparts.change_set(*map(multiparts.part_of, item), boundary=f"cs{number}".encode())
        for number, item in enumerate(items)
    ]
    return read(send(way, gateway, multiparts.document(*texts), **more))  # type: ignore[arg-type]


def read(answer: rest.Answer) -> list[Part]:
    return multiparts.read(answer.header("content-type"), answer.body)


def result_of(found: Part) -> Result:
    names = {name.lower() for name, _ in found.headers} - {"content-length"}
    headers = {name: found.header(name) or "" for name in names}
    return Result(found.content_id or "", found.status, headers, found.body or None, "")


def run(
    way: str,
    gateway: Gateway,
    request: str,
    answer: str,
    items: Iterable[Call | list[Call]],
    headers: Mapping[str, str] | None = None,
    route: str = "/svc/",
) -> list[Result]:
    """The same calls in a request format and an answer format ("json" or "multipart"), as results in their order.

    A list of calls is a change set, or a group of JSON.
    """
    given = list(items)
    if request == "multipart":
        body = multiparts.document_of(given)
    else:
        listed = []
        for number, item in enumerate(given):
            for call in [item] if isinstance(item, Call) else item:
                member = batches.to_json_member(call)
                if not isinstance(item, Call):
                    member["atomicityGroup"] = f"group{number}"
                listed.append(member)
        body = rest.encode({"requests": listed})
    outer = {"Accept": ACCEPTED[answer], "Prefer": "continue-on-error", **(headers or {})}
    found = send(way, gateway, body, FORMATS[request], outer, route=route)
    if answer == "json":
        return [batches.from_json_member(member) for member in json.loads(found.body)["responses"]]
    results = []
    for one in read(found):
        results += [result_of(member) for member in ([one] if one.members is None else one.members)]
    return results
