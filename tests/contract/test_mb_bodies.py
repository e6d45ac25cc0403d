"""Boundaries, delimiters, headers and bodies of multipart parts: rules MB-12 to MB-21 of the contract."""

from __future__ import annotations

import pytest
from harness import multiparts
from harness.batches import Call, Refused
from harness.batching import BatchingUpstream
from harness.documents import parts, read, send
from harness.gateway import Gateway
from harness.multiparts import change_set, document, part, part_of
from harness.part_checks import OK, ON, check_bad_part, check_error
from harness.scripted import Reply, ScriptedUpstream

JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    upstream.on("POST", "/ok", Reply(204))


def put(body: bytes, fields: bytes = b"Content-Type: text/plain\r\n") -> bytes:
    return part(b"PUT A HTTP/1.1\r\n" + fields + b"\r\n" + body)


@pytest.mark.parametrize(
    ("parameter", "boundary"),
    [
        ("boundary=b", b"b"),
        ('boundary="b"', b"b"),
        ('boundary="b (1): x"', b"b (1): x"),
        ('boundary="===============3849759159249811694=="', b"===============3849759159249811694=="),
        ('Boundary="b\'()+_,-./:=?z"; charset=utf-8', b"b'()+_,-./:=?z"),
        ("charset=utf-8;BOUNDARY=B", b"B"),
        (f"boundary={'b' * 70}", b"b" * 70),
        ("boundary=batch_36d5c8c6-0b5b.1+2", b"batch_36d5c8c6-0b5b.1+2"),
    ],
)
def test_MB_12_boundaries(parameter: str, boundary: bytes, way: str, gateway: Gateway) -> None:
    found = read(send(way, gateway, document(OK, boundary=boundary), f"multipart/mixed; {parameter}"))
    assert [one.status for one in found] == [200]


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/mixed",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary=""',
        'multipart/mixed; boundary="b "',
        f"multipart/mixed; boundary={'b' * 71}",
        'multipart/mixed; boundary="b*"',
        "multipart/mixed; bound=b",
        'multipart/mixed; boundary="b',
    ],
)
def test_MB_12_what_is_no_boundary_is_400(kind: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with pytest.raises(Refused) as caught:
        send(way, gateway, document(OK), kind)
    assert caught.value.bad_envelope, caught.value
    assert upstream.lines == []


def test_MB_12_its_value_is_case_sensitive(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with pytest.raises(Refused) as caught:
        send(way, gateway, document(OK, boundary=b"B"))
    assert caught.value.bad_envelope
    assert upstream.lines == []


@pytest.mark.parametrize(
    "body",
    [
        b"line1\r\n\r\n",
        b"\r\nline2",
        b"a --b\r\n --b\r\nx--b--",
        b"--bb\r\n--b1--\r\n--b x\r\n--b-\r\n--B\r\n--",
        b"\n\r\r\n\n",
        b"\x00\xff--b",
        b"--",
    ],
)
@pytest.mark.parametrize("pieces", [0, 1])
def test_MB_13_a_body_is_what_lies_before_the_line_end_of_the_delimiter(
    body: bytes, pieces: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("PUT", "/A", Reply(204, expect_body=body))
    text = document(put(body, b"Content-Type: application/octet-stream\r\n"), OK)
    found = read(send(way, gateway, text, pieces=pieces))
    assert [one.status for one in found] == [204, 200], upstream.problems
    assert upstream.call("PUT /A").header("content-length") == str(len(body))


def test_MB_13_in_a_change_set_whose_boundary_extends_that_of_the_batch(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = b"--b\t1\r\n--b12\r\n--b1-"
    upstream.on("PUT", "/A", Reply(204, expect_body=body))
    inside = part(
        b"PUT A HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n" + body, multiparts.HTTP_TYPE + b"Content-ID: 1\r\n"
    )
    found = read(send(way, gateway, document(change_set(inside, boundary=b"b1"), OK)))
    assert found[0].members is not None
    assert [one.status for one in found[0].members] == [204], upstream.problems
    assert found[1].status == 200


@pytest.mark.parametrize("padding", [b" ", b"\t", b"  \t "])
def test_MB_14_white_space_behind_a_delimiter(
    padding: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    inside = document(part_of(Call("1", "ok", "POST", JSON, b"{}")), boundary=b"c")
    text = document(part(inside, b"Content-Type: multipart/mixed; boundary=c\r\n"), OK)
    for line in (b"--b", b"--b--", b"--c", b"--c--"):
        text = text.replace(line + b"\r\n", line + padding + b"\r\n")
    answer = send(way, gateway, text)
    found = read(answer)
    assert found[0].members is not None
    assert [found[0].members[0].status, found[1].status] == [204, 200]
    assert not [line for line in answer.body.split(b"\r\n") if line.startswith(b"--") and line.endswith((b" ", b"\t"))]


@pytest.mark.parametrize(
    "head",
    [
        b"content-type:application/http;msgtype=request\r\n",
        b"CONTENT-TYPE: APPLICATION/HTTP; type=entry; version=1.1\r\n",
        b"Content-Type:\tapplication/http ; msgtype=request\r\nMIME-Version: 1.0\r\nX-Own: 1\r\n",
        b"Content-Length: 5000\r\nContent-Disposition: form-data\r\nContent-Type: application/http\r\n",
        b"Content-Type:\r\n application/http\r\n",
    ],
)
def test_MB_15_names_and_types_in_any_case_and_parameters(
    head: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("PUT", "/A", Reply(204, expect_body=b"{}", expect_headers={"content-type": "application/json"}))
    [found] = parts(way, gateway, part(b"PUT A HTTP/1.1\r\ncontent-TYPE:application/json\r\n\r\n{}", head))
    assert found.status == 204, upstream.problems
    assert upstream.call("PUT /A").header("x-own") is None


def test_MB_15_change_sets_are_known_in_any_case(way: str, gateway: Gateway) -> None:
    inside = document(part_of(Call("1", "ok", "POST", JSON, b"{}")), boundary=b"C d")
    [found] = parts(way, gateway, part(inside, b'content-type:Multipart/MIXED;charset=utf-8;Boundary="C d"\r\n'))
    assert found.members is not None
    assert found.members[0].status == 204


@pytest.mark.parametrize("head", [b"no colon", b": x", b"Content-ID : 1"])
def test_MB_15_a_line_that_is_no_field_is_400(
    head: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    check_bad_part(way, gateway, upstream, part(b"GET ok HTTP/1.1\r\n\r\n", multiparts.HTTP_TYPE + head + b"\r\n"))


@pytest.mark.parametrize(("said", "seen"), [(b"4", b"0123"), (b"10", b"0123456789"), (b"0", b""), (b"04", b"0123")])
def test_MB_16_content_length_cuts_the_body(
    said: bytes, seen: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("PUT", "/A", Reply(204, expect_body=seen))
    text = put(b"0123456789", b"Content-Type: text/plain\r\nContent-Length: " + said + b"\r\n")
    assert [one.status for one in parts(way, gateway, text)] == [204], upstream.problems
    assert upstream.call("PUT /A").header("content-length") in ([str(len(seen))] if seen else [None, "0"])


@pytest.mark.parametrize("said", [b"11", b"-1", b"x", b"", b"1e1", b"4, 5", b"99999999999999999999"])
def test_MB_16_a_larger_length_or_none_at_all_is_400(
    said: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    text = put(b"0123456789", b"Content-Type: text/plain\r\nContent-Length: " + said + b"\r\n")
    check_bad_part(way, gateway, upstream, text)


def test_MB_16_two_lengths_that_differ_are_400(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_bad_part(way, gateway, upstream, put(b"0123456789", b"Content-Length: 4\r\nContent-Length: 5\r\n"))


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "Expect",
        "From",
        "Max-Forwards",
        "Range",
        "TE",
        "authorization",
        "eXPECT",
    ],
)
def test_MB_17_headers_that_must_not_be_inside(
    name: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    check_bad_part(way, gateway, upstream, part_of(Call("", "ok", headers={name: "x"})))


def test_MB_17_authorization_is_dropped_by_a_switch(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    found = parts(way, gateway, Call("", "ok", headers={"Authorization": "Bearer x"}), route="/dropping/")
    assert [one.status for one in found] == [200]
    assert upstream.call("GET /ok").header("authorization") is None


@pytest.mark.parametrize("tail", [b"\r\n\r\n", b"\r\n", b"", b"\r\n\r\n\r\n\r\n", b"\r\n \t\r\n"])
@pytest.mark.parametrize("fields", [b"", b"Accept: application/json\r\n"])
@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
def test_MB_18_blank_lines_after_a_get(
    method: bytes, fields: bytes, tail: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("DELETE", "/ok", Reply(200))
    text = part(method + b" ok HTTP/1.1\r\n" + fields + tail)
    found = parts(way, gateway, text, OK)
    assert [one.status for one in found] == [200, 200]
    first = upstream.log[0]
    assert (first.method, first.body, first.header("content-length")) == (method.decode(), b"", None)


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
def test_MB_18_a_body_there_is_400(method: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_bad_part(way, gateway, upstream, part(method + b" ok HTTP/1.1\r\n\r\n{}"))


@pytest.mark.parametrize("pieces", [0, 1])
def test_MB_18_line_feeds_alone(pieces: int, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("PUT", "/A", Reply(204, expect_body=b'{"a":1}'))
    text = document(
        OK, part(b'PUT A HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{"a":1}'), part(b"GET ok HTTP/1.1\r\n")
    )
    found = read(send(way, gateway, text.replace(b"\r\n", b"\n"), pieces=pieces))
    assert [one.status for one in found] == [200, 204, 200], upstream.problems


@pytest.mark.parametrize(
    "url",
    ["Items('a%3Ab')", "Items('a%3ab')", "Items?$filter=At%20eq%202020-01-01T10:00:00Z", "Items?$select=a:b"],
)
def test_MB_19_colons(url: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", f"/{url}")
    assert [one.status for one in parts(way, gateway, Call("", url))] == [200], upstream.lines


def test_MB_19_the_gateway_itself_encodes_them(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    """Relative URLs in the batches that it sends have none in their paths: the upstream notes each as a problem."""
    things.on("PATCH", "/Items('a%3Ab')", Reply(204))
    things.on("PATCH", "/Items('c%3Ad')?x=a:b", Reply(204))
    members = [
        Call("1", "Items('a%3Ab')", "PATCH", JSON, b"{}"),
        Call("2", "/svc/Items('c:d')?x=a:b", "PATCH", JSON, b"{}"),
    ]
    [found] = parts(way, batching_gateway, members)
    assert found.members is not None, things.problems
    assert [one.status for one in found.members] == [204, 204], things.lines
    assert things.problems == []


@pytest.mark.parametrize("coding", ["chunked", "gzip", "gzip, chunked", "x-own"])
def test_MB_20_transfer_codings_inside_are_refused(
    coding: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    text = put(
        b"4\r\n0123\r\n0\r\n\r\n", b"Content-Type: text/plain\r\nTransfer-Encoding: " + coding.encode() + b"\r\n"
    )
    check_bad_part(way, gateway, upstream, text, 400, 501)


NESTED = change_set(part_of(Call("2", "ok", "POST", JSON, b"{}")), boundary=b"d")


@pytest.mark.parametrize("place", [0, 1])
def test_MB_21_change_sets_do_not_nest(
    place: int, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/ok")
    members = [part_of(Call(name, "ok", "POST", JSON, b"{}")) for name in ("1", "3")]
    nested = NESTED.replace(b"boundary=d\r\n", b"boundary=d\r\nContent-ID: 9\r\n")
    members.insert(place, nested)
    found = parts(way, batching_gateway, change_set(*members), OK, headers=ON)
    assert len(found) == 2
    check_error(found[0], 400)
    assert found[1].status == 200
    assert things.lines == ["GET /ok"]


def test_MB_21_nor_alone_in_one_another(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with pytest.raises(Refused) as caught:
        parts(way, gateway, OK, change_set(NESTED))
    assert caught.value.bad_envelope, "the operation has no Content-ID either"
    assert upstream.lines == []
