"""Timers: what is cancelled leaves nothing behind, and looking never meets a heap that empties."""

from __future__ import annotations

import threading
import weakref

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


def test_looking_for_due_timers_waits_while_another_thread_takes_them() -> None:
    class Emptied(list):  # type: ignore[type-arg]
        """A heap that somebody else empties right after it was found not to be empty."""

        def __bool__(self) -> bool:
            found = len(self) > 0
            taker = threading.Thread(target=wheel.fire)
            taker.start()
            taker.join(0.05)
            takers.append(taker)
            return found

    takers: list[threading.Thread] = []
    wheel = TimerWheel(lambda: 0)
    wheel.at("a", "window", 1, None, lambda _: None)
    wheel.advance_feed(1)
    wheel._feed = Emptied(wheel._feed)
    assert wheel.feed_due()
    for taker in takers:
        taker.join(5.0)
        assert not taker.is_alive()
