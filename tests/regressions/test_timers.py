"""Timers: what is cancelled leaves nothing behind, and looking never meets a heap that empties."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from actors.runtime.timers import TimerWheel

DAY_US = 86_400_000_000


class Held:
    """Something large that a timer's way to its actor holds on to."""

    def deliver(self, _: object) -> None:
        raise AssertionError("a cancelled timer has fired")


def test_a_cancelled_timer_lets_go_of_its_actor_long_before_its_time() -> None:
    wheel = TimerWheel(lambda: 0)
    held = Held()
    wheel.at("tracker", "phase", DAY_US, None, held.deliver)
    gone = weakref.ref(held)
    del held
    wheel.cancel_all("tracker")
    assert gone() is None


def test_cancelled_timers_of_a_far_future_do_not_pile_up() -> None:
    wheel = TimerWheel(lambda: 0)
    for number in range(10_000):
        wheel.at(f"tracker {number}", "phase", DAY_US, None, print)
        wheel.after(f"tracker {number}", "retry", 86_400.0, None, print)
        wheel.cancel_all(f"tracker {number}")
    assert wheel.pending() == 0
    assert wheel.kept() < 5_000


def test_compaction_keeps_every_armed_timer_in_its_order() -> None:
    wheel = TimerWheel(lambda: 0)
    fired: list[int] = []
    for number in range(5_000):
        wheel.at("a", number, number, number, fired.append)
    for number in range(5_000):
        if number % 5:
            wheel.cancel("a", number)
    wheel.advance_feed(5_000)
    while wheel.fire():
        pass
    assert fired == list(range(0, 5_000, 5))


class Emptied(list[Any]):
    """A heap that the timer thread empties right after it was found not to be empty."""

    def __init__(self, wheel: TimerWheel, entries: list[Any]) -> None:
        super().__init__(entries)
        self.taker: threading.Thread | None = None
        self._wheel = wheel

    def __bool__(self) -> bool:
        found = len(self) > 0
        if self.taker is None:
            self.taker = threading.Thread(target=self._wheel.fire, daemon=True)
            self.taker.start()
            self.taker.join(0.05)
        return found


def test_looking_for_due_timers_waits_while_another_thread_takes_them() -> None:
    wheel = TimerWheel(lambda: 0)
    fired: list[str] = []
    wheel.at("tracker", "window", 1, "window", fired.append)
    wheel.advance_feed(1)
    heap = wheel._feed = Emptied(wheel, wheel._feed)
    assert wheel.feed_due()
    assert heap.taker is not None
    heap.taker.join(5.0)
    assert fired == ["window"]
