"""Ends, bounds and load of the runtime, in interleavings that are rare."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any, ClassVar

from actors.protocol.trade_count import trades_in
from actors.runtime import Actor, ChildStopped, Context, Exceeded, Flush, Message, RestartBudget
from actors.runtime.cell import Cell, CellState
from actors.runtime.messages import Batch
from actors.runtime.simulation import SeededSystem
from actors.runtime.stop_flag import StopFlag

ONCE = RestartBudget(intensity=0)


class Poison(Message, frozen=True):
    """Fails whoever handles it."""


class Work(Batch, frozen=True):
    """Events that wait."""


class Frail(Actor):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.handled: list[Any] = []

    def on_receive(self, message: Any) -> None:
        if isinstance(message, Poison):
            raise TypeError("poison")
        self.handled.append(message)


class Held(Frail):
    def on_start(self) -> None:
        self.context.hold()


def cell_of(system: SeededSystem, name: str) -> Cell:
    return system._cells[name]


class Interrupted(Cell):
    """A cell whose actor ends, in its own thread, in the middle of its restart."""

    __slots__ = ()

    enders: ClassVar[list[threading.Thread]] = []

    @property
    def restarts(self) -> int:
        if not self.enders and self.state is CellState.RESTARTING:
            ender = threading.Thread(target=self._end, daemon=True)
            self.enders.append(ender)
            ender.start()
            ender.join(0.05)
        return 0

    @restarts.setter
    def restarts(self, restarts: int) -> None:
        pass


def test_an_actor_that_ends_while_its_restart_is_due_ends_once_and_stays_ended() -> None:
    system = SeededSystem()
    supervisor = system.probe("supervisor")
    system.start("frail", Frail)
    system.tell("frail", Poison())
    system.run()
    cell = cell_of(system, "frail")
    cell.__class__ = Interrupted
    assert isinstance(cell, Interrupted)
    cell.stop_requested = True
    cell.revive()
    (ender,) = cell.enders
    ender.join(5.0)
    system.run()
    assert cell.state is CellState.STOPPED
    assert len(supervisor.of(ChildStopped)) == 1


def test_an_end_that_comes_twice_does_not_take_the_successor_along() -> None:
    system = SeededSystem()
    system.start("frail", Frail)
    old = cell_of(system, "frail")
    system.stop("frail")
    system.start("frail", Frail)
    system.child_stopped(old, [])
    assert system.running("frail")


def test_a_name_is_free_when_its_actor_is_said_to_be_gone() -> None:
    system = SeededSystem()
    system.start("frail", Frail)
    free: list[bool] = []

    class Looking(StopFlag):
        def set(self) -> None:
            super().set()
            free.append("frail" not in system.names())

    cell_of(system, "frail").stopped = Looking()
    system.stop("frail")
    assert free == [True]


def test_events_of_a_quarantined_actor_hold_up_nobody_else() -> None:
    system = SeededSystem()
    system.start("frail", Frail, exceeded=Exceeded.QUARANTINE, budget=ONCE)
    system.tell("frail", Poison())
    system.tell("frail", Work((1, 2, 3)))
    system.run()
    system.tell("frail", Work((4, 5)))
    assert system.state_of("frail") is CellState.QUARANTINED
    assert system.load.events == 0
    system.revive("frail")
    assert system.load.events == 5
    system.run()
    assert system.load.events == 0


def test_events_of_an_actor_that_ends_in_quarantine_leave_the_load_as_it_was() -> None:
    system = SeededSystem()
    system.start("frail", Frail, exceeded=Exceeded.QUARANTINE, budget=ONCE)
    system.tell("frail", Poison())
    system.run()
    system.tell("frail", Work((4, 5)))
    system.stop("frail")
    assert system.load.events == 0


def test_events_behind_a_held_lane_hold_up_nobody_else() -> None:
    system = SeededSystem()
    system.start("held", Held)
    system.tell("held", Work((1, 2, 3)))
    system.run()
    assert system.load.events == 0
    cell_of(system, "held").mailbox.release()
    assert system.load.events == 3
    system.run()
    assert system.load.events == 0


def test_the_wish_to_flush_is_taken_by_a_full_mailbox_behind_what_waits() -> None:
    system = SeededSystem()
    system.start("held", Held, capacity=2)
    system.tell("held", Work((1, 2)))
    assert not system.tell("held", Work((3,)))
    assert system.tell("held", Flush())
    actor = cell_of(system, "held").actor
    assert isinstance(actor, Frail)
    cell_of(system, "held").mailbox.release()
    system.run()
    assert actor.handled == [1, 2, Flush()]


def test_what_a_flush_carries_is_nothing() -> None:
    assert trades_in(Flush()) == 0


def test_an_actor_that_has_ended_is_freed_without_the_collector() -> None:
    system = SeededSystem()
    system.start("frail", Frail)
    system.tell("frail", Work((1, 2)))
    system.run()
    cell = weakref.ref(cell_of(system, "frail"))
    gc.collect()
    gc.disable()
    try:
        system.stop("frail")
        assert cell() is None
    finally:
        gc.enable()
