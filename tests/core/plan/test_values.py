"""Finding references in queries and bodies, walking to values, and splicing them in: ID-11 to ID-13."""

import json
from typing import Any
from urllib.parse import unquote

import pytest
from batchwire.core.dialects.json_index import text_at
from batchwire.core.plan.value_finder import body_references, query_references
from batchwire.core.plan.values import filled_body, filled_query
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plan_driving import driven, json_result, make_call

# --- walking


WALKS: list[tuple[bytes, list[bytes], bytes | None]] = [
    (b'{"a":1}', [], b'{"a":1}'),
    (b' {"a" : {"b":[0 , {"c": "x" }]}} ', [b"a", b"b", b"1", b"c"], b'"x"'),
    (b"[1,2 ,3]", [b"1"], b"2"),
    (b"[[],{}, null]", [b"2"], b"null"),
    (b'{"a":null}', [b"a"], b"null"),
    (b'{"a,}":"}","b":1}', [b"b"], b"1"),
    (b'{"a\\u0062":1}', [b"ab"], b"1"),
    (b'{"a":1,"a":2}', [b"a"], b"2"),
    (b'{"":1}', [b""], b"1"),
    (b'{"0":1}', [b"0"], b"1"),
    ('{"ä":1}'.encode(), ["ä".encode()], b"1"),
    (b'"text"', [], b'"text"'),
    (b"[1,2]", [b"2"], None),
    (b"[1,2]", [b"-1"], None),
    (b"[1,2]", [b"+1"], None),
    (b"[1,2]", [b"01"], None),
    (b"[1,2]", [b""], None),
    (b"[1,2]", [b"1.0"], None),
    (b"[1,2]", [b"99999999999999999999"], None),
    (b"[]", [b"0"], None),
    (b'{"a":1}', [b"A"], None),
    (b'{"a":1}', [b"a", b"b"], None),
    (b'"text"', [b"0"], None),
    (b'{"a":[1]}', [b"a", b"length"], None),
]


@pytest.mark.parametrize(("text", "path", "found"), WALKS)
def test_walk(text: bytes, path: list[bytes], found: bytes | None) -> None:
    assert text_at(text, path) == found


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(documents, st.data(), st.sampled_from([None, 1]), st.booleans())
def test_walk_agrees_with_json(document: Any, data: st.DataObject, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    path: list[bytes] = []
    while isinstance(document, (dict, list)) and document and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(document) if isinstance(document, dict) else range(len(document))))
        document = document[key]
        path.append(str(key).encode())
    found = text_at(text, path)
    assert found is not None
    assert json.loads(found) == document


# --- finding in queries

FOUND: list[tuple[bytes, list[tuple[bytes, list[bytes], bool]]]] = [
    (b"A?$filter=B eq $1/C", [(b"1", [b"C"], True)]),
    (b"A?$filter=B%20eq%20$1", [(b"1", [], True)]),
    (b"A?$filter=B+eq+$1/C+and+$2/D/0", [(b"1", [b"C"], True), (b"2", [b"D", b"0"], True)]),
    (b"A?$filter=%241%2FC%20eq%201", [(b"1", [b"C"], True)]),
    (b"A?$filter=f($a.b~c_d-e/X)", [(b"a.b~c_d-e", [b"X"], True)]),
    (b"A?$filter=$1/%40odata.etag eq 1", [(b"1", [b"@odata.etag"], True)]),
    (b"A?$filter=$1/N%C3%A4me%20eq 1", [(b"1", ["Näme".encode()], True)]),
    (b"A?@p=$1/C", [(b"1", [b"C"], True)]),
    (b"A?%24filter=$x", [(b"x", [], True)]),
    (b"A?$search=$1/C", [(b"1", [b"C"], True)]),
    (b"A?x=$1/C", [(b"1", [b"C"], False)]),
    (b"A?price=$100", [(b"100", [], False)]),
    (b'A?where={"age":{"$gt":$1/age}}', [(b"gt", [], False), (b"1", [b"age"], False)]),
    (b"A?$filter=Orders/$own gt 1", [(b"own", [], False)]),
    (b"A?x=it's $1/C", [(b"1", [b"C"], False)]),
    (b"A?$expand=B($filter=C eq $1/C;$top=1;$orderby=D)", [(b"1", [b"C"], True)]),
    (b"A?$expand=B(%24filter%3DC eq $1/C)", [(b"1", [b"C"], True)]),
    (b"A?$filter=B eq '$1/C' and D eq $2/E", [(b"2", [b"E"], True)]),
    (b"A?$filter=B eq 'it''s $1/C'", []),
    (b"A?$filter=B eq %27$1/C%27", []),
    (b'A?$search="costs $5"', []),
    (b"A?x='$1'", []),
    (b"A?x=US$1", []),
    (b"A?x=$", []),
    (b"A?x=$$", []),
    (b"A?x=$/a", []),
    (b"A?$1=5", []),
    (b"A?$filter", []),
    (b"A?$top=5&$count=true", []),
    (b"A?$filter=$it/B eq $root/C and D/$count eq 1 and $this gt 2", []),
]


