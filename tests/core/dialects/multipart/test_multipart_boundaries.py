"""Boundaries: read from Content-Type, and made for answers (MB-12, GB-04, PR-07)."""

import re

import pytest
from batchwire.core.dialects.multipart.boundaries import content_type_of, new_boundary, parse_boundary
from batchwire.core.errors import EnvelopeError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("field", "boundary"),
    [
        ("multipart/mixed; boundary=b", b"b"),
        ("multipart/mixed;boundary=batch_7747_9332_4468", b"batch_7747_9332_4468"),
        ('multipart/mixed; boundary="===============3849759159249811694=="', b"===============3849759159249811694=="),
        ("multipart/mixed; boundary====x==", b"===x=="),
        ('Multipart/Mixed ; charset=utf-8 ; BOUNDARY = "b (1): x" ; x=y', b"b (1): x"),
        (r'multipart/mixed; boundary="a\b"', b"ab"),
        ('multipart/mixed; x="; boundary=no"; boundary=yes', b"yes"),
        ("multipart/mixed; boundary=b; boundary=b", b"b"),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
        ("multipart/mixed; boundary=B:b", b"B:b"),
    ],
)
def test_mb_12_boundaries_that_are_taken(field: str, boundary: bytes) -> None:
    assert parse_boundary(field) == boundary


@pytest.mark.parametrize(
    "field",
    [
        "",
        "multipart/mixed",
        "multipart/mixed; boundary",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary=""',
        "multipart/mixed; boundary=" + "x" * 71,
        'multipart/mixed; boundary="a "',
        'multipart/mixed; boundary="a',
        "multipart/mixed; boundary=a\x00",
        "multipart/mixed; boundary=a\r\nb",
        "multipart/mixed; boundary=ü",
        "multipart/mixed; boundary=a*b",
        "multipart/mixed; boundary=a; boundary=b",
        "multipart/mixed; xboundary=a",
    ],
)
def test_mb_12_boundaries_that_are_not(field: str) -> None:
    with pytest.raises(EnvelopeError) as raised:
        parse_boundary(field)
    assert (raised.value.status, raised.value.code) == (400, "BadBoundary")


@given(st.text(max_size=200))
def test_any_field_gives_a_boundary_or_a_clear_error(field: str) -> None:
    try:
        found = parse_boundary("multipart/mixed; boundary=" + field)
    except EnvelopeError:
        return
    assert 1 <= len(found) <= 70
    assert not found.endswith(b" ")


def test_many_quotes_and_semicolons_take_no_time() -> None:
    with pytest.raises(EnvelopeError):
        parse_boundary("multipart/mixed" + ';a="' * 30_000)


@pytest.mark.parametrize(("flavour", "prefix"), [("odata", "batchresponse_"), ("google", "batch_"), ("document", "")])
def test_pr_07_boundaries_of_answers(flavour: str, prefix: str) -> None:
    made = {new_boundary(flavour) for _ in range(100)}
    assert len(made) == 100
    for boundary in made:
        assert re.fullmatch(prefix + "[0-9a-f]{32}", boundary.decode())
        assert parse_boundary(content_type_of(flavour, boundary)) == boundary


def test_mp_07_content_type_of_answers() -> None:
    assert content_type_of("odata", b"x") == "multipart/mixed; boundary=x"
    assert content_type_of("google", b"x") == "multipart/mixed; boundary=x"
    assert content_type_of("document", b"x") == 'multipart/mixed; boundary="x"'
