"""Multipart batches where the format is open: rules ID-14, GW-07, GW-19 and PR-07 of the contract."""

from __future__ import annotations

import re

import pytest
from harness import rest
from harness.batches import Call
from harness.batching import BatchingUpstream
from harness.documents import parts, read, send
from harness.gateway import Gateway
from harness.multiparts import document, document_of, part, part_of
from harness.part_checks import ON, check_error, check_refused_whole
from harness.scripted import Reply, ScriptedUpstream, json_reply, odata_error

JSON = {"Content-Type": "application/json"}
MADE = json_reply({"ID": 7}, 201, [("Location", "http://gw.example/svc/C(7)"), ("ETag", 'W/"7"')])
PROFILES = pytest.mark.parametrize("version", [rest.STRICT, {}], ids=["strict", "compatible"])


def posting(name: str, url: str) -> Call:
    return Call(name, url, "POST", JSON, b"{}")


# --- ID-14: references to any request before


@pytest.mark.parametrize("makes_in_set", [False, True])
@pytest.mark.parametrize("uses_in_set", [False, True])
def test_ID_14_across_change_sets(
    makes_in_set: bool, uses_in_set: bool, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("POST", "/C", MADE)
    upstream.on("POST", "/C(7)/Orders", Reply(204))
    make, use = posting("new", "C"), posting("2", "$new/Orders")
    found = parts(way, gateway, [make] if makes_in_set else make, [use] if uses_in_set else use)
    assert [one.members is not None for one in found] == [makes_in_set, uses_in_set]
    assert upstream.lines == ["POST /C", "POST /C(7)/Orders"]


def test_ID_14_from_one_larger_set_to_another(way: str, batching_gateway: Gateway, things: BatchingUpstream) -> None:
    things.on("POST", "/C", MADE)
    things.on("POST", "/D", Reply(204))
    things.on("POST", "/C(7)/Orders", Reply(204))
    things.on("PATCH", "/C(7)", Reply(204, expect_headers={"if-match": 'W/"7"'}))
    things.on("GET", "/C(7)?$select=ID")
    first = [posting("1", "C"), posting("2", "D")]
    second = [posting("3", "$1/Orders"), Call("4", "$1", "PATCH", {**JSON, "If-Match": "$1"}, b"{}")]
    found = parts(way, batching_gateway, first, second, Call("5", "$1?$select=ID"))
    assert [one.status for one in found if one.members is None] == [200], things.problems
    assert [[member.status for member in one.members] for one in found if one.members] == [[201, 204], [204, 204]]
    assert things.problems == []


@pytest.mark.parametrize("url", ["$later/Orders", "$nobody/Orders", "$self/Orders"])
def test_ID_14_only_to_requests_before(url: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/C", MADE)
    found = parts(way, gateway, posting("self", url), posting("later", "C"), headers=ON)
    check_error(found[0], 400)
    assert found[1].status == 201
    assert upstream.lines == ["POST /C"]


def test_ID_14_a_reference_to_what_failed_is_424(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("POST", "/C", odata_error(409))
    found = parts(way, gateway, [posting("1", "C")], posting("2", "$1/Orders"), headers=ON)
    assert found[0].status == 409
    check_error(found[1], 424)
    assert upstream.lines == ["POST /C"]


# --- GW-07: what is taken though it is not quite right

BODY = b'{"a":1}'
HEAD = b"Content-Type: application/http\r\n"
PUT = b"PUT A HTTP/1.1\r\nContent-Type: application/json\r\n\r\n" + BODY
GET = b"GET ok HTTP/1.1\r\nAccept: application/json\r\n\r\n"
PLAIN = document(part(PUT), part(GET))
SLOPPY = {
    "no version": PLAIN.replace(b" HTTP/1.1", b""),
    "version and trailing space": PLAIN.replace(b" HTTP/1.1", b" HTTP/1.1 "),
    "lf": PLAIN.replace(b"\r\n", b"\n"),
    "lf in the outer document alone": PLAIN.replace(b"--b\r\n", b"--b\n").replace(HEAD + b"\r\n", HEAD[:-2] + b"\n\n"),
    "one blank line after a get": PLAIN.replace(GET, GET[:-2]),
    "no blank line after a get": PLAIN.replace(GET, GET[:-4]),
    "no space after the colon": PLAIN.replace(b": ", b":"),
    "names in lower case": PLAIN.replace(b"Content-Type", b"content-type").replace(b"Accept", b"accept"),
    "names in upper case": PLAIN.replace(b"Content-Type", b"CONTENT-TYPE").replace(b"Accept", b"ACCEPT"),
    "binary": PLAIN.replace(HEAD, HEAD + b"Content-Transfer-Encoding:binary\r\n"),
    "8bit": PLAIN.replace(HEAD, HEAD + b"content-transfer-encoding: 8BIT\r\n"),
    "parameters": PLAIN.replace(b"application/http", b"application/http;msgtype=request; type=entry"),
    "mime-version": PLAIN.replace(HEAD, b"MIME-Version: 1.0\r\n" + HEAD),
    "path without host": PLAIN.replace(b"PUT A", b"PUT /svc/A").replace(b"GET ok", b"GET /svc/ok"),
    "content-id inside": PLAIN.replace(b"Accept:", b"Content-ID: 0.0\r\nAccept:"),
    "content-length of the part": PLAIN.replace(HEAD, b"Content-Length: 3\r\n" + HEAD),
    "blank lines before the document": b"\r\n\r\n" + PLAIN,
    "blank lines before the request line": PLAIN.replace(HEAD + b"\r\n", HEAD + b"\r\n\r\n\r\n"),
    "blank lines before a json body": PLAIN.replace(BODY, b"\r\n\r\n" + BODY),
    "blank lines after a get": PLAIN.replace(GET, GET + b"\r\n\r\n\r\n"),
    "blank lines after the document": PLAIN + b"\r\n\r\n",
    "no line end after the close": PLAIN[:-2],
    "folded field": PLAIN.replace(b"Content-Type: application/http", b"Content-Type:\r\n\tapplication/http"),
}


@pytest.mark.parametrize("name", list(SLOPPY))
@pytest.mark.parametrize("pieces", [0, 1])
@PROFILES
def test_GW_07_sloppy_documents(
    name: str, pieces: int, version: dict[str, str], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert SLOPPY[name] != PLAIN
    upstream.on("PUT", "/A", Reply(204, expect_headers={"content-type": "application/json"}))
    upstream.on("GET", "/ok", json_reply({}, expect_headers={"accept": "application/json"}))
    found = read(send(way, gateway, SLOPPY[name], version=version, pieces=pieces))
    assert [one.status for one in found] == [204, 200], upstream.problems
    assert upstream.call("PUT /A").body.strip() == BODY
    assert [one.content_id for one in found] == [None, "0.0" if name == "content-id inside" else None]


@pytest.mark.parametrize(
    "kind", ["multipart/mixed;boundary=b", 'multipart/mixed; boundary="b"', "Multipart/Mixed; Boundary=b"]
)
def test_GW_07_spellings_of_the_boundary(kind: str, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    assert [one.status for one in read(send(way, gateway, document(part(GET)), kind))] == [200]


def test_GW_07_an_unencoded_colon_in_a_key(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.fallback = lambda call: json_reply({"path": call.path})
    [found] = parts(way, gateway, Call("", "Items('a:b')"))
    assert found.status == 200
    assert upstream.lines[0].replace("%3A", ":") == "GET /Items('a:b')"


def test_GW_07_a_set_without_ids_is_let_through_by_the_compatible_profile_alone(
    way: str, gateway: Gateway, batching_gateway: Gateway, upstream: ScriptedUpstream, things: BatchingUpstream
) -> None:
    things.on("POST", "/A", Reply(204))
    body = document_of([[posting("", "A"), posting("", "A")]])
    [found] = read(send(way, batching_gateway, body, version={}))
    assert found.members is not None
    assert [(one.status, one.content_id) for one in found.members] == [(204, None), (204, None)]
    check_refused_whole(way, gateway, upstream, body)


# --- GW-19: whose id a failed change set has


@pytest.mark.parametrize("place", [0, 1, 2])
def test_GW_19_the_id_is_that_of_the_failing_request(
    place: int, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/A", Reply(204))
    things.on("POST", "/bad", odata_error(422, "Own", "of the upstream"))
    members = [posting("1", "A"), posting("2", "A")]
    members.insert(place, posting("bad.1", "bad"))
    [found] = parts(way, batching_gateway, members)
    assert (found.status, found.content_id) == (422, "bad.1")
    assert found.json()["error"]["code"] == "Own"
    assert things.applied == []


@pytest.mark.parametrize("place", [0, 1])
def test_GW_19_of_one_that_the_gateway_refuses_too(
    place: int, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    for bad in (Call("bad", "A"), Call("bad", "A", "TRACE"), posting("bad", "../out"), posting("bad", "$nobody/x")):
        members = [posting("1", "A")]
        members.insert(place, bad)
        [found] = parts(way, batching_gateway, members)
        check_error(found, 400)
        assert found.content_id == "bad", bad
    assert things.lines == []


def test_GW_19_of_a_set_of_one(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    [found] = parts(way, gateway, [posting("only", "missing")])
    assert (found.status, found.content_id) == (404, "only")
    assert upstream.lines == ["POST /missing"]


# --- PR-07: the form of answers, the same in both profiles

ETAG = 'W/"1"'
PRETTY = b'{\r\n  "a": "\xc3\xa4",\r\n  "b": [\r\n  ]\r\n}\r\n'


def answer_of(way: str, gateway: Gateway, things: BatchingUpstream, version: dict[str, str]) -> rest.Answer:
    """The answer to a batch of all kinds of parts."""
    fields = [
        ("content-type", "application/json;charset=utf-8"),
        ("etag", ETAG),
        ("odata-version", "4.0"),
        ("x-oWn", "1"),
    ]
    things.on("GET", "/A", Reply(200, fields, PRETTY, chunked=True))
    things.on("POST", "/B", Reply(201, fields, PRETTY))
    things.on("PATCH", "/B", Reply(204, fields))
    things.on("GET", "/odd", Reply(299, [("Content-Type", "text/plain")], b"x"))
    change = [posting("1", "B"), Call("2", "B", "PATCH", JSON, b"{}")]
    items = [Call("", "A"), change, Call("3", "odd"), Call("4", "missing"), Call("5", "../out")]
    return send(way, gateway, document_of(items), headers=ON, version=version)


@PROFILES
def test_PR_07_the_document(
    version: dict[str, str], way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    answer = answer_of(way, batching_gateway, things, version)
    kind = answer.header("content-type") or ""
    found = re.fullmatch(r"multipart/mixed; boundary=(batchresponse_[A-Za-z0-9_.-]+)", kind)
    assert found, kind
    delimiter = b"--" + found[1].encode()
    assert answer.body.startswith(delimiter + b"\r\n"), "no preamble"
    assert answer.body.endswith(b"\r\n" + delimiter + b"--\r\n"), "a CRLF after the close delimiter"
    assert len(read(answer)) == 5, "CRLF everywhere: the reader takes no other"


@PROFILES
def test_PR_07_the_parts(
    version: dict[str, str], way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    found = read(answer_of(way, batching_gateway, things, version))
    assert [one.status for one in found if one.members is None] == [200, 299, 404, 400]
    nested = found[1].members
    assert nested is not None, "nested, but for routes that say otherwise"
    [(name, kind)] = found[1].fields
    assert name == "Content-Type"
    assert re.fullmatch(r"multipart/mixed; boundary=changesetresponse_[A-Za-z0-9_.-]+", kind)
    for one in [found[0], *nested, *found[2:]]:
        fields = dict(one.fields)
        assert fields.pop("Content-Type") == "application/http"
        assert fields.pop("Content-Transfer-Encoding") == "binary"
        assert fields.keys() <= {"Content-ID"}
        assert one.line.startswith("HTTP/1.1 ")
        assert re.search(r"[A-Za-z]", one.reason), "a reason that is not empty"
        assert dict(one.headers)["Content-Length"] == str(len(one.body))
        assert b"\r" not in one.body
    assert {"Content-Type", "ETag", "OData-Version"} <= set(dict(found[0].headers))
    assert found[0].header("x-own") == "1"
    assert found[0].json() == {"a": "ä", "b": []}
    assert nested[1].line == "HTTP/1.1 204 No Content"


@PROFILES
def test_PR_07_flat_where_the_route_says_so(
    version: dict[str, str], way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/A", Reply(204))
    things.on("POST", "/bad", odata_error(409))
    things.on("GET", "/ok")
    items = [[posting("1", "A"), posting("2", "A")], [posting("3", "A"), posting("4", "bad")], Call("5", "ok")]
    found = read(send(way, batching_gateway, document_of(items), route="/flat/", version=version))
    assert all(one.members is None for one in found)
    assert [one.content_id for one in found] == ["1", "2", "3", "4", "5"]
    assert [one.status for one in found] == [204, 204, 424, 409, 200]


@PROFILES
def test_PR_07_bodies_that_are_not_json_are_left_alone(
    version: dict[str, str], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on("GET", "/A", Reply(200, [("Content-Type", "text/plain")], PRETTY))
    [found] = read(send(way, gateway, document(part_of(Call("1", "A"))), version=version))
    assert found.body == PRETTY