@pytest.mark.parametrize(("target", "found"), FOUND)
def test_references_in_a_query(target: bytes, found: list[tuple[bytes, list[bytes], bool]]) -> None:
    assert [(one.name, one.path, one.needed) for one in query_references(target)] == found


def test_quotes_without_end_cost_no_time() -> None:
    assert list(query_references(b"A?$filter=" + b"'$1'" * 50_000 + b"'")) == []


# --- filling queries

RESULT = {b"1": b'{"s":"it\'s","q":"a\\"b\\\\ OR c","n":-1.5E+3,"t":true,"z":null,"o":{},"a":[1],"e":""}'}

FILLED: list[tuple[bytes, bytes]] = [
    (b"A?$filter=B eq $1/s", b"A?$filter=B eq 'it''s'"),
    (b"A?$filter=B eq $1/e", b"A?$filter=B eq ''"),
    (b"A?$filter=B eq $1/n", b"A?$filter=B eq -1.5E%2B3"),
    (b"A?$filter=$1/t eq $1/z", b"A?$filter=true eq null"),
    (b"A?x=$1/s&y=$1/t", b"A?x=it%27s&y=true"),
    (b"A?$search=$1/q", b"A?$search=%22a%5C%22b%5C%5C%20OR%20c%22"),
    (b"A?$top=$1/a/0&$skiptoken=$1/s", b"A?$top=1&$skiptoken=it%27s"),
]


@pytest.mark.parametrize(("target", "filled"), FILLED)
def test_filled_query(target: bytes, filled: bytes) -> None:
    assert filled_query(target, RESULT) == filled


@pytest.mark.parametrize("path", [b"o", b"a", b"nothing", b"s/0", b"a/1"])
def test_no_scalar_no_query(path: bytes) -> None:
    with pytest.raises(ValueError, match=r"^\$1/"):
        filled_query(b"A?x=$1/" + path, RESULT)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{} {}"])
def test_a_result_that_is_no_json_has_no_values(body: bytes) -> None:
    with pytest.raises(ValueError, match="has no value"):
        filled_query(b"A?x=$1", {b"1": body})


def test_a_value_too_long_for_a_url() -> None:
    with pytest.raises(ValueError, match="too long"):
        filled_query(b"A?x=$1", {b"1": json.dumps("x" * 70_000).encode()})
    with pytest.raises(ValueError, match="too long"):
        filled_query(b"A?x=$1&y=$1", {b"1": json.dumps("x" * 40_000).encode()})


@settings(max_examples=300, deadline=None)
@given(st.text())
@example("&$filter=1 eq 1#")
@example("' or 1 eq 1 or '")
@example("$1")
def test_nothing_gets_out_of_a_literal(value: str) -> None:
    filled = filled_query(b"A?$filter=B eq $1&x=1", {b"1": json.dumps(value).encode()})
    inside = filled.removeprefix(b"A?$filter=B eq '").removesuffix(b"'&x=1")
    assert set(inside) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%'")
    text = unquote(inside.decode())
    assert "'" not in text.replace("''", "")
    assert text.replace("''", "'") == value


