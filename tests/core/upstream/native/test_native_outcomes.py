"""What becomes of the members once the upstream has answered; the same for both forms (ER-03, JR-12, GW-04 b)."""

from __future__ import annotations

import gzip
import json

import pytest
from batchwire.core.errors import ConfigError
from batchwire.core.upstream.native.base import NativeForm
from native_calls import (
    CREATED,
    DEPENDENCY_FAILED,
    ERROR,
    FAILED,
    FORMS,
    JSON,
    SUCCEEDED,
    TIMED_OUT,
    UNREACHABLE,
    Said,
    Told,
    answer,
    header,
    members_of,
    statuses,
    tell,
    text_of,
    told,
)

pytestmark = pytest.mark.parametrize("form", FORMS, ids=["json", "multipart"])

BOTH = [Said("1", 201, CREATED, (JSON,)), Said("2", 204)]


def outcomes(found: list[Told]) -> list[int]:
    return [outcome for _, _, _, outcome in found]


def error_of(one: Told) -> tuple[str, str]:
    assert one[2] is not None
    error = json.loads(one[2])["error"]
    return error["code"], error["message"]


# ---------------------------------------------------------------- answers that are found


@pytest.mark.parametrize("atomic", [True, False])
def test_each_member_gets_its_own_answer_in_whatever_order_they_came(form: NativeForm, atomic: bool) -> None:
    said = [Said("1", 201, b'{"n":1}', (JSON, ("etag", 'W/\\"1\\"' if form is FORMS[0] else 'W/"1"'))), Said("2", 204)]
    for order in (said, said[::-1]):
        found = tell(form, *order, atomic=atomic)
        assert [(status, body) for status, _, body, _ in found] == [(201, b'{"n":1}'), (204, None)]
        assert outcomes(found) == [SUCCEEDED, SUCCEEDED]
        assert header(found[0], b"etag") == b'W/"1"'
        assert header(found[0], b"content-type") == b"application/json"
        assert header(found[1], b"content-type") is None


def test_304_is_no_failure_of_the_group(form: NativeForm) -> None:
    assert statuses(tell(form, Said("1", 304), Said("2", 201, CREATED))) == [304, 201]


# ---------------------------------------------------------------- groups that failed


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_what_succeeded_before_another_member_failed_is_told_as_424(form: NativeForm, bad: int) -> None:
    said = [Said(str(i + 1), 412 if i == bad else 201, ERROR if i == bad else CREATED, (JSON,)) for i in range(3)]
    found = tell(form, *said, count=3)
    assert statuses(found) == [412 if i == bad else 424 for i in range(3)]
    assert outcomes(found) == [FAILED if i == bad else DEPENDENCY_FAILED for i in range(3)]
    assert found[bad][2] == ERROR
    for i in {0, 1, 2} - {bad}:
        assert error_of(found[i])[0] == "FailedDependency"
        assert found[i][2] != CREATED


def test_members_that_failed_by_themselves_keep_their_status(form: NativeForm) -> None:
    found = tell(form, Said("1", 409, ERROR, (JSON,)), Said("2", 201), Said("3", 500, ERROR, (JSON,)), count=3)
    assert statuses(found) == [409, 424, 500]


def test_members_of_a_failed_group_that_were_not_answered_are_424_too(form: NativeForm) -> None:
    assert statuses(tell(form, Said("2", 400, ERROR, (JSON,)), count=3)) == [424, 400, 424]


def test_calls_that_are_no_group_fail_alone(form: NativeForm) -> None:
    found = tell(form, Said("1", 201, CREATED), Said("2", 404, ERROR, (JSON,)), Said("3", 200), count=3, atomic=False)
    assert statuses(found) == [201, 404, 200]
    assert outcomes(found) == [SUCCEEDED, FAILED, SUCCEEDED]


# ---------------------------------------------------------------- answers that are missing


def test_a_group_with_a_missing_answer_has_no_success(form: NativeForm) -> None:
    """It may have been applied or not: none of its members may say that it was."""
    found = tell(form, Said("1", 201, CREATED))
    assert statuses(found) == [502, 502]
    assert outcomes(found) == [UNREACHABLE, UNREACHABLE]
    assert {error_of(one)[0] for one in found} == {"BadUpstreamAnswer"}


def test_a_call_that_is_no_group_misses_its_answer_alone(form: NativeForm) -> None:
    found = tell(form, Said("2", 201, CREATED), count=3, atomic=False)
    assert statuses(found) == [502, 201, 502]
    assert error_of(found[0])[0] == "BadUpstreamAnswer"


def test_two_answers_for_one_call_are_none(form: NativeForm) -> None:
    said = [Said("1", 201, CREATED), Said("1", 200), Said("2", 204)]
    assert statuses(tell(form, *said, count=3, atomic=False)) == [502, 204, 502]
    said = [Said("1", 201), Said("1", 200), Said("1", 204)]
    assert statuses(tell(form, *said, count=3, atomic=False)) == [502, 502, 502]


@pytest.mark.parametrize("name", ["3", "0", "01", "-1", "call0", "1 2", "9" * 18, "9" * 5000, "1.0"])
def test_ids_that_are_not_ours_are_nobodys(form: NativeForm, name: str) -> None:
    assert statuses(tell(form, Said(name, 201), Said("1", 204), atomic=False)) == [204, 502]


