"""gRPC's server reflection, v1alpha and v1, for both gRPC fronts (FR-09).

The two versions have the same messages under two names. Must never be used for a batch.
"""

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from .rpc_servicer import SERVICE

OLDER, NEWER = "grpc.reflection.v1alpha", "grpc.reflection.v1"
VERSIONS = tuple(f"{package}.ServerReflection" for package in (OLDER, NEWER))
MOST_KNOWN = 1000
"""Requests whose answers are kept."""
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """Knows the services of the gateway, and more symbols than the pool finds: methods, fields, values of enums."""

    def __init__(self) -> None:
        super().__init__((SERVICE, HEALTH, *VERSIONS), descriptor_pool.Default())
        _add_newer()
        self._known: dict[Any, bytes] = {}  # what was asked for and is there → what answers it
        self._files: dict[bytes, bytes] = {}  # each of these once

    async def pieces(self, request: Any) -> list[bytes]:
        """The answer to a request, of which the long part is the same object for all that ask for it."""
        asked = _asked(request)
        known = self._known.get(asked)
        if known is None:
            [answer] = [made async for made in self.ServerReflectionInfo(_each(request), None)]
            answer.ClearField("original_request")
            known = answer.SerializeToString()
            if answer.HasField("file_descriptor_response") and len(self._known) < MOST_KNOWN:
                known = self._files.setdefault(known, known)
                self._known[asked] = known
        # Messages of protobuf are put together by putting them behind each other.
        return [reflection_pb2.ServerReflectionResponse(original_request=request).SerializeToString(), known]

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        parent, _, member = fully_qualified_name.rpartition(".")
        if _has_member(parent, member):
            fully_qualified_name = parent
        return super()._file_containing_symbol(request, fully_qualified_name)


def _asked(request: Any) -> tuple[str, str, int]:
    kind = request.WhichOneof("message_request") or ""
    value = getattr(request, kind, "")
    return (kind, value, 0) if isinstance(value, str) else (kind, value.containing_type, value.extension_number)


async def _each(*requests: Any) -> AsyncIterator[Any]:
    for request in requests:
        yield request


def _has_member(parent: str, member: str) -> bool:
    pool = descriptor_pool.Default()
    for find, members in (
        (pool.FindServiceByName, "methods_by_name"),
        (pool.FindMessageTypeByName, "fields_by_name"),
        (pool.FindEnumTypeByName, "values_by_name"),
    ):
        try:
            return member in getattr(find(parent), members)
        except KeyError:
            continue
    return False


def _add_newer() -> None:
    """Makes the descriptor of v1, which grpcio's package does not bring, from that of v1alpha."""
    made = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(made)
    made.name = "grpc/reflection/v1/reflection.proto"
    made.package = NEWER
    for message in made.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(f".{OLDER}.", f".{NEWER}.")
    for method in made.service[0].method:
        method.input_type = method.input_type.replace(f".{OLDER}.", f".{NEWER}.")
        method.output_type = method.output_type.replace(f".{OLDER}.", f".{NEWER}.")
    descriptor_pool.Default().AddSerializedFile(made.SerializeToString())
