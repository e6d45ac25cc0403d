"""An upstream with things in it, in the shapes that the public client libraries of these tests parse.

One store of things (`id`, `name`) behind several service roots, each in the words of its protocol, and one table of
entities as Azure keeps them. State is real and lives in memory; every instance begins with `alpha` and `beta`. It must
never know what a batch is: it answers single calls only, so that whatever a client gets as a batch is the gateway's.

By hand: `python tests/clients/things.py [port]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

Record = dict[str, Any]

METADATA = """<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"
 xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
 <edmx:DataServices m:DataServiceVersion="2.0">
  <Schema Namespace="Shop" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">
   <EntityType Name="Thing">
    <Key><PropertyRef Name="id"/></Key>
    <Property Name="id" Type="Edm.Int32" Nullable="false"/>
    <Property Name="name" Type="Edm.String"/>
   </EntityType>
   <EntityContainer Name="Container" m:IsDefaultEntityContainer="true">
    <EntitySet Name="things" EntityType="Shop.Thing"/>
   </EntityContainer>
  </Schema>
 </edmx:DataServices>
</edmx:Edmx>
"""

KEY = re.compile(r"things(?:/(\d+)|\((?:id=)?(\d+)\))?")
TABLE_KEY = re.compile(r"mytable(?:\(PartitionKey='([^']*)',RowKey='([^']*)'\))?")


class Service(NamedTuple):
    """How one protocol words its answers."""

    one: Callable[[Record], Any]
    many: Callable[[list[Record]], Any]
    error: Callable[[int, str], Any]
    changed: int = 204  # status of a PATCH; 200 comes with the new state


class Answer(NamedTuple):
    status: int
    value: Any = None  # of JSON; str: sent as XML
    headers: tuple[tuple[str, str], ...] = ()


def _value_list(records: list[Record]) -> Any:
    return {"value": records}


def _v4_error(status: int, text: str) -> Any:
    return {"error": {"code": str(status), "message": text}}


def _v2_error(status: int, text: str) -> Any:
    return {"error": {"code": str(status), "message": {"lang": "en", "value": text}}}


V4 = Service(dict, _value_list, _v4_error)
SERVICES: dict[str, Service] = {
    "/v1.0/": V4,
    "/odata/v4/svc/": V4,
    "/odata/v2/svc/": Service(lambda record: {"d": record}, lambda records: {"d": {"results": records}}, _v2_error),
    "/sites/dev/_api/": V4,
    "/storage/v1/b/bkt/o/": Service(
        dict,
        _value_list,
        lambda status, text: {"error": {"code": status, "message": text}},
        changed=200,
    ),
    "/thing/v1/": Service(
        dict,
        lambda records: {"items": records},
        lambda status, text: {"error": {"code": status, "message": text}},
        changed=200,
    ),
}
TABLE = Service(
    dict,
    _value_list,
    lambda status, text: {
        "odata.error": {
            "code": {404: "ResourceNotFound", 409: "EntityAlreadyExists"}.get(status, "InvalidInput"),
            "message": {"lang": "en-US", "value": text},
        }
    },
)


class Refused(Exception):
    """A call that cannot be done, with the status that says so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Things:
    """The server. `calls` holds what came, as "METHOD path", with the headers of each in `headers`."""

    def __init__(self, port: int = 0) -> None:
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._things: dict[Any, Record] = {1: {"id": 1, "name": "alpha"}, 2: {"id": 2, "name": "beta"}}
        self._rows: dict[Any, Record] = {}
        self._blobs: dict[Any, Record] = {name: {"name": name} for name in ("a b/ä.txt", "old")}
        self._sites: dict[Any, Record] = {"Web": {"Title": "before"}}
        self._versions: dict[Any, int] = dict.fromkeys([*self._things, *self._blobs, *self._sites], 1)
        self._lock = Lock()
        things = self

        class Handler(_Handler):
            upstream = things

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, name="things", daemon=True)

    def __enter__(self) -> Things:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def names(self) -> list[str]:
        """The names of all things, sorted; what is left after a client's run."""
        with self._lock:
            return sorted(thing["name"] for thing in self._things.values())

    def blobs(self) -> dict[str, Any]:
        """Name and metadata of every stored object."""
        with self._lock:
            return {name: blob.get("metadata") for name, blob in self._blobs.items()}

    def rows(self) -> dict[str, Any]:
        """RowKey and name of every entity in the table."""
        with self._lock:
            return {row: record.get("name") for (_, row), record in sorted(self._rows.items())}

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        with self._lock:
            self.calls.append(f"{method} {target}")
            self.headers.append(headers)
            raw, _, query = target.partition("?")
            path = unquote(raw)
            root = next((root for root in SERVICES if path.startswith(root)), "/")
            service = SERVICES.get(root, TABLE)
            try:
                if path == "/odata/v2/svc/$metadata" and method == "GET":
                    return Answer(200, METADATA)
                if root == "/storage/v1/b/bkt/o/":
                    return self._of_one(method, self._blobs, path[len(root) :], service, headers, body)
                if path == "/sites/dev/_api/contextInfo":
                    return Answer(200, {"FormDigestValue": "0xDIGEST", "FormDigestTimeoutSeconds": 1800})
                if path == "/sites/dev/_api/Web":
                    return self._of_one(method, self._sites, "Web", service, headers, body)
                if root == "/":
                    return self._of_table(method, path[1:], headers, body)
                return self._of_things(method, path[len(root) :], query, root, headers, body)
            except Refused as refusal:
                return Answer(refusal.status, service.error(refusal.status, str(refusal)))

    def _of_things(self, method: str, name: str, query: str, root: str, headers: dict[str, str], body: bytes) -> Answer:
        found = KEY.fullmatch(name)
        if not found:
            raise Refused(404, f"no resource {name}")
        service = SERVICES[root]
        key = found[1] or found[2]
        if key is None:
            if method == "GET":
                return Answer(200, service.many(list(self._things.values())[: _top(query)]))
            if method != "POST":
                raise Refused(405, f"{method} of all things")
            record = _record(body)
            identity = record.setdefault("id", max(self._things) + 1)
            self._add(self._things, identity, record)
            return Answer(201, service.one(record), (("Location", f"{root}things({identity})"), self._etag(identity)))
        return self._of_one(method, self._things, int(key), service, headers, body)

    def _of_table(self, method: str, name: str, headers: dict[str, str], body: bytes) -> Answer:
        found = TABLE_KEY.fullmatch(name)
        if not found:
            raise Refused(404, f"no resource {name}")
        if found[2] is None:
            if method != "POST":
                raise Refused(405, f"{method} of the table")
            record = _record(body)
            key = (record.get("PartitionKey"), record.get("RowKey"))
            if None in key:
                raise Refused(400, "an entity needs PartitionKey and RowKey")
            self._add(self._rows, key, record)
            if headers.get("prefer") == "return-no-content":
                return Answer(204, headers=(self._etag(key),))
            return Answer(201, record, (self._etag(key),))
        key = (found[1], found[2])
        if method == "PATCH" and "if-match" not in headers and key not in self._rows:
            self._add(self._rows, key, _record(body))  # an upsert: the protocol's PATCH without a condition
            return Answer(204, headers=(self._etag(key),))
        return self._of_one(method, self._rows, key, TABLE, headers, body)

    def _of_one(
        self,
        method: str,
        store: dict[Any, Record],
        key: Any,
        service: Service,
        headers: dict[str, str],
        body: bytes,
    ) -> Answer:
        if key not in store:
            raise Refused(404, f"no thing {key}")
        if headers.get("if-match", "*") not in ("*", self._etag(key)[1]):
            raise Refused(412, f"{key} has changed")
        if method == "GET":
            return Answer(200, service.one(store[key]), (self._etag(key),))
        if method == "DELETE":
            del store[key], self._versions[key]
            return Answer(204)
        if method not in ("PATCH", "PUT", "MERGE"):
            raise Refused(405, f"{method} of one thing")
        store[key].update(_record(body))
        self._versions[key] += 1
        value = service.one(store[key]) if service.changed == 200 else None
        return Answer(service.changed, value, (self._etag(key),))

    def _add(self, store: dict[Any, Record], key: Any, record: Record) -> None:
        if key in store:
            raise Refused(409, f"{key} is there already")
        store[key] = record
        self._versions[key] = 1

    def _etag(self, key: Any) -> tuple[str, str]:
        return "ETag", f'W/"{self._versions[key]}"'


def _top(query: str) -> int | None:
    text = parse_qs(query).get("$top", [""])[0]
    return int(text) if text.isdigit() else None


def _record(body: bytes) -> Record:
    try:
        value = json.loads(body)
    except ValueError:
        raise Refused(400, f"the body is no JSON: {body[:80]!r}") from None
    if not isinstance(value, dict):
        raise Refused(400, "the body is no JSON object")
    return value


class _Handler(BaseHTTPRequestHandler):
    """HTTP of it."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer
    upstream: Things

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.upstream.answer(self.command, self.path, headers, body)
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        data = b""
        if isinstance(answer.value, str):
            data = answer.value.encode()
            self.send_header("Content-Type", "application/xml")
        elif answer.value is not None:
            data = json.dumps(answer.value, ensure_ascii=False).encode()
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if answer.status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_PUT = do_MERGE = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the calls stand in `Things.calls`."""


if __name__ == "__main__":
    import sys

    with Things(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as running:
        print(running.origin, flush=True)
        try:
            running._thread.join()
        except KeyboardInterrupt:
            print("\n".join(running.calls))