# ---------------------------------------------------------------- batches that were refused


@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_what_is_said_of_the_client_or_the_load_is_said_to_every_member(form: NativeForm, status: int) -> None:
    given = answer(form, ERROR, status, (b"Retry-After", b"7"), (b"WWW-Authenticate", b"Basic"), media=JSON[1])
    for one in told(form, given):
        assert one[0] == status
        assert one[2] == ERROR
        assert one[3] == FAILED
        assert header(one, b"retry-after") == b"7"
        assert header(one, b"www-authenticate") == b"Basic"


@pytest.mark.parametrize("status", [301, 400, 404, 405, 415, 500, 501, 504])
@pytest.mark.parametrize("body", [None, ERROR, b"<html>"])
def test_any_other_refusal_is_a_failure_of_the_upstream(form: NativeForm, status: int, body: bytes | None) -> None:
    found = told(form, answer(form, body, status, media="text/html"))
    assert statuses(found) == [502, 502]
    assert outcomes(found) == [UNREACHABLE, UNREACHABLE]
    for one in found:
        assert error_of(one) == ("BadUpstreamAnswer", f"the upstream answered the batch with status {status}")


@pytest.mark.parametrize(("status", "outcome"), [(502, UNREACHABLE), (504, TIMED_OUT)])
def test_a_batch_that_never_arrived_is_told_as_a_call_that_never_did(
    form: NativeForm, status: int, outcome: int
) -> None:
    found = told(form, answer(form, ERROR, status, media=JSON[1], outcome=outcome))
    assert statuses(found) == [status, status]
    assert outcomes(found) == [outcome, outcome]
    assert {one[2] for one in found} == {ERROR}


# ---------------------------------------------------------------- answers that are no batch


@pytest.mark.parametrize("body", [None, b"", b"{}", b"[]", b"null", b"\xff", b"<html></html>", b"--b", b"--b--"])
@pytest.mark.parametrize("status", [200, 202, 204])
def test_what_is_no_batch_response_fails_every_member(form: NativeForm, body: bytes | None, status: int) -> None:
    found = told(form, answer(form, body, status))
    assert statuses(found) == [502, 502]
    assert {error_of(one)[0] for one in found} == {"BadUpstreamAnswer"}


@pytest.mark.parametrize("atomic", [True, False])
def test_an_answer_that_is_cut_anywhere_tells_no_success(form: NativeForm, atomic: bool) -> None:
    text = text_of(form, BOTH, atomic).rstrip(b"\r\n")
    for length in range(len(text)):
        assert statuses(told(form, answer(form, text[:length]), atomic=atomic)) == [502, 502]
    assert statuses(told(form, answer(form, text), atomic=atomic)) == [201, 204]


# ---------------------------------------------------------------- codings and bounds


def test_a_coded_answer_is_read(form: NativeForm) -> None:
    given = answer(form, gzip.compress(text_of(form, BOTH)), 200, (b"Content-Encoding", b"gzip"))
    assert statuses(told(form, given)) == [201, 204]


@pytest.mark.parametrize(
    ("codings", "body"), [(b"gzip", b"no gzip"), (b"br", b"x"), (b"gzip", gzip.compress(b"{}", mtime=0)[:-3])]
)
def test_a_coding_that_cannot_be_undone_fails_every_member(form: NativeForm, codings: bytes, body: bytes) -> None:
    assert statuses(told(form, answer(form, body, 200, (b"Content-Encoding", codings)))) == [502, 502]


def test_a_coded_answer_is_bounded(form: NativeForm) -> None:
    text = text_of(form, BOTH)
    # Calls that travel together may have twice what one may (BU-08).
    half = (len(text) + 1) // 2
    small, large = type(form)(max_body_bytes=half - 1), type(form)(max_body_bytes=half)
    for bounded, found in ((small, [502, 502]), (large, [201, 204])):
        given = answer(form, gzip.compress(text), 200, (b"Content-Encoding", b"gzip"))
        assert statuses(bounded.decode_answer(given, members_of(2), True)) == found


@pytest.mark.parametrize("depth", [0, 1025])
def test_the_depth_limit_itself_is_limited(form: NativeForm, depth: int) -> None:
    with pytest.raises(ConfigError):
        type(form)(max_depth=depth)


# ---------------------------------------------------------------- ids in what it says


@pytest.mark.parametrize("name", ["@Core.ContentID", "@Org.OData.Core.ContentID"])
def test_an_error_that_names_a_member_names_it_by_the_clients_id(form: NativeForm, name: str) -> None:
    body = f'{{"error":{{"code":"X","message":"2","{name}": "2","details":[{{"{name}":"1"}},{{"{name}":"77"}}]}}}}'
    found = tell(form, Said("2", 400, body.encode(), (JSON,)))
    assert json.loads(found[1][2] or b"")["error"] == {
        "code": "X",
        "message": "2",
        name: "call1",
        "details": [{name: "call0"}, {name: "77"}],
    }


def test_a_success_that_speaks_of_content_ids_is_left_alone(form: NativeForm) -> None:
    body = b'{"@Core.ContentID":"2"}'
    assert tell(form, Said("1", 200, body, (JSON,)), Said("2", 200))[0][2] == body
