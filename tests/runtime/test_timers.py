"""Timers on two clocks."""

from __future__ import annotations

import threading
import time

from actors.runtime.timers import CHUNK, TimerThread, TimerWheel


class Bench:
    def __init__(self) -> None:
        self.now_ns = 0
        self.fired: list[str] = []
        self.wheel = TimerWheel(lambda: self.now_ns)

    def after(self, key: str, seconds: float, owner: str = "a") -> None:
        self.wheel.after(owner, key, seconds, key, self.fired.append)

    def at(self, key: str, feed_us: int, owner: str = "a") -> None:
        self.wheel.at(owner, key, feed_us, key, self.fired.append)


def test_a_timer_fires_once_its_time_has_come_and_not_before() -> None:
    bench = Bench()
    bench.after("one", 1.0)
    bench.now_ns = 999_999_999
    assert bench.wheel.fire() == 0
    bench.now_ns = 1_000_000_000
    assert bench.wheel.fire() == 1
    assert bench.wheel.fire() == 0
    assert bench.fired == ["one"]


def test_arming_a_key_again_replaces_the_timer_also_on_the_other_clock() -> None:
    bench = Bench()
    bench.after("key", 1.0)
    bench.after("key", 5.0)
    bench.now_ns = 2_000_000_000
    assert bench.wheel.fire() == 0
    bench.at("key", 10)
    bench.now_ns = 9_000_000_000
    assert bench.wheel.fire() == 0
    bench.wheel.advance_feed(10)
    bench.wheel.fire()
    assert bench.fired == ["key"]


def test_feed_timers_follow_the_feed_clock_alone() -> None:
    bench = Bench()
    bench.at("late", 2_000)
    bench.at("early", 1_000)
    bench.now_ns = 10**12
    assert bench.wheel.fire() == 0
    bench.wheel.advance_feed(1_500)
    assert bench.wheel.feed_due()
    bench.wheel.fire()
    bench.wheel.advance_feed(2_000)
    bench.wheel.fire()
    assert bench.fired == ["early", "late"]


def test_the_feed_clock_never_goes_backwards() -> None:
    bench = Bench()
    bench.wheel.advance_feed(5_000)
    bench.wheel.advance_feed(1_000)
    assert bench.wheel.feed_us == 5_000


def test_an_owner_takes_its_timers_along() -> None:
    bench = Bench()
    bench.after("x", 1.0, owner="a")
    bench.at("y", 1, owner="a")
    bench.after("z", 1.0, owner="b")
    bench.wheel.cancel("b", "nobody")
    bench.wheel.cancel_all("a")
    bench.now_ns = 2_000_000_000
    bench.wheel.advance_feed(10)
    bench.wheel.fire()
    assert bench.fired == ["z"]
    assert bench.wheel.pending() == 0


def test_many_timers_of_one_moment_leave_in_chunks() -> None:
    bench = Bench()
    for n in range(CHUNK + 3):
        bench.after(f"{n}", 1.0)
    bench.now_ns = 2_000_000_000
    assert [bench.wheel.fire(), bench.wheel.fire(), bench.wheel.fire()] == [CHUNK, 3, 0]
    assert bench.fired == [f"{n}" for n in range(CHUNK + 3)]


def test_a_timer_may_arm_another_while_it_fires() -> None:
    bench = Bench()
    bench.wheel.after("a", "first", 0.0, "first", lambda _: bench.after("second", 0.0))
    bench.wheel.fire()
    bench.wheel.fire()
    assert bench.fired == ["second"]


def test_the_thread_fires_what_is_armed_while_it_waits() -> None:
    wheel = TimerWheel(time.monotonic_ns)
    thread = TimerThread(wheel, time.monotonic_ns)
    fired = threading.Event()
    thread.start()
    wheel.after("a", "key", 0.01, None, lambda _: fired.set())
    thread.wake()
    assert fired.wait(5)
    wheel.at("a", "feed", 7, None, lambda _: fired.set())
    wheel.advance_feed(7)
    thread.wake()
    thread.stop(5)
    assert not any(running.name == "timers" for running in threading.enumerate())
