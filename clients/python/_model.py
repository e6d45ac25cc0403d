"""Calls and results as the user of the client sees them. No I/O."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ._types import check
from .errors import ResultError


class Headers:
    """Header fields in order; names in any case; a name may occur several times.

    >>> Headers([("ETag", '"a"')])["etag"]
    '"a"'
    """

    def __init__(self, items: Sequence[tuple[str, str]] = ()) -> None:
        self._items = [(name.lower(), value) for name, value in items]

    def __getitem__(self, name: str) -> str:
        """All values of a name, joined with ", ". Raises KeyError."""
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value as `headers[name]`, or the default."""
        try:
            return self[name]
        except KeyError:
            return default

    def get_all(self, name: str) -> list[str]:
        """Every value of a name."""
        return [value for key, value in self._items if key == name.lower()]

    def items(self) -> list[tuple[str, str]]:
        """The fields as they came, names in lower case; also what iterating gives."""
        return list(self._items)

    def keys(self) -> list[str]:
        """Each name once."""
        return list(dict(self._items))

    def values(self) -> list[str]:
        """The value of each of keys()."""
        return [self[name] for name in self.keys()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(key == name.lower() for key, _ in self._items)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"


@dataclass(slots=True)
class Call:
    """One HTTP call of a batch.

    url: relative to the service root, absolute under it, or "$<id>/..." for what an earlier call made.
    id: unique in the batch; left empty, the client numbers the call. body: bytes, text, or with json= any JSON value
    but None, which is no body (content-type application/json). depends_on: ids or groups of earlier calls. condition:
    replaces "all of depends_on succeeded". timeout: seconds above 0. Raises TypeError for a member of another
    type, ValueError for a timeout out of range, and for body and json together; what is inside json is looked at when
    the call is sent.

    >>> Call("things/1")
    Call(url='things/1', method='GET', ...)
    """

    url: str
    method: str = "GET"
    id: str = ""
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes | str | None = None
    json: Any = None
    depends_on: Sequence[str] = ()
    atomicity_group: str = ""
    condition: str | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        check(self)


class Outcome(IntEnum):
    """How a call ended; numbers as in batchwire.v1.Outcome. One that is not known here is a member of its own."""

    UNSPECIFIED = 0
    SUCCEEDED = 1
    FAILED = 2
    REFUSED = 3
    DEPENDENCY_FAILED = 4
    UNREACHABLE = 5
    TIMED_OUT = 6

    @classmethod
    def _missing_(cls, value: object) -> "Outcome | None":
        if not isinstance(value, int):
            return None
        later = int.__new__(cls, value)
        later._name_ = f"OUTCOME_{value}"
        later._value_ = value
        return later


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds: from the start of the batch to the start of the call, and from there to its result."""

    started: float = 0.0
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one call.

    left_out_bytes: the answer had a body of so many bytes, which did not fit a message and is not here. Only
    Execute leaves bodies out, and only when the answers together are larger than a message.
    """

    id: str
    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes | None = None
    outcome: Outcome = Outcome.UNSPECIFIED
    atomicity_group: str = ""
    timings: Timings = Timings()
    left_out_bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text, by the charset of its content-type; or "". ValueError: it is coded or was left out."""
        body = self._uncoded()
        try:
            return body.decode(self._charset(), "replace")
        except LookupError:
            return body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON: UTF-8, 16 or 32, or else in the charset of its content-type. Raises ValueError."""
        body = self._uncoded()
        try:
            return json.loads(body)
        except UnicodeDecodeError as error:
            try:
                text = body.decode(self._charset())
            except (LookupError, UnicodeDecodeError):
                raise error from None
            return json.loads(text)

    def _charset(self) -> str:
        for part in (self.headers.get("content-type") or "").split(";")[1:]:
            name, _, value = part.strip().partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip('"')
        return "utf-8"

    def _uncoded(self) -> bytes:
        """The body. Raises ValueError where it is coded (content-encoding) or was left out."""
        if self.left_out_bytes:
            raise ValueError(
                f"the body of {self.id!r} ({self.left_out_bytes} bytes) was left out; use run() or batch()"
            )
        coding = self.headers.get("content-encoding", "") or ""
        if self.body and coding.strip().lower() not in ("", "identity"):
            raise ValueError(f"the body of {self.id!r} is coded ({coding:.100}); `body` has its bytes as they came")
        return self.body or b""

    def raise_for_status(self) -> "Result":
        """Returns the result, or raises ResultError when it is not 2xx."""
        if self.ok:
            return self
        message = ""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            message = str(self.json()["error"]["message"])
        raise ResultError(self.id, self.status, message)


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of a batch by outcome; elapsed in seconds."""

    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    refused: int = 0
    dependency_failed: int = 0
    unreachable: int = 0
    timed_out: int = 0
    elapsed: float = 0.0
