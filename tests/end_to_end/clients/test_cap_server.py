"""What SAP CAP itself does with a group that fails, asked without the gateway: the ground under GW-04 b."""

import json
from typing import Any

import pytest
from harness.cap import INSTALL, Cap, demand_node

pytestmark = pytest.mark.timeout(INSTALL)

JSON = {"Content-Type": "application/json"}


def insert(name: str, key: int, stock: int, **more: Any) -> dict[str, Any]:
    body = {"ID": key, "title": f"book {key}", "stock": stock}
    return {
        "id": name,
        "method": "post",
        "url": "Books",
        "headers": {"content-type": "application/json"},
        "body": body,
    } | more


def json_batch(cap: Cap, *requests: dict[str, Any]) -> dict[str, dict[str, Any]]:
    status, _, body = cap.send("POST", "$batch", json.dumps({"requests": requests}).encode(), JSON)
    assert status == 200
    return {response["id"]: response for response in json.loads(body)["responses"]}


def change_set(*stocks: int) -> bytes:
    """Inserts of books 1, 2, ... as one change set."""
    parts = []
    for key, stock in enumerate(stocks, 1):
        body = json.dumps({"ID": key, "title": f"book {key}", "stock": stock})
        parts.append(
            "--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: {key}\r\n\r\nPOST Books HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
        )
    inside = "".join(parts)
    return f"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{inside}--c--\r\n--b--\r\n".encode()


def test_a_bad_insert_fails_alone_too(cap: Cap) -> None:
    assert cap.send("POST", "Books", b'{"ID":1,"title":"a","stock":1001}', JSON)[0] == 400
    assert cap.keys("Books") == set()


def test_a_json_group_that_fails_is_rolled_back_and_its_member_still_says_201(cap: Cap) -> None:
    """Why batchwire must not pass CAP's statuses on (JR-12)."""
    said = json_batch(cap, insert("1", 1, 5, atomicityGroup="g"), insert("2", 2, 5000, atomicityGroup="g"))
    assert {name: response["status"] for name, response in said.items()} == {"1": 201, "2": 400}
    assert cap.keys("Books") == set()


def test_a_json_group_that_succeeds_is_kept(cap: Cap) -> None:
    said = json_batch(cap, insert("1", 1, 5, atomicityGroup="g"), insert("2", 2, 6, atomicityGroup="g"))
    assert {name: response["status"] for name, response in said.items()} == {"1": 201, "2": 201}
    assert cap.keys("Books") == {1, 2}


def test_without_a_group_nothing_is_rolled_back(cap: Cap) -> None:
    said = json_batch(cap, insert("1", 1, 5), insert("2", 2, 5000))
    assert {name: response["status"] for name, response in said.items()} == {"1": 201, "2": 400}
    assert cap.keys("Books") == {1}


def test_a_change_set_that_fails_is_rolled_back_and_answered_by_one_part(cap: Cap) -> None:
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    status, _, body = cap.send("POST", "$batch", change_set(5, 5000), headers)
    assert status == 200
    assert body.count(b"HTTP/1.1 ") == 1
    assert b"content-id: 2\r\n\r\nHTTP/1.1 400 Bad Request" in body
    assert cap.keys("Books") == set()


def test_a_change_set_that_succeeds_is_kept(cap: Cap) -> None:
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    status, _, body = cap.send("POST", "$batch", change_set(5, 6), headers)
    assert status == 200
    assert body.count(b"HTTP/1.1 201 Created") == 2
    assert cap.keys("Books") == {1, 2}


# ---------------------------------------------------------------- where CAP is not to be relied upon


def test_a_change_set_is_not_rolled_back_for_a_member_of_a_media_type_that_cap_does_not_take(cap: Cap) -> None:
    """A fault of CAP 9.9: it says 415 before the service is asked, and commits the rest. Nobody behind it can tell."""
    text = change_set(5, 6).replace(b"Content-Type: application/json", b"Content-Type: text/plain", 1)
    status, _, body = cap.send("POST", "$batch", text, {"Content-Type": "multipart/mixed; boundary=b"})
    assert status == 200
    assert b"HTTP/1.1 415 Unsupported Media Type" in body
    assert b"HTTP/1.1 201 Created" in body
    assert cap.keys("Books") == {2}


def test_a_json_batch_with_a_body_that_is_no_object_is_refused_as_a_whole(cap: Cap) -> None:
    """CAP takes no other bodies there, so that one such call fails all that are coalesced with it."""
    note = insert("2", 2, 5, headers={"content-type": "text/plain"}, body="words")
    status, _, _ = cap.send("POST", "$batch", json.dumps({"requests": [insert("1", 1, 5), note]}).encode(), JSON)
    assert status == 400
    assert cap.keys("Books") == set()


# ---------------------------------------------------------------- without Node.js


def test_a_missing_node_fails_where_it_must_be_there_and_is_skipped_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for said, outcome in (("true", pytest.fail.Exception), ("", pytest.skip.Exception)):
        monkeypatch.setenv("CI", said)
        with pytest.raises(outcome, match="SAP CAP needs node and npm on the PATH"):
            demand_node()
