"""What is made of Forwarded and X-Forwarded-*, whatever stands in them (CL-13)."""

import re
from typing import Any

from batchwire.service.fronts.http.forwarded import MOST_HOPS, Proxies
from batchwire.service.fronts.http.head import Head
from hypothesis import example, given, settings
from hypothesis import strategies as st

NAMES = [b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"]
WORDS = [
    "for=",
    "proto=",
    "host=",
    "https",
    "http",
    "10.0.0.1",
    "192.0.2.1",
    "[::1]:80",
    "gw",
    ":80",
    ",",
    ";",
    '"',
    "\\",
    " ",
]
values = st.one_of(st.lists(st.sampled_from(WORDS), max_size=12).map("".join), st.text(max_size=20))
fields = st.lists(
    st.tuples(st.sampled_from(NAMES), values.map(lambda text: text.encode("latin-1", "replace"))), max_size=5
)


def seen_behind(headers: list[tuple[bytes, bytes]], client: Any, *trusted: str) -> dict[str, Any]:
    """What whoever answers sees of a request."""
    head = Head("GET", "http", "/", b"", [(b"host", b"gw"), *headers], client, "", "gw")
    Proxies(trusted).believe(head)
    return {"scheme": head.scheme, "client": head.client, "headers": head.headers}


@settings(deadline=None)
@given(fields)
@example([(b"forwarded", b'for="')])
@example([(b"x-forwarded-for", b",,,"), (b"x-forwarded-host", b",")])
def test_no_header_makes_more_of_a_request_than_it_may(headers: list[tuple[bytes, bytes]]) -> None:
    scope = seen_behind(headers, ("10.0.0.9", 1), "10.0.0.0/8")
    assert scope["scheme"] in ("http", "https")
    [host] = [value for name, value in scope["headers"] if name == b"host"]
    assert re.fullmatch(rb"[A-Za-z0-9._-]+(:\d+)?|\[[0-9a-fA-F:.]+\](:\d+)?", host)
    assert re.fullmatch(r"[0-9a-f.:]+", scope["client"][0])


@settings(deadline=None)
@given(fields)
def test_nobody_else_is_believed(headers: list[tuple[bytes, bytes]]) -> None:
    for client, trusted in ((("192.0.2.9", 1), "10.0.0.0/8"), (None, "10.0.0.0/8"), (("::1", 1), "unix")):
        scope = seen_behind(headers, client, trusted)
        assert (scope["scheme"], scope["client"]) == ("http", client)
        assert scope["headers"] == [(b"host", b"gw"), *headers]


def test_long_headers_take_no_time_worth_speaking_of() -> None:
    """Work that grows with the square of a header's length would not end here."""
    for text in (b" ", b"a", b'"', b";", b"=", b",", b"for=10.0.0.1,", b"\\", b'a"'):
        for name in NAMES:
            seen_behind([(name, text * 200_000)], ("10.0.0.9", 1), "10.0.0.0/8")


def test_the_address_of_the_client() -> None:
    chain = [(b"x-forwarded-for", b"10.6.6.6, 198.51.100.7:4711, 10.0.0.2")]
    assert seen_behind(chain, ("10.0.0.9", 1), "10.0.0.0/8")["client"] == ("198.51.100.7", 0)
    assert seen_behind(chain, None, "unix")["client"] == ("10.0.0.2", 0)
    mapped = ("::ffff:10.0.0.9", 1)
    assert seen_behind(chain, mapped, "10.0.0.0/8")["client"] == ("198.51.100.7", 0)


def test_PL_01_only_the_last_of_many_entries_are_looked_at() -> None:
    """What a client has written before them is thousands of entries, and none of its proxies'."""
    proxies = [f"10.0.{n}.1" for n in range(MOST_HOPS + 8)]
    for field in (
        (b"x-forwarded-for", ", ".join(proxies).encode()),
        (b"forwarded", ", ".join(f"for={address}" for address in proxies).encode()),
    ):
        assert seen_behind([field], ("10.0.0.9", 1), "10.0.0.0/8")["client"] == ("10.0.8.1", 0)
