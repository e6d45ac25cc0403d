"""The scanner against a table of documents, against the json module, and in every split."""

import json
from itertools import pairwise

import pytest
from batchwire.core.dialects.json_scan import Validator, validate
from batchwire.core.dialects.json_strings import escape, escaped_length, unescape
from hypothesis import given, settings
from hypothesis import strategies as st

ACCEPTED = [
    b"null",
    b"true",
    b"false",
    b"0",
    b"-0",
    b"-0.0e+00",
    b"123456789012345678901234567890",
    b"1E400",
    b"1e-7",
    b"0.5",
    b'""',
    b'"a\\"b"',
    b'"\\\\"',
    b'"\\/\\b\\f\\n\\r\\t"',
    b'"\\u0000"',
    b'"\\uD834\\udd1e"',
    b'"\\uFFFF"',
    b'"\xc2\x80"',
    b'"\xdf\xbf"',
    b'"\xe0\xa0\x80"',
    b'"\xed\x9f\xbf"',
    b'"\xee\x80\x80"',
    b'"\xef\xbf\xbf"',
    b'"\xf0\x90\x80\x80"',
    b'"\xf4\x8f\xbf\xbf"',
    b'"\xe2\x80\xa8\xe2\x80\xa9"',
    b'"\x7f"',
    b"[]",
    b"{}",
    b" [ ] ",
    b"\t{\r\n}\n",
    b"[[],{},[{}]]",
    b'{"":0}',
    b'{"a":1,"a":2}',
    b'[1,-1,0.1,"x",null,true,false,{"k":[1]}]',
    b'{ "a" : [ 1 , 2 ] , "b" : { } }',
    b'"' + b"x" * 100 + b'"',
    b'"' + "ü𝄞x".encode() * 30 + b'"',
    b"[" * 512 + b"]" * 512,
]
REFUSED = [
    (b"", 0),
    (b" ", 1),
    (b"nul", 3),
    (b"nulL", 3),
    (b"TRUE", 0),
    (b"tru3", 3),
    (b"NaN", 0),
    (b"Infinity", 0),
    (b"-Infinity", 1),
    (b"+1", 0),
    (b"01", 1),
    (b"-01", 2),
    (b"-", 1),
    (b"-a", 1),
    (b".5", 0),
    (b"1.", 2),
    (b"1.e1", 2),
    (b"1e", 2),
    (b"1e+", 3),
    (b"1e1.5", 3),
    (b"0x1", 1),
    (b"1 2", 2),
    (b"[1", 2),
    (b"[1,", 3),
    (b"[1,]", 3),
    (b"[,1]", 1),
    (b"[1 2]", 3),
    (b"[1}", 2),
    (b"]", 0),
    (b"[]]", 2),
    (b"{", 1),
    (b'{"a"', 4),
    (b'{"a":', 5),
    (b'{"a":}', 5),
    (b'{"a" 1}', 5),
    (b'{"a":1', 6),
    (b'{"a":1,}', 7),
    (b'{"a":1]', 6),
    (b"{a:1}", 1),
    (b"{1:1}", 1),
    (b"{,}", 1),
    (b"{'a':1}", 1),
    (b'{"a":1}x', 7),
    (b'"', 1),
    (b'"a', 2),
    (b'"\n"', 1),
    (b'"\x00"', 1),
    (b'"\x1f"', 1),
    (b'"\\x41"', 2),
    (b'"\\', 2),
    (b'"\\u12', 5),
    (b'"\\u12g4"', 5),
    (b'"\\U0041"', 2),
    (b'"\x80"', 1),
    (b'"\xc0\x80"', 1),
    (b'"\xc1\xbf"', 1),
    (b'"\xc2"', 2),
    (b'"\xc2', 2),
    (b'"\xe0\x9f\xbf"', 2),
    (b'"\xed\xa0\x80"', 2),
    (b'"\xe2\x82"', 3),
    (b'"\xf0\x8f\xbf\xbf"', 2),
    (b'"\xf4\x90\x80\x80"', 2),
    (b'"\xf5\x80\x80\x80"', 1),
    (b'"\xff"', 1),
    (b"\xef\xbb\xbf{}", 0),
    (b"[1]/**/", 3),
    (b"//\n[]", 0),
    (b"[" * 513 + b"]" * 513, 512),
    (b"\xc2\xa0[]", 0),
    (b"[]\x00", 2),
]


def in_splits(data: bytes, *cuts: int) -> int | None:
    """validate() by way of the incremental scanner."""
    scanner = Validator()
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in pairwise(edges):
        wrong = scanner.feed(data[start:stop])
        if wrong is not None:
            return wrong
    return None if scanner.end() else len(data)


@pytest.mark.parametrize("document", ACCEPTED)
def test_valid_documents_are_accepted_whole_and_byte_by_byte(document: bytes) -> None:
    json.loads(document)
    assert validate(document) is None
    assert in_splits(document, *range(1, len(document))) is None


@pytest.mark.parametrize(("document", "offset"), REFUSED)
def test_invalid_documents_are_refused_at_the_first_wrong_byte(document: bytes, offset: int) -> None:
    assert validate(document) == offset
    assert in_splits(document, *range(1, len(document))) == offset


