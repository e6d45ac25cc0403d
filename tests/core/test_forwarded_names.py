"""What is remembered of the names of headers is bounded in bytes, not in number alone: rule PL-02."""

import tracemalloc

from batchwire.core.front.forwarded_names import ForwardedNames

LONG = 20_000


def test_each_name_is_asked_for_once() -> None:
    asked: list[bytes] = []

    def wants(name: bytes) -> bool:
        asked.append(name)
        return name.startswith(b"x-b3-")

    names = ForwardedNames(wants)
    for _ in range(3):
        assert b"x-b3-1" in names
        assert b"other" not in names
    assert asked == [b"x-b3-1", b"other"]


def test_PL_02_long_names_are_asked_for_each_time() -> None:
    names = ForwardedNames(lambda name: name.endswith(b"y"))
    assert b"n" * LONG not in names
    tracemalloc.start()
    try:
        for n in range(100):
            assert b"%d" % n + b"y" * LONG in names
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < LONG


def test_PL_02_no_more_than_so_many_are_kept() -> None:
    asked: list[bytes] = []

    def wants(name: bytes) -> bool:
        asked.append(name)
        return False

    names = ForwardedNames(wants)
    for n in range(5000):
        assert b"%d" % n not in names
    assert b"0" not in names
    assert asked.count(b"0") == 2
    assert b"4999" not in names
    assert asked.count(b"4999") == 1
