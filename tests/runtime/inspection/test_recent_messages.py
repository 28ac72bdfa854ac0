"""The last messages of an actor, and its timers."""

from __future__ import annotations

import threading
from typing import Any

from actors.runtime import Actor, ArrivalClock, Batch, ChildSpec, Context, Message, System
from actors.runtime.inspection.recent_messages import Cut, keep
from actors.runtime.simulation import SeededSystem
from settings import load
from telemetry import Telemetry
from tests.support.waiting import wait_until

START_US = 1_700_000_000_000_000


class Do(Message, frozen=True):
    n: int


class Doings(Batch, frozen=True):
    events: tuple[Do, ...]


class Rows(Message, frozen=True):
    table: str
    rows: tuple[int, ...]


class Worker(Actor):
    """Takes 2 s for each message; fails at 13."""

    def on_receive(self, message: Any) -> None:
        if isinstance(message, Do):
            self.context._system.clock.advance(2.0)  # type: ignore[attr-defined]
            if message.n == 13:
                raise ValueError("unlucky")


def working() -> SeededSystem:
    system = SeededSystem(now_us=START_US)
    system.start("worker", Worker)
    return system


def test_messages_are_kept_oldest_first_with_what_they_waited_and_took() -> None:
    system = working()
    system.tell("worker", Do(1))
    system.tell("worker", Do(2))
    system.run()

    first, second = system.recent("worker") or ()
    assert (first.message, first.summary, first.weight) == ("Do", "Do(n=1)", 1)
    assert (first.at_us, first.waited_s, first.taken_s) == (START_US, 0.0, 2.0)
    assert (second.at_us, second.waited_s, second.taken_s) == (START_US + 2_000_000, 2.0, 2.0)
    assert not first.failed


def test_the_last_twenty_messages_are_kept() -> None:
    system = working()
    for n in range(100, 150):
        system.tell("worker", Do(n))
    system.run()

    recent = system.recent("worker") or ()
    assert [handled.summary for handled in recent] == [f"Do(n={n})" for n in range(130, 150)]


def test_failed_message_is_marked_and_outlives_the_instance() -> None:
    system = working()
    system.tell("worker", Do(13))
    system.run()
    system.advance(60.0)
    system.tell("worker", Do(14))
    system.run()

    assert [(each.summary, each.failed) for each in system.recent("worker") or ()] == [
        ("Do(n=13)", True),
        ("Do(n=14)", False),
    ]


def test_rest_of_a_failed_batch_is_a_message_of_its_own_and_counted_once() -> None:
    system = working()
    system.tell("worker", Doings((Do(1), Do(13), Do(3))))
    system.run()
    system.advance(60.0)

    assert [(each.weight, each.failed) for each in system.recent("worker") or ()] == [
        (3, True),
        (1, False),
    ]
    report = system.report("worker")
    assert report is not None
    assert report.handled == 3


def test_large_batch_keeps_its_first_events_and_their_number() -> None:
    system = working()
    system.tell("worker", Doings(tuple(Do(n) for n in range(100, 150))))
    system.run()

    [handled] = system.recent("worker") or ()
    assert handled.summary == "Doings(Do(n=100), Do(n=101), and 48 more events)"
    assert (handled.message, handled.weight, handled.taken_s) == ("Doings", 50, 100.0)


def test_large_message_is_kept_as_its_summary_alone() -> None:
    kept = keep(Rows("candles", tuple(range(10_000))))
    assert kept == Cut(
        "Rows", "Rows(table='candles', rows=(0, 1, 2, 3, 4, 5, 6, 7, and 9992 more))", 1
    )
    small = Rows("candles", (1,))
    assert keep(small) is small


def test_nobody_has_no_messages_and_no_timers() -> None:
    system = working()
    assert system.recent("nobody") is None
    assert system.recent("worker") == ()
    assert system.timers_of("nobody") == ()


def test_readers_see_whole_rings_while_the_actor_works() -> None:
    done = threading.Event()

    class Busy(Actor):
        def on_receive(self, message: Any) -> None:
            if message.n == 20_000:
                done.set()

    system = System(settings=load({}), telemetry=Telemetry(), clock=ArrivalClock())
    system.open()
    try:
        system.start_child(ChildSpec("busy", "busy", Busy, Busy))
        for n in range(1, 20_001):
            system.tell("busy", Do(n))
        while not done.is_set():
            seen = [int(each.summary[5:-1]) for each in system.recent("busy") or ()]
            assert seen == sorted(seen)
            assert len(seen) <= 20
        wait_until(lambda: len(system.recent("busy") or ()) == 20, what="a full ring")
    finally:
        assert system.close(10.0) == []


class Sleeper(Actor):
    def __init__(self, context: Context) -> None:
        super().__init__(context)

    def on_start(self) -> None:
        self.context.at("window", START_US + 5_000_000, Do(1))
        self.context.after("later", 30.0, Do(2))
        self.context.after("sooner", 10.0, Do(3))
        self.context.after("never", 1.0, Do(4))
        self.context.cancel("never")


def test_timers_are_listed_by_clock_and_time() -> None:
    system = SeededSystem(now_us=START_US)
    system.start("sleeper", Sleeper)
    system.advance(4.0)

    assert [
        (timer.key, timer.in_seconds, timer.feed_us) for timer in system.timers_of("sleeper")
    ] == [
        ("sooner", 6.0, None),
        ("later", 26.0, None),
        ("window", None, START_US + 5_000_000),
    ]
