"""Opens and closes the routes of mints: who is told what, and in which order.

Guarantees: a tracker hears `RouteClosed` behind its last event. Where events are parked, a route
that is closed hands them on first, however long the tracker takes for it; what arrives meanwhile
goes nowhere. The journal keeps them all the while. They are given up, as dead, only when their
tracker is gone and nobody tracks the mint anew within `GONE_S`.
At the stop, which has a deadline, trackers that take nothing are closed in front of what is parked:
it stays in the journal, and the next start replays it. The stop itself is no fact of the journal:
were it one, a mint would be done with although its last rows may have been lost with the process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.connection.parking import RETRY_S
from actors.connection.state import ClosingRoute
from actors.protocol.supervisor import SUPERVISOR, ReadingStopped

if TYPE_CHECKING:
    from actors.connection.pipeline import Pipeline
    from actors.connection.state import ConnectionState
    from actors.domain import Mint
    from actors.protocol.connection import RouteMint
    from actors.runtime import Context

GONE_S: Final = 10.0
"""A mint that is wanted again gets its next tracker at once when the last one is gone."""
STOP_SHARE: Final = 0.1
"""Of DRAIN_TIMEOUT: half of what the whole stop of reading may take."""
STOP_IDLE_S: Final = 1.0
"""A tracker that takes nothing for so long at the stop is in quarantine, or hangs."""


class Router:
    """See the module's docstring. One for each instance of the actor; the state outlives it."""

    def __init__(self, context: Context, state: ConnectionState, pipeline: Pipeline) -> None:
        self._context = context
        self._state = state
        self._pipeline = pipeline
        self._parking = pipeline.parking

    def open(self, route: RouteMint) -> None:
        """Send a mint's events to its tracker, behind what still waits for it."""
        state, mint, rows_end_us = self._state, route.mint, route.rows_end_us
        state.closing.pop(mint, None)
        state.subscriptions.route(mint)
        state.rows[mint] = route
        self._parking.resume(mint)
        self._pipeline.open_route(mint, rows_end_us)
        self._context.note(mint, "routed", rows_end_us=rows_end_us)
        if state.has_stopped:
            # StopReading has overtaken this: the new tracker must hear, too, that nothing follows.
            self.close(mint)
            self.tend()

    def close(self, mint: Mint, *, ended: bool = False) -> None:
        """Send nothing of a mint any more, and end its route once nothing waits for it."""
        state = self._state
        state.subscriptions.unroute(mint, self._context.monotonic_s())
        state.rows.pop(mint, None)
        if mint in state.closing:
            return
        at_us = self._pipeline.next_free_us
        self._pipeline.leave_route(mint, at_us)
        next_seq = self._parking.next_seq(mint)
        self._context.note(mint, "unrouted", ended=ended, waits=next_seq is not None)
        if not state.has_stopped:
            through_seq = None if next_seq is None else next_seq - 1
            self._pipeline.note_stop(mint, ended=ended, through_seq=through_seq)
        if next_seq is None:
            self._pipeline.end_route(mint, at_us)
            return
        self._parking.interrupt(mint)
        now_s = self._context.monotonic_s()
        state.closing[mint] = ClosingRoute(at_us, ended, by_stop=state.has_stopped, since_s=now_s)

    def begin_stop(self) -> None:
        """Close every route; `tend` tells the supervisor once that is done."""
        now_s = self._context.monotonic_s()
        self._state.stop_by_s = now_s + STOP_SHARE * self._context.settings.drain_timeout
        for mint in self._state.subscriptions.routed():
            self.close(mint)

    def tend(self) -> None:
        """Hand on what is parked, and end the routes that are closed, as far as it goes now."""
        state = self._state
        self._parking.hand_on(at_once=state.has_stopped)
        for mint, closing in list(state.closing.items()):
            self._tend(mint, closing)
        if state.has_stopped and not state.has_told_stop and not state.closing:
            state.has_told_stop = True
            self._context.tell(SUPERVISOR, ReadingStopped(last_arrived_us=state.last_stamp_us))

    def _tend(self, mint: Mint, closing: ClosingRoute) -> None:
        next_seq = self._parking.next_seq(mint)
        is_gone = not self._pipeline.shard.tracks(mint)
        now_s = self._context.monotonic_s()
        if closing.mark != (next_seq, is_gone):
            closing.mark, closing.since_s = (next_seq, is_gone), now_s
        age_s = now_s - closing.since_s
        if self._state.has_stopped:
            is_late = is_gone or age_s >= STOP_IDLE_S or now_s >= (self._state.stop_by_s or 0.0)
            if next_seq is None:
                self._end(mint, closing)
            elif is_late:
                self._leave(mint)
        elif next_seq is None and age_s >= RETRY_S:
            # Not at once: the next tracker's route would come behind its own end.
            self._end(mint, closing)
        elif next_seq is not None and is_gone and age_s >= GONE_S:
            self._parking.give_up(mint, "its tracker is gone, and the mint tracked no more")
            self._end(mint, closing)

    def _end(self, mint: Mint, closing: ClosingRoute) -> None:
        del self._state.closing[mint]
        if not closing.by_stop:
            self._pipeline.note_stop(mint, ended=closing.ended)
        self._pipeline.end_route(mint, closing.at_us)

    def _leave(self, mint: Mint) -> None:
        """Close a route in front of what is parked: a later tracker begins with that."""
        from_us = self._parking.leave(mint)
        closing = self._state.closing.pop(mint)
        self._pipeline.end_route(mint, closing.at_us if from_us is None else from_us)
        self._context.note(mint, "parked_left_to_the_next_start")
