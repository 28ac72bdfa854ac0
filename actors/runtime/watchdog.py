"""Looks after turns that take too long: reports them, and does without threads that hang.

A turn is one message being handled, or one hook: `constructor and on_start`, `on_stop`, `poll`.
Guarantees: never waits for an actor. A CPU loop slows everybody down under the GIL, and is treated
like a turn that waits.
Not guaranteed: anything about a C call that holds the GIL; that has to be ended from outside.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from actors.runtime.dispatcher import MAX_LOST, SharedDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import structlog

    from actors.runtime.cell import Cell
    from telemetry import Telemetry

BLOCKED_FACTOR: Final = 2.0
"""A turn this many times longer than what is reported is not waited for any more."""
_STACK_LIMIT: Final = 4_096


class Stall(msgspec.Struct, frozen=True):
    """A turn that is longer than it should be, and not over yet."""

    name: str
    kind: str
    message: str
    """Type of the message being handled, or the hook."""
    seconds: float
    stack: str
    """Where its thread is, newest call last; without the values of variables."""


class LongTurn(NamedTuple):
    """A turn that is not over after a while."""

    cell: Cell
    started_ns: int
    seconds: float


class Watchdog:
    """See the module's docstring. Used by one thread."""

    def __init__(
        self,
        dispatcher: SharedDispatcher,
        telemetry: Telemetry,
        log: structlog.stdlib.BoundLogger,
    ) -> None:
        self.on_beyond_help: Callable[[str], None] = _ignore
        self._dispatcher = dispatcher
        self._telemetry = telemetry
        self._log = log
        self._beyond_help = False

    def report(self, turns: list[LongTurn]) -> list[Stall]:
        """Log each turn once, with its stack."""
        stalls = _find_stalls(turns)
        for stall in stalls:
            self._telemetry.stalls.labels(kind=stall.kind).inc()
            self._log.warning(
                "turn_too_long",
                actor=stall.name,
                message=stall.message,
                seconds=round(stall.seconds, 1),
                stack=stall.stack,
            )
        return stalls

    def look_after(self, turns: list[LongTurn], limit_s: float, own_thread_limit_s: float) -> None:
        """Report turns longer than `limit_s`, and act on those that are past waiting for."""
        self.report(turns)
        for turn in turns:
            if not turn.cell.spec.actor.own_thread:
                if turn.seconds > BLOCKED_FACTOR * limit_s:
                    self._do_without(turn)
            elif turn.seconds > own_thread_limit_s:
                self._give_up(f"{turn.cell.name} has been at one turn for {turn.seconds:.0f} s")

    def _do_without(self, turn: LongTurn) -> None:
        if self._dispatcher.replace(turn.cell):
            self._log.error(
                "worker_replaced",
                actor=turn.cell.name,
                message=turn.cell.doing,
                seconds=round(turn.seconds, 1),
                lost=self._dispatcher.lost,
            )
        elif self._dispatcher.runs(turn.cell):
            self._give_up(f"{MAX_LOST + 1} actors are blocked at once, {turn.cell.name} the last")

    def _give_up(self, reason: str) -> None:
        if not self._beyond_help:
            self._beyond_help = True
            self._log.error("beyond_help", cause=reason)
            self.on_beyond_help(reason)


def _ignore(_: Any) -> None:
    return None


def long_turns(cells: Iterable[Cell], now_ns: int, limit_s: float) -> list[LongTurn]:
    """Find the turns that have taken longer than `limit_s` by now."""
    limit_ns = limit_s * 1e9
    return [
        LongTurn(cell, started_ns, (now_ns - started_ns) / 1e9)
        for cell in cells
        if (started_ns := cell.turn_started_ns) is not None and now_ns - started_ns > limit_ns
    ]


def _find_stalls(turns: Iterable[LongTurn]) -> list[Stall]:
    """Describe the turns that were not described before."""
    found: list[Stall] = []
    for cell, started_ns, seconds in turns:
        if cell.stall_reported_ns == started_ns:
            continue
        cell.stall_reported_ns = started_ns
        stack = _stack_of(cell.turn_thread)
        found.append(Stall(cell.name, cell.spec.kind, cell.doing, seconds, stack))
    return found


def _stack_of(thread_id: int) -> str:
    frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - the interpreter's documented way
    return "" if frame is None else "".join(traceback.format_stack(frame))[-_STACK_LIMIT:]
