"""Both forms on generated calls and answers: what goes in comes out, and no answer breaks anything."""

from __future__ import annotations

import base64
import json
import string
from dataclasses import replace
from typing import Any

import pytest
from batchwire.core.upstream.native.base import NativeForm
from hypothesis import given, settings
from hypothesis import strategies as st
from native_calls import (
    FORMS,
    JSON,
    JSON_FORM,
    ROOT,
    Said,
    answer,
    encode,
    header,
    member,
    members_of,
    seen_in,
    statuses,
    text_of,
    told,
)

both_forms = pytest.mark.parametrize("form", FORMS, ids=["json", "multipart"])

NAMES = st.text(string.ascii_letters + string.digits + "-._~", min_size=1, max_size=6)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
# JB-22, JR-13: a JSON member cannot have null as its body, only none.
BODIES = VALUES.filter(lambda value: value is not None)
SPACED = st.sampled_from([None, 1, "\t"])
JSON_BODIES = st.builds(
    lambda value, indent, ascii: json.dumps(value, indent=indent, ensure_ascii=ascii).encode(),
    BODIES,
    SPACED,
    st.booleans(),
)
# A field's value as it may stand in a message.
FIELD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    kind = draw(st.sampled_from(["application/json", "application/vnd.x+json;a=b", "text/plain", "image/png"]))
    if "json" in kind:
        return kind, draw(JSON_BODIES)
    return kind, draw(TEXT.map(str.encode) if kind == "text/plain" else st.binary(min_size=1, max_size=40))


# ---------------------------------------------------------------- encode


@both_forms
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["POST", "PUT", "PATCH"]),
            st.text(string.ascii_letters + "/()'=,-%", min_size=1, max_size=12),
            st.text(string.ascii_letters + ":?/$&='", max_size=8),
            FIELD,
            bodies(),
        ),
        min_size=1,
        max_size=4,
    ),
    atomic=st.booleans(),
)
def test_the_upstream_reads_the_calls_that_were_made(form: NativeForm, calls: list[Any], atomic: bool) -> None:
    members = []
    for i, (method, path, query, value, (media, body)) in enumerate(calls):
        headers = (("content-type", media), ("X-Value", value))
        members.append(member(f"id{i}", method, f"{path}?{query}", body, headers, root=ROOT))
    seen = seen_in(encode(form, *members, atomic=atomic))
    assert [one.id for one in seen] == [str(i + 1) for i in range(len(calls))]
    for one, (method, path, query, value, (media, body)) in zip(seen, calls, strict=True):
        assert (one.method, one.url) == (method, f"{path}?{query}")
        assert one.headers == {"content-type": media, "x-value": value}
        assert (one.body or b"") == body


@both_forms
@given(names=st.lists(NAMES, min_size=2, max_size=5, unique=True), data=st.data())
def test_references_follow_their_call_whatever_the_ids(form: NativeForm, names: list[str], data: st.DataObject) -> None:
    """Also where the client's ids look like ours."""
    wanted = data.draw(st.sampled_from(names[:-1]))
    ours = names.index(wanted) + 1
    body = json.dumps({"a": f"${wanted}", "b@odata.bind": [f"${wanted}/x", f"$-{wanted}"], "@id": f"${wanted}"})
    last = member(names[-1], "PATCH", f"${wanted}/b?c", body.encode(), (JSON, ("If-Match", f"${wanted}")))
    one = seen_in(encode(form, *[member(name) for name in names[:-1]], last))[-1]
    other = f"-{wanted}"
    strange = names.index(other) + 1 if other in names else other
    assert one.url == f"${ours}/b?c"
    assert one.headers["if-match"] == f"${ours}"
    assert json.loads(one.body or b"") == {
        "a": f"${wanted}",
        "b@odata.bind": [f"${ours}/x", f"${strange}"],
        "@id": f"${ours}",
    }


