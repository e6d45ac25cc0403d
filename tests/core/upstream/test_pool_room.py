"""The room that a call leaves is given on, also when its batch has ended meanwhile (BU-04)."""

import asyncio
import json
from typing import Any

from batchwire.core import Route, Session
from batchwire.core.faults import arm
from core_driving import RawServer, answer, session_of, taken, upstream_of


def document(*names: str) -> bytes:
    return json.dumps({"requests": [{"id": name, "method": "get", "url": name} for name in names]}).encode()


async def test_BU_04_a_batch_that_ends_while_its_answer_is_handed_over_lets_others_go_on() -> None:
    """The second call takes the connection of the first, cannot be sent, and ends their batch."""
    sent = 0
    sessions: list[Session] = []
    raised: list[dict[str, Any]] = []

    def on_place(place: str) -> None:
        nonlocal sent
        if place == "upstream.send":
            sent += 1
            if sent == 2:
                sessions[0].cancel()
                raise RuntimeError("not sent")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    async with (
        RawServer(lambda _: answer(204)) as server,
        upstream_of(server, max_connections=1, max_in_flight=2) as upstream,
    ):
        route = Route(root="/svc/", upstream=upstream)
        arm(on_place)
        try:
            for names in (("a", "b"), ("c", "d")):
                sessions.append(session_of(route, dialect="json"))
                sessions[-1].feed(document(*names))
                sessions[-1].feed_end()
            text = await taken(sessions[1])
        finally:
            arm(None)
        assert sessions[0].cancelled
        assert raised == []
        assert [one["status"] for one in json.loads(text)["responses"]] == [204, 204]
        assert upstream.stats()["in_flight"] == 0
