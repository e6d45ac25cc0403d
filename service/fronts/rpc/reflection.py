"""gRPC's server reflection, v1alpha and v1, for both gRPC fronts (FR-09).

The two versions have the same messages under two names. Must never be used for a batch.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from .rpc_servicer import SERVICE

OLDER, NEWER = "grpc.reflection.v1alpha", "grpc.reflection.v1"
VERSIONS = tuple(f"{package}.ServerReflection" for package in (OLDER, NEWER))
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class Reflection(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """Knows the services of the gateway, and more symbols than the pool finds: methods, fields, values of enums."""

    def __init__(self) -> None:
        super().__init__((SERVICE, HEALTH, *VERSIONS), descriptor_pool.Default())
        _add_newer()

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        parent, _, member = fully_qualified_name.rpartition(".")
        if _has_member(parent, member):
            fully_qualified_name = parent
        return super()._file_containing_symbol(request, fully_qualified_name)


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
