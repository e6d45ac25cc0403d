"""JSON of Connect to protobuf, in slices: a message of megabytes keeps no other client waiting (FR-10).

json_format takes seconds for what the C parsers read in a moment, so it is given a piece at a time. Must never be used
for what is hot.
"""

import base64
import io
import json
import re
import secrets
from typing import Any, TypeVar

from batchwire.core import EnvelopeError
from batchwire.core.errors import quoted
from google.protobuf import json_format
from google.protobuf.message import Message

from .slices import PIECE_BYTES, Slices

MAX_OBJECTS = 40_000
MAX_MEMBERS = 160_000
MAX_VALUES = 400_000
"""Of one message, so that json.loads() is done in a moment; what says more in few bytes is no batch."""
PIECE = 100
"""Elements of a list that are converted at once."""
LONG_STRING = 16384
"""Bytes of a string above which it is not given to json.loads()."""
LONG_NUMBER = 400
"""Digits of an integer that no member takes; int() needs time in proportion to their square (PL-01)."""
_DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_QUOTE = ord('"')
_WITHIN = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
"""What stands within a string."""
_BASE64 = re.compile(r"(?:[\w+/-]{4})*+(?:[\w+/-]{2}(?:==)?|[\w+/-]{3}=?)?", re.ASCII)
"""Either alphabet, padded or not, as the JSON of protobuf has it."""
Kind = TypeVar("Kind", bound=Message)


async def parse(body: bytes, kind: type[Message]) -> bytes:
    """The message that a JSON text says, in protobuf. Raises EnvelopeError, whose target is what is wrong."""
    return await _Parse(body).run(kind)


def _has_long_number(body: bytes) -> bool:
    """Whether there is one, or a string that looks like it."""
    return b"0" * LONG_NUMBER in body.translate(_DIGITS)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < LONG_NUMBER else float(digits)


