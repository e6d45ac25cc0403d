"""What /metrics costs: made once for all who ask in the same turn of the loop (PL-01)."""

import asyncio

from batchwire.service.config import Config
from batchwire.service.metrics import Metrics
from batchwire.service.routes import RouteTable
from batchwire.service.state import Service


async def test_PL_01_the_figures_of_a_turn_are_made_once() -> None:
    config = Config.model_validate(
        {"upstreams": {"a": {"url": "http://127.0.0.1:1/"}}, "routes": [{"root": "/svc/", "upstream": "a"}]}
    )
    loop = asyncio.get_running_loop()
    service = Service(config, RouteTable(config, loop), Metrics(), loop)
    first = service.figures()
    service.metrics.batch_refused("rest", "/svc/", "NotFound")
    assert service.figures() is first
    await asyncio.sleep(0)
    text, _ = service.figures()
    assert b'batchwire_batches_refused_total{front="rest",reason="NotFound",route="/svc/"} 1.0' in text
