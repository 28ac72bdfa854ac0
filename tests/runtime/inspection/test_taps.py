"""Listening in on one actor: what it hears, where its bound is, and when it ends."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import structlog

from actors.domain import Drop, Mint
from actors.runtime import (
    Actor,
    Batch,
    Context,
    Exceeded,
    Message,
    RecentMessage,
    RestartBudget,
    Tap,
)
from actors.runtime.inspection.timeline import Note
from actors.runtime.simulation import SeededSystem
from tests.support.drops import dropped
from tests.support.waiting import wait_until

MINT = Mint("MintA")
NAME = "tracker:MintA"


class Do(Message, frozen=True):
    n: int
    text: str = ""


class Doings(Batch, frozen=True):
    events: tuple[Do, ...]


class Worker(Actor):
    """Notes what it handles in the timeline of its mint; takes `n` seconds; fails at 13."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)

    def on_receive(self, message: Any) -> None:
        self.context._system.clock.advance(message.n)  # type: ignore[attr-defined]
        if message.n == 13:
            raise ValueError("unlucky")
        if message.text:
            self.context.note(MINT, message.text)


def tapped(capacity: int = 256, mint: Mint | None = None, **start: Any) -> tuple[SeededSystem, Tap]:
    system = SeededSystem()
    system.start(NAME, Worker, **start)
    tap = system.tap(NAME, capacity, mint)
    assert tap is not None
    return system, tap


def told(system: SeededSystem, *messages: Message) -> None:
    for message in messages:
        system.tell(NAME, message)
    system.run()


def heard(tap: Tap) -> list[Any]:
    found = []
    while (each := tap.get(0.0)) is not None:
        found.append(each)
    return found


def test_tap_hears_each_message_and_each_event_of_a_batch_with_its_own_time() -> None:
    system, tap = tapped()
    told(system, Do(1), Doings((Do(2), Do(3))))

    assert [(each.message, each.summary, each.weight, each.taken_s) for each in heard(tap)] == [
        ("Do", "Do(n=1, text='')", 1, 1.0),
        ("Do", "Do(n=2, text='')", 1, 2.0),
        ("Do", "Do(n=3, text='')", 1, 3.0),
    ]


def test_tap_hears_the_failing_event_as_failed_and_goes_on_with_the_next_instance() -> None:
    system, tap = tapped()
    told(system, Doings((Do(1), Do(13), Do(2))))
    system.advance(60.0)

    assert [(each.summary[:8], each.failed) for each in heard(tap)] == [
        ("Do(n=1, ", False),
        ("Do(n=13,", True),
        ("Do(n=2, ", False),
    ]
    assert not tap.closed


def test_tap_with_a_mint_hears_its_notes_and_no_others() -> None:
    system, tap = tapped(mint=MINT)
    told(system, Do(1, "phase_moved"))
    system.note("discovery", Mint("MintB"), "discovered", {})
    system.note("discovery", MINT, "n8n_sent", {"batch": 3})

    assert [each.what if isinstance(each, Note) else each.summary for each in heard(tap)] == [
        "phase_moved",
        "Do(n=1, text='phase_moved')",
        "n8n_sent",
    ]


def test_tap_without_a_mint_hears_no_notes() -> None:
    system, tap = tapped()
    told(system, Do(1, "phase_moved"))
    assert [type(each) for each in heard(tap)] == [RecentMessage]


def test_past_its_bound_a_tap_drops_the_newest_and_counts_them() -> None:
    system, tap = tapped(capacity=2)
    told(system, Do(1), Do(2), Do(3), Do(4))

    assert [each.summary[:6] for each in heard(tap)] == ["Do(n=1", "Do(n=2"]
    assert tap.dropped == 2
    assert dropped(system.telemetry, Drop.TAP_DROPPED) == 2
    told(system, Do(5))
    assert [each.summary[:6] for each in heard(tap)] == ["Do(n=5"]