# --- finding in bodies


def test_references_in_a_body() -> None:
    body = {
        "whole": "$1",
        "path": "$1/a//0",
        "text": ["$1 and more", "x$1", "$", "$/a", "$it", "it is $1/x"],
        "$1": "key",
        "P@odata.bind": "$2/Orders",
        "L@odata.bind": ["$3", {"x": "$4/n"}, ["$5/n"]],
        "@odata.id": "$metadata",
        "@id": "$6",
        "id": "$7/n",
        "after": ["$8/n"],
    }
    found = body_references(json.dumps(body, indent=1).encode(), [b"1", b"7"])
    assert [(one.name, one.path, one.tail, one.needed) for one in found] == [
        (b"1", [b"a", b"", b"0"], None, False),
        (b"2", None, b"/Orders", True),
        (b"3", None, b"", True),
        (b"6", None, b"", True),
        (b"7", [b"n"], None, False),
    ]
    assert [one.name for one in body_references(json.dumps(body).encode())] == [b"2", b"3", b"6"]


def test_escapes_in_references() -> None:
    found = body_references(rb'{"x":"$1\/a\u0062","C@odata\u002ebind":"$2","y":"\u00241/a"}', [b"1"])
    assert [(one.name, one.path) for one in found] == [(b"1", [b"ab"]), (b"2", None)]


@pytest.mark.parametrize("body", [b"", b'{"a":"$1"', b"'$1'", b'["$1",]', b'"\xff$1"'])
def test_a_body_that_is_no_json_has_no_references(body: bytes) -> None:
    assert body_references(body, [b"1"]) == []


def test_deep_bodies() -> None:
    assert [one.name for one in body_references(b"[" * 1000 + b'"$1/a"' + b"]" * 1000, [b"1"])] == [b"1"]
    assert body_references(b"[" * 2000 + b'"$1/a"' + b"]" * 2000, [b"1"]) == []


# --- filling bodies


def test_the_bytes_of_a_value_are_kept() -> None:
    answer = b'{"n": 1.50e+02, "s":"\\u00e4\\/" , "o":{ "x" :1 }}'
    assert filled_body(b'[ "$1/n","$1/s" ,"$1/o"]', {b"1": answer}) == b'[ 1.50e+02,"\\u00e4\\/" ,{ "x" :1 }]'


def test_what_was_put_in_is_not_searched() -> None:
    assert filled_body(b'["$1/0","$2/0"]', {b"1": b'["$2/0"]', b"2": b"[7]"}) == b'["$2/0",7]'


def test_bounds_of_a_filled_body() -> None:
    ten = {b"1": b'["' + b"x" * 10 + b'"]'}
    assert filled_body(b'["$1/0"]', ten, 14) == b'["xxxxxxxxxx"]'
    with pytest.raises(ValueError, match="too large"):
        filled_body(b'["$1/0"]', ten, 13)
    with pytest.raises(ValueError, match="too large"):
        filled_body(b'["$1/0","$1/0"]', ten, 14)
    assert filled_body(b'["$1/0"]', {b"1": b"[[[]]]"}, max_depth=3) == b"[[[]]]"
    with pytest.raises(ValueError, match="too deep"):
        filled_body(b'["$1/0"]', {b"1": b"[[[]]]"}, max_depth=2)


class Hole:
    def __init__(self, reference: str, value: Any) -> None:
        self.reference = reference
        self.value = value


@st.composite
def holes(draw: st.DrawFn) -> Hole:
    name = draw(st.sampled_from(["1", "a.b", "Z~_-"]))
    path: list[str] = []
    value: Any = RESULTS[name]
    while isinstance(value, (dict, list)) and value and (not path or draw(st.booleans())):
        key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        value = value[key]
        path.append(str(key))
    return Hole("/".join([f"${name}", *path]), value)


