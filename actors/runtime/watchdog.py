"""Looks after turns that take too long: reports them, and does without threads that hang.

Guarantees: never waits for an actor. A CPU loop slows everybody down under the GIL, and is treated
like a turn that waits.
Not guaranteed: anything about a C call that holds the GIL; that has to be ended from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.runtime.dispatcher import MAX_LOST, SharedDispatcher
from actors.runtime.stalls import BLOCKED_FACTOR, LongTurn, Stall, find_stalls

if TYPE_CHECKING:
    from collections.abc import Callable

    import structlog

    from telemetry import Telemetry


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
        stalls = find_stalls(turns)
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

    def look_after(self, turns: list[LongTurn], limit_s: float, pinned_limit_s: float) -> None:
        """Report turns longer than `limit_s`, and act on those that are past waiting for."""
        self.report(turns)
        for turn in turns:
            if not turn.cell.spec.actor.pinned:
                if turn.seconds > BLOCKED_FACTOR * limit_s:
                    self._do_without(turn)
            elif turn.seconds > pinned_limit_s:
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
