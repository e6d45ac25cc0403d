"""What an upstream gets to read: members under ids of our own, references renamed, bodies as they were (GW-04 b)."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc

import pytest
from batchwire.core.upstream.native.base import NativeForm, UnfitMember
from batchwire.core.upstream.native.json_form import JsonForm
from native_calls import (
    FORMS,
    JSON,
    JSON_FORM,
    MULTIPART,
    ROOT,
    Seen,
    encode,
    fields_of,
    member,
    seen_in,
)

both_forms = pytest.mark.parametrize("form", FORMS, ids=["json", "multipart"])
MERGE = ("content-type", "application/merge-patch+json")


# ---------------------------------------------------------------- groups and calls that are none


@both_forms
def test_a_group_travels_as_one(form: NativeForm) -> None:
    batch = encode(form, member("a", body=b'{"ID":1}'), member("b", "DELETE", "Books(7)?x=1", headers=()))
    group = "g" if form is JSON_FORM else "change set"
    assert seen_in(batch) == [
        Seen("1", "POST", "Books", {"content-type": "application/json"}, b'{"ID":1}', [], group),
        Seen("2", "DELETE", "Books(7)?x=1", {}, None, [], group),
    ]


@both_forms
def test_calls_that_are_no_group_have_nothing_to_do_with_one_another(form: NativeForm) -> None:
    calls = [member("a", body=b"{}"), member("b", "GET", "Books(7)", headers=(("Accept", "a/b"),), depends_on=("a",))]
    batch = encode(form, *calls, atomic=False)
    assert seen_in(batch) == [
        Seen("1", "POST", "Books", {"content-type": "application/json"}, b"{}", [], None),
        Seen("2", "GET", "Books(7)", {"accept": "a/b"}, None, [], None),
    ]


@both_forms
@pytest.mark.parametrize("atomic", [True, False])
def test_the_head_says_the_form_and_to_go_on_after_an_error_unless_it_is_a_group(
    form: NativeForm, atomic: bool
) -> None:
    fields = fields_of(encode(form, member("a"), member("b"), atomic=atomic).head)
    media = fields.pop("content-type")
    kind = "application/json" if form is JSON_FORM else "multipart/mixed"
    assert media == kind if form is JSON_FORM else re.fullmatch(r"multipart/mixed; boundary=batch_[0-9a-f]{32}", media)
    expected = {"accept": kind, "batchwire-hop": "1"}
    assert fields == (expected if atomic else expected | {"prefer": "odata.continue-on-error"})


@both_forms
def test_ids_of_the_client_are_never_sent(form: NativeForm) -> None:
    first = member("secret-a", body=b'{"ID":1}')
    link = member("secret-b", body=b'{"o@odata.bind":"$secret-a"}', depends_on=("secret-a", "secret-out"))
    last = member("secret-c", "PATCH", "$secret-b/x", b"{}", (JSON, ("If-Match", "$secret-b")), ("secret-b",))
    batch = encode(form, first, link, last)
    assert b"secret" not in batch.head + batch.body
    assert [seen.id for seen in seen_in(batch)] == ["1", "2", "3"]


@both_forms
def test_a_batch_of_many(form: NativeForm) -> None:
    seen = seen_in(encode(form, *[member(f"c{i}", body=b"%d" % i) for i in range(300)]))
    assert [(one.id, one.body) for one in seen] == [(str(i + 1), b"%d" % i) for i in range(300)]


# ---------------------------------------------------------------- URLs


@both_forms
@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("Books('a:b')/c:d?$filter=t eq 'e:f'".replace(" ", "%20"), "Books('a%3Ab')/c%3Ad?$filter=t%20eq%20'e:f'"),
        ("$metadata", "$metadata"),
        ("Books?$expand=a($select=b)", "Books?$expand=a($select=b)"),
        ("/odd//path/../x", "/odd//path/../x"),
    ],
)
def test_a_url_is_relative_to_the_upstreams_root(form: NativeForm, url: str, seen: str) -> None:
    call = member("a", "DELETE", url, headers=())
    if url == "$metadata":
        call = member("a", "DELETE", "", headers=(), root=ROOT + b"$metadata")
    assert f'"url":"{seen}"'.encode() in encode(form, call).body or f" {seen} ".encode() in encode(form, call).body


@both_forms
def test_an_upstream_may_lie_at_the_root_of_its_host(form: NativeForm) -> None:
    assert seen_in(encode(form, member("a", root=b"/"), root=b"/"))[0].url == "Books"


@both_forms
@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("$a", "$1"),
        ("$a/Orders", "$1/Orders"),
        ("$a?$expand=x", "$1?$expand=x"),
        ("$a.b/$a", "$2/$a"),
        ("$2", "$3"),
        ("$1/2", "$4/2"),
    ],
)
def test_a_reference_in_a_url_is_renamed_whole(form: NativeForm, url: str, seen: str) -> None:
    calls = [member(name) for name in ("a", "a.b", "2", "1")]
    last = seen_in(encode(form, *calls, member("e", "POST", url, b"{}")))[-1]
    assert last.url == seen
    # JB-11: what a URL refers to is depended on.
    assert last.depends_on == ([re.findall(r"^\$(\d)", seen)[0]] if form is JSON_FORM else [])


def test_dependencies_within_the_group_are_told_once_each_and_others_not() -> None:
    calls = [member("x"), member("y"), member("z", url="$y/a", body=b"{}", depends_on=("out", "y", "x", "y"))]
    assert [seen.depends_on for seen in seen_in(encode(JSON_FORM, *calls))] == [[], [], ["2", "1"]]


# ---------------------------------------------------------------- header fields


@both_forms
@pytest.mark.parametrize(
    ("value", "seen"),
    [("$a", "$1"), ("$b", "$b"), ('"$a"', '"$a"'), ('W/"$a"', 'W/"$a"'), ("*", "*"), ("$a/x", "$a/x"), ("$ab", "$ab")],
)
@pytest.mark.parametrize("name", ["If-Match", "if-none-match"])
def test_a_reference_to_an_etag_is_renamed_when_it_is_one(form: NativeForm, name: str, value: str, seen: str) -> None:
    call = member("c", "DELETE", "Books(1)", headers=((name, value), ("X-Other", "$a")))
    assert seen_in(encode(form, member("a"), call))[1].headers == {name.lower(): seen, "x-other": "$a"}


@both_forms
def test_what_the_batch_says_of_its_sender_goes_with_the_post_and_not_into_a_member(form: NativeForm) -> None:
    extra = b"Batchwire-Hop: 2\r\nAuthorization: Bearer t\r\nProxy-Authorization: p\r\ntraceparent: 00-1\r\n"
    batch = encode(form, member("a", extra=extra), member("b", extra=extra))
    fields = fields_of(batch.head)
    assert (fields["authorization"], fields["proxy-authorization"], fields["batchwire-hop"]) == ("Bearer t", "p", "2")
    assert b"uthorization" not in batch.body
    assert b"atchwire" not in batch.body
    assert [seen.headers["traceparent"] for seen in seen_in(batch)] == ["00-1", "00-1"]


@both_forms
def test_nothing_inherited(form: NativeForm) -> None:
    assert "batchwire-hop" not in fields_of(encode(form, member("a", extra=None)).head)


def test_a_header_that_comes_twice_is_one_in_json() -> None:
    call = member("a", "DELETE", headers=(("X-A", "1"), ("x-a", "2")))
    assert seen_in(encode(JSON_FORM, call))[0].headers == {"x-a": "1, 2"}
    assert b"X-A: 1\r\nx-a: 2\r\n" in encode(MULTIPART, call).body


def test_header_bytes_that_are_no_utf8_are_latin1_in_json() -> None:
    call = member("a", "DELETE", headers=(), extra=b"X-A: caf\xe9\r\nX-B: caf\xc3\xa9\r\n")
    assert seen_in(encode(JSON_FORM, call))[0].headers == {"x-a": "café", "x-b": "café"}
    assert b"X-A: caf\xe9\r\nX-B: caf\xc3\xa9\r\n" in encode(MULTIPART, call).body


# ---------------------------------------------------------------- bodies


@both_forms
@pytest.mark.parametrize(
    "body",
    [
        b'{"price":1.10,"big":12345678901234567890123,"e":1E400,"m":-0.0}',
        b'{ "a" :\t[1 , 2],\r\n"b":"\\u00e9\\/\xc3\xa9" }',
        b'"text"',
        b"7",
        b"null ",
    ],
)
@pytest.mark.parametrize("media", [JSON, MERGE, ("content-type", "application/json;charset=utf-8")])
def test_a_json_body_stays_byte_for_byte_what_it_was(form: NativeForm, body: bytes, media: tuple[str, str]) -> None:
    batch = encode(form, member("a", body=body, headers=(media,)))
    assert body in batch.body
    assert seen_in(batch)[0].headers == {"content-type": media[1]}


@both_forms
@pytest.mark.parametrize("media", ["image/png", "multipart/mixed; boundary=x", "application/http", ""])
def test_bytes_arrive_as_they_were(form: NativeForm, media: str) -> None:
    body = bytes(range(256)) + b"\r\n--batch_\r\n\r\n"
    seen = seen_in(encode(form, member("a", body=body, headers=(("content-type", media),))))[0]
    assert seen.body == body
    # JB-21: in JSON no type would mean JSON.
    assert seen.headers["content-type"] == (media or ("application/octet-stream" if form is JSON_FORM else ""))


@both_forms
@pytest.mark.parametrize("media", ["text/plain", "text/plain;charset=utf-8", "text/plain; charset=iso-8859-1"])
def test_text_arrives_in_the_charset_it_says(form: NativeForm, media: str) -> None:
    codec = "latin-1" if "iso" in media else "utf-8"
    text = 'é"\\\n\r\n\t\x01--b'
    seen = seen_in(encode(form, member("a", body=text.encode(codec), headers=(("content-type", media),))))[0]
    if form is JSON_FORM:
        assert seen.headers["content-type"] == media.replace("; charset=iso-8859-1", ";charset=utf-8")
        assert seen.body == text.encode()
    else:
        assert seen.headers["content-type"] == media
        assert seen.body == text.encode(codec)


@both_forms
def test_an_empty_body_is_not_a_missing_one_where_that_can_be_said(form: NativeForm) -> None:
    assert seen_in(encode(form, member("a", body=b"")))[0].body == (None if form is JSON_FORM else b"")


@both_forms
def test_codings_are_undone_where_they_cannot_be_said(form: NativeForm) -> None:
    body = gzip.compress(b'{"a":1}')
    seen = seen_in(encode(form, member("a", body=body, headers=(JSON, ("Content-Encoding", "gzip")))))[0]
    if form is JSON_FORM:
        assert (seen.body, seen.headers) == (b'{"a":1}', {"content-type": "application/json"})
    else:
        assert (seen.body, seen.headers["content-encoding"]) == (body, "gzip")


def test_a_byte_order_mark_does_not_break_the_batch_of_all() -> None:
    assert seen_in(encode(JSON_FORM, member("a", body=b"\xef\xbb\xbf{}")))[0].body == b"{}"


# ---------------------------------------------------------------- references in bodies (ID-11)


@both_forms
@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b'{"book@odata.bind":"$a"}', b'{"book@odata.bind":"$1"}'),
        (b'{"book@bind" : "$a/x?y"}', b'{"book@bind" : "$1/x?y"}'),
        (b'{"b@odata.bind":[ "$a" , "B(1)","$b/c" ],"x":"$a"}', b'{"b@odata.bind":[ "$1" , "B(1)","$2/c" ],"x":"$a"}'),
        (b'{"@odata.id":"$b"}', b'{"@odata.id":"$2"}'),
        (b'{"x":{"@id":"$a"},"y":[{"@id":"$b"},"$a"]}', b'{"x":{"@id":"$1"},"y":[{"@id":"$2"},"$a"]}'),
        (b'{"\\u0040id":"\\u0024a"}', b'{"\\u0040id":"$1"}'),
        (b'{"title":"$a","id":"$a","odata.id":"$a","bind":"$a","@odata.type":"$a"}',) * 2,
        (b'{"x@odata.bind":"$ab","@id":"a$a","@odata.id":"$a b"}',) * 2,
        (b'{"x":"\\"book@odata.bind\\":\\"$a\\""}',) * 2,
        (b'{"x":"@id","y":"$a"}',) * 2,
        (b'["@id","$a"]',) * 2,
        (b'"$a"',) * 2,
        (b'{"@id":1,"x":["$a"]}',) * 2,
        (b'{"@id":{"x":"$a"}}',) * 2,
        (b'{"n":12345678901234567890.10,"@id":"$a"}', b'{"n":12345678901234567890.10,"@id":"$1"}'),
    ],
)
def test_references_are_renamed_in_links_and_nowhere_else(form: NativeForm, body: bytes, seen: bytes) -> None:
    calls = [member("a"), member("b"), member("c", body=body)]
    # Elsewhere a "$a" is text: the id is that of a member all the same.
    if form is MULTIPART and b"\\u0024" in body:
        body = seen = body.replace(b"\\u0024", b"$").replace(b"$a", b"$1")
        calls[2] = member("c", body=body.replace(b"$1", b"$a"))
    assert seen_in(encode(form, *calls))[2].body == seen


@both_forms
def test_bodies_that_are_not_json_are_not_looked_at(form: NativeForm) -> None:
    body = b'{"@id":"$a"}'
    seen = seen_in(encode(form, member("a"), member("b", body=body, headers=(("content-type", "text/plain"),))))
    assert seen[1].body == body


@both_forms
def test_calls_that_are_no_group_keep_their_text(form: NativeForm) -> None:
    body = b'{"x":"$a","y@odata.bind":"Books(1)"}'
    assert seen_in(encode(form, member("a"), member("b", body=body), atomic=False))[1].body == body


@both_forms
def test_a_long_string_is_searched_in_little_memory(form: NativeForm) -> None:
    long = b'{"@id":"$a","x":"' + b"\\n$@abcdef" * 400_000 + b'"}'
    calls = [member("a"), member("b", body=long)]
    tracemalloc.start()
    try:
        batch = encode(form, *calls)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert b'"@id":"$1"' in batch.body
    assert peak < 10 * len(long)


@both_forms
@pytest.mark.parametrize("shift", range(0, 40, 3))
def test_PL_01_references_are_renamed_wherever_a_step_ends(form: NativeForm, shift: int) -> None:
    """A step is the work of 64 KiB: strings, links and the arrays of links lie across its end."""
    links = b'{"x":[{"@id":"$a"},"$a"],"b@odata.bind":["$b/c" ,\n"B(1)","$a"],"\\u0040id":"\\u0024b","t":"\\u0061"}'
    body = b'["' + b"x" * shift + b'",' + b",".join([links] * 3000) + b"]"
    renamed = links.replace(b'{"@id":"$a"}', b'{"@id":"$1"}').replace(b'"B(1)","$a"', b'"B(1)","$1"')
    renamed = renamed.replace(b"$b/c", b"$2/c").replace(b"\\u0024b", b"$2")
    assert seen_in(encode(form, member("a"), member("b"), member("c", body=body)))[2].body == body.replace(
        links, renamed
    )


# ---------------------------------------------------------------- what does not fit


@both_forms
@pytest.mark.parametrize("atomic", [True, False])
def test_members_that_cannot_go_together_do_not_fit(form: NativeForm, atomic: bool) -> None:
    good = member("a")
    for bad in (
        member("b", root=b"/elsewhere/"),
        member("b", root=ROOT[:-1]),
        member("b", url="$other/x"),
        member("b", extra=HOP_AND_MORE),
        member("b", extra=None),
    ):
        assert form.fits_batch([good], atomic, ROOT)
        assert not form.fits_batch([good, bad], atomic, ROOT)


HOP_AND_MORE = b"Batchwire-Hop: 1\r\nAuthorization: Bearer x\r\n"


@both_forms
def test_a_reference_fits_into_the_group_of_what_it_refers_to(form: NativeForm) -> None:
    calls = [member("a"), member("b", url="$a")]
    assert form.fits_batch(calls, True, ROOT)
    assert not form.fits_batch(calls, False, ROOT)
    assert not form.fits_batch(calls[1:], True, ROOT)


def test_a_change_set_takes_no_get_and_a_request_line_no_empty_url() -> None:
    look = member("b", "GET", headers=())
    for form, atomic, fits in [(MULTIPART, True, False), (MULTIPART, False, True), (JSON_FORM, True, True)]:
        assert form.fits_batch([member("a"), look], atomic, ROOT) is fits
    for url in ("", "?x=1"):
        assert not MULTIPART.fits_batch([member("a", url=url)], True, ROOT)
        assert JSON_FORM.fits_batch([member("a", url=url)], True, ROOT)


@pytest.mark.parametrize("url", ["$a/x y", "$a/x\r\nHost: evil", "$a?\x00", "$a/\x7f"])
def test_a_url_cannot_break_out_of_its_request_line(url: str) -> None:
    calls = [member("a"), member("b", url=url)]
    assert not MULTIPART.fits_batch(calls, True, ROOT)
    with pytest.raises(UnfitMember) as raised:
        MULTIPART.encode_batch(calls, True, ROOT)
    assert raised.value.index == 1
    # A JSON string can hold anything.
    seen = "$1" + url[2:].replace(":", "%3A")
    assert [one["url"] for one in json.loads(encode(JSON_FORM, *calls).body)["requests"]] == ["Books", seen]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"a":1', (JSON,)),
        (b"{}{}", (JSON,)),
        (b'{},"x":{', (JSON,)),
        (b'{"a":"\xff"}', (JSON,)),
        (b"[" * 513 + b"]" * 513, (JSON,)),
        (b"\xff", (("content-type", "text/plain"),)),
        (b"x", (("content-type", "text/plain; charset=utf-16"),)),
        (b"x", (("content-type", "text/plain; charset=\u00e9"),)),
        (b"no gzip", (JSON, ("content-encoding", "gzip"))),
        (b"x", (JSON, ("content-encoding", "br"))),
        (gzip.compress(b'"' + b"x" * 2000 + b'"', mtime=0), (JSON, ("content-encoding", "gzip"))),
    ],
)
def test_a_body_that_would_break_the_batch_of_all_is_refused_by_name(
    body: bytes, headers: tuple[tuple[str, str], ...]
) -> None:
    form = JsonForm(max_body_bytes=1000)
    calls = [member("a", body=b"{}"), member("b", body=body, headers=headers), member("c")]
    for atomic in (True, False):
        assert form.fits_batch(calls, atomic, ROOT)
        with pytest.raises(UnfitMember) as raised:
            form.encode_batch(calls, atomic, ROOT)
        assert raised.value.index == 1
        assert raised.value.message


def test_multipart_carries_bodies_that_are_not_what_they_say() -> None:
    for body in (b'{"@id":"$a"', b'{"@id":"$a\xff"}', b"\xff", b"[" * 5000):
        assert seen_in(encode(MULTIPART, member("a"), member("b", body=body)))[1].body == body


def test_a_boundary_is_fresh_each_time() -> None:
    heads = {encode(MULTIPART, member("a")).head for _ in range(20)}
    assert len(heads) == 20


def test_what_is_encoded_is_json() -> None:
    calls = [member("a", body=b'{"a":1}'), member("b", "DELETE", headers=(("x", 'q"\\\tz'),))]
    assert json.loads(encode(JSON_FORM, *calls).body) == {
        "requests": [
            {
                "id": "1",
                "method": "post",
                "url": "Books",
                "atomicityGroup": "g",
                "headers": {"content-type": "application/json"},
                "body": {"a": 1},
            },
            {"id": "2", "method": "delete", "url": "Books", "atomicityGroup": "g", "headers": {"x": 'q"\\\tz'}},
        ]
    }