RESULTS: dict[str, Any] = {
    "1": {"a": [1, {"b": None, "": False}], "ä\n": "x", "c": {"d": {"e": -0.5}}},
    "a.b": [[], {}, "text", [[1, 2], 3]],
    "Z~_-": {"": "scalar"},
}
# No text of the document is a reference by itself, and no name of a member asks for a URL.
plain = st.text(alphabet=st.characters(exclude_characters="$@", codec="utf-8"), max_size=6)
with_holes = st.recursive(
    holes() | plain | st.integers() | st.none() | st.booleans() | st.just("$unknown/x"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain, inner, max_size=4),
    max_leaves=15,
)


def cut(document: Any, value: bool) -> Any:
    """The document with each hole as its reference or its value."""
    if isinstance(document, Hole):
        return document.value if value else document.reference
    if isinstance(document, list):
        return [cut(item, value) for item in document]
    if isinstance(document, dict):
        return {key: cut(item, value) for key, item in document.items()}
    return document


@settings(max_examples=400, deadline=None)
@given(with_holes, st.sampled_from([None, 1]), st.booleans())
def test_any_body_with_references(document: Any, indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(cut(document, value=False), indent=indent, ensure_ascii=ascii_only).encode()
    results = {name.encode(): json.dumps(value).encode() for name, value in RESULTS.items()}
    assert json.loads(filled_body(body, results)) == cut(document, value=True)


# --- in the plan


def test_a_reference_is_a_dependency() -> None:
    plan = driven()
    first, second = make_call("1"), make_call("2", "A?x=$1/v")
    plan.enter(first)
    plan.enter(second)
    assert plan.take() == [first]
    plan.end(first, json_result({"v": 5}))
    assert plan.take() == [second]
    assert second.refusal is None
    assert plan.holding[1] == 0


def test_more_references_than_allowed() -> None:
    plan = driven()
    most = make_call("2", body=["$1/a"] * 64, depends_on=["1"])
    over = make_call("3", body=["$1/a"] * 65, depends_on=["1"])
    for call in (make_call("1"), most, over):
        plan.enter(call)
    assert most.refusal is None
    assert over.refusal.code == "TooManyReferences"


def test_a_path_longer_than_allowed() -> None:
    plan = driven()
    plan.enter(make_call("1"))
    for number, (length, refused) in enumerate([(32, False), (33, True)]):
        call = make_call(f"x{number}", body=["$1" + "/a" * length], depends_on=["1"])
        plan.enter(call)
        assert (call.refusal is not None) is refused


def test_a_dollar_that_is_text_does_not_count() -> None:
    plan = driven()
    call = make_call("2", body=["$x"] * 1000)
    plan.enter(call)
    assert plan.take() == [call]
    assert call.refusal is None


def test_later_calls_see_small_results_only() -> None:
    plan = driven()
    for name, size in (("small", 60_000), ("large", 70_000)):
        call = make_call(name)
        plan.enter(call)
        plan.take()
        plan.end(call, json_result(["x" * size]))
    small = make_call("1", body=["$small/0"], depends_on=["small"])
    large = make_call("2", body=["$large/0"], depends_on=["large"])
    plan.enter(small)
    plan.enter(large)
    assert plan.take() == [small, large]
    assert small.refusal is None
    assert large.refusal.code == "UnresolvedReference"


def test_waiting_calls_hold_a_bounded_amount() -> None:
    plan = driven()
    gate = make_call("gate")
    plan.enter(gate)
    sources = [make_call(f"s{n}") for n in range(80)]
    users = [make_call(f"u{n}", body=[f"$s{n}/0"], depends_on=["gate", f"s{n}"]) for n in range(80)]
    for call in sources + users:
        plan.enter(call)
    plan.take()
    large = json_result([1, "x" * 1_000_000])
    for call in sources:
        plan.end(call, large)
        assert plan.holding[1] <= 64 << 20
    plan.end(gate, json_result(1))
    assert plan.take() == users
    served = [call for call in users if call.refusal is None]
    assert 60 < len(served) < 70
    assert {call.refusal.code for call in users if call.refusal is not None} == {"UnresolvedReference"}
    assert plan.holding[1] == 0
