"""One Batch stream with many messages of one call each, from a raw client in its own process; prints one JSON line.

A number of calls is kept unanswered: with 1 every result comes in a message of its own, with more the
gateway may put several into one. Must never let the client be what is measured: only the gateway's CPU counts.
"""

import argparse
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from batchwire.v1 import batch_pb2 as pb

from .h2_wire import Connection, grpc_fields, grpc_frame
from .messages import check_answer
from .processes import cpu_seconds

METHOD = "/batchwire.v1.BatchService/Batch"
_ID = b"00000000"
# An id and behind it the status 200: every gateway here writes fields in order, and no text has such bytes.
_SUCCEEDED = re.compile(rb"\x0a\x08\d{8}\x10\xc8\x01")


@dataclass
class Count:
    """What one stream carried: messages sent, messages received before the last, calls."""

    sent: int = 0
    received: int = 0
    calls: int = 0


class Messages:
    """Takes gRPC messages out of the bytes of an answer; `last` is the one that came last."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self.last = b""

    def feed(self, data: bytes) -> tuple[int, int]:
        """Messages that are whole now, and the results with status 200 in them."""
        self._unread += data
        unread, at, messages, results = self._unread, 0, 0, 0
        while len(unread) - at >= 5:
            end = at + 5 + int.from_bytes(unread[at + 1 : at + 5], "big")
            if len(unread) < end:
                break
            self.last = bytes(unread[at + 5 : end])
            messages, results, at = messages + 1, results + len(_SUCCEEDED.findall(self.last)), end
        del unread[:at]
        return messages, results


def _template() -> tuple[bytes, bytes]:
    """A message of one call, as it travels, before and after the call's id."""
    message = pb.BatchRequest()
    message.calls.add(id=_ID.decode(), method="GET", url="things/1")
    before, after = grpc_frame(message.SerializeToString()).split(_ID)
    return before, after


def stream(target: str, unanswered: int, seconds: float) -> Count:
    """Sends calls on one stream for so long, and waits for their results."""
    before, after = _template()
    count, messages = Count(), Messages()
    with Connection(target) as connection:
        connection.request(grpc_fields(target, METHOD))
        end = time.perf_counter() + seconds
        more = unanswered
        while True:
            if more:
                numbers = range(count.sent, count.sent + more)
                connection.write(*(b"%b%08d%b" % (before, number, after) for number in numbers))
                count.sent += more
            received, results = messages.feed(connection.read())
            count.received += received
            count.calls += results
            if connection.ended:
                raise ValueError(f"the stream ended after {count.calls} of {count.sent} calls")
            more = results if time.perf_counter() < end else 0
            if count.calls == count.sent and not more:
                break
        connection.write(end=True)
        while not connection.ended:
            messages.feed(connection.read())
    check_answer(messages.last, count.sent)
    return count


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Warms up for a third of the window, then measures it. CPU figures are microseconds a message, both ways."""
    stream(options.target, options.unanswered, options.seconds / 3)
    gateway, own, start = cpu_seconds(options.gateway_pid), time.process_time(), time.perf_counter()
    count = stream(options.target, options.unanswered, options.seconds)
    took, own = time.perf_counter() - start, time.process_time() - own
    gateway = cpu_seconds(options.gateway_pid) - gateway
    messages = count.sent + count.received
    return {
        "calls_per_second": count.calls / took,
        "messages_per_call": messages / count.calls,
        "cpu_us": gateway / messages * 1e6,
        "call_us": gateway / count.calls * 1e6,
        "generator_us": own / messages * 1e6,
    }


def main() -> None:
    """Options: target host:port, calls kept unanswered, seconds of the window, pid of the gateway."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--unanswered", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--gateway-pid", type=int, required=True)
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
