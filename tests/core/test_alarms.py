"""Alarms of a loop: each is called once, in the order of their times, unless it was cancelled."""

import asyncio
from typing import Any

import pytest
from batchwire.core.alarms import Alarm, Alarms, stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class Clock:
    """Stands in for a loop: keeps what it is to call."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, callback: Any) -> "Timer":
        self.timers.append(Timer(self, seconds, callback))
        return self.timers[-1]


class Timer:
    def __init__(self, clock: Clock, seconds: float, callback: Any) -> None:
        self.clock = clock
        self.seconds = seconds
        self.callback = callback

    def cancel(self) -> None:
        self.clock.timers.remove(self)

    def fire(self) -> None:
        self.clock.timers.remove(self)
        self.callback()


steps = st.lists(st.one_of(st.integers(-1000, -1), st.integers(0, 30).map(lambda n: ("cancel", n))), max_size=60)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_those_that_are_due_are_called_in_order(steps: list[Any]) -> None:
    clock = Clock()
    alarms = Alarms(clock)
    called: list[int] = []
    set_alarms: list[tuple[int, Alarm]] = []
    alive: list[int] = []
    for step in steps:
        if isinstance(step, int):
            # In the past by whole seconds: all are due, and their order is that of these numbers.
            set_alarms.append((step, alarms.after(step, lambda step=step: called.append(step))))
            alive.append(step)
        elif set_alarms:
            step_of, alarm = set_alarms.pop(step[1] % len(set_alarms))
            alarm.cancel()
            alarm.cancel()
            alive.remove(step_of)
    assert len(clock.timers) <= 1
    if alive:
        clock.timers[0].fire()
    assert called == sorted(alive)
    for timer in clock.timers:  # that of an alarm which was cancelled may be left, and finds nothing
        timer.fire()
    assert clock.timers == []
    assert called == sorted(alive)


def test_one_timer_of_the_loop_is_for_the_earliest() -> None:
    clock = Clock()
    alarms = Alarms(clock)
    called: list[str] = []
    late = alarms.after(60, lambda: called.append("late"))
    (timer,) = clock.timers
    assert timer.seconds == pytest.approx(60, abs=1)
    alarms.after(30, lambda: called.append("early"))
    (timer,) = clock.timers
    assert timer.seconds == pytest.approx(30, abs=1)
    timer.fire()  # nothing is due yet
    assert called == []
    (timer,) = clock.timers
    late.cancel()
    assert clock.timers == [timer]


def test_a_callback_that_raises_takes_nothing_from_the_others() -> None:
    clock = Clock()
    alarms = Alarms(clock)
    called: list[str] = []

    def fail() -> None:
        raise RuntimeError

    alarms.after(-2, fail)
    alarms.after(-1, lambda: called.append("second"))
    with pytest.raises(RuntimeError):
        clock.timers[0].fire()
    clock.timers[0].fire()
    assert called == ["second"]


async def test_alarms_of_a_running_loop() -> None:
    loop = asyncio.get_running_loop()
    alarms = Alarms(loop)
    called: list[float] = []
    reached = asyncio.Event()
    began = loop.time()
    alarms.after(0.05, lambda: (called.append(loop.time() - began), reached.set()))
    alarms.after(0.02, lambda: called.append(loop.time() - began))
    alarms.after(0.03, lambda: called.append(0)).cancel()
    async with asyncio.timeout(10):
        await reached.wait()
    first, second = called
    assert first >= 0.018
    assert second >= 0.048


def test_alarms_are_counted() -> None:
    assert set(stats()) == {"alarms"}
