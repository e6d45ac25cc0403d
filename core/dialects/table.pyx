"""The dialects by name: what a session reads and what it writes.

A new dialect is one more row here beside its own folder; plan, dispatcher and session do not change. Must never
decide which dialect a request is in: that is the front's.
"""
from batchwire.core.dialects.base cimport Reader, Writer
from batchwire.core.dialects.proto_reader cimport ProtoReader
from batchwire.core.dialects.proto_writer cimport ProtoWriter
from batchwire.core.dispatch.limits cimport Limits
from batchwire.core.header_rules cimport HeaderRules
from batchwire.core.headers cimport HeaderBlock
from batchwire.core.session.batch_head cimport BatchHead

from batchwire.core.dialects.json_reader import JsonReader
from batchwire.core.dialects.json_writer import JsonWriter
from batchwire.core.dialects.multipart.reader import MultipartReader
from batchwire.core.dialects.multipart.writer import MultipartWriter
from batchwire.core.errors import ConfigError

# Dialects in multipart form, and what MultipartReader and MultipartWriter call them.
FLAVOURS = {"multipart": "odata", "document": "document", "google": "google"}


cdef Reader reader_of(BatchHead head, Limits limits, HeaderRules rules, str inner_authorization):
    """rules, inner_authorization: see HeaderBlock. The boundary of a multipart document is None where it is one bare
    message (document dialect)."""
    cdef str dialect = head.dialect
    # A repeated field is plain HTTP but in JSON: GW-12 is about members of an object. Google's clients send their
    # Authorization in every part.
    cdef HeaderBlock block = HeaderBlock(
        dialect == "json", limits.max_header_bytes, rules, "drop" if dialect == "google" else inner_authorization,
        head.authorization)
    if dialect == "json":
        return JsonReader(limits.max_call_bytes, limits.max_depth, integer_ids=not head.strict, block=block)
    if dialect == "proto":
        return ProtoReader(block, limits.max_call_bytes, limits.max_calls_per_message, head.options)
    if dialect in FLAVOURS:
        return MultipartReader(
            head.boundary, flavour=FLAVOURS[dialect],
            # Google's clients say the host of the API inside, whatever the batch is sent to.
            authority=None if dialect == "google" else head.authority, max_call_bytes=limits.max_call_bytes,
            max_header_bytes=limits.max_header_bytes, block=block, strict=head.strict)
    raise ConfigError(f"there is no dialect {dialect!r}")


cdef Writer writer_of(BatchHead head, Limits limits, bint flat):
    """flat: change sets are not nested in the answer."""
    cdef str dialect = head.answer
    if dialect == "json":
        return JsonWriter(limits.max_response_bytes, limits.max_depth)
    if dialect == "proto":
        return ProtoWriter()
    if dialect in FLAVOURS:
        return MultipartWriter(
            head.answer_boundary, flavour=FLAVOURS[dialect], flat=flat, nested=head.dialect in FLAVOURS,
            last_only=head.last_only, nested_errors=head.nested_errors, max_body_bytes=limits.max_response_bytes, max_set_bytes=limits.reorder_bytes)
    raise ConfigError(f"there is no dialect {dialect!r}")
