"""h2load, nghttp2's load generator: many clients with many streams each, over REST and gRPC; all of them succeed.

It comes with the system package nghttp2-client, which `make test` installs where it is missing. How fast it goes is
nobody's business here; see bench/.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from batchwire.v1 import batch_pb2
from harness import grpc_client, http2, rest
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream
from in_process import closed, open_now, whole_front

SECONDS = 100
EXECUTE = "/batchwire.v1.BatchService/Execute"
CALLS = 3
"""Of each batch."""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    """A directory with a batch for each front."""
    urls = [f"things/{n}" for n in range(CALLS)]
    document = {"requests": [rest.get_call(str(n), url) for n, url in enumerate(urls)]}
    (tmp_path / "rest").write_bytes(rest.encode(document))
    calls = [grpc_client.call(str(n), url) for n, url in enumerate(urls)]
    batch = batch_pb2.ExecuteRequest(options=grpc_client.options(), calls=calls)
    (tmp_path / "grpc").write_bytes(http2.message(batch.SerializeToString()))
    return tmp_path


@pytest.fixture
def things(upstream: ScriptedUpstream) -> ScriptedUpstream:
    """/things/0 and so on answer; nobody counts how often."""
    for number in range(CALLS):
        upstream.on("GET", f"/things/{number}")
    upstream.keep_log = False
    return upstream


def arguments(kind: str, bodies: Path) -> list[str]:
    """What to ask for: the health of the gateway, or a batch."""
    if kind == "health":
        return []
    fields = {"rest": ["content-type: application/json"], "grpc": ["content-type: application/grpc", "te: trailers"]}
    return [f"--data={bodies / kind}", *(f"--header={field}" for field in fields[kind])]


PATHS = {"health": "/healthz", "rest": "/svc/$batch", "grpc": EXECUTE}


async def load(port: int, kind: str, bodies: Path, requests: int, clients: int, streams: int) -> None:
    """Runs h2load; every request must succeed."""
    process = await asyncio.create_subprocess_exec(
        "h2load",
        f"--requests={requests}",
        f"--clients={clients}",
        f"--max-concurrent-streams={streams}",
        *arguments(kind, bodies),
        f"http://127.0.0.1:{port}{PATHS[kind]}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output = (await process.communicate())[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, output
    counts = {name: int(count) for count, name in re.findall(r"(\d+) (\w+)", _line(output, "requests:"))}
    assert counts["done"] == counts["succeeded"] == requests, output
    assert counts["failed"] == counts["errored"] == counts["timeout"] == 0, output
    assert _line(output, "status codes:").split()[0] == str(requests), output


def _line(output: str, start: str) -> str:
    found = [line for line in output.splitlines() if line.startswith(start)]
    assert len(found) == 1, output
    return found[0].removeprefix(start)


LOADS = [("health", 20_000, 100, 50), ("rest", 2_000, 50, 20), ("grpc", 2_000, 50, 20), ("grpc", 500, 1, 500)]


@pytest.mark.parametrize(("kind", "requests", "clients", "streams"), LOADS)
async def test_all_succeed_and_nothing_is_left(
    things: ScriptedUpstream, bodies: Path, kind: str, requests: int, clients: int, streams: int
) -> None:
    before = open_now()["sessions"]
    async with whole_front(things.origin) as (port, service):
        await load(port, kind, bodies, requests, clients, streams)
        await closed({"sessions": before, "connections": 0, "streams": 0})
        assert service.running == 0


@pytest.mark.parametrize("kind", ["rest", "grpc"])
async def test_the_metrics_of_a_process_count_every_batch(
    attacked: Gateway, nothing_left: None, things: ScriptedUpstream, bodies: Path, kind: str
) -> None:
    batches = f'batchwire_batches_total{{ended="ok",front="{kind}",route="/svc/"}}'
    calls = 'batchwire_calls_total{outcome="succeeded",route="/svc/"}'
    before = attacked.metrics()
    await load(attacked.http_port, kind, bodies, 2_000, 40, 10)
    attacked.wait_idle()
    after = attacked.metrics()
    assert after[batches] - before.get(batches, 0) == 2_000
    assert after[calls] - before.get(calls, 0) == 2_000 * CALLS
