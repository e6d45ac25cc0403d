"""The multipart batch response of an upstream, taken apart (MP-05..MP-15): structure, tolerances, odd answers."""

from __future__ import annotations

import pytest
from native_calls import (
    CREATED,
    ERROR,
    FAILED,
    JSON,
    MULTIPART,
    Said,
    Told,
    answer,
    header,
    multipart_of,
    part_of,
    statuses,
    text_of,
    told,
)

NESTED = b"Content-Type: multipart/mixed; boundary=c\r\n\r\n"


def taken(text: bytes, count: int = 2, atomic: bool = False, media: str | None = None, status: int = 200) -> list[Told]:
    return told(MULTIPART, answer(MULTIPART, text, status, media=media), count, atomic)


def set_of(*said: Said) -> bytes:
    return NESTED + multipart_of("c", [part_of(one) for one in said])


def only(part: bytes) -> Told:
    """What is told of the first of two calls, whose part is this; the one beside it must not suffer."""
    first, second = taken(multipart_of("b", [part, part_of(Said("2", 204))]))
    assert second[0] == 204
    return first


# ---------------------------------------------------------------- a change set that failed (MP-08)


def test_one_part_with_a_content_id_is_the_failure_of_that_member() -> None:
    found = taken(multipart_of("b", [part_of(Said("2", 409, ERROR, (JSON,)))]), 3, True)
    assert statuses(found) == [424, 409, 424]
    assert found[1][2] == ERROR


@pytest.mark.parametrize("name", [None, "99", "changeset"])
def test_one_part_that_names_no_member_speaks_for_all(name: str | None) -> None:
    """GW-19: which of them failed is not said, so all have the error."""
    found = taken(multipart_of("b", [part_of(Said(name, 412, ERROR, (JSON, ("X-Why", "etag"))))]), 3, True)
    assert statuses(found) == [412, 412, 412]
    for one in found:
        assert one[2:] == (ERROR, FAILED)
        assert header(one, b"x-why") == b"etag"
        assert header(one, b"content-id") is None


def test_one_success_does_not_speak_for_all() -> None:
    assert statuses(taken(multipart_of("b", [part_of(Said(None, 201, CREATED))]), 2, True)) == [502, 502]


def test_the_failure_may_also_lie_in_a_nested_part() -> None:
    for said in (Said("1", 400, ERROR), Said(None, 400, ERROR)):
        found = taken(multipart_of("b", [set_of(said)]), 2, True)
        assert statuses(found) == ([400, 424] if said.id else [400, 400])


def test_a_group_of_one() -> None:
    assert statuses(taken(multipart_of("b", [set_of(Said("1", 201))]), 1, True)) == [201]
    assert statuses(taken(multipart_of("b", [part_of(Said(None, 400))]), 1, True)) == [400]


def test_a_batch_that_stopped_is_read_though_its_own_status_is_400() -> None:
    assert statuses(taken(multipart_of("b", [part_of(Said("2", 409, ERROR))]), 2, True, status=400)) == [424, 409]


def test_an_error_for_one_of_several_calls_does_not_speak_for_those_that_are_no_group() -> None:
    assert statuses(taken(multipart_of("b", [part_of(Said(None, 400, ERROR))]))) == [400, 502]


# ---------------------------------------------------------------- order and Content-ID


@pytest.mark.parametrize("atomic", [True, False])
def test_without_any_content_id_the_order_tells(atomic: bool) -> None:
    text = text_of(MULTIPART, [Said(None, 201, b'{"n":1}'), Said(None, 204)], atomic)
    assert [(one[0], one[2]) for one in taken(text, 2, atomic)] == [(201, b'{"n":1}'), (204, None)]


def test_once_a_content_id_is_there_the_order_tells_nothing() -> None:
    text = multipart_of("b", [part_of(Said("2", 201)), part_of(Said(None, 204))])
    assert statuses(taken(text)) == [502, 201]


def test_a_content_id_among_the_http_headers_counts_and_does_not_get_to_the_client() -> None:
    said = [Said(None, 201, CREATED, (("Content-ID", "2"),)), Said(None, 204, None, (("content-id", "1"),))]
    found = taken(text_of(MULTIPART, said, False))
    assert statuses(found) == [204, 201]
    # The gateway writes none of the fields of that kind.
    assert header(found[1], b"content-id") == b"2"


def test_a_change_set_may_be_answered_without_nesting() -> None:
    assert statuses(taken(text_of(MULTIPART, [Said("2", 201), Said("1", 204)], False), 2, True)) == [204, 201]


# ---------------------------------------------------------------- delimiters


@pytest.mark.parametrize(
    "body",
    [
        b"line\r\n\r\n",
        b"\r\n",
        b"\n--bx\r\n--cc\r\n --c\r\n--c x\r\n --b--\r\n--b-\r\n",
        b"--\r\n-\r\n",
        bytes(range(256)),
        b"HTTP/1.1 500 X\r\n\r\n",
    ],
)
@pytest.mark.parametrize("nested", [True, False])
def test_a_body_is_what_lies_before_the_delimiters_line_break(body: bytes, nested: bool) -> None:
    found = taken(text_of(MULTIPART, [Said("1", 200, body), Said("2", 200, b"after")], nested))
    assert [one[2] for one in found] == [body, b"after"]


def test_bare_line_feeds_padding_preamble_and_epilogue() -> None:
    text = (
        b"preamble --b\n--bx\n--b \t\nContent-Type: application/http\nContent-ID: 1\n\nHTTP/1.1 200 OK\n\none\n"
        b"--b\ncontent-type:APPLICATION/HTTP; msgtype=response\ncontent-id:2\n\nHTTP/1.1 204 No\n\n"
        b"--b--  \nepilogue\n--b\n"
    )
    assert [(one[0], one[2]) for one in taken(text)] == [(200, b"one"), (204, None)]


