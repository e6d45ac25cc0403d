"""What clients may cost: the bucket of tokens, what data earns, and gRPC's rule for pings (gRFC A8)."""

from __future__ import annotations

from batchwire.core.front.guard import Guard
from hypothesis import given
from hypothesis import strategies as st

BURST, REFILL = 1000, 100
MOST_EARNED = 65536
PING_SECONDS, STRIKES = 10.0, 2


def spent(guard: Guard, t: float, cost: float = 1) -> int:
    """How often the cost can be paid at this time."""
    times = 0
    while guard.spend(cost, t):
        times += 1
        assert times <= 10 * BURST, "there is no end"
    return times


def test_a_burst_is_let_pass_and_no_more() -> None:
    assert spent(Guard(0.0), 0.0) == BURST
    assert spent(Guard(0.0), 0.0, cost=5) == BURST // 5


def test_tokens_come_back_with_time() -> None:
    guard = Guard(0.0)
    spent(guard, 0.0)
    assert REFILL - 2 <= spent(guard, 1.0) <= REFILL
    assert spent(guard, 1000.0) == BURST


def test_quiet_times_are_not_saved_up() -> None:
    assert spent(Guard(0.0), 1e6) == BURST


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 5)), min_size=1, max_size=400))
def test_no_pattern_gets_more_than_burst_and_refill(frames: list[tuple[float, int]]) -> None:
    guard, t, paid = Guard(0.0), 0.0, 0
    for pause, cost in frames:
        t += pause
        paid += cost if guard.spend(cost, t) else 0
    assert paid <= BURST + REFILL * t + 1e-6


def test_a_client_within_its_rate_goes_on_for_ever() -> None:
    guard = Guard(0.0)
    assert all(guard.spend(1, n / REFILL) for n in range(20 * BURST))


# --- answers to data


def answers(guard: Guard, t: float) -> int:
    times = 0
    while guard.answer(t):
        times += 1
        assert times <= 10 * MOST_EARNED, "there is no end"
    return times


def test_answers_nobody_has_asked_for_cost_as_others() -> None:
    assert answers(Guard(0.0), 0.0) == BURST


def test_data_earns_answers_beyond_the_burst() -> None:
    guard = Guard(0.0)
    for _ in range(1000):
        guard.earn(18)
    assert answers(guard, 0.0) == 18_000 + BURST


def test_what_is_earned_has_a_bound() -> None:
    guard = Guard(0.0)
    for _ in range(10_000):
        guard.earn(18)
    assert answers(guard, 0.0) == MOST_EARNED + BURST


def test_what_is_earned_buys_nothing_but_answers() -> None:
    guard = Guard(0.0)
    for _ in range(10_000):
        guard.earn(18)
    assert spent(guard, 0.0) == BURST


# --- pings


def test_pings_at_their_time_are_no_strikes() -> None:
    guard = Guard(0.0)
    assert all(guard.ping(PING_SECONDS * n) for n in range(1000))


def test_early_pings_are_strikes() -> None:
    guard = Guard(0.0)
    assert [guard.ping(n / 10) for n in range(5)] == [True] * (1 + STRIKES) + [False, False]


def test_strikes_are_forgotten_when_something_is_sent() -> None:
    guard = Guard(0.0)
    for n in range(100):
        assert guard.ping(n / 10)
        guard.answered()
    for n in range(STRIKES):
        assert guard.ping(10 + n / 10)


def test_late_pings_do_not_take_strikes_back() -> None:
    guard = Guard(0.0)
    for t in (0.0, 0.1, 0.2, 20.0, 40.0):
        assert guard.ping(t)
    assert not guard.ping(40.1)
