"""What is no call, or one with a member of the wrong type, is a TypeError that names it, where it is made or given."""

from __future__ import annotations

from typing import Any

import pytest
from batchwire.client import AsyncClient, Call, Client
from batchwire.client._model import Headers
from harness.gateway import Gateway
from harness.scripted import ScriptedUpstream

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"depends_on": "new"}, r"Call.depends_on must be a list or tuple of ids \(str\), not 'new'"),
    ({"depends_on": [1]}, r"Call.depends_on must be .*, not \[1\]"),
    ({"depends_on": None}, "Call.depends_on must be .*, not None"),
    ({"url": b"a"}, "Call.url must be a str, not bytes"),
    ({"method": None}, "Call.method must be a str, not NoneType"),
    ({"id": 1}, "Call.id must be a str, not int"),
    ({"atomicity_group": 1}, "Call.atomicity_group must be a str, not int"),
    ({"headers": "a: b"}, "Call.headers must be a mapping of str to str, or pairs of str"),
    ({"headers": {"a": 1}}, "Call.headers must be"),
    ({"headers": [("a",)]}, "Call.headers must be"),
    ({"body": {"a": 1}}, "Call.body must be bytes, str or None, not dict"),
    ({"condition": True}, "Call.condition must be a str or None, not bool"),
    ({"timeout": "5"}, r"Call.timeout must be seconds \(int or float\) or None, not str"),
    ({"timeout": True}, "Call.timeout must be seconds"),
    ({"json": object()}, "Call.json must be what JSON has a form for, not object"),
    ({"json": {1}}, "Call.json must be what JSON has a form for, not set"),
]


@pytest.mark.parametrize(("members", "message"), WRONG)
def test_a_call_of_wrong_types(members: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Call(**{"url": "a", **members})


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"timeout": float("inf")}, "Call.timeout must be above 0 and at most"),
        ({"timeout": float("nan")}, "Call.timeout must be above 0 and at most"),
        ({"timeout": 0}, "Call.timeout must be above 0"),
        ({"timeout": -1}, "Call.timeout must be above 0"),
        ({"body": "a", "json": {}}, "a call has either body or json"),
        ({"url": "a\ud800"}, r"Call.url cannot be sent: '\\ud800' at 1 is half of a surrogate pair"),
        ({"body": "\ud800"}, "Call.body cannot be sent"),
        ({"headers": {"a": "\udfff"}}, "Call.headers cannot be sent"),
        ({"depends_on": ["a", "\ud800"]}, "Call.depends_on cannot be sent"),
        ({"condition": "\ud800"}, "Call.condition cannot be sent"),
    ],
)
def test_a_call_of_wrong_values(members: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Call(**{"url": "a", **members})


OPTIONS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"continue_on_error": "no"}, TypeError, "continue_on_error must be True or False, not 'no'"),
    ({"ordered": "x"}, TypeError, "ordered must be True or False, not 'x'"),
    ({"ordered": None}, TypeError, "ordered must be True or False"),
    ({"timeout": "x"}, TypeError, "timeout must be seconds"),
    ({"timeout": float("inf")}, ValueError, "timeout must be above 0 and at most"),
    ({"deadline": "x"}, TypeError, "deadline must be seconds"),
    ({"headers": {"a": "\ud800"}}, ValueError, "headers cannot be sent"),
    ({"deadline": float("nan")}, ValueError, "deadline must be above 0 and at most"),
    *(
        ({name: seconds}, ValueError, f"{name} must be above 0")
        for name in ("timeout", "deadline")
        for seconds in (0, -0.5)
    ),
]


