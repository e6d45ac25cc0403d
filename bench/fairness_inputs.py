"""The inputs of bench.fairness: whole requests, made to cost time or memory."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Pieces = Iterator[bytes]


@dataclass(frozen=True)
class Input:
    """requests: of each connection, its pieces. reads: whether the client reads the answers."""

    name: str
    requests: Callable[[], list[Pieces]]
    reads: bool = True


def post(
    body: Iterator[bytes], root: str = "/svc/$batch", kind: str = "application/json", more: str = ""
) -> Iterator[bytes]:
    head = f"POST {root} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n{more}"
    yield f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    for piece in body:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def call(name: str, url: str, **more: Any) -> bytes:
    return json.dumps({"id": name, "method": "get", "url": url, **more}).encode()


def batch(*calls: Iterator[bytes] | bytes) -> Iterator[bytes]:
    """A JSON document, a call a piece."""
    yield b'{"requests":['
    first = True
    for item in calls:
        for one in [item] if isinstance(item, bytes) else item:
            yield one if first else b"," + one
            first = False
    yield b"]}"


def one(*calls: Iterator[bytes] | bytes, root: str = "/svc/$batch", more: str = "") -> list[Pieces]:
    return [post(batch(*calls), root, more=more)]


def with_body(name: str, body: bytes, **more: Any) -> bytes:
    return call(name, "items", **more).replace(b'"get"', b'"post"', 1)[:-1] + b',"body":' + body + b"}"


def whole(body: bytes, root: str, kind: str) -> list[Pieces]:
    head = f"POST {root} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nConnection: close\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    return [iter([head.encode(), body])]


def terms(prefix: str) -> str:
    return " or ".join(f"{prefix}{n} eq 0.5" for n in range(300))[:4090].rpartition(" or ")[0]


def conditions() -> list[Pieces]:
    return one(
        call("a", "keys/48000"), *[call(f"c{n}", "ok", dependsOn=["a"], **{"if": terms("$a/x")}) for n in range(10)]
    )


def references() -> list[Pieces]:
    body = json.dumps(["$a/z/v"] * 64).encode()
    return one(call("a", "list/1000000"), *[with_body(f"c{n}", body, dependsOn=["a"]) for n in range(100)])


def many_names(known: bool) -> list[Pieces]:
    names = b",".join([b'"a"'] * 3_000_000 if known else [b'"n%07d"' % n for n in range(1_100_000)])
    text = call("c", "ok", **{"if": " or ".join(f"$m{n}/$succeeded" for n in range(200))})
    return one(call("a", "ok"), text[:-1] + b',"dependsOn":[' + names + b"]}")


def group(root: str) -> list[Pieces]:
    condition = " or ".join(f"$m{n}/$succeeded" for n in range(250))[:4090].rpartition(" or ")[0]
    return one(
        call("a", "ok"),
        *[call(f"m{n}", "ok", atomicityGroup="g", **{"if": condition}) for n in range(1000)],
        root=root,
    )


def group_of_values() -> list[Pieces]:
    more = {"atomicityGroup": "g", "dependsOn": ["a"], "if": "not (" + terms("$a/x") + ")"}
    return one(call("a", "keys/48000"), *[call(f"m{n}", "ok", **more) for n in range(1000)], root="/groups/$batch")


def body_of(text: bytes, size: int = 15_900_000, **more: Any) -> list[Pieces]:
    return one(call("x", "ok"), with_body("c", b"[" + text * (size // len(text)) + b"1]", **more))


def connect(size: int = 4_000_000, **member: Any) -> list[Pieces]:
    text = json.dumps({"id": "1", "method": "GET", "url": "ok", **member})
    calls = ",".join([text.replace('"1"', f'"{n}"', 1) for n in range(size // (len(text) + 6))])
    return whole(
        f'{{"options":{{"route":"/svc/"}},"calls":[{calls}]}}'.encode(),
        "/batchwire.v1.BatchService/Execute",
        "application/json",
    )


def varint(n: int) -> bytes:
    text = b""
    while n >= 128:
        text += bytes([n & 127 | 128])
        n >>= 7
    return text + bytes([n])


def field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def proto(*calls: bytes) -> list[Pieces]:
    body = field(1, field(1, b"/svc/")) + b"".join(calls)
    return whole(body, "/batchwire.v1.BatchService/Execute", "application/proto")


def small_calls() -> list[Pieces]:
    return proto(
        *[field(2, field(1, b"%d" % n) + field(2, b"GET") + field(3, b"ok") + field(4, b"") * 60) for n in range(16000)]
    )


def names_in_proto() -> list[Pieces]:
    return proto(field(2, field(1, b"c") + field(2, b"GET") + field(3, b"ok") + field(6, b"a") * 5_000_000))


def form(text: bytes, size: int = 15_900_000) -> list[Pieces]:
    part = b"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\n"
    message = b"PUT items HTTP/1.1\r\nContent-Type: application/json\r\n\r\n" + text * (size // len(text))
    return [post(iter([part, message, b"\r\n--b--\r\n"]), kind="multipart/mixed; boundary=b")]


def dots() -> list[Pieces]:
    return one(*[call(f"{n}", "a/../" * 6500) for n in range(200)])


def waiting(count: int, **more: Any) -> list[Pieces]:
    """Calls that wait for one that takes its time."""
    text = call("NAME", "ok", dependsOn=["slow"], **more)
    return one(call("slow", "slow"), (text.replace(b"NAME", b"n%d" % n, 1) for n in range(count)))


def small_bodies_in_junk() -> list[Pieces]:
    text = with_body("NAME", b"1", dependsOn=["slow"])[:-1] + b',"junk":"' + b"x" * 2_000_000 + b'"}'
    return one(call("slow", "slow"), (text.replace(b"NAME", b"n%d" % n, 1) for n in range(600)))


def long_urls() -> list[Pieces]:
    text = call("NAME", "u" * 4_000_000, dependsOn=["slow"])
    return one(call("slow", "slow"), (text.replace(b"NAME", b"n%d" % n, 1) for n in range(300)))


def long_ids() -> list[Pieces]:
    return one(call("slow", "slow"), (call(f"{n}-" + "i" * 1_000_000, "ok", dependsOn=["slow"]) for n in range(800)))


def edges() -> list[Pieces]:
    names = [f"n{n}" for n in range(500)]
    first = [call(name, "slow") for name in names]
    return one(*first, (call(f"e{n}", "ok", dependsOn=names * 20) for n in range(3000)))


def etags(count: int = 30_000) -> list[Pieces]:
    return one(call(f"n{n}", f"etag/30000/{n % 60}") for n in range(count))


def large_answers(more: str) -> list[Pieces]:
    return one(*[call(f"{n}", "large") for n in range(64)], more=more)


INPUTS = [
    Input("nothing", lambda: one(call("1", "slow"))),
    Input("A6 conditions on a large answer", conditions),
    Input("A6 references into a large answer", references),
    Input("A6 dependsOn of unknown names", lambda: many_names(False)),
    Input("A6 dependsOn of one name", lambda: many_names(True)),
    Input("A6 group with conditions, plain", lambda: group("/svc/$batch")),
    Input("A6 group with conditions, batching", lambda: group("/groups/$batch")),
    Input("A6 group with conditions on values", group_of_values),
    Input("A6 strings that may refer", lambda: body_of(b'"$x/y",', dependsOn=["x"])),
    Input("A6 strings that do not refer", lambda: body_of(b'"$q/y",', dependsOn=["x"])),
    Input("A6 links that do not refer", lambda: body_of(b'{"@id":"A"},"$a",', dependsOn=["x"])),
    Input("A6 brackets", lambda: body_of(b'[],"$",')),
    Input("A6 Connect JSON of calls", connect),
    Input("A6 Connect JSON of names", lambda: connect(dependsOn=["a"] * 500_000)),
    Input("A6 small calls in a message", small_calls),
    Input("A6 names in a message", names_in_proto),
    Input("A6 multipart of lines", lambda: form(b"--\n")),
    Input("A6 multipart of strings", lambda: form(b'"$x/y"\n')),
    Input("A6 dots", dots),
    Input("A7 conditions that wait", lambda: waiting(300, **{"if": "$slow/x eq '" + "x" * 4_000_000 + "'"})),
    Input("A7 short conditions that wait", lambda: waiting(30_000, **{"if": terms("$slow/x")})),
    Input("A7 URLs that wait", long_urls),
    Input("A7 small bodies in junk", small_bodies_in_junk),
    Input("A7 long ids", long_ids),
    Input("A7 edges", edges),
    Input("A7 kept ETags", etags),
    Input("A3 large answers, not read", lambda: large_answers(""), reads=False),
    Input("A3 large answers in order, not read", lambda: large_answers("Prefer: order=request\r\n"), reads=False),
]
