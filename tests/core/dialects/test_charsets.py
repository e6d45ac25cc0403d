"""Names of charsets, as clients and upstreams say them: rules AN-02 and PL-02."""

from __future__ import annotations

import codecs
import tracemalloc
from encodings.aliases import aliases

import pytest
from batchwire.core.dialects.media import CODECS, codec_named

SPELLINGS = {
    spelling.encode()
    for name in {*aliases, *aliases.values(), *CODECS}
    for spelling in (name, name.upper(), name.replace("_", "-"), name.replace("_", " "), name.replace("_", "."))
}


def test_AN_02_every_name_that_python_knows_is_known() -> None:
    for spelling in SPELLINGS:
        try:
            name = codecs.lookup(spelling.decode()).name
        except LookupError:
            name = ""
        assert codec_named(spelling) == (name if name in CODECS else None), spelling


@pytest.mark.parametrize(
    "name", [b"", b"none", b"utf-8\xff", b"\xc3\xa9", b"hex", b"rot13", b"os", b"aliases", b"u" * 99]
)
def test_AN_02_other_names_are_not(name: bytes) -> None:
    assert codec_named(name) is None


def test_PL_02_names_that_nobody_knows_leave_nothing_behind() -> None:
    tracemalloc.start()
    try:
        for n in range(1_000):
            assert codec_named(b"x-%d-" % n + b"y" * 1_000) is None
            assert codec_named(b"x-%d" % n) is None
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 20_000
