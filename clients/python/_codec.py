"""Between the client's dataclasses and the generated messages, and how calls are packed into messages. No I/O."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from batchwire.v1 import batch_pb2
from google.protobuf.duration_pb2 import Duration

from ._model import Call, Headers, Outcome, Result, Summary, Timings
from ._types import check, check_texts, checked_seconds, checked_switch, is_pairs, pairs_of
from ._watch import Promised

MAX_CALLS = 256
MAX_BYTES = 256 * 1024
PART_BYTES = 1024 * 1024
"""A larger body travels in parts (AN-08)."""
MAX_RECEIVE = "grpc.max_receive_message_length"
DEFAULT_MESSAGE = 4 * 1024 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Of the one message of Execute; Batch has its bodies in parts."""
MAX_EXECUTE_BYTES = 2 * 1024 * 1024
MAX_EXECUTE_CALLS = 10_000
RESULT_BYTES = 128
"""What the gateway keeps free for each result of Execute besides id and group, or more."""


def in_one_message(calls: Sequence[batch_pb2.Call], max_answer: int) -> bool:
    """Whether Execute takes the calls. max_answer: bytes of a message that the channel takes."""
    size = sum(call.ByteSize() for call in calls)
    return (
        len(calls) <= MAX_EXECUTE_CALLS
        and size <= MAX_EXECUTE_BYTES
        and RESULT_BYTES * len(calls) + sum(len(call.id) + len(call.atomicity_group) for call in calls) <= max_answer
    )


def options(
    route: str,
    deadline: float | None,
    continue_on_error: bool,
    ordered: bool,
    headers: Mapping[str, str] | Sequence[tuple[str, str]],
    max_message_bytes: int = 0,
) -> Any:
    """BatchOptions of a batch. max_message_bytes: of the answer; 0: the gateway's default.

    Raises TypeError, ValueError.
    """
    checked_seconds(deadline, "deadline")
    checked_switch(continue_on_error, "continue_on_error")
    checked_switch(ordered, "ordered")
    if not is_pairs(headers):
        raise TypeError("headers must be a mapping of str to str, or pairs of str")
    check_texts((text for pair in pairs_of(headers) for text in pair), "headers")
    made = batch_pb2.BatchOptions(route=route, takes_parts=True, max_message_bytes=max_message_bytes)
    if deadline is not None:
        made.deadline.CopyFrom(_duration(deadline))
    if not continue_on_error:
        made.continue_on_error = False
    if ordered:
        made.result_order = batch_pb2.RESULT_ORDER_REQUEST
    for name, value in pairs_of(headers):
        made.headers.add(name=name, value=value)
    return made


def encode(call: Call, number: int) -> Any:
    """A Call message; a call without id gets its number as id. Raises TypeError, ValueError."""
    if not isinstance(call, Call):
        raise TypeError(f"a batch is made of Call objects, not {type(call).__name__}")
    check(call)  # once more: its members can be changed
    made = batch_pb2.Call(
        id=call.id or str(number),
        method=call.method.upper(),
        url=call.url,
        depends_on=call.depends_on,
        atomicity_group=call.atomicity_group,
    )
    named = False
    for name, value in pairs_of(call.headers):
        named = named or name.lower() == "content-type"
        made.headers.add(name=name, value=value)
    if call.json is not None:
        try:
            made.body = _json(call.json)
        except (TypeError, ValueError, RecursionError) as error:
            raise type(error)(f"Call.json of {made.id!r}: {error}") from None
        if not named:
            made.headers.add(name="content-type", value="application/json")
    elif call.body is not None:
        made.body = call.body.encode() if isinstance(call.body, str) else call.body
        if not named:
            media = "text/plain;charset=utf-8" if isinstance(call.body, str) else "application/octet-stream"
            made.headers.add(name="content-type", value=media)
    if call.condition is not None:
        made.condition = call.condition
    if call.timeout is not None:
        made.timeout.CopyFrom(_duration(call.timeout))
    return made


def decode(message: Any) -> Result:
    """The Result of a Result message."""
    return Result(
        id=message.id,
        status=message.status,
        headers=Headers([(header.name, header.value) for header in message.headers]),
        body=message.body if message.HasField("body") else None,
        left_out_bytes=message.body_bytes if message.body_left_out else 0,
        outcome=Outcome(message.outcome),
        atomicity_group=message.atomicity_group,
        timings=Timings(message.timings.started_us / 1e6, message.timings.elapsed_us / 1e6),
    )