@pytest.mark.parametrize(("options", "kind", "message"), OPTIONS)
async def test_switches_and_times_of_wrong_types(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with Client("127.0.0.1:9") as blocking:
        for start in (blocking.execute, blocking.batch):
            with pytest.raises(kind, match=message):
                start([Call("a")], **options)
    async with AsyncClient("127.0.0.1:9") as client:
        with pytest.raises(kind, match=message):
            await client.execute([Call("a")], **options)
        with pytest.raises(kind, match=message):
            client.batch([Call("a")], **options)


@pytest.mark.parametrize("client", [AsyncClient, Client])
@pytest.mark.parametrize(
    ("target", "more", "kind", "message"),
    [
        (None, {}, TypeError, "the target must be a str, host:port, not NoneType"),
        ("", {}, ValueError, "the target is empty"),
        ("a:1", {"credentials": "x"}, TypeError, "credentials must be grpc.ChannelCredentials or None, not str"),
        ("a:1", {"route": 5}, TypeError, "route must be a str, not int"),
        ("a:1", {"route": None}, TypeError, "route must be a str, not NoneType"),
        ("a:1", {"route": "/\ud800/"}, ValueError, "route cannot be sent"),
    ],
)
def test_targets_and_credentials_of_wrong_types(
    client: Any, target: Any, more: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        client(target, **more)


def test_headers_are_read_as_a_mapping_is() -> None:
    headers = Headers([("A", "1"), ("b", "2"), ("a", "3")])
    assert headers.items() == list(headers) == [("a", "1"), ("b", "2"), ("a", "3")]
    assert dict(headers) == {"a": "1, 3", "b": "2"}
    assert dict(zip(headers.keys(), headers.values(), strict=True)) == dict(headers)


@pytest.mark.parametrize("ids", [["a"], ("a",), {"a"}, dict.fromkeys("a").keys(), []])
def test_ids_may_come_in_any_collection(ids: Any) -> None:
    assert Call("a", depends_on=ids, headers=Headers([("a", "b")])).depends_on == ids


async def test_what_is_no_call_or_was_spoiled() -> None:
    spoiled = Call("a")
    spoiled.depends_on = "new"
    for given, message in (({"url": "a"}, "a batch is made of Call objects, not dict"), (spoiled, "Call.depends_on")):
        calls: list[Any] = [given]
        async with AsyncClient("127.0.0.1:9") as client:
            with pytest.raises(TypeError, match=message):
                await client.execute(calls)
        with Client("127.0.0.1:9") as blocking, pytest.raises(TypeError, match=message):
            blocking.execute(calls)


METADATA: list[tuple[Any, type[Exception], str]] = [
    ({"a b": "c"}, ValueError, "metadata: 'a b' is no name of a header"),
    ([("a", "b", "c")], TypeError, "metadata must be a mapping, or pairs"),
    (["ab"], TypeError, "metadata must be a mapping, or pairs"),
    ([("a", 1)], TypeError, "metadata: a must be a str"),
    ([("a-bin", "b")], TypeError, "metadata: a-bin must be bytes"),
    ([("a", "ü")], ValueError, "metadata: a must be printable ASCII"),
]


@pytest.mark.parametrize(("metadata", "kind", "message"), METADATA)
@pytest.mark.parametrize("client", [AsyncClient, Client])
async def test_metadata_are_checked_where_they_are_given(
    client: Any, metadata: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        client("127.0.0.1:9", metadata=metadata)


@pytest.mark.parametrize("client", [AsyncClient, Client])
async def test_a_target_is_no_url(client: Any) -> None:
    with pytest.raises(ValueError, match="host:port, not a URL such as http://a:1"):
        client("http://a:1")


def test_metadata_in_any_case_and_form(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.on("GET", "/A")
    for metadata in ({"X-Request-Id": "one"}, [("X-Request-Id", "one")], [["x-request-id", "one"]]):
        with Client(gateway.grpc_address, metadata=metadata) as client:
            assert [result.status for result in client.execute([Call("A")])] == [200]
        assert upstream.log[-1].header("x-request-id") == "one"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
async def test_numbers_that_are_no_json(number: float) -> None:
    async with AsyncClient("127.0.0.1:9") as client:
        with pytest.raises(ValueError, match=r"Call.json of '0': .*not JSON compliant"):
            await client.execute([Call("a", "POST", json={"n": number})])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"deadline": "5"}, "deadline must be seconds"), ({"headers": "a: b"}, "headers must be a mapping")],
)
def test_options_of_wrong_types(options: dict[str, Any], message: str) -> None:
    with Client("127.0.0.1:9") as client, pytest.raises(TypeError, match=message):
        client.execute([Call("a")], **options)


async def test_an_option_that_there_is_not_names_execute() -> None:
    wrong: Any = {"foo": 1}
    async with AsyncClient("127.0.0.1:9") as client:
        with pytest.raises(TypeError, match=r"execute\(\) got an unexpected keyword argument 'foo'"):
            await client.execute([Call("a")], **wrong)
    with Client("127.0.0.1:9") as blocking, pytest.raises(TypeError, match=r"execute\(\) got an unexpected .* 'foo'"):
        blocking.execute([Call("a")], **wrong)
