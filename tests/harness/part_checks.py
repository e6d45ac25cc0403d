"""What the tests of multipart answers ask of a part, and the way of a part that is refused alone.

Must never take an answer without an OData error object for an error.
"""

from __future__ import annotations

import pytest

from . import rest
from .batches import Refused
from .documents import parts, send
from .gateway import Gateway
from .multiparts import Part, part
from .scripted import ScriptedUpstream

ON = {"Prefer": "continue-on-error"}
OK = part(b"GET ok HTTP/1.1\r\n\r\n")


def check_error(found: Part, *statuses: int) -> None:
    """The part says one of these statuses, with an OData error object (ER-01)."""
    assert found.members is None
    assert found.status in statuses, found
    assert rest.is_odata_error(found.json()), found


def check_bad_part(way: str, gateway: Gateway, upstream: ScriptedUpstream, bad: bytes, *statuses: int) -> None:
    """The part is refused alone (GW-02), with 400 or one of `statuses`: what stands beside it runs, and it does not."""
    upstream.on("GET", "/ok")
    found = parts(way, gateway, OK, bad, OK, headers=ON)
    assert [one.status for one in found] == [200, found[1].status, 200]
    check_error(found[1], *(statuses or (400,)))
    assert upstream.lines == ["GET /ok"] * 2


def check_refused_whole(way: str, gateway: Gateway, upstream: ScriptedUpstream, body: bytes) -> None:
    """The batch is refused as a whole and none of its calls runs (GW-01)."""
    with pytest.raises(Refused) as caught:
        send(way, gateway, body)
    assert caught.value.bad_envelope, caught.value
    assert caught.value.details
    assert upstream.lines == []
