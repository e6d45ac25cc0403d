"""Both forms against a real OData server: groups are all or nothing there, and decode to 424 (GW-04 b, JR-12)."""

import json

import pytest
from batchwire.core.model import Call, Result
from batchwire.core.upstream.native.base import NativeForm
from harness.cap import INSTALL, Cap
from native_calls import FORMS, JSON, Told, encode, fields_of, member, statuses

pytestmark = [pytest.mark.timeout(INSTALL), pytest.mark.parametrize("form", FORMS, ids=["json", "multipart"])]


def book(name: str, key: int, stock: int = 5) -> Call:
    return member(name, body=json.dumps({"ID": key, "title": f"book {key}", "stock": stock}).encode())


def send(cap: Cap, form: NativeForm, *members: Call, atomic: bool = True) -> list[Told]:
    batch = encode(form, *members, atomic=atomic)
    status, headers, body = cap.send("POST", "$batch", batch.body, fields_of(batch.head))
    result = Result()
    result.fill(status, [(name.encode(), value.encode()) for name, value in headers], body)
    told: list[Told] = form.decode_answer(result, list(members), atomic)
    return told


def code(told: Told) -> str:
    assert told[2] is not None
    return str(json.loads(told[2])["error"]["code"])


def test_a_group_that_succeeds(cap: Cap, form: NativeForm) -> None:
    told = send(cap, form, book("first", 1), book("second", 2))
    assert statuses(told) == [201, 201]
    assert [json.loads(body or b"")["ID"] for _, _, body, _ in told] == [1, 2]
    assert cap.keys("Books") == {1, 2}


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_group_that_fails_changes_nothing_and_no_member_passes_for_a_success(
    cap: Cap, form: NativeForm, bad: int
) -> None:
    told = send(cap, form, *[book(f"c{i}", i, 5000 if i == bad else 5) for i in range(3)])
    assert statuses(told) == [400 if i == bad else 424 for i in range(3)]
    assert code(told[bad]) == "ASSERT_RANGE"
    assert {code(told[i]) for i in range(3) if i != bad} == {"FailedDependency"}
    assert cap.keys("Books") == set()


def test_the_error_names_the_clients_id_and_not_ours(cap: Cap, form: NativeForm) -> None:
    body = send(cap, form, book("good", 1), book("bad", 2, 5000))[1][2]
    assert body is not None
    assert json.loads(body)["error"].get("@Core.ContentID", "bad") == "bad"


def test_references_between_members_are_resolved_there(cap: Cap, form: NativeForm) -> None:
    change = member("change", "PATCH", "$new", b'{"stock":7}', depends_on=("new",))
    assert statuses(send(cap, form, book("new", 1), change)) in ([201, 200], [201, 204])
    assert cap.row("Books(1)")["stock"] == 7


def test_calls_that_are_not_a_group_succeed_and_fail_alone(cap: Cap, form: NativeForm) -> None:
    look = member("look", "GET", "Books(77)", headers=())
    told = send(cap, form, book("a", 1), book("b", 2, 5000), look, book("c", 3), atomic=False)
    assert statuses(told) == [201, 400, 404, 201]
    assert cap.keys("Books") == {1, 3}


@pytest.mark.parametrize("title", ['é"\\\n--b', "$1", "$1/title", "$a"])
def test_text_arrives_as_it_was_sent_also_where_it_looks_like_a_reference(
    cap: Cap, form: NativeForm, title: str
) -> None:
    second = member("b", body=json.dumps({"ID": 2, "title": title, "stock": 0}).encode())
    assert statuses(send(cap, form, book("a", 1), second)) == [201, 201]
    assert cap.row("Books(2)")["title"] == title


def test_a_reference_in_a_body_fails_there_and_takes_the_group_back(cap: Cap, form: NativeForm) -> None:
    """CAP resolves references in URLs only (ID-11 is a MAY)."""
    order = member("order", body=b'{"ID":5,"amount":2,"book@odata.bind":"$new"}', url="Orders", depends_on=("new",))
    told = send(cap, form, book("new", 1), order)
    assert statuses(told) == [424, 400]
    assert json.loads(told[1][2] or b"")["error"].get("@Core.ContentID", "order") == "order"
    assert cap.keys("Books") == cap.keys("Orders") == set()


def test_a_member_that_fails_on_what_another_made_takes_it_back(cap: Cap, form: NativeForm) -> None:
    """A reference makes the second depend on the first; the failure is that of the second alone."""
    change = member("change", "PATCH", "$new", b'{"stock":5000}', depends_on=("new",))
    assert statuses(send(cap, form, book("new", 1), change)) == [424, 400]
    assert cap.keys("Books") == set()


def test_a_change_of_what_was_there_is_taken_back_too(cap: Cap, form: NativeForm) -> None:
    assert statuses(send(cap, form, book("a", 1), book("b", 2))) == [201, 201]
    change = member("c", "PATCH", "Books(1)", b'{"stock":9}')
    remove = member("d", "DELETE", "Books(2)", headers=())
    assert statuses(send(cap, form, change, remove, book("e", 3, 5000))) == [424, 424, 400]
    assert cap.row("Books(1)")["stock"] == 5
    assert cap.keys("Books") == {1, 2}


def test_what_cap_refuses_as_a_whole_fails_every_member(cap: Cap, form: NativeForm) -> None:
    batch = encode(form, book("a", 1))
    headers = fields_of(batch.head) | {"content-type": "text/plain"}
    status, _, body = cap.send("POST", "$batch", batch.body, headers)
    result = Result()
    result.fill(status, [], body)
    assert [told[0] for told in form.decode_answer(result, [book("a", 1)], True)] == [502]
    assert cap.keys("Books") == set()


@pytest.mark.parametrize(
    ("method", "url", "body", "status"),
    [
        ("POST", "Nowhere", b"{}", 404),
        ("DELETE", "Orders(77)", None, 404),
        ("PUT", "Orders", b"{}", 405),
        ("PATCH", "Books(1)/nope", b"{}", 404),
        ("POST", "Orders", b'{"ID":"x"}', 400),
        ("POST", "Orders", b'{"nope":1}', 400),
        ("POST", "Books", b'{"ID":1,"title":"again","stock":0}', 500),
    ],
)
def test_whatever_the_failure_is_the_others_are_taken_back(
    cap: Cap, form: NativeForm, method: str, url: str, body: bytes | None, status: int
) -> None:
    bad = member("bad", method, url, body, () if body is None else (JSON,))
    assert statuses(send(cap, form, book("a", 1), bad, book("c", 3))) == [424, status, 424]
    assert cap.keys("Books") == cap.keys("Orders") == set()