class _TwiceError(ValueError):
    """A member is given twice in an object."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _TwiceError(f"the member {quoted(name)!r} is given twice")
        found[name] = value
    return found


class _Parse:
    """Of one text. Long strings are taken out of it before anything else is done with it.

    _longs: what stands for such a string, which no client can guess, and where it begins and ends, with its quotes.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._longs: dict[str, tuple[int, int]] = {}
        self._slices = Slices()

    async def run(self, kind: type[Message]) -> bytes:
        short = await self._shortened()
        values = short.count(b",") + short.count(b"[")
        if short.count(b"{") > MAX_OBJECTS or short.count(b":") > MAX_MEMBERS or values > MAX_VALUES:
            raise EnvelopeError(413, "MessageTooLarge", "the JSON has too many values for one message; use protobuf")
        try:
            number = _number if _has_long_number(short) else None
            tree = json.loads(short, object_pairs_hook=self._named if self._longs else _members, parse_int=number)
        except json.JSONDecodeError as error:
            raise _no_json(self._place(error.pos)) from None
        except (ValueError, RecursionError) as error:
            raise _unreadable(error.args[0] if isinstance(error, _TwiceError) else "it cannot be read") from None
        await self._breathe()
        whole = io.BytesIO()  # which makes bytes of its parts without one long copy
        for part in await self._message(tree, kind, ""):
            whole.write(part)
            await self._breathe()
        return whole.getvalue()

    async def _breathe(self) -> None:
        if self._slices.over():
            await self._slices.rest()

    # --- long strings

    async def _shortened(self) -> bytes:
        """The text, with something short in the place of each long string."""
        body, since, at, kept = self._body, 0, 0, []
        if len(body) <= LONG_STRING:
            return body
        mark = secrets.token_hex(8)
        while (begin := body.find(b'"', at)) >= 0:
            at = begin + 1
            while True:
                to = min(at + PIECE_BYTES, len(body))
                end = _WITHIN.match(body, at, to).end()  # type: ignore[union-attr]  # it matches nothing, too
                if (end < to and body[end] == _QUOTE) or end == at:
                    break
                at = end
                await self._breathe()
            if end >= len(body) or body[end] != _QUOTE:
                break  # nowhere does it end, which json.loads() says
            at = end + 1
            if at - begin > LONG_STRING:
                stands = f"{mark}:{len(self._longs)}"
                self._longs[stands] = begin, at
                kept += [body[since : begin + 1], stands.encode()]
                since = end
            await self._breathe()
        return b"".join([*kept, body[since:]])

    def _place(self, at: int) -> int:
        """Where something in the shortened text is in the whole one."""
        for stands, (begin, end) in self._longs.items():
            if at > begin:
                at += end - begin - len(stands) - 2
        return at

    def _restored(self, value: Any) -> Any:
        """With the long strings that are in it."""
        if isinstance(value, str) and value in self._longs:
            begin, end = self._longs[value]
            try:
                return json.loads(self._body[begin:end])
            except json.JSONDecodeError as error:
                raise _no_json(begin + error.pos) from None
            except ValueError:
                raise _unreadable("it cannot be read") from None
        if isinstance(value, dict):
            return {name: self._restored(inner) for name, inner in value.items()}
        return [self._restored(inner) for inner in value] if isinstance(value, list) else value

    def _named(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return _members([(self._restored(name), value) for name, value in pairs])

    async def _decoded(self, begin: int, end: int, place: str) -> list[bytes]:
        """What a long string says in base64; some encoders of JSON escape the slash."""
        parts, left, at = [], "", begin
        while at < end:
            to = min(at + PIECE_BYTES, end)
            if to < end and (escape := self._body.rfind(b"\\", to - len("\\u002f"), to)) >= 0:
                to = escape
            text = self._body[at:to].decode("latin-1")
            if "\\" in text:
                try:
                    text = json.loads(f'"{text}"')
                except ValueError:
                    raise _wrong(place, "is not base64") from None
            text, at = left + text, to
            whole = len(text) if at == end else len(text) // 4 * 4
            text, left = text[:whole], text[whole:]
            if not _BASE64.fullmatch(text) or (text.endswith("=") and at < end):
                raise _wrong(place, "is not base64")
            parts.append(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            await self._breathe()
        return parts

    # --- members

    async def _message(self, tree: Any, kind: type[Message], place: str) -> list[bytes]:
        """In protobuf, in parts. What is short at once, long lists and the calls in pieces. place: in the body."""
        message, given = kind(), set()
        rest: dict[str, Any] = {}
        long: list[bytes] = []
        if not isinstance(tree, dict):
            raise _wrong(place, "must be an object")
        for name, value in tree.items():
            field = message.DESCRIPTOR.fields_by_camelcase_name.get(name) or message.DESCRIPTOR.fields_by_name.get(name)
            here = f"{place}.{quoted(name)}" if place else quoted(name)
            if field is None:
                raise _wrong(here, "there is no such member")
            if field.number in given:
                raise _wrong(here, "the member is given twice, in both spellings")
            given.add(field.number)
            if field.type == field.TYPE_BYTES and isinstance(value, str):
                if value in self._longs:
                    begin, end = self._longs[value]
                    long += _field(field.number, await self._decoded(begin + 1, end - 1, here))
                    continue
                if not _BASE64.fullmatch(value):
                    raise _wrong(here, "is not base64")  # json_format leaves out what is none
            if name == "options" and isinstance(value, dict):
                inner = _class_of(field)
                message.MergeFromString(b"".join(_field(field.number, await self._message(value, inner, here))))
            elif not field.is_repeated or not isinstance(value, list):
                rest[name] = value
            elif name == "calls":
                for number, call in enumerate(value):
                    parts = await self._message(call, _class_of(field), f"{here}[{number}]")
                    long += _field(field.number, parts)
                    await self._breathe()
            else:
                for at in range(0, len(value), PIECE):
                    message.MergeFrom(self._converted({name: value[at : at + PIECE]}, kind, place))
                    await self._breathe()
        message.MergeFrom(self._converted(rest, kind, place))
        return [message.SerializeToString(), *long]

    def _converted(self, tree: dict[str, Any], kind: type[Kind], place: str) -> Kind:
        try:
            if self._longs:
                tree = self._restored(tree)
            return json_format.ParseDict(tree, kind(), max_recursion_depth=16)
        except (json_format.ParseError, ValueError, TypeError, RecursionError):
            pass
        # Which member it was is looked for when one is known to be wrong.
        for name, value in tree.items():
            try:
                json_format.ParseDict({name: value}, kind(), max_recursion_depth=16)
            except (json_format.ParseError, ValueError, TypeError, RecursionError):
                raise _wrong(f"{place}.{name}" if place else name, "is not what the member takes") from None
        raise _wrong(place, "its members do not go together")


def _class_of(field: Any) -> type[Message]:
    found: type[Message] = field.message_type._concrete_class
    return found


def _field(number: int, parts: list[bytes]) -> list[bytes]:
    """A field of protobuf with a length."""
    return [varint(number << 3 | 2) + varint(sum(map(len, parts))), *parts]


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    text = bytearray()
    while number >= 0x80:
        text.append(number & 0x7F | 0x80)
        number >>= 7
    text.append(number)
    return bytes(text)


def _no_json(at: int) -> EnvelopeError:
    return EnvelopeError(400, "BadMessage", f"the body is no JSON, at character {at}")


def _unreadable(why: str) -> EnvelopeError:
    return EnvelopeError(400, "BadMessage", f"the body is no JSON of a message: {why}")


def _wrong(place: str, why: str) -> EnvelopeError:
    return EnvelopeError(400, "BadMessage", f"{place or 'the body'}: {why}", place)
