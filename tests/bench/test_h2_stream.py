"""What the benchmark's stream client takes for a result."""

import pytest
from batchwire.v1 import batch_pb2 as pb

from bench.h2_stream import Messages
from bench.h2_wire import grpc_frame


def response(*statuses: int, elapsed: int = 5) -> bytes:
    message = pb.BatchResponse()
    for number, status in enumerate(statuses):
        result = message.results.add(id=f"{number:08d}", status=status, body=b'{"status":200}')
        result.timings.elapsed_us = elapsed
    return grpc_frame(message.SerializeToString())


def test_messages_are_taken_whole_from_any_split() -> None:
    data = response(200) + response() + response(200, 200, 200)
    for size in range(1, len(data) + 1):
        messages, counts = Messages(), [0, 0]
        for at in range(0, len(data), size):
            found = messages.feed(data[at : at + size])
            counts = [counts[0] + found[0], counts[1] + found[1]]
        assert counts == [3, 4]
        assert messages.last == response(200, 200, 200)[5:]


@pytest.mark.parametrize("status", [201, 400, 502])
def test_only_status_200_counts_whatever_the_times_are(status: int) -> None:
    # 200 microseconds have the same bytes as the status 200.
    assert Messages().feed(response(status, 200, elapsed=200)) == (1, 1)