def with_room(channel_options: Sequence[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], int]:
    """The options of a channel, and the bytes of the largest message that it takes then."""
    said = dict(channel_options).get(MAX_RECEIVE)
    if said is None:
        return [*channel_options, (MAX_RECEIVE, MAX_ANSWER_BYTES)], MAX_ANSWER_BYTES
    return list(channel_options), MAX_ANSWER_BYTES if said < 0 else said


class Joiner:
    """Puts bodies together that come in parts (AN-07)."""

    def __init__(self) -> None:
        self._first: Any = None
        self._parts: list[bytes] = []

    def results(self, message: Any) -> Iterator[Result]:
        """The results that are whole with this BatchResponse."""
        for result in message.results:
            if self._first is None and not result.body_continues:
                yield decode(result)
                continue
            if self._first is None:
                self._first = result
            self._parts.append(result.body)
            if not result.body_continues:
                self._first.body = b"".join(self._parts)
                whole, self._first, self._parts = self._first, None, []
                yield decode(whole)


def summary(message: Any) -> Summary:
    """The Summary of a BatchSummary message."""
    return Summary(
        calls=message.calls,
        succeeded=message.succeeded,
        failed=message.failed,
        refused=message.refused,
        dependency_failed=message.dependency_failed,
        unreachable=message.unreachable,
        timed_out=message.timed_out,
        elapsed=message.elapsed.ToNanoseconds() / 1e9,
    )


class Packer:
    """Gathers calls into request messages: at most MAX_CALLS calls, or about MAX_BYTES bytes, each.

    A body of more than PART_BYTES is spread over several messages.
    """

    def __init__(self, first_options: Any) -> None:
        self.promised = Promised()
        self._options = first_options
        self._calls: list[Any] = []
        self._bytes = 0
        self._number = 0
        self._parts: list[Any] = []

    def add(self, call: Call) -> bool:
        """Adds a call; True: all that is pending is to be taken before the next call."""
        encoded = encode(call, self._number)
        self._number += 1
        self.promised.call(encoded.id)
        self._parts = _cut_off(encoded)
        self._calls.append(encoded)
        self._bytes += encoded.ByteSize()
        return bool(self._parts) or len(self._calls) >= MAX_CALLS or self._bytes >= MAX_BYTES

    def pending(self) -> bool:
        """Whether there is something to send."""
        return bool(self._calls) or self._options is not None or bool(self._parts)

    def in_parts(self) -> bool:
        """Whether the rest of a body is to be sent before another call is added."""
        return bool(self._parts)

    def take(self) -> Any:
        """The next BatchRequest: the calls, or else a part of the last one's body."""
        if not self._calls and self._parts:
            return batch_pb2.BatchRequest(calls=[self._parts.pop(0)])
        message = batch_pb2.BatchRequest(options=self._options, calls=self._calls)
        self._options = None
        self._calls = []
        self._bytes = 0
        return message


def in_order(results: Sequence[Result], ids: Sequence[str]) -> list[Result]:
    """The results of calls with these ids, in their order. Raises BatchError unless each has one."""
    promised = Promised()
    order = {id: number for number, id in enumerate(ids)}
    for id in ids:
        promised.call(id)
    for result in results:
        promised.result(result.id)
    promised.end(summarised=True)
    return sorted(results, key=lambda result: order[result.id])


def _cut_off(call: Any) -> list[Any]:
    """Takes off what is more than PART_BYTES of a body; the calls that carry it behind this one."""
    body = call.body
    if len(body) <= PART_BYTES:
        return []
    parts = [
        batch_pb2.Call(id=call.id, body=body[at : at + PART_BYTES], body_continues=at + PART_BYTES < len(body))
        for at in range(PART_BYTES, len(body), PART_BYTES)
    ]
    call.body = body[:PART_BYTES]
    call.body_continues = True
    return parts


def _json(value: Any) -> bytes:
    """UTF-8. Half of a surrogate pair has none, and stays an escape (AN-04). Raises TypeError, ValueError."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromNanoseconds(int(seconds * 1e9))
    return made