@pytest.mark.parametrize("document", [*ACCEPTED, *(text for text, _ in REFUSED)])
def test_every_single_cut_gives_the_same_verdict(document: bytes) -> None:
    expected = validate(document)
    for cut in range(len(document)):
        assert in_splits(document, cut) == expected


@pytest.mark.parametrize("width", range(1, 40))
@pytest.mark.parametrize("special", [b"\\n", b"\\u00e9", "é".encode(), "𝄞".encode()])
def test_specials_are_found_wherever_they_lie_in_a_vector(width: int, special: bytes) -> None:
    assert validate(b'"' + b"x" * width + special + b"y" * 17 + b'"') is None
    assert validate(b'"' + b"x" * width + b"\x1f" + b"y" * 17 + b'"') == width + 1
    assert validate(b'"' + b"x" * width + b"\xff" + b"y" * 17 + b'"') == width + 1


def oracle(data: bytes) -> bool:
    """Strict validity by way of the json module, which is laxer in a few places that are closed here."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            return False
        json.loads(text, parse_constant=refuse)
        return True
    except (ValueError, RecursionError):
        return False


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.builds(
    lambda value, ascii_only, indent: json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(),
    VALUES,
    st.booleans(),
    st.sampled_from([None, 1]),
)
NASTY = st.sampled_from(
    [b'"', b"\\", b"\\u", b"\\ud800", b"\\udc00", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b".",
     b"e", b"1", b"\x00", b"\x1f", b"\x80", b"\xc0", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
     b"\xef\xbb\xbf", b" ", b"\n", b"tru"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(DOCUMENTS))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        action = draw(st.sampled_from(["insert", "delete", "change", "cut"]))
        if action == "insert":
            data[at:at] = draw(NASTY)
        elif action == "delete":
            del data[at : at + draw(st.integers(1, 3))]
        elif action == "change" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif action == "cut":
            del data[at:]
    return bytes(data)


@settings(max_examples=600, deadline=None)
@given(mutated(), st.lists(st.integers(0, 200), max_size=4))
def test_verdict_agrees_with_the_oracle_in_any_split(data: bytes, cuts: list[int]) -> None:
    wrong = validate(data)
    assert (wrong is None) == oracle(data)
    assert in_splits(data, *(min(cut, len(data)) for cut in cuts)) == wrong


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_escaped_text_comes_back(text: str) -> None:
    inside = escape(text.encode())
    assert json.loads(b'"' + inside + b'"') == text
    assert unescape(inside) == text.encode()
    assert unescape(json.dumps(text)[1:-1].encode()) == text.encode()
    assert escaped_length(text.encode()) == len(inside)


HALF_PAIRS = [
    "\\uD800",
    "\\uD800x",
    "\\uD800\\n",
    "\\uD800\\u0041",
    "\\uD800\\uD800",
    "\\uDC00",
    "\\udc00\\ud800",
    "\\udfff\\\\",
]


@pytest.mark.parametrize("inside", HALF_PAIRS)
def test_half_of_a_surrogate_pair_is_json_and_has_no_text(inside: str) -> None:
    data = b'{"' + inside.encode() + b'":["' + inside.encode() + b'"]}'
    assert validate(data) is None
    assert in_splits(data, *range(len(data))) is None
    text = json.loads('"' + inside + '"')
    assert unescape(inside.encode()).decode() == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=[]) | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)))
def test_unescaped_text_is_utf8_whatever_is_escaped(text: str) -> None:
    text = json.loads(json.dumps(text))
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert unescape(json.dumps(text)[1:-1].encode()).decode() == expected


def test_escaping_is_minimal() -> None:
    assert escape('a"\\\n\r\t\x00\x1f\u2028é'.encode()) == b'a\\"\\\\\\n\\r\\t\\u0000\\u001f' + "\u2028é".encode()


@pytest.mark.parametrize("inside", [b'a"', b'","', b"\\", b"\n", b"\xff", b"\\ud80"])
def test_unescape_refuses_what_is_not_inside_a_string(inside: bytes) -> None:
    with pytest.raises(ValueError):
        unescape(inside)


@pytest.mark.parametrize("shift", range(4))
def test_the_length_of_what_is_escaped_is_found_in_steps(shift: int) -> None:
    """Whose ends fall into the middle of letters."""
    text = "x" * shift + "\U00010348\u20ac\n" * 150_000
    assert escaped_length(text.encode()) == len(escape(text.encode())) == shift + 9 * 150_000


@pytest.mark.parametrize("broken", [b"\xe9", b"\x80" * 600_000, b"x" * 600_000 + b"\xff", b"\xe2\x82"])
def test_what_is_not_utf8_has_no_length(broken: bytes) -> None:
    assert escaped_length(broken) == -1


def test_escape_refuses_what_is_not_utf8() -> None:
    with pytest.raises(ValueError):
        escape(b"\xed\xa0\x80")


def test_depth_limit_counts_open_containers() -> None:
    assert validate(b"[[1]]", 2) is None
    assert validate(b"[[[1]]]", 2) == 2
    assert validate(b'{"a":{"b":{}}}', 2) == 10
