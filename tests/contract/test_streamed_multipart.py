"""Multipart documents that are streamed: results come before the document has ended, what breaks later breaks the
answer off, and slow or silent clients hold nothing (GW-21, GW-13, ER-07, MP-09).
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator

import grpc
import h11
import pytest
from google.api.httpbody_pb2 import HttpBody
from harness import config, grpc_client, rest
from harness.dialects import (
    DOCUMENT_TYPE,
    GOOGLE_TYPE,
    Step,
    ask,
    google_document,
    google_part,
    is_document_error,
    read_document,
    step_part,
    steps,
)
from harness.documents import MULTIPART, REST, Refused, read, send
from harness.gateway import Gateway
from harness.memory import Peak
from harness.multiparts import HTTP_TYPE, boundary_of, document, part, read_part
from harness.scripted import Received, Reply, ScriptedUpstream, json_reply

MIB = 1 << 20
CONTINUE = {"Prefer": "continue-on-error"}
SECOND_GET = part(b"GET B HTTP/1.1\r\n\r\n")
PUT = b"PUT A HTTP/1.1\r\nContent-Type: application/octet-stream\r\n\r\n"
DOCUMENTS = {
    "odata": ("POST", "$batch", MULTIPART, document(part(b"GET A HTTP/1.1\r\n\r\n"), SECOND_GET)),
    "document": ("PUT", "batch", DOCUMENT_TYPE, steps(Step("1", "A"), Step("2", "B"))),
    "google": (
        "POST",
        "batch/x",
        GOOGLE_TYPE,
        google_document(google_part("<1>", "GET /A"), google_part("<2>", "GET /B")),
    ),
}


@pytest.fixture(autouse=True)
def _script(upstream: ScriptedUpstream) -> None:
    for name in "ABC":
        upstream.on("GET", f"/{name}")
        upstream.on("PUT", f"/{name}")


@pytest.fixture(scope="module")
def idle_gateway(_things: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that waits a second for silent clients; /stream/ checks nothing ahead."""
    routes: list[config.Config] = [
        {"root": "/svc/", "upstream": "things", "default": True},
        {"root": "/stream/", "upstream": "things", "streaming_threshold": 0},
    ]
    settings = config.make({"things": {"url": _things.origin + "/"}}, routes, {"client_idle_seconds": 1})
    with Gateway(settings, tmp_path_factory.mktemp("idle")) as running:
        yield running


def begin(wire: rest.Wire, dialect: str, route: str) -> bytes:
    """Sends the head of a chunked request; the document that belongs to it."""
    method, path, content_type, whole = DOCUMENTS[dialect]
    wire.begin(method, route + path, {"Content-Type": content_type, "Transfer-Encoding": "chunked"})
    return whole


def first_part_end(whole: bytes) -> int:
    """Where the delimiter line between the two parts ends."""
    opening = whole[: whole.index(b"\n") + 1]
    return whole.index(opening, 1) + len(opening)


def until(wire: rest.Wire, text: bytes) -> bytes:
    """What the answer says up to this text."""
    found = b""
    while text not in found:
        piece = wire.data()
        assert piece, f"the answer ended without {text!r}: {found!r}"
        found += piece
    return found


# --- results before the end


