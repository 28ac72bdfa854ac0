"""Every actor by its name, and what can be seen and kept back of one without asking it.

Guarantees: nothing here waits for an actor or runs an actor's code. Thread-safe.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import TYPE_CHECKING, Any

from actors.runtime.cell import Cell, CellState
from actors.runtime.inspection.recent_messages import render
from actors.runtime.inspection.taps import CAPACITY
from actors.runtime.messages import ActorReport, TimerReport

if TYPE_CHECKING:
    from actors.domain import Mint
    from actors.runtime.clocks import Clock
    from actors.runtime.inspection.recent_messages import RecentMessage
    from actors.runtime.inspection.taps import Listeners, Tap
    from actors.runtime.timers import TimerWheel


class Registry:
    """See the module's docstring; the part of the runtime that looks."""

    clock: Clock
    wheel: TimerWheel
    listeners: Listeners

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._lock = threading.Lock()
        self._leaving = 0
        """How many have ended and the supervisor has not been told yet."""

    def busy(self, kinds: frozenset[str]) -> str | None:
        """Name an actor of these kinds that has something to do, or "timers"; None: all rest.

        Timers are those that the feed clock has passed. The answer holds for an instant between two
        looks: when all rest in both and nobody has handled anything in between, there was none of
        them a message could have been on its way from. What others send is not foreseen.
        """
        first = self._look(kinds)
        second = first if isinstance(first, str) else self._look(kinds)
        if isinstance(second, str):
            return second
        return None if first == second else "somebody"

    def _look(self, kinds: frozenset[str]) -> str | int:
        """Name who is busy, else add up what was done so far."""
        if not self.wheel.feed_at_rest():
            return "timers"
        if self._leaving:
            return "an end"
        done = self.wheel.fired
        for cell in list(self._cells.values()):
            if cell.spec.kind in kinds:
                if not cell.is_at_rest:
                    return cell.name
                done += cell.handled
        return done

    def running(self, name: str) -> bool:
        """Whether an actor of this name is there and has not ended."""
        cell = self._cells.get(name)
        return cell is not None and cell.state is not CellState.STOPPED

    def room(self, name: str) -> int:
        """How many events an actor's mailbox would take now; 0: nobody is there to handle them."""
        cell = self._cells.get(name)
        if cell is None or cell.blocked:
            return 0
        if cell.state in (CellState.QUARANTINED, CellState.STOPPED):
            return 0
        return cell.mailbox.room

    def state_of(self, name: str) -> CellState | None:
        """The state of a child, None when nobody has the name."""
        cell = self._cells.get(name)
        return None if cell is None else cell.state

    def status_of(self, name: str) -> Any:
        """What an actor last published, None when there is nothing."""
        cell = self._cells.get(name)
        return None if cell is None else cell.status

    def names(self) -> list[str]:
        """Every name, in the order of starting."""
        return list(self._cells)

    def reports(self) -> tuple[ActorReport, ...]:
        """Describe every actor."""
        now_ns = self.clock.monotonic_ns()
        return tuple(report_of(cell, now_ns) for cell in list(self._cells.values()))

    def report(self, name: str) -> ActorReport | None:
        """Describe one actor."""
        cell = self._cells.get(name)
        return None if cell is None else report_of(cell, self.clock.monotonic_ns())

    def recent(self, name: str) -> tuple[RecentMessage, ...] | None:
        """Give an actor's last 20 messages, oldest first; None when nobody has the name."""
        cell = self._cells.get(name)
        if cell is None:
            return None
        now_us, now_ns = self.clock.now_us(), self.clock.monotonic_ns()
        return tuple(render(entry, now_us, now_ns) for entry in list(cell.recent))

    def timers_of(self, name: str) -> tuple[TimerReport, ...]:
        """Give an actor's armed timers, those of the monotonic clock first, the next one first."""
        now_ns = self.clock.monotonic_ns()
        return tuple(
            TimerReport(
                key=timer.key.name.lower() if isinstance(timer.key, Enum) else str(timer.key),
                in_seconds=None if timer.on_feed else (timer.due - now_ns) / 1e9,
                feed_us=timer.due if timer.on_feed else None,
            )
            for timer in self.wheel.armed(name)
        )

    # One actor under the lens.

    def pause(self, name: str) -> bool:
        """Have an actor take no data until it is resumed; False: nobody there, or paused already.

        What waits stays where it is; new data is refused, except what must arrive and what the
        actor tells itself. Control messages go on, a stop too, and so does the message being
        handled. The pause belongs to the name: a new instance is paused as well.
        """
        cell = self._cells.get(name)
        return cell is not None and cell.mailbox.pause()

    def resume(self, name: str) -> bool:
        """Let a paused actor go on with what waits; False: nobody there, or not paused."""
        cell = self._cells.get(name)
        return cell is not None and cell.mailbox.resume()

    def set_capacity(self, name: str, capacity: int) -> tuple[int, int] | None:
        """Change the bound of an actor's mailbox, in events; what waits beyond it stays.

        Returns:
            The bound before and now; None: nobody has the name.

        Raises:
            ValueError: `capacity` is not positive.
        """
        if capacity < 1:
            raise ValueError(f"a mailbox needs room for at least one event, not {capacity}")
        cell = self._cells.get(name)
        if cell is None:
            return None
        before, cell.mailbox.capacity = cell.mailbox.capacity, capacity
        return before, capacity

    def tap(self, name: str, capacity: int = CAPACITY, mint: Mint | None = None) -> Tap | None:
        """Listen in on what an actor handles from now on, and on what is noted of a mint.

        The tap keeps `capacity` things for its reader and ends with the actor. None: nobody has
        the name.
        """
        cell = self._cells.get(name)
        return None if cell is None else self.listeners.tap(cell, capacity, mint)

    def trace(self, name: str, seconds: float) -> bool:
        """Log what an actor handles for so long; 0 ends it. False: nobody has the name."""
        cell = self._cells.get(name)
        if cell is None:
            return False
        self.listeners.trace(cell, seconds)
        return True


def report_of(cell: Cell, now_ns: int) -> ActorReport:
    """Describe an actor without asking it."""
    mailbox, started_ns = cell.mailbox, cell.turn_started_ns
    return ActorReport(
        name=cell.name,
        kind=cell.spec.kind,
        state=_shown_state(cell),
        own_thread=cell.spec.actor.own_thread,
        held=mailbox.held,
        mailbox_depth=mailbox.depth,
        mailbox_peak=mailbox.peak,
        mailbox_capacity=mailbox.capacity,
        oldest_age_seconds=mailbox.oldest_age_s(),
        handled=cell.handled,
        restarts=cell.restarts,
        last_error=cell.last_error,
        busy_share=round(cell.busy_ns / max(1, now_ns - cell.born_ns), 6),
        turn_seconds=None if started_ns is None else (now_ns - started_ns) / 1e9,
    )


def _shown_state(cell: Cell) -> str:
    if cell.blocked:
        return "blocked"
    if cell.running and cell.mailbox.paused:
        return "paused"
    return cell.state.value
