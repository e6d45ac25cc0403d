"""Protobuf to the JSON of Connect, in slices (FR-10): what json_format.MessageToJson() says, byte for byte.

Walks the wire format of what the gateway itself has written, so that each element of a list is parsed alone, and a long
body is never parsed at all. Must never be used for what is hot.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from .pieces import Piece, as_base64, joined
from .slices import PIECE_BYTES, Slices

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Span = tuple[int, int, int]
"""Where a field begins, where its value does, and where it ends."""


async def text_of(
    message: list[bytes], kind: type[Message], owe: Callable[[int], None] = lambda _: None
) -> tuple[list[Piece], int]:
    """The JSON text of a message of that kind, both in pieces; of the text one at least, of about slices.PIECE_BYTES.

    Long bodies stay as they are in the message until their pieces are sent: the bytes of this come with them. owe: is
    told what is held meanwhile.
    """
    raw = await joined(message)
    text = _Text(lambda made: owe(len(raw) + made))
    await text.add_message(memoryview(raw), kind)
    return text.end(), len(raw)


class _Text:
    """on_made: is told how many bytes of it there are."""

    def __init__(self, on_made: Callable[[int], None]) -> None:
        self._on_made = on_made
        self._made = 0
        self._slices = Slices()
        self._pieces: list[Piece] = []
        self._short: list[str] = []
        self._size = 0

    def _add(self, text: str) -> None:
        self._short.append(text)
        self._size += len(text)
        if self._size >= PIECE_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._short:
            piece = "".join(self._short).encode()
            self._pieces.append(piece)
            self._made += len(piece)
            self._on_made(self._made)
        self._short, self._size = [], 0

    def end(self) -> list[Piece]:
        self._flush()
        return self._pieces

    async def add_message(self, raw: memoryview, kind: type[Message]) -> None:
        """Members in the order of their numbers, as ListFields() has them."""
        spans: dict[int, list[Span]] = {}
        for number, span in _fields(raw):
            spans.setdefault(number, []).append(span)
            if self._slices.over():
                await self._slices.rest()
        self._add("{")
        between = ""
        for number in sorted(spans):
            field = kind.DESCRIPTOR.fields_by_number.get(number)
            if field is None:
                continue
            begun = f"{between}{json.dumps(field.json_name)}: "
            if field.is_repeated and field.message_type is not None:
                self._add(begun)
                await self._add_list(raw, spans[number], field)
            elif field.type == field.TYPE_BYTES and _size(spans[number][-1]) > PIECE_BYTES:
                self._add(begun)
                self._add_base64(raw[spans[number][-1][1] : spans[number][-1][2]])
            else:
                alone = kind.FromString(b"".join(raw[begin:end] for begin, _, end in spans[number]))
                members = json_format.MessageToJson(alone, indent=None)[1:-1]
                if not members:
                    continue
                self._add(between + members)
            between = ", "
        self._add("}")

    async def _add_list(self, raw: memoryview, spans: list[Span], field: Any) -> None:
        kind = field.message_type._concrete_class
        between = "["
        for span in spans:
            self._add(between)
            value = raw[span[1] : span[2]]
            if len(value) > PIECE_BYTES:
                await self.add_message(value, kind)
            else:
                self._add(json_format.MessageToJson(kind.FromString(bytes(value)), indent=None))
            between = ", "
            if self._slices.over():
                await self._slices.rest()
        self._add("]")

    def _add_base64(self, value: memoryview) -> None:
        self._add('"')
        self._flush()
        self._pieces += as_base64(value)
        self._add('"')


def _size(span: Span) -> int:
    return span[2] - span[1]


def _fields(raw: memoryview) -> Iterator[tuple[int, Span]]:
    at = 0
    while at < len(raw):
        key, value = _varint(raw, at)
        kind = key & 7
        if kind == _BYTES:
            size, value = _varint(raw, value)
            end = value + size
        elif kind == _VARINT:
            end = _varint(raw, value)[1]
        else:
            end = value + {_FIXED64: 8, _FIXED32: 4}[kind]
        yield key >> 3, (at, value, end)
        at = end


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    """The number, and where it ends."""
    number = shift = 0
    while True:
        byte = raw[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