@pytest.mark.parametrize(
    "media", ['multipart/mixed; boundary="a (1): x"', 'Multipart/Mixed;x=y; BOUNDARY="a (1)\\: x"']
)
def test_a_boundary_may_be_quoted(media: str) -> None:
    text = multipart_of("a (1): x", [part_of(Said("1", 201)), part_of(Said("2", 204))])
    assert statuses(taken(text, media=media)) == [201, 204]


@pytest.mark.parametrize(
    "media",
    [
        "multipart/mixed",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary=""',
        'multipart/mixed; boundary="b "',
        "multipart/form-data; boundary=b",
        "application/json",
        f"multipart/mixed; boundary={'b' * 71}",
    ],
)
def test_without_a_usable_boundary_it_is_no_batch_response(media: str) -> None:
    assert statuses(taken(text_of(MULTIPART, [Said("1", 201), Said("2", 204)]), media=media)) == [502, 502]


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("ending", [b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n", b"\n", b"\n\n"])
def test_the_blank_line_of_an_answer_without_body_may_be_missing(ending: bytes) -> None:
    found = only(b"Content-Type: application/http\r\nContent-ID: 1\r\n\r\nHTTP/1.1 204 No Content" + ending)
    assert (found[0], found[2]) == (204, None)


def test_a_folded_header_of_a_part_is_one() -> None:
    part = part_of(Said(None, 201)).replace(b"application/http", b"application/http;\r\n a=b\r\nContent-ID:\r\n\t1")
    assert only(part)[0] == 201


def test_a_content_length_cuts_the_body_and_must_not_promise_more() -> None:
    head = b"Content-Type: application/http\r\nContent-ID: 1\r\n\r\nHTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\nabcdef"
    assert only(head % 4)[2] == b"abcd"
    assert only(head % 6)[2] == b"abcdef"
    assert only(head % 7)[0] == 502
    assert only(head % (10**17))[0] == 502


def test_a_chunked_body_is_put_together() -> None:
    said = Said("1", 200, None, (("Transfer-Encoding", "chunked"),))
    assert only(part_of(said) + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")[2] == b"abcde"
    assert only(part_of(said) + b"fffffffffffffff\r\nabc\r\n")[0] == 502


@pytest.mark.parametrize(
    "inside",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 000 X",
        b"HTTP/1.1 99 X",
        b"HTTP/1.1 600 X",
        b"HTTP/1.1 100 Continue",
        b"GET / HTTP/1.1",
        b'{"status":200}',
        b"HTTP/1.1 200 OK\r\nno colon\r\n",
        b"HTTP/1.1 200 OK\r\na b: c\r\n",
        b"HTTP/1.1 200 OK\r\na: \x00\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n",
    ],
)
def test_what_is_no_http_answer_is_no_answer(inside: bytes) -> None:
    assert only(b"Content-Type: application/http\r\nContent-ID: 1\r\n\r\n" + inside + b"\r\n\r\n")[0] == 502


@pytest.mark.parametrize("part", [b"", b"\r\n", b"no head", b"\r\nHTTP/1.1 200 OK\r\n\r\n"])
def test_a_part_without_a_head_is_no_answer(part: bytes) -> None:
    assert only(part)[0] == 502


def test_headers_of_a_part_are_bounded() -> None:
    assert only(b"X: " + b"x" * 40_000 + b"\r\n" + part_of(Said("1", 200)))[0] == 502


@pytest.mark.parametrize("media", [b"text/plain", b"application/json", b"message/http", b"multipart/mixed"])
def test_parts_of_other_types_are_no_batch_response(media: bytes) -> None:
    text = text_of(MULTIPART, [Said("1", 201), Said("2", 204)], False)
    assert statuses(taken(text.replace(b"application/http", media, 1))) == [502, 502]


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "parts",
    [
        [part_of(Said(None, 200))] * 3,
        [set_of(*[Said(None, 200)] * 3)],
        [set_of(Said(None, 200), Said(None, 200)), part_of(Said(None, 200))],
        [part_of(Said(None, 200)), set_of(Said(None, 200), Said(None, 200))],
        [set_of(Said(None, 200), Said(None, 200)), set_of(Said(None, 200), Said(None, 200))],
        [set_of(Said("1", 200), Said("2", 200)), part_of(Said("2", 500))],
    ],
)
@pytest.mark.parametrize("atomic", [True, False])
def test_more_answers_than_members_are_no_batch_response(parts: list[bytes], atomic: bool) -> None:
    assert statuses(taken(multipart_of("b", parts), atomic=atomic)) == [502, 502]


def test_change_sets_do_not_nest() -> None:
    inside = NESTED.replace(b"=c", b"=d") + multipart_of("d", [part_of(Said("1", 200)), part_of(Said("2", 200))])
    assert statuses(taken(multipart_of("b", [NESTED + multipart_of("c", [inside])]), atomic=True)) == [502, 502]


def test_thousands_of_delimiters_are_given_up_at_once() -> None:
    assert statuses(taken(b"--b\r\n" * 300_000 + b"--b--")) == [502, 502]
    assert statuses(taken(b"--bx" * 300_000)) == [502, 502]


def test_the_answer_may_go_before_its_results_are_read() -> None:
    given = answer(MULTIPART, text_of(MULTIPART, [Said("1", 200, b"one", (JSON,)), Said("2", 200, b"two", (JSON,))]))
    found = told(MULTIPART, given)
    del given
    assert [one[2] for one in found] == [b"one", b"two"]
    assert [header(one, b"content-type") for one in found] == [b"application/json"] * 2
