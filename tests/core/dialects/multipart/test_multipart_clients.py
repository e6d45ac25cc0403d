"""Requests as real clients sent them: every captured multipart batch, whole and in pieces (clients.md)."""

import re
from pathlib import Path
from typing import Any

import pytest
from batchwire.core.dialects.multipart.boundaries import parse_boundary
from batchwire.core.headers import HeaderBlock
from multipart_batches import read

CAPTURES = Path(__file__).parents[3] / "contract" / "vectors" / "clients"
FLAVOURS = {
    "aspose_node": "document",
    "aspose_python": "document",
    "google_python": "google",
    "google_cloud_storage": "google",
}
REQUESTS = [path for path in sorted(CAPTURES.glob("*/*-req.bin")) if b"multipart/" in path.read_bytes()]

# By capture: method, and the last part of the URL after "things" or of its path; "+": in a change set.
EXPECTED = {
    "aspose_node/02": "GET GET POST GET PUT PUT",
    "aspose_node/03": "GET",
    "aspose_node/04": "PUT PUT",
    "aspose_node/05": "PUT GET",
    "aspose_python/02": "GET GET POST GET PUT PUT",
    "aspose_python/03": "PUT PUT",
    "aspose_python/04": "PUT PUT",
    "azure_tables/01": "+POST +PATCH +POST",
    "azure_tables/02": "+DELETE",
    "azure_tables/03": "+POST +POST",
    "azure_tables_js/01": "+POST +POST",
    "google_cloud_storage/01": "PATCH DELETE",
    "google_python/01": "GET GET POST GET GET",
    "google_python/02": "GET DELETE",
    "odata_client_multipart/01": "GET GET +POST GET GET +DELETE",
    "office365_sp/01": "+MERGE",
    "openui5_v2/01": "+MERGE",
    "openui5_v2/02": "GET GET GET",
    "pnp_sp/01": "GET +POST +PATCH GET GET",
    "pyodata_v2/01": "GET +POST +PATCH GET",
    "pyodata_v2/02": "GET GET",
    "pyodata_v2/03": "+PATCH +PATCH",
    "sap_java_v2/01": "GET +POST +PATCH GET GET",
    "sap_cloud_sdk/03": "GET GET +POST +PATCH GET GET +DELETE",
    "sap_cloud_sdk/06": "GET GET +POST +PATCH GET GET +DELETE",
    "sap_cloud_sdk/09": "GET GET +POST +PATCH GET GET +DELETE",
    "sap_cloud_sdk/12": "GET GET +POST +PATCH GET GET +DELETE",
    "sap_cloud_sdk/15": "+DELETE +DELETE GET",
}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name[:2]}"


def calls_of(path: Path, cuts: Any = ()) -> list[dict[str, Any]]:
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    fields = re.search(rb"(?i)\r\ncontent-type: *([^\r]*)", head)
    host = re.search(rb"(?i)\r\nhost: *([^\r]*)", head)
    said = re.search(rb"(?i)\r\nauthorization: *([^\r]*)", head)
    assert fields is not None
    flavour = FLAVOURS.get(path.parent.name, "odata")
    credentials = {"inner_authorization": "drop"} if flavour == "google" else {"inner_authorization": "same"}
    return read(
        body,
        cuts,
        parse_boundary(fields[1].decode()),
        flavour=flavour,
        block=HeaderBlock(False, authorization=said[1] if said else None, **credentials),
        authority=("http", host[1].decode()) if host else None,
    )


def test_every_capture_is_looked_at() -> None:
    assert {name_of(path) for path in REQUESTS} == set(EXPECTED)


@pytest.mark.parametrize("path", REQUESTS, ids=name_of)
def test_the_calls_of_a_capture(path: Path) -> None:
    calls = calls_of(path)
    assert all(call["refusal"] is None for call in calls)
    said = " ".join(("+" if call["group"] is not None else "") + call["method"].decode() for call in calls)
    assert said == EXPECTED[name_of(path)]
    for call in calls:
        assert call["url"]
        assert b" " not in call["url"]
        names = {name.lower() for name, _ in call["headers"]}
        forbidden = {b"host", b"content-length", b"accept-encoding", b"authorization", b"requestid", b"dependson"}
        assert not names & (forbidden | {b"content-id"})
        if call["method"] in (b"GET", b"DELETE"):
            assert call["body"] is None
            assert b"content-type" not in names
        elif call["body"] is not None and b"json" in dict(call["headers"]).get(b"Content-Type", b""):
            assert call["body"].startswith(b"{")


@pytest.mark.parametrize("path", REQUESTS, ids=name_of)
def test_a_capture_in_pieces_gives_the_same_calls(path: Path) -> None:
    calls = calls_of(path)
    size = len(path.read_bytes())
    for step in (1, 2, 3, 7, 64):
        assert calls_of(path, range(step, size, step)) == calls


def test_ids_and_parents_of_the_document_clients() -> None:
    for name in ("aspose_node/02", "aspose_python/02"):
        calls = calls_of(CAPTURES / f"{name}-req.bin")
        ids = [call["id"] for call in calls]
        assert all(re.fullmatch(rb"[0-9a-f-]{36}", said) for said in ids)
        assert calls[2]["depends_on"] == [ids[0]]
        assert calls[5]["depends_on"] == [ids[4]]
        assert calls[5]["body"] == b"resultOf(" + ids[4] + b")"


def test_ids_of_the_google_client_are_whole() -> None:
    for call in calls_of(CAPTURES / "google_python/01-req.bin"):
        assert re.fullmatch(rb"<[0-9a-f-]{36} \+ [^ ]+>", call["id"])


def test_nested_form_data_is_byte_exact() -> None:
    path = CAPTURES / "aspose_python/04-req.bin"
    body = calls_of(path)[1]["body"]
    assert body.startswith(b"--d3c8494e17fc06554f92e9b55f489931\r\n")
    assert body.endswith(b"--d3c8494e17fc06554f92e9b55f489931--\r\n")
    assert body in path.read_bytes()
