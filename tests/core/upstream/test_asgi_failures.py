"""The in-process upstream when its application exits, is cancelled or raises: one failed call, and only that."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from batchwire.core import AsgiUpstream, ConfigError, Route
from batchwire.core.upstream.asgi.complaints import TOLD
from batchwire.v1 import batch_pb2 as pb
from core_driving import call, code, header, run, session_of

pytestmark = pytest.mark.usefixtures("nothing_left")

HOW = {"cancelled": asyncio.CancelledError, "exit": SystemExit, "interrupt": KeyboardInterrupt, "error": RuntimeError}


class App:
    """Fails as the path says, at once or after the start of its answer; `hold` waits until it is cancelled."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise SystemExit("no lifespan here")
        name, _, late = scope["path"].strip("/").partition("-")
        if name == "hold":
            self.held.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if late or name not in HOW:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if name in HOW:
            raise HOW[name]()
        await send({"type": "http.response.body", "body": b"fine"})


@pytest.fixture
def app() -> App:
    return App()


@pytest_asyncio.fixture
async def upstream(app: App) -> AsyncIterator[AsgiUpstream]:
    made = AsgiUpstream(asyncio.get_running_loop(), app, name="app", call_timeout=20)
    await made.startup()
    yield made
    await made.shutdown()
    made.close()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("late", "status", "reason"), [("", 500, "UpstreamFailed"), ("-late", 502, "UpstreamBroken")])
async def test_a_call_that_ends_badly_ends_alone(
    how: str, late: str, status: int, reason: str, upstream: AsgiUpstream
) -> None:
    async with asyncio.timeout(5):
        batch = await run(Route(root="/", upstream=upstream), [call("a", how + late), call("b", "fine")])
    assert batch.statuses == {"a": status, "b": 200}
    assert code(batch["a"]) == reason
    assert (upstream.stats()["in_flight"], upstream.stats()["crashes"]) == (0, 1)


async def test_the_gateway_still_cancels_a_call_that_nobody_waits_for(app: App, upstream: AsgiUpstream) -> None:
    session = session_of(Route(root="/", upstream=upstream))
    session.feed(pb.BatchRequest(calls=[call("a", "hold")]).SerializeToString())
    async with asyncio.timeout(10):
        await app.held.wait()
        session.cancel()
        await app.cancelled.wait()
    assert (upstream.stats()["in_flight"], upstream.stats()["crashes"]) == (0, 0)


@pytest.mark.parametrize(
    ("host", "server"),
    [(None, ("localhost", 80)), ("a.example", ("a.example", 80)), ("a:81", ("a", 81)), ("[::1]:81", ("::1", 81))],
)
async def test_GW_08_an_app_sees_the_host_of_its_upstream(host: str | None, server: tuple[str, int]) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((dict(scope["headers"])[b"host"], scope["server"]))
        location = f"http://{host or 'localhost'}/made".encode()
        await send({"type": "http.response.start", "status": 201, "headers": [(b"location", location)]})
        await send({"type": "http.response.body"})

    options = {} if host is None else {"host": host}
    made = AsgiUpstream(asyncio.get_running_loop(), app, name="app", **options)  # type: ignore[arg-type]
    batch = await run(Route(root="/svc/", upstream=made), [call("a", "x", "POST")])
    made.close()
    assert seen == [((host or "localhost").encode(), server)]
    assert header(batch["a"], "location") == "/svc/made"  # GW-10: its own URLs are those of the batch


async def test_a_host_that_breaks_a_line_is_refused() -> None:
    with pytest.raises(ConfigError):
        AsgiUpstream(asyncio.get_running_loop(), App(), name="app", host="a\r\nb")


async def test_log_lines_of_an_app_name_their_upstream(
    upstream: AsgiUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """As those of any upstream do; so do the failures that are only counted."""
    calls = [call(str(n), "error") for n in range(TOLD + 2)]
    found = await run(Route(root="/svc/", upstream=upstream), calls)
    upstream.complaints.flush()
    assert set(found.statuses.values()) == {500}
    told = [record for record in caplog.records if record.name == "batchwire.asgi"]
    assert "failed 2 times more" in told[-1].getMessage()
    assert {getattr(record, "upstream", None) for record in told} == {"app"}