def test_closed_tap_hears_nothing_more_and_can_be_read_to_its_end() -> None:
    system, tap = tapped(mint=MINT)
    told(system, Do(1))
    tap.close()
    tap.close()
    told(system, Do(2, "note"))

    assert tap.closed
    assert [each.summary[:6] for each in heard(tap)] == ["Do(n=1"]
    assert system._cells[NAME].listeners == ()
    assert system.listeners._of_mint == {}


def test_tap_ends_with_its_actor() -> None:
    system, tap = tapped(mint=MINT)
    other = system.tap(NAME)
    assert other is not None
    told(system, Do(1))

    system.stop(NAME)

    assert tap.closed
    assert other.closed
    assert len(heard(tap)) == 1
    assert tap.get(30.0) is None
    assert system.listeners._of_mint == {}
    assert system.tap(NAME) is None


def test_tap_that_comes_in_the_moment_of_the_end_is_closed() -> None:
    system, _ = tapped()
    cell = system._cells[NAME]
    system.stop(NAME)

    tap = system.listeners.tap(cell, 256, MINT)

    assert tap.closed
    assert system.listeners._of_mint == {}


def test_quarantine_does_not_end_a_tap() -> None:
    system, tap = tapped(exceeded=Exceeded.QUARANTINE, budget=RestartBudget(intensity=0))
    told(system, Do(13))
    assert system.state_of(NAME) == "quarantined"
    assert not tap.closed
    system.revive(NAME)
    told(system, Do(1))
    assert [each.failed for each in heard(tap)] == [True, False]


def test_reader_that_waits_is_woken_by_a_message_and_by_the_end() -> None:
    system, tap = tapped()
    found: list[Any] = []

    def read() -> None:
        found.append(tap.get(30.0))
        found.append(tap.get(30.0))

    reader = threading.Thread(target=read)
    reader.start()
    told(system, Do(1))
    wait_until(lambda: len(found) == 1, what="the message")
    system.stop(NAME)
    reader.join(10)
    assert not reader.is_alive()
    assert found[1] is None


def test_text_of_the_feed_cannot_rewrite_a_terminal() -> None:
    system, tap = tapped()
    told(system, Do(1, "\x1b[2J" + "x" * 10_000))
    [handled] = heard(tap)
    assert handled.summary.startswith("Do(n=1, text='\\x1b[2J")
    assert len(handled.summary) < 200


@pytest.fixture(name="lines")
def captured_lines() -> Any:
    with structlog.testing.capture_logs() as lines:
        yield lines


def handled_lines(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["event"] == "handled"]


def test_traced_actor_logs_every_message_until_the_time_is_over(lines: list[Any]) -> None:
    system, tap = tapped()
    assert system.trace(NAME, 10.0)
    told(system, Do(1))
    system.restart(NAME)
    told(system, Doings((Do(2), Do(13))))
    told(system, Do(0))

    assert handled_lines(lines)[0] == {
        "event": "handled",
        "trace": True,
        "log_level": "info",
        "actor": "tracker:MintA",
        "mint": "MintA",
        "message": "Do",
        "summary": "Do(n=1, text='')",
        "weight": 1,
        "waited_ms": 0.0,
        "taken_ms": 1000.0,
        "failed": False,
    }
    assert [line["summary"][:6] for line in handled_lines(lines)] == ["Do(n=1", "Do(n=2"]
    # Its time was over when it heard of the 13 s, and the tap hears on.
    assert system._cells[NAME].listeners == (tap,)


def test_new_trace_takes_the_place_of_the_old_one_and_zero_ends_it(lines: list[Any]) -> None:
    system, _ = tapped()
    system.trace(NAME, 10.0)
    system.trace(NAME, 10.0)
    told(system, Do(1))
    assert len(handled_lines(lines)) == 1

    assert system.trace(NAME, 0.0)
    told(system, Do(1))
    assert len(handled_lines(lines)) == 1
    assert not system.trace("nobody", 10.0)


def test_full_tap_that_nobody_reads_closes_itself() -> None:
    system, tap = tapped(capacity=1)
    told(system, Do(0), Do(0))
    assert (tap.closed, system.listeners.taps) == (False, 1)
    told(system, Do(61), Do(0))
    assert (tap.closed, system.listeners.taps) == (True, 0)
