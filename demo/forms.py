"""multipart/form-data bodies, part by part, with every part's bytes as they were sent.

Clients name a part as they like, with or without a file name, so nothing here guesses what is text. Works on a
body that has been read within its bound; must never hold more than that body.
"""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from .errors import ApiError

MAX_PARTS = 8
MAX_HEADER_BYTES = 8192


@dataclass
class Part:
    """One field of a form. `is_file` says that it has a file name."""

    name: str
    is_file: bool
    data: bytes


@dataclass
class _Parts:
    """Collects what the parser calls back."""

    found: list[Part] = field(default_factory=list)
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""
    _data: bytearray = field(default_factory=bytearray)
    ended: bool = False

    def begin(self) -> None:
        if len(self.found) == MAX_PARTS:
            raise ApiError(400, "InvalidForm", f"a form may have {MAX_PARTS} parts")
        self._disposition = b""
        self._data = bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._check_header()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def part_end(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise ApiError(400, "InvalidForm", "each part of a form needs a name")
        name = options[b"name"].decode("utf-8", "replace")
        self.found.append(Part(name, b"filename" in options, bytes(self._data)))

    def end(self) -> None:
        self.ended = True

    def _check_header(self) -> None:
        if len(self._name) + len(self._value) > MAX_HEADER_BYTES:
            raise ApiError(400, "InvalidForm", "a header of a part is too long")


def read_parts(content_type: str, body: bytes) -> list[Part]:
    """The parts of a form; 400 InvalidForm for one that cannot be read or is cut short."""
    _, options = parse_options_header(content_type)
    parts = _Parts()
    try:
        parser = MultipartParser(
            options.get(b"boundary", b""),
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_part_data": parts.data,
                "on_part_end": parts.part_end,
                "on_end": parts.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError:
        parts.ended = False
    if not parts.ended or not options.get(b"boundary"):
        raise ApiError(400, "InvalidForm", "the multipart/form-data body cannot be read")
    return parts.found
