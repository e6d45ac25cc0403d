"""JSON of Connect to protobuf and back, in slices: a message of megabytes keeps no other client waiting (FR-10).

json_format takes seconds for what the C parsers read in a moment, so it is given a piece at a time. Must never be used
for what is hot.
"""

import asyncio
import json
import re
from typing import Any, TypeVar

from batchwire.core import EnvelopeError
from batchwire.core.errors import quoted
from google.protobuf import json_format
from google.protobuf.message import Message

MAX_OBJECTS = 40_000
MAX_MEMBERS = 160_000
MAX_VALUES = 400_000
"""Of one message, so that json.loads() is done in a moment; what says more in few bytes is no batch."""
PIECE = 100
"""Elements of a list that are converted at once."""
SLICE_BYTES = 65536
LONG_NUMBER = 400
"""Digits of an integer that no member takes; int() needs time in proportion to their square (PL-01)."""
_DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
_BASE64 = re.compile(r"(?:[\w+/-]{4})*+(?:[\w+/-]{2}(?:==)?|[\w+/-]{3}=?)?", re.ASCII)
"""Either alphabet, padded or not, as the JSON of protobuf has it."""
Kind = TypeVar("Kind", bound=Message)


async def parse(body: bytes, kind: type[Kind]) -> Kind:
    """The message that a JSON text says. Raises EnvelopeError, whose target is the member that is wrong."""
    values = body.count(b",") + body.count(b"[")
    if body.count(b"{") > MAX_OBJECTS or body.count(b":") > MAX_MEMBERS or values > MAX_VALUES:
        raise EnvelopeError(413, "MessageTooLarge", "the JSON has too many values for one message; use protobuf")
    try:
        tree = json.loads(body, object_pairs_hook=_members, parse_int=_number if _has_long_number(body) else None)
    except json.JSONDecodeError as error:
        raise EnvelopeError(400, "BadMessage", f"the body is no JSON, at character {error.pos}") from None
    except (ValueError, RecursionError) as error:
        why = error.args[0] if isinstance(error, _TwiceError) else "it cannot be read"
        raise EnvelopeError(400, "BadMessage", f"the body is no JSON of a message: {why}") from None
    await asyncio.sleep(0)
    return await _message(tree, kind, "")


async def text_of(message: Message) -> bytes:
    """The JSON text of a message."""
    members = []
    for field, value in message.ListFields():
        name = json.dumps(field.json_name)
        if field.is_repeated and field.message_type is not None:
            texts, size = [], 0
            for element in value:
                texts.append(json_format.MessageToJson(element, indent=None))
                size += len(texts[-1])
                if len(texts) % PIECE == 0 or size > SLICE_BYTES:
                    size = 0
                    await asyncio.sleep(0)
            members.append(f"{name}: [{', '.join(texts)}]")
        else:
            alone = type(message)()
            if field.message_type is not None:
                getattr(alone, field.name).CopyFrom(value)
            else:
                setattr(alone, field.name, value)
            members.append(json_format.MessageToJson(alone, indent=None)[1:-1])
    return ("{" + ", ".join(members) + "}").encode()


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


async def _message(tree: Any, kind: type[Kind], place: str) -> Kind:
    """What is short at once, long lists and the calls in pieces. place: of the object in the body."""
    message, rest, given = kind(), {}, set()
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
        if field.type == field.TYPE_BYTES and isinstance(value, str) and not _BASE64.fullmatch(value):
            raise _wrong(here, "is not base64")  # json_format leaves out what is none
        if name == "options" and isinstance(value, dict):
            inner: Any = message
            inner.options.CopyFrom(await _message(value, type(inner.options), here))
        elif not field.is_repeated or not isinstance(value, list):
            rest[name] = value
        elif name == "calls":
            await _calls(value, message, here)
        else:
            for at in range(0, len(value), PIECE):
                message.MergeFrom(_converted({name: value[at : at + PIECE]}, kind, place))
                if len(value) > PIECE:
                    await asyncio.sleep(0)
    message.MergeFrom(_converted(rest, kind, place))
    return message


async def _calls(trees: list[Any], message: Any, place: str) -> None:
    kind = message.DESCRIPTOR.fields_by_name["calls"].message_type._concrete_class
    for number, tree in enumerate(trees, 1):
        message.calls.append(await _message(tree, kind, f"{place}[{number - 1}]"))
        if number % (PIECE // 4) == 0:
            await asyncio.sleep(0)


def _converted(tree: dict[str, Any], kind: type[Kind], place: str) -> Kind:
    try:
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


def _wrong(place: str, why: str) -> EnvelopeError:
    return EnvelopeError(400, "BadMessage", f"{place or 'the body'}: {why}", place)