@pytest.mark.parametrize("dialect", DOCUMENTS)
def test_GW_21_results_of_early_parts_come_before_the_document_ends(
    dialect: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with rest.Wire(gateway.http_port) as wire:
        whole = begin(wire, dialect, "/stream/")
        cut = first_part_end(whole)
        wire.chunk(whole[: cut - 2])
        assert not upstream.wait_until(lambda: bool(upstream.log), 0.3), "a part runs before its delimiter has come"
        wire.chunk(whole[cut - 2 : cut])
        assert wire.head().status == 200
        found = until(wire, b'{"path":"/A"}')
        assert upstream.lines == ["GET /A"]
        wire.chunk(whole[cut:])
        wire.chunk(b"")
        rest_of_it, complete = wire.remainder()
    assert complete
    assert b'{"path":"/B"}' in found + rest_of_it
    assert upstream.lines == ["GET /A", "GET /B"]


def test_GW_21_results_come_before_the_document_ends_over_grpc(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    whole = DOCUMENTS["odata"][3]
    cut = first_part_end(whole)
    feed = grpc_client.Feed()
    with grpc_client.Client(gateway.grpc_address) as client:
        call = client.stub.BatchHttp(iter(feed), timeout=20, metadata=[("batchwire-route", "/stream/")])
        feed.put(HttpBody(content_type=MULTIPART, data=whole[:cut]))
        first = next(call)
        assert b'{"path":"/A"}' in first.data
        assert upstream.lines == ["GET /A"]
        feed.put(HttpBody(data=whole[cut:]))
        feed.close()
        data = first.data + b"".join(message.data for message in call)
    assert [one.status for one in read(rest.Answer(200, [("content-type", first.content_type)], data))] == [200, 200]


@pytest.mark.parametrize("padding", ["preamble", "part"])
def test_GW_21_a_document_streams_from_the_threshold_on(
    padding: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    head, tail = document(SECOND_GET, part(PUT))[:-9], b"\r\n--b--\r\n"
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/svc/$batch", {"Content-Type": MULTIPART, "Transfer-Encoding": "chunked"})
        if padding == "preamble":
            head = b"x" * (MIB - len(head) - 10) + b"\r\n" + head
        else:
            head += b"x" * (MIB - len(head) - 8)
        wire.chunk(head)
        assert not upstream.wait_until(lambda: bool(upstream.log), 0.3), "started below the threshold"
        wire.chunk(b"y" * 100)
        upstream.wait_for_calls(1)
        assert upstream.lines == ["GET /B"]
        wire.chunk(tail)
        wire.chunk(b"")
        answer = wire.answer()
    assert [one.status for one in read(answer)] == [200, 200]


# --- what breaks after it has begun

BROKEN = {
    "cut": b"",
    "id twice": part(b"GET C HTTP/1.1\r\n\r\n", HTTP_TYPE + b"Content-ID: 1\r\n") + b"\r\n--b--\r\n",
    "bad id": part(b"GET C HTTP/1.1\r\n\r\n", HTTP_TYPE + b"Content-ID: a b\r\n") + b"\r\n--b--\r\n",
    "too large": part(PUT + b"x" * (17 * MIB)) + b"\r\n--b--\r\n",
    "head too large": HTTP_TYPE + b"X: y\r\n" * 50_000,
}
WITH_ID = b"--b\r\n" + part(b"GET A HTTP/1.1\r\n\r\n", HTTP_TYPE + b"Content-ID: 1\r\n") + b"\r\n--b\r\n"


@pytest.mark.parametrize("last", BROKEN.values(), ids=BROKEN)
def test_GW_21_broken_part_breaks_the_answer_off(last: bytes, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """ER-07: what was done is reported, and no client takes the answer for complete."""
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", {"Content-Type": MULTIPART, "Transfer-Encoding": "chunked"})
        wire.chunk(WITH_ID)
        head = wire.head()
        found = until(wire, b'{"path":"/A"}')
        try:
            if last:
                wire.chunk(last)
            wire.chunk(b"")
        except ConnectionError:
            pass
        rest_of_it, complete = wire.remainder()
    boundary = boundary_of(head.header("content-type") or "").encode()
    assert not complete
    assert b"--" + boundary + b"--" not in found + rest_of_it
    text = (found + rest_of_it).removeprefix(b"--" + boundary + b"\r\n").removesuffix(b"\r\n")
    assert read_part(text).json() == {"path": "/A"}
    assert upstream.lines == ["GET /A"]
    gateway.wait_idle()


@pytest.mark.parametrize("last", [text for name, text in BROKEN.items() if name != "too large"])
def test_GW_21_broken_part_is_invalid_argument_over_grpc(
    last: bytes, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    feed = grpc_client.Feed()
    with grpc_client.Client(gateway.grpc_address) as client:
        call = client.stub.BatchHttp(iter(feed), timeout=20, metadata=[("batchwire-route", "/stream/")])
        feed.put(HttpBody(content_type=MULTIPART, data=WITH_ID))
        first = next(call)
        assert b'{"path":"/A"}' in first.data
        if last:
            feed.put(HttpBody(data=last))
        feed.close()
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "1 calls had been started" in caught.value.details()
    assert upstream.lines == ["GET /A"]


def test_GW_21_nothing_sent_yet_is_400_and_says_what_was_started(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """What runs is let finish first."""
    gate = upstream.gate()
    upstream.on("GET", "/A", json_reply({}, gate=gate))
    with rest.Wire(gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", {"Content-Type": MULTIPART, "Transfer-Encoding": "chunked"})
        wire.chunk(WITH_ID)
        upstream.wait_for_calls(1)
        wire.chunk(BROKEN["bad id"])
        wire.chunk(b"")
        time.sleep(0.2)
        gate.open()
        answer = wire.answer()
    assert answer.status == 400
    assert "1 calls had been started" in answer.json()["error"]["message"]
    assert upstream.lines == ["GET /A"]
    assert not upstream.log[0].aborted


# --- slow and silent clients


@pytest.mark.parametrize("dialect", DOCUMENTS)
def test_slow_drip_is_read_to_the_end(dialect: str, idle_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A byte now and then is no silence, though the whole takes longer than silence may."""
    with rest.Wire(idle_gateway.http_port) as wire:
        whole = begin(wire, dialect, "/svc/")
        step = len(whole) // 5 + 1
        for at in range(0, len(whole), step):
            wire.chunk(whole[at : at + 1])
            wire.chunk(whole[at + 1 : at + step])
            time.sleep(0.4)
        wire.chunk(b"")
        answer = wire.answer()
    assert answer.status == 200
    assert upstream.lines == ["GET /A", "GET /B"]


@pytest.mark.parametrize("dialect", DOCUMENTS)
def test_silent_client_is_408_and_starts_nothing(
    dialect: str, idle_gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    with rest.Wire(idle_gateway.http_port) as wire:
        whole = begin(wire, dialect, "/svc/")
        wire.chunk(whole[:-6])
        answer = wire.answer()
        assert answer.status == 408
        assert wire.closed()
    if dialect == "document":
        assert is_document_error(answer.body)
    else:
        assert rest.is_odata_error(answer.json())
    assert upstream.lines == []
    idle_gateway.wait_idle()


def test_silent_client_is_cut_off_after_results(idle_gateway: Gateway, upstream: ScriptedUpstream) -> None:
    with rest.Wire(idle_gateway.http_port) as wire:
        wire.begin("POST", "/stream/$batch", {"Content-Type": MULTIPART, "Transfer-Encoding": "chunked"})
        wire.chunk(WITH_ID)
        assert wire.head().status == 200
        until(wire, b'{"path":"/A"}')
        assert not wire.remainder()[1]
    assert upstream.lines == ["GET /A"]
    idle_gateway.wait_idle()


def test_client_that_goes_away_starts_nothing_more(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = upstream.gate()
    upstream.on("GET", "/A", json_reply({}, gate=gate))
    with rest.Wire(gateway.http_port) as wire:
        whole = begin(wire, "odata", "/stream/")
        wire.chunk(whole)
        upstream.wait_for_calls(1)
        wire.reset()
    assert upstream.wait_until(lambda: upstream.log[0].aborted)
    gateway.wait_idle()
    assert upstream.lines == ["GET /A"]


# --- large things in bounded memory


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "filler", [b"x", b"\n", b"--b\x01\r\n", b"\r\n--b1\r\n"], ids=["text", "lines", "like", "longer"]
)
def test_part_of_16_mib_is_passed_on_whole(
    filler: bytes, way: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    content = (filler * (16 * MIB // len(filler)))[: 16 * MIB - 500]
    with Peak(gateway) as peak:
        answer = send(way, gateway, document(part(PUT + content)), pieces=0 if way == REST else MIB)
    assert [one.status for one in read(answer)] == [200]
    assert upstream.call("PUT /A").body == content
    assert peak.grown < 100 * MIB, f"{peak.grown >> 20} MiB"


@pytest.mark.timeout(120)
def test_part_above_16_mib_is_413_and_starts_nothing(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    large = part(PUT + b"x" * (16 * MIB))
    with Peak(gateway) as peak, pytest.raises(Refused) as caught:
        send(way, gateway, document(large), pieces=0 if way == REST else MIB)
    assert caught.value.status in (413, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert upstream.lines == []
    assert peak.grown < 100 * MIB, f"{peak.grown >> 20} MiB"


LARGE = b"x" * (4 * MIB)
PENDING = {
    "multipart": (MULTIPART, b"", b"--b\r\n" + part(PUT + LARGE) + b"\r\n", b"--b--\r\n"),
    "json": (
        "application/json",
        b'{"requests":[{"id":"first","method":"put","url":"A"}',
        b',{"id":"%d","method":"put","url":"A","body":"' + LARGE + b'"}',
        b"]}",
    ),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", PENDING)
def test_bodies_that_wait_are_bounded(form: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The upstream does not answer: reading stops long before 200 MiB of calls are held, and goes on later."""
    gate = upstream.gate()
    upstream.keep_log = False
    upstream.fallback = lambda _: json_reply({}, gate=gate)
    upstream.on("PUT", "/A", json_reply({}, gate=gate))
    content_type, opening, one, closing = PENDING[form]
    sent: list[int] = []
    with Peak(gateway) as peak, rest.Wire(gateway.http_port) as wire:

        def run() -> None:
            if opening:
                wire.chunk(opening)
            for number in range(50):
                wire.chunk(one.replace(b"%d", b"%d" % number))
                sent.append(number)
            wire.chunk(closing)
            wire.chunk(b"")

        wire.begin("POST", "/svc/$batch", {"Content-Type": content_type, "Transfer-Encoding": "chunked"})
        sender = threading.Thread(target=run, daemon=True)
        sender.start()
        sender.join(4)
        stopped = len(sent)
        gate.open()
        answer = wire.answer()
        sender.join(10)
    assert answer.status == 200
    assert answer.body.count(b"200 OK" if form == "multipart" else b'"status":200') == 50 + (form == "json")
    assert 10 < stopped < 40
    assert peak.grown < 110 * MIB, f"{peak.grown >> 20} MiB"


@pytest.mark.timeout(120)
def test_results_put_into_bodies_are_bounded(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """A small document and one answer of 2 MiB ask for bodies of 640 MiB; all of them run, some at a time."""
    source = b"y" * (2 * MIB)
    whole: list[int] = []
    upstream.keep_log = False

    def answer(call: Received) -> Reply:
        if call.path == "/source":
            return Reply(200, [("Content-Type", "application/octet-stream")], source)
        whole.append(len(call.body))
        return json_reply({}, delay=0.05)

    upstream.fallback = answer
    head = b'--f\r\nContent-Disposition: form-data; name="n"\r\n\r\n'
    body = (head + b"resultOf(0)\r\n") * 8 + b"--f--\r\n"
    said = ("Content-Type: multipart/form-data; boundary=f",)
    sinks = [Step(str(number), "sink", "PUT", headers=said, body=body) for number in range(1, 41)]
    with Peak(gateway) as peak:
        found = read_document(
            ask("document", way, gateway, steps(Step("0", "source"), *sinks), DOCUMENT_TYPE, route="/svc/")
        )
    assert [one.status for one in found] == [200] * 41
    assert whole == [8 * (len(head) + len(source) + 2) + 7] * 40
    assert peak.grown < 150 * MIB, f"{peak.grown >> 20} MiB"


def test_message_without_end_is_413(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The bare message of the document dialect has no delimiter that could end it."""
    message = step_part(Step("1", "A", "PUT", body=b"x" * (17 * MIB))).partition(b"\r\n\r\n")[2]
    with Peak(gateway) as peak:
        answer = rest.request(gateway.http_port, "PUT", "/svc/batch", {"Content-Type": "application/http"}, message)
    assert answer.status == 413
    assert is_document_error(answer.body)
    assert upstream.lines == []
    assert peak.grown < 100 * MIB, f"{peak.grown >> 20} MiB"


@pytest.mark.parametrize("text", [b"x", b"x\r\n", b"--bb\r\n"], ids=["one line", "lines", "like"])
@pytest.mark.parametrize("place", ["preamble", "epilogue"])
def test_MB_08_what_lies_outside_of_the_parts_is_not_kept(
    text: bytes, place: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    noise = text * (48 * MIB // len(text))
    body = noise + b"\r\n" + document(SECOND_GET) if place == "preamble" else document(SECOND_GET) + noise
    with Peak(gateway) as peak:
        answer = send(REST, gateway, body)
    assert [one.status for one in read(answer)] == [200]
    assert upstream.lines == ["GET /B"]
    assert peak.grown < 24 * MIB, f"{peak.grown >> 20} MiB"


@pytest.mark.measured
def test_a_hundred_thousand_empty_parts_below_the_threshold(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Each is answered, but the answers are not held: they are 70 times what was sent."""
    with Peak(gateway) as peak:
        answer = send(REST, gateway, b"--b\n" * 100_000 + b"--b--\n", headers=CONTINUE)
    found = read(answer)
    assert (len(found), {one.status for one in found}) == (100_000, {400})
    assert len(answer.body) > 20 * MIB
    assert upstream.lines == []
    assert peak.grown < 60 * MIB, f"{peak.grown >> 20} MiB"


def test_four_hundred_thousand_empty_parts_above_it(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Read only as fast as the client takes the answers."""
    taken = 0
    with Peak(gateway) as peak, rest.Wire(gateway.http_port, timeout=60) as wire:
        body = b"--b\n" * 400_000 + b"--b--\n"
        fields = {"Content-Type": MULTIPART, "Content-Length": str(len(body)), **CONTINUE}
        wire.begin("POST", "/stream/$batch", fields)
        sender = threading.Thread(target=wire.send, args=(body,), daemon=True)
        sender.start()
        boundary = boundary_of(wire.head().header("content-type") or "").encode()
        tail = b""
        while piece := wire.data():
            tail += piece
            taken += tail.count(b"HTTP/1.1 400 ")
            tail = tail[-12:]
        assert boundary[-8:] + b"--\r\n" == tail
        sender.join(10)
    assert taken == 400_000
    assert upstream.lines == []
    assert peak.grown < 24 * MIB, f"{peak.grown >> 20} MiB"


def test_a_hundred_thousand_change_sets_of_nothing(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    empty = b"--b\nContent-Type: multipart/mixed; boundary=c\n\n--c--\n"
    with Peak(gateway) as peak:
        answer = send(REST, gateway, empty * 100_000 + b"--b\n" + SECOND_GET + b"\n--b--\n")
    found = read(answer)
    assert len(found) == 100_001
    assert all(one.members == [] for one in found[:-1])
    assert found[-1].status == 200
    assert upstream.lines == ["GET /B"]
    assert peak.grown < 24 * MIB, f"{peak.grown >> 20} MiB"


def test_change_set_of_twenty_thousand_calls_is_refused(way: str, gateway: Gateway, upstream: ScriptedUpstream) -> None:
    member = b"--c\n" + HTTP_TYPE + b"\nPUT A\n\n"
    body = b"--b\nContent-Type: multipart/mixed; boundary=c\n\n" + member * 20_000 + b"--c--\n--b--\n"
    with Peak(gateway) as peak, pytest.raises(Refused) as caught:
        send(way, gateway, body, version={})
    assert caught.value.status in (413, 400, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT)
    assert upstream.lines == []
    assert peak.grown < 24 * MIB, f"{peak.grown >> 20} MiB"


@pytest.mark.measured
def test_gzip_that_swells_is_413(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = gzip.compress(b"x" * (200 * MIB) + b"\r\n" + document(SECOND_GET), 9)
    with Peak(gateway) as peak, pytest.raises(Refused) as caught:
        send(REST, gateway, body, headers={"Content-Encoding": "gzip"})
    assert caught.value.status == 413
    assert upstream.lines == []
    assert peak.grown < 24 * MIB, f"{peak.grown >> 20} MiB"


@pytest.mark.measured
def test_gzip_that_swells_into_parts_breaks_the_answer_off(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = gzip.compress(b"--b\n" * (5 * MIB) + b"--b--\n", 9)
    with Peak(gateway) as peak, pytest.raises(h11.RemoteProtocolError):
        send(REST, gateway, body, headers={"Content-Encoding": "gzip", **CONTINUE}, route="/stream/")
    assert upstream.lines == []
    assert peak.grown < 24 * MIB, f"{peak.grown >> 20} MiB"
