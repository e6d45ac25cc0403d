"""The standard library's json on a batch document, for comparison with the core's reader and writer.

It does less in one way (no call is made of what it reads) and more in another (it builds Python objects).
"""

import json
import time
from collections.abc import Callable

from .messages import json_call
from .upstream import BODY

_CALLS = 1000


def request_document() -> bytes:
    """A batch document of 1,000 calls, each other one a POST with a body of some hundred bytes."""
    headers = b'{"content-type":"application/json"}'
    post = b'{"id":"%d","method":"POST","url":"things","headers":' + headers + b',"body":%s}'
    body = BODY.encode()
    calls = (post % (number, body) if number % 2 else json_call(number) for number in range(_CALLS))
    return b'{"requests":[' + b",".join(calls) + b"]}"


def response_document() -> bytes:
    """The document that answers 1,000 such calls."""
    answer = b'{"id":"%d","status":200,"headers":{"content-type":"application/json"},"body":%s}'
    return b'{"responses":[' + b",".join(answer % (n, BODY.encode()) for n in range(_CALLS)) + b"]}"


def _megabytes_per_second(work: Callable[[], object], size: int, seconds: float) -> float:
    work()
    times, start = 0, time.process_time()
    while (took := time.process_time() - start) < seconds:
        work()
        times += 1
    return times * size / took / 1e6


def measure(seconds: float) -> dict[str, float]:
    """read and write in MB (10^6 bytes of document) a CPU second."""
    request, response = request_document(), response_document()
    answer = json.loads(response)
    return {
        "read": _megabytes_per_second(lambda: json.loads(request), len(request), seconds),
        "write": _megabytes_per_second(
            lambda: json.dumps(answer, separators=(",", ":")).encode(), len(response), seconds
        ),
    }
