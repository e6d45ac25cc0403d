"""Parts, change sets, ids and request lines of a multipart batch: rules MB-01 to MB-11 of the contract."""

from __future__ import annotations

import pytest
from harness import multiparts
from harness.batches import Call
from harness.batching import BatchingUpstream
from harness.documents import parts, read, send
from harness.gateway import Gateway
from harness.multiparts import document, message, part, part_of
from harness.part_checks import OK, ON, check_bad_part, check_error, check_refused_whole
from harness.scripted import Reply, ScriptedUpstream, json_reply

JSON = {"Content-Type": "application/json"}
GET_OK = b"GET ok HTTP/1.1\r\n\r\n"


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/ok")
    upstream.on("POST", "/ok", Reply(204))


def posting(name: str, url: str = "ok") -> Call:
    return Call(name, url, "POST", JSON, b"{}")


@pytest.mark.parametrize("pieces", [0, 1, 50])
def test_MB_01_each_part_is_one_call(pieces: int, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for n in range(3):
        upstream.on("GET", f"/A({n})")
    body = document(*[part(b"GET A(%d) HTTP/1.1\r\n\r\n" % n) for n in range(3)])
    found = read(send(way, gateway, body, pieces=pieces))
    assert [one.json() for one in found] == [{"path": f"/A({n})"} for n in range(3)]
    assert upstream.lines == ["GET /A(0)", "GET /A(1)", "GET /A(2)"]


def test_MB_01_no_part_at_all(way: str, gateway: Gateway) -> None:
    assert read(send(way, gateway, b"--b--\r\n")) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no delimiter",
        b"--b\r\n",
        b"--b\r\nContent-Type: application/http\r\n",
        document(OK, OK).removesuffix(b"\r\n--b--\r\n"),
        document(OK, OK).removesuffix(b"--\r\n"),
        document(OK, OK).removesuffix(b"-\r\n"),
        document(OK, OK).replace(b"--b", b"--x"),
    ],
)
def test_MB_01_without_its_close_delimiter_nothing_runs(
    text: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    check_refused_whole(way, gateway, upstream, text)


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: text/plain\r\n",
        b"Content-Type: application/json\r\n",
        b"Content-Type: application/httpx\r\n",
        b"Content-Type: message/http\r\n",
        b"Content-Type:\r\n",
        b"Content-ID: 1\r\n",
        b"",
    ],
)
def test_MB_02_a_part_of_another_type_is_400(
    head: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    check_bad_part(way, gateway, upstream, part(GET_OK, head))


@pytest.mark.parametrize("coding", [b"", b"binary", b"BINARY", b"8bit", b"7bit"])
def test_MB_03_the_transfer_encoding_carries_no_meaning(
    coding: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    body = b"\x00\xff\r\n=41 "
    head = {"Content-Type": "application/octet-stream"}
    upstream.on("PUT", "/A", Reply(204, expect_body=body))
    line = b"Content-Transfer-Encoding: " + coding + b"\r\n" if coding else b""
    text = part(message(Call("", "A", "PUT", head, body)), multiparts.HTTP_TYPE + line)
    [found] = parts(way, gateway, text)
    assert found.status == 204, upstream.problems
    assert dict(found.fields)["Content-Transfer-Encoding"] == "binary"


@pytest.mark.parametrize("coding", [b"base64", b"quoted-printable", b"x-own"])
def test_MB_03_one_that_changes_the_bytes_is_refused(
    coding: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    line = b"Content-Transfer-Encoding: " + coding + b"\r\n"
    check_bad_part(way, gateway, upstream, part(GET_OK, multiparts.HTTP_TYPE + line), 400, 501)


def test_MB_04_a_change_set_is_a_multipart_of_its_own(
    way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("POST", "/A", Reply(201))
    things.on("PATCH", "/B", Reply(204))
    things.on("GET", "/C")
    change = [Call("1", "A", "POST", JSON, b"{}"), Call("2", "B", "PATCH", JSON, b"{}")]
    found = parts(way, batching_gateway, change, Call("3", "C"))
    assert found[0].members is not None
    assert [(one.content_id, one.status) for one in found[0].members] == [("1", 201), ("2", 204)]
    assert found[1].status == 200
    assert things.lines.index("GET /C") == 0, "what comes alone is logged first"
    assert things.applied == ["POST /A", "PATCH /B"]
    assert things.sizes == [2]
    assert things.problems == []


def test_MB_04_a_change_set_of_one_needs_no_transaction(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    [found] = parts(way, gateway, [posting("1")])
    assert found.members is not None
    assert [(one.content_id, one.status) for one in found.members] == [("1", 204)]
    assert upstream.lines == ["POST /ok"]


@pytest.mark.parametrize(
    "items",
    [
        [[posting("1")], [posting("1")]],
        [[posting("1"), posting("1")]],
        [Call("1", "ok"), [posting("1")]],
        [[posting("1")], Call("1", "ok")],
        [Call("1", "ok"), Call("1", "ok")],
    ],
)
def test_MB_05_an_id_that_comes_twice_refuses_the_batch(
    items: list[Call | list[Call]], way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    check_refused_whole(way, gateway, upstream, multiparts.document_of(items))


@pytest.mark.parametrize("place", [0, 1])
def test_MB_05_an_operation_without_an_id_refuses_the_batch(
    place: int, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    members = [posting("1"), posting("2")]
    members[place].id = ""
    check_refused_whole(way, gateway, upstream, multiparts.document_of([Call("0", "ok"), members]))


@pytest.mark.parametrize("name", ["Content-ID: 0.0", "content-id:0.0", "CONTENT-ID: 0.0", "Content-ID:\t0.0  "])
def test_MB_06_the_id_stands_in_the_mime_part(
    name: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    [found] = parts(way, gateway, part(GET_OK, multiparts.HTTP_TYPE + name.encode() + b"\r\n"))
    assert (found.status, found.content_id) == (200, "0.0")
    assert upstream.call("GET /ok").header("content-id") is None


def test_MB_06_it_is_optional_outside_of_change_sets(way: str, gateway: Gateway) -> None:
    found = parts(way, gateway, Call("", "ok"), Call("a", "ok"), posting(""))
    assert [(one.status, one.content_id) for one in found] == [(200, None), (200, "a"), (204, None)]


def test_MB_06_an_id_inside_the_request_counts_too(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    inside = b"GET ok HTTP/1.1\r\nContent-ID: 1\r\n\r\n"
    both = part(inside.replace(b"1\r\n\r\n", b"2\r\n\r\n"), multiparts.HTTP_TYPE + b"Content-ID: 2\r\n")
    found = parts(way, gateway, part(inside), both)
    assert [(one.status, one.content_id) for one in found] == [(200, "1"), (200, "2")]
    assert all(call.header("content-id") is None for call in upstream.log)


def test_MB_06_two_ids_that_differ_are_400(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    inside = b"GET ok HTTP/1.1\r\nContent-ID: 1\r\n\r\n"
    check_bad_part(way, gateway, upstream, part(inside, multiparts.HTTP_TYPE + b"Content-ID: 2\r\n"))


@pytest.mark.parametrize("name", [b"a b", b"", b"a/b", b"$1", b"\xc3\xa4"])
def test_MB_06_an_ill_formed_id_refuses_the_batch(
    name: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    bad = part(GET_OK, multiparts.HTTP_TYPE + b"Content-ID: " + name + b"\r\n")
    check_refused_whole(way, gateway, upstream, document(OK, bad))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_MB_07_a_get_in_a_change_set_fails_all_of_it(
    place: int, way: str, batching_gateway: Gateway, things: BatchingUpstream
) -> None:
    things.on("GET", "/ok")
    things.on("POST", "/ok", Reply(204))
    members = [posting("1"), posting("2")]
    members.insert(place, Call("3", "ok"))
    found = parts(way, batching_gateway, members, Call("4", "ok"), headers=ON)
    assert len(found) == 2
    check_error(found[0], 400)
    assert found[1].status == 200
    assert things.lines == ["GET /ok"]


def test_MB_07_a_get_alone_in_a_change_set_is_400(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    [found] = parts(way, gateway, [Call("1", "ok")])
    check_error(found, 400)
    assert upstream.lines == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_MB_07_modifications_stand_outside_of_change_sets_too(
    method: str, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.on(method, "/A", Reply(204))
    body = None if method == "DELETE" else b"{}"
    [found] = parts(way, gateway, Call("1", "A", method, JSON if body else {}, body))
    assert found.status == 204
    assert upstream.lines == [f"{method} /A"]


@pytest.mark.parametrize("before", [b"", b"\r\n", b"This is multipart.\r\n", b"x --b\r\n-- b\r\n--bb\r\n\r\n"])
@pytest.mark.parametrize(
    "after", [b"", b"\r\n", b"\r\nthe end", b"\r\n--b\r\n" + OK + b"\r\n--b--\r\n", b"\r\n\xff\x00"]
)
def test_MB_08_preamble_and_epilogue_are_ignored(
    before: bytes, after: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    found = read(send(way, gateway, before + document(OK, end=after)))
    assert [one.status for one in found] == [200]
    assert upstream.lines == ["GET /ok"]


def test_MB_08_those_of_a_change_set_too(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    inside = b"preamble\r\n" + document(part_of(posting("1")), boundary=b"c") + b"epilogue\r\n--c\r\n"
    [found] = parts(way, gateway, part(inside, b"Content-Type: multipart/mixed; boundary=c\r\n"))
    assert found.members is not None
    assert [one.status for one in found.members] == [204]
    assert upstream.lines == ["POST /ok"]


@pytest.mark.parametrize(
    "line",
    [b"GET ok HTTP/1.1", b"GET ok", b"GET ok ", b"get ok HTTP/1.1", b"GET  ok  HTTP/1.1", b"GET ok HTTP/1.0"],
)
def test_MB_09_request_lines(line: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    [found] = parts(way, gateway, part(line + b"\r\n\r\n"))
    assert found.status == 200
    assert upstream.lines == ["GET /ok"]
    assert upstream.problems == []


@pytest.mark.parametrize("line", [b"", b"GET", b"ok", b"TRACE ok HTTP/1.1", b"HEADS ok HTTP/1.1", b"G(T ok HTTP/1.1"])
def test_MB_09_a_bad_request_line_is_400(line: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_bad_part(way, gateway, upstream, part(line + b"\r\n\r\n"))


@pytest.mark.parametrize(
    "text",
    [
        b"GET http://gw.example/svc/A(1)?$select=ID HTTP/1.1\r\n\r\n",
        b"GET http://GW.example:80/svc/A(1)?$select=ID HTTP/1.1\r\n\r\n",
        b"GET /svc/A(1)?$select=ID HTTP/1.1\r\nHost: gw.example\r\n\r\n",
        b"GET /svc/A(1)?$select=ID HTTP/1.1\r\nhost:GW.EXAMPLE:80\r\n\r\n",
        b"GET A(1)?$select=ID HTTP/1.1\r\n\r\n",
    ],
)
def test_MB_10_three_forms_of_urls(text: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A(1)?$select=ID", json_reply({"ID": 1}))
    [found] = parts(way, gateway, part(text))
    assert found.json() == {"ID": 1}
    assert (upstream.log[0].header("host") or "").startswith("127.0.0.1:")


def test_MB_11_a_path_without_host_is_of_the_batch_host(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    [found] = parts(way, gateway, part(b"GET /svc/ok HTTP/1.1\r\n\r\n"))
    assert found.status == 200
    assert upstream.lines == ["GET /ok"]


@pytest.mark.parametrize(
    "text",
    [
        b"GET /svc/ok HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /svc/ok HTTP/1.1\r\nHost: gw.example:8080\r\n\r\n",
        b"GET /svc/ok HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET http://evil.example/svc/ok HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/svc/ok HTTP/1.1\r\nHost: gw.example\r\n\r\n",
        b"GET https://gw.example/svc/ok HTTP/1.1\r\n\r\n",
        b"GET //evil.example/svc/ok HTTP/1.1\r\n\r\n",
        b"GET /elsewhere/ok HTTP/1.1\r\nHost: gw.example\r\n\r\n",
        b"GET ../elsewhere HTTP/1.1\r\n\r\n",
    ],
)
def test_MB_11_a_foreign_host_is_400(text: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    check_bad_part(way, gateway, upstream, part(text))


def test_MB_11_an_absolute_url_takes_precedence_over_host(
    way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    text = b"GET http://gw.example/svc/ok HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    [found] = parts(way, gateway, part(text))
    assert found.status == 200
    assert "evil" not in str(upstream.call("GET /ok").headers)
