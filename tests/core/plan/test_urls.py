"""Where inner URLs lead: GW-05, GW-06, GW-10, GW-14, ID-08, JB-04, JB-09, JB-10, PR-05, and a fuzz against escapes."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from batchwire.core.plan.urls import UrlRules
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

GATEWAY = ("http", "gw.example")


def rules(root: bytes = b"/svc/", authority: tuple[str, str] | None = GATEWAY, strict: bool = True) -> UrlRules:
    return UrlRules(root, authority, strict)


def resolve(url: bytes, **options: object) -> bytes | None:
    """The part below the root, or None when refused."""
    try:
        return bytes(rules(**options).resolve(url))  # type: ignore[arg-type]
    except ValueError:
        return None


# --- what resolves in both profiles

RESOLVED: list[tuple[bytes, bytes]] = [
    # JB-10: relative to the service root
    (b"A(1)", b"A(1)"),
    (b"A/B/C", b"A/B/C"),
    (b"A?x=1&y=%2e%2e/", b"A?x=1&y=%2e%2e/"),
    (b"", b""),
    (b"?x=1", b"?x=1"),
    (b"A/", b"A/"),
    (b"A//B", b"A//B"),
    (b"A('x:y')", b"A('x:y')"),
    (b"A('it''s')", b"A('it''s')"),
    (b"A%20B", b"A%20B"),
    (b"A('a%2Fb')", b"A('a%2Fb')"),
    (b"A%zz%", b"A%zz%"),
    (b"A.b/v1.0/..c/c../...", b"A.b/v1.0/..c/c../..."),
    (b"A;v=1/B;w", b"A;v=1/B;w"),
    (b"svc/A", b"svc/A"),
    (b"A?next=http://evil.example/", b"A?next=http://evil.example/"),
    (b"A?$filter=x eq '..'", b"A?$filter=x%20eq%20'..'"),
    # ID-07 and other names with a dollar
    (b"$metadata", b"$metadata"),
    (b"$all/x", b"$all/x"),
    (b"$entity?$id=A(1)", b"$entity?$id=A(1)"),
    (b"A/$count", b"A/$count"),
    (b"A/$batches", b"A/$batches"),
    (b"A?$batch", b"A?$batch"),
    (b"A('$batch')", b"A('$batch')"),
    # what cannot stand in a request line is encoded
    (b"A B", b"A%20B"),
    (b'A"<>^`{|}', b"A%22%3C%3E%5E%60%7B%7C%7D"),
    ("Ä/é?ü".encode(), b"%C3%84/%C3%A9?%C3%BC"),
    (b"\xff", b"%FF"),
    # JB-09: absolute paths under the root
    (b"/svc/A(1)", b"A(1)"),
    (b"/svc/", b""),
    (b"/svc", b""),
    (b"/svc?x=1", b"?x=1"),
    # dot segments that stay inside
    (b"A/../B", b"B"),
    (b"A/./B", b"A/B"),
    (b"./A", b"A"),
    (b"A/..", b""),
    (b"A/.", b"A/"),
    (b".", b""),
    (b"./", b""),
    (b"A/B/../../C", b"C"),
    (b"../svc/A", b"A"),
    (b"/svc/../svc/A", b"A"),
    (b"A/../?x=/../", b"?x=/../"),
    # GW-05: absolute URLs of the batch's own authority
    (b"http://gw.example/svc/A(1)?x=1", b"A(1)?x=1"),
    (b"HTTP://GW.Example/svc/A", b"A"),
    (b"http://gw.example:80/svc/A", b"A"),
    (b"http://gw.example/svc", b""),
    (b"http://gw.example/svc?x", b"?x"),
]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("url", "below"), RESOLVED)
def test_resolved(url: bytes, below: bytes, strict: bool) -> None:
    assert resolve(url, strict=strict) == below


# --- what is refused in both profiles

REFUSED: list[bytes] = [
    b"http:A",
    b"javascript:alert(1)",
    # GW-05: other authorities, and what only looks like ours
    b"http://evil.example/svc/A",
    b"http://gw.example:8080/svc/A",
    b"https://gw.example:80/svc/A",
    b"https://gw.example:8443/svc/A",
    b"http://gw.example:443/svc/A",
    b"http://gw.example.evil.example/svc/A",
    b"http://gw.example@evil.example/svc/A",
    b"http://user@gw.example/svc/A",
    b"http://gw.example:80@evil.example/svc/A",
    b"http://gw.example\\@evil.example/svc/A",
    b"http://gw.example#@evil.example/svc/A",
    b"http://evil.example?gw.example/svc/A",
    b"http://gw%2eexample/svc/A",
    b"http:///svc/A",
    b"ftp://gw.example/svc/A",
    b"file:///etc/passwd",
    b"gopher://gw.example/svc/_",
    b"http://gw.example./svc/A",
    b"http://[::1]/svc/A",
    # GW-06: other hosts by path
    b"//evil.example/svc/A",
    b"///evil.example/svc/A",
    b"/\\evil.example/A",
    b"\\\\evil.example\\A",
    b"/svc//evil.example/A",
    b".//evil.example/A",
    b"A/..//evil.example/A",
    b"http://gw.example//evil.example/svc/A",
    b"http://gw.example/svc//evil.example/A",
    # GW-06: dot segments
    b"..",
    b"../",
    b"../A",
    b"A/../../B",
    b"/svc/..",
    b"/svc/../A",
    b"/svc/../../svc",
    b"../../svc/A",
    b"http://gw.example/svc/../A",
    b"A/../../svc",
    # the same in disguise
    b"%2e%2e/A",
    b"%2E%2E/A",
    b"%2e/A",
    b"A/%2E/B",
    b"A/%2e",
    b"%252e/A",
    b".%2e/A",
    b"%2e./A",
    b"A/%2e%2e/%2e%2e/B",
    b"A/%2e%2e",
    b"..%2fA",
    b"A/..%2F..%2FB",
    b"A%2f%2e%2e%2f%2e%2e%2fB",
    b"%252e%252e/A",
    b"%25252e%25252e/A",
    b"%252e%252e%252fA",
    b"%25%32%65%25%32%65/A",
    b"..%5cA",
    b"A%5c..%5c..%5cB",
    b"..\\A",
    b"A\\..\\..\\B",
    b"..;/A",
    b"..;x=1/A",
    b"%2e%2e;/A",
    b"%2e%2e%3b/A",
    b".;/A",
    b"A/..;a/B",
    b"/svc/%2e%2e/A",
    b"http://gw.example/svc/%2e%2e/A",
    b"%252525252525252e",
    # bytes that must not be in a request line
    b"A\r\nX: y",
    b"A\nB",
    b"A\0",
    b"A\tB",
    b"A\x7f",
    b"A#b",
    b"A?x\r\nHost: evil",
    b"A?x#y",
    b"A%0d%0aX",
    b"A%0D",
    b"A%00",
    b"A%250a",
    b"A\\b",
    # JB-04: a batch in a batch
    b"$batch",
    b"/svc/$batch",
    b"$batch?x=1",
    b"$batch/",
    b"$batch/x",
    b"%24batch",
    b"%2524batch",
    b"$%62atch",
    b"$batch;x=1",
    b"A/../$batch",
    b"./$batch",
    b"A/$batch",
    b"http://gw.example/svc/$batch",
    # GW-14: a literal reference is never forwarded
    b"./$1/x",
    b"A/../$1",
]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("url", REFUSED)
def test_refused(url: bytes, strict: bool) -> None:
    assert resolve(url, strict=strict) is None


# --- PR-05: absolute paths outside the root

OUTSIDE: list[tuple[bytes, bytes | None]] = [
    (b"/A(1)", b"A(1)"),
    (b"/", b""),
    (b"/svcx/A", b"svcx/A"),
    (b"/SVC/A", b"SVC/A"),
    (b"/A/../B", b"B"),
    (b"/$metadata", b"$metadata"),
    (b"http://gw.example/A", b"A"),
    (b"http://gw.example/svcx", b"svcx"),
    (b"http://gw.example/svcx/A", b"svcx/A"),
    (b"http://gw.example", b""),
    (b"http://gw.example?x", b"?x"),
    (b"/../A", None),
    (b"/%2e%2e/A", None),
    (b"/A/../../B", None),
    (b"/$batch", None),
    (b"/.", b""),
]


@pytest.mark.parametrize(("url", "below"), OUTSIDE)
def test_outside_the_root(url: bytes, below: bytes | None) -> None:
    assert resolve(url, strict=True) is None
    assert resolve(url, strict=False) == below


@pytest.mark.parametrize(
    ("authority", "url", "below"),
    [
        (("http", "gw.example:8080"), b"http://gw.example:8080/svc/A", b"A"),
        (("http", "gw.example:8080"), b"http://gw.example/svc/A", None),
        (("http", "GW.example:80"), b"http://gw.example/svc/A", b"A"),
        (("https", "gw.example:443"), b"https://gw.example/svc/A", b"A"),
        (("https", "gw.example"), b"https://gw.example:443/svc/A", b"A"),
        (("https", "gw.example"), b"http://gw.example/svc/A", None),
        (("http", "[::1]:8080"), b"http://[::1]:8080/svc/A", b"A"),
        (None, b"http://gw.example/svc/A", None),
        (None, b"/svc/A", b"A"),
    ],
)
def test_authorities(authority: tuple[str, str] | None, url: bytes, below: bytes | None) -> None:
    assert resolve(url, authority=authority) == below


@pytest.mark.parametrize("root", [b"/", b"/a/", b"/a/b/c/", b"/a.b/v1.0/"])
def test_other_roots(root: bytes) -> None:
    for strict in (True, False):
        assert resolve(root + b"A", root=root, strict=strict) == b"A"
        assert resolve(b"A/../B", root=root, strict=strict) == b"B"
        assert resolve(b"../" * root.count(b"/") + b"A", root=root, strict=strict) is None
        assert resolve(root + b"../" * root.count(b"/") + root[1:] + b"A", root=root, strict=strict) is None
        assert resolve(b"//evil/A", root=root, strict=strict) is None
        assert resolve(b".//evil/A", root=root, strict=strict) is None


@pytest.mark.parametrize("reference", [b"$1", b"$1/A", b"$1?x", b"$a.b-c_d~e/A", b"$10/$count", b"$batch2"])
def test_references_are_left_to_the_plan(reference: bytes) -> None:
    assert resolve(reference) == reference


@pytest.mark.parametrize("text", [b"$1(2)", b"$", b"$/A", b"$(1)", b"A$1"])
def test_what_is_no_reference_is_text(text: bytes) -> None:
    assert resolve(text) == text


# --- fuzz

PARTS = [
    b"/", b"//", b"\\", b".", b"..", b"...", b";", b"%2e", b"%2E", b"%2f", b"%5c", b"%25", b"%252e", b"%252f", b"%3b",
    b"%3f", b"?", b"#", b"svc", b"/svc/", b"A", b"$", b"$batch", b"%24", b"batch", b"%00", b"%0d%0a", b":", b"@", b" ",
    b"http://gw.example", b"http://evil.example", b"%c0%ae", b"\xc0\xae", b"%", b"%2", b"'", b"(", b")", b"\t",
]  # fmt: skip
tricky = st.one_of(st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join), st.binary(max_size=30))


def decoded(text: bytes) -> list[bytes]:
    """The text, and what some server behind us could make of it."""
    found = [text]
    while len(found) < 12 and (plain := unquote_to_bytes(found[-1])) != found[-1]:
        found.append(plain)
    return found


def without_dots(path: bytes) -> list[bytes] | None:
    """Segments after dot-segment removal with both slashes and path parameters cut; None: above the start."""
    whole: list[bytes] = []
    for segment in re.split(rb"[/\\]", path):
        name = segment.partition(b";")[0]
        if name == b"..":
            if not whole:
                return None
            whole.pop()
        elif name not in (b".", b""):
            whole.append(name)
    return whole


@given(tricky, st.sampled_from([b"/", b"/svc/", b"/a/svc/"]), st.booleans(), st.booleans())
@example(b"A/%2e%2e/%2e%2e/x", b"/svc/", False, True)
@settings(max_examples=1500)
def test_nothing_leaves_the_root(url: bytes, root: bytes, strict: bool, grpc: bool) -> None:
    below = resolve(url, root=root, strict=strict, authority=None if grpc else GATEWAY)
    if below is None or below.startswith(b"$"):
        return
    assert not re.search(rb"[\x00-\x20\x7f-\xff\\#]", below)
    assert not below.startswith(b"/")
    base = [segment for segment in root.split(b"/") if segment]
    for text in decoded(below.partition(b"?")[0]):
        segments = without_dots(root + text)
        assert segments is not None
        assert segments[: len(base)] == base
        assert b"$batch" not in segments
        assert not re.search(rb"[\r\n\0]", text)
    # Said again, it means the same.
    assert resolve(root + below, root=root, strict=strict) == below


# --- GW-10, ID-08, GW-14: what an upstream says

UPSTREAM = b"http://things:8000"


@pytest.mark.parametrize(
    ("location", "base", "public"),
    [
        (b"http://things:8000/A(1)", b"/", b"http://gw.example/svc/A(1)"),
        (b"HTTP://Things:8000/A(1)", b"/", b"http://gw.example/svc/A(1)"),
        (b"http://things:8000/api/A(1)?x=1", b"/api/", b"http://gw.example/svc/A(1)?x=1"),
        (b"http://things:8000", b"/", b"http://gw.example/svc/"),
        (b"/A(1)", b"/", b"/svc/A(1)"),
        (b"/api/A(1)", b"/api/", b"/svc/A(1)"),
        (b"/svc/A(1)", b"/", b"/svc/A(1)"),
        # what does not lie under the upstream stays
        (b"http://things:8000/other/A", b"/api/", b"http://things:8000/other/A"),
        (b"/other/A", b"/api/", b"/other/A"),
        (b"http://things:80001/A", b"/", b"http://things:80001/A"),
        (b"http://things:8000.evil/A", b"/", b"http://things:8000.evil/A"),
        (b"http://things:8000@evil/A", b"/", b"http://things:8000@evil/A"),
        (b"http://elsewhere/A", b"/", b"http://elsewhere/A"),
        (b"//things:8000/A", b"/", b"//things:8000/A"),
        (b"A(1)", b"/", b"A(1)"),
        (b"", b"/", b""),
    ],
)
def test_public_urls(location: bytes, base: bytes, public: bytes) -> None:
    assert rules().publish(location, UPSTREAM, base) == public


def test_without_an_authority_a_public_url_is_a_path() -> None:
    assert rules(authority=None).publish(b"http://things:8000/A", UPSTREAM, b"/") == b"/svc/A"


@pytest.mark.parametrize(
    ("location", "own", "below"),
    [
        (b"http://things:8000/api/A(7)", b"A", b"A(7)"),
        (b"/api/A(7)", b"A", b"A(7)"),
        (b"/svc/A(7)", b"A", b"A(7)"),
        (b"http://gw.example/svc/A(7)", b"A", b"A(7)"),
        (b"A(7)", b"A", b"A(7)"),
        (b"B(7)", b"A(1)/Bs?x=/y", b"A(1)/B(7)"),
        (b"?x=1", b"dir/loc", b"dir/loc?x=1"),
        (b"?x=1", b"dir/loc?y=/2", b"dir/loc?x=1"),
        (b"?x=1", b"loc", b"loc?x=1"),
        (b"", b"dir/loc", b"dir/loc"),
        # leads elsewhere
        (b"http://elsewhere/api/A(7)", b"A", None),
        (b"//elsewhere/api/A(7)", b"A", None),
        (b"https://things:8000/api/A(7)", b"A", None),
        (b"http://things:8000/other/A(7)", b"A", None),
        (b"/other/A(7)", b"A", None),
    ],
)
def test_what_a_location_means(location: bytes, own: bytes, below: bytes | None) -> None:
    for strict in (True, False):
        assert rules(strict=strict).follow(location, UPSTREAM, b"/api/", own) == below


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"@nextLink":"http://things:8000/A?$skip=2"}', b'{"@nextLink":"http://gw.example/svc/A?$skip=2"}'),
        (b'{"@odata.nextLink" : "/A?$skip=2","value":[]}', b'{"@odata.nextLink" : "/svc/A?$skip=2","value":[]}'),
        (b'{"@odata.deltaLink":"/A?$d=2"}', b'{"@odata.deltaLink":"/svc/A?$d=2"}'),
        (b'{"@deltaLink":"/A?$d=2"}', b'{"@deltaLink":"/svc/A?$d=2"}'),
        (b'{"odata.nextLink":"/A?$skip=2"}', b'{"odata.nextLink":"/svc/A?$skip=2"}'),
        (b'{"a":[{"B@odata.nextLink":"/A"}]}', b'{"a":[{"B@odata.nextLink":"/svc/A"}]}'),
        (b'{"B@nextLink":"/A"}', b'{"B@nextLink":"/svc/A"}'),
        (b'{"xodata.nextLink":"/A"}', None),
        (b'{"nextLink":"/A"}', None),
        (b'{"deltaLink":"/A"}', None),
        (b'{"@odata.editLink":"/A"}', None),
        (b'{"__next":"/A"}', None),
        (b'{"text":"\\"@nextLink\\":\\"/A\\""}', None),
        (b'nextLink":"/A"}', None),
        (b'odata.nextLink":"/A"}', None),
        (b'Link":"/A"}', None),
        (b'{"@nextLink":"http://elsewhere/A"}', None),
        (b'{"@nextLink":"A?$skip=2"}', None),
        (b'{"xnextLink":"http://things:8000/A"}', None),
        (b'{"@nextLink":null}', None),
        (b'{"a":"http://things:8000/A"}', None),
        (b"", None),
    ],
)
def test_next_links(body: bytes, changed: bytes | None) -> None:
    assert rules().publish_links(body, UPSTREAM, b"/") == changed


def test_GW_10_links_that_make_an_answer_much_longer_stay() -> None:
    """Each becomes 13 bytes longer."""
    of_a_page = b'{"@nextLink":"/A"}'
    public = of_a_page.replace(b"/A", b"/svc/under/it/A")
    rules = UrlRules(b"/svc/under/it/", ("http", "gw.example"))
    assert rules.publish_links(b"[" + of_a_page * 80_659, UPSTREAM, b"/") == b"[" + public * 80_659
    with pytest.raises(ValueError, match="too many"):
        rules.publish_links(b"[" + of_a_page * 80_660, UPSTREAM, b"/")


def test_GW_10_other_spellings_of_the_origin_are_looked_for_in_the_first_links() -> None:
    link, exact = b'{"@nextLink":"HTTP://Things:8000/A"}', b'{"@nextLink":"http://things:8000/B"}'
    public = b'{"@nextLink":"http://gw.example/svc/A"}'
    changed = rules().publish_links(link * 1_500 + exact, UPSTREAM, b"/")
    assert changed == public * 1_000 + link * 500 + public.replace(b"A", b"B")
    assert rules().publish_links(link, UPSTREAM, b"/") == public


def spelled(draw: st.DrawFn, name: str) -> str:
    """The name in another spelling that servers take for it."""
    text = ""
    for letter in name:
        layers = draw(st.integers(0, 2))
        letter = draw(st.sampled_from([letter, letter.upper()])) if name.startswith("$") else letter
        text += letter if layers == 0 else "%" + "25" * (layers - 1) + f"{ord(letter):02x}"
    return text


@st.composite
def endpoints(draw: st.DrawFn) -> bytes:
    name = draw(st.sampled_from(["$batch", "batch"]))
    before = draw(
        st.sampled_from(["", "./", "x/../", "/svc/", "/svc/./", "http://gw.example/svc/", "orders/", "x/../orders/"])
    )
    if name == "$batch":
        before += draw(st.sampled_from(["", "A/", "A/B/"]))
    behind = draw(st.sampled_from(["", "%20", "%09", ";x=1", "/", "/x", "?x=1", "%20/x", ".", "%2fx"]))
    return (before + spelled(draw, name) + behind).encode()


@given(endpoints())
@settings(max_examples=300, deadline=None)
def test_CL_11_no_spelling_leads_to_a_batch(url: bytes) -> None:
    # `$Batch` as it stands is a reference to the call of that id; the plan knows whether there is one.
    below = url.removeprefix(b"http://gw.example").removeprefix(b"/svc/")
    assume(re.match(rb"\$(?!batch(?![A-Za-z]))[A-Za-z]+(?:[/?]|\.?\Z)", below) is None)
    for strict in (True, False):
        with pytest.raises(ValueError, match="a batch must not hold a batch"):
            UrlRules(b"/svc/", GATEWAY, strict, [b"orders/"]).resolve(url)