@both_forms
@given(value=VALUES, atomic=st.booleans())
def test_a_body_without_references_keeps_every_byte(form: NativeForm, value: Any, atomic: bool) -> None:
    body = json.dumps({"@id": value, "x@odata.bind": [value], "y": value}, ensure_ascii=False).encode()
    if b"$m" not in body:
        assert body in encode(form, member("m"), member("n", body=body), atomic=atomic).body


# ---------------------------------------------------------------- decode


@st.composite
def answers(draw: st.DrawFn, count: int) -> list[Said]:
    """One a member, in any order. A body is raw bytes; json_said() puts it into JSON."""
    said = []
    for i in range(count):
        status = draw(st.sampled_from([200, 201, 204, 304, 400, 404, 412, 500]))
        media, body = draw(bodies())
        headers = (("content-type", media), ("x-value", draw(st.text(string.ascii_letters, min_size=1, max_size=9))))
        said.append(Said(str(i + 1), status, body, headers))
    return draw(st.permutations(said))


def written(form: NativeForm, said: list[Said], atomic: bool) -> bytes:
    if form is JSON_FORM:
        said = [json_said(one) for one in said]
    return text_of(form, said, atomic)


def json_said(said: Said) -> Said:
    """With its body as JSON says it; written with Python's own codecs."""
    media = said.headers[0][1]
    assert said.body is not None
    if "json" in media:
        return said
    text = said.body.decode() if media.startswith("text/") else base64.b64encode(said.body).decode()
    return replace(said, body=json.dumps(text).encode())


@both_forms
@given(said=answers(3), atomic=st.booleans())
def test_members_get_what_was_said_to_them(form: NativeForm, said: list[Said], atomic: bool) -> None:
    found = told(form, answer(form, written(form, said, atomic)), 3, atomic)
    failed = atomic and any(one.status >= 400 for one in said)
    for one, told_one in zip(sorted(said, key=lambda one: str(one.id)), found, strict=True):
        if failed and one.status < 400:
            assert told_one[0] == 424
            continue
        # HTTP itself gives 204 and 304 no body.
        bodiless = one.status in (204, 304)
        assert (told_one[0], told_one[2] or b"") == (one.status, b"" if bodiless else one.body)
        for name, value in one.headers:
            assert header(told_one, name.encode()) == value.encode()


PIECES = [b"--b", b"--b--", b"--c", b"\r\n", b"\n", b"Content-ID: 1", b"HTTP/1.1 200 OK", b"Content-Length: 5", b"\xff"]
PIECES += [b'"id":"1"', b'"status":', b"{", b"}", b"[", b"]", b",", b'"', b"\\u0000", b"9" * 30, b"null", b":", b"1"]


@both_forms
@settings(max_examples=400)
@given(said=answers(3), atomic=st.booleans(), data=st.data())
def test_no_answer_raises_and_no_group_is_told_half(
    form: NativeForm, said: list[Said], atomic: bool, data: st.DataObject
) -> None:
    text = written(form, said, atomic)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=6)) + text[stop:]
    found = form.decode_answer(answer(form, text), members_of(3), atomic)
    assert len(found) == 3
    assert all(200 <= status <= 599 for status in statuses(found))
    if atomic and any(status >= 400 for status in statuses(found)):
        assert all(status >= 400 for status in statuses(found))


@both_forms
@settings(max_examples=300)
@given(
    text=st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=30).map(b"".join),
    status=st.integers(100, 599),
    media=st.sampled_from(["", "multipart/mixed; boundary=b", 'multipart/mixed; boundary="', "application/json"]),
    atomic=st.booleans(),
)
def test_any_bytes_are_answered(form: NativeForm, text: bytes, status: int, media: str, atomic: bool) -> None:
    found = form.decode_answer(answer(form, text, status, media=media or None), members_of(2), atomic)
    assert len(found) == 2
    assert all(200 <= one <= 599 for one in statuses(found))
