"""Office365-REST-Python-Client: reads, and a change by MERGE in a change set, as SharePoint takes batches.

The form digest that the client asks for first is no batch: as behind a proxy that sends only batches to the gateway, it
goes to the service. Usage: drive.py SITE_URL SERVICE_ORIGIN (SITE_URL is the gateway's origin with /sites/dev).
"""

from __future__ import annotations

import json
import sys
from typing import Any

import requests
from office365.runtime.auth.token_response import TokenResponse
from office365.runtime.client_request_exception import ClientRequestException
from office365.sharepoint.client_context import ClientContext


class ToService(requests.adapters.HTTPAdapter):
    """Sends what is no batch to the service itself."""

    def __init__(self, origin: str) -> None:
        super().__init__()
        self._origin = origin

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        request.url = self._origin + request.path_url
        return super().send(request, **options)


def run(site: str, service: str) -> dict[str, Any]:
    session = requests.Session()
    session.mount(f"{site}/_api/contextInfo", ToService(service))
    context = ClientContext(site).with_access_token(
        lambda: TokenResponse(access_token="outer-token", token_type="Bearer", expiresIn=3600)
    )
    context.with_transport(session=session)

    web = context.web
    context.load(web)
    context.execute_batch()
    before = web.properties["Title"]

    web.set_property("Title", "Größe ✓")
    web.update()
    context.execute_batch()

    context.load(web)
    context.execute_batch()
    after = web.properties["Title"]
    assert after == "Größe ✓", after

    context.load(context.web.lists.get_by_title("none"))
    try:
        context.execute_batch()
    except (ClientRequestException, requests.HTTPError) as error:
        return {"titles": [before, after], "failure": error.response.status_code}
    raise AssertionError("no failure of a list that is not there")


print(json.dumps(run(sys.argv[1], sys.argv[2])))
