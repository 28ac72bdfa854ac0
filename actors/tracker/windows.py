"""The windows of one coin, one after the other, and what happens between them.

Purpose: which window an instant belongs to, when it closes, and what waits for its end: the phase
changes, the coin ends.
Guarantees: spans of closed windows never overlap. The phase changes between windows only. Nothing
here depends on when a timer's message is dispatched.
Not guaranteed: that instants come in order; one before the running window makes it begin earlier,
or is late.
Relies on: one thread at a time. Times are microseconds UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain import FINISHED_PHASE, GRADUATED_PHASE
from actors.tracker.candle import OpenCandle
from actors.tracker.effects import (
    Arm,
    AthDue,
    Effect,
    Ended,
    Mark,
    PhaseSwitched,
    RenewSubscription,
    TimerKey,
    WindowClosed,
)
from actors.tracker.phases import Window, reach_back, window_of

if TYPE_CHECKING:
    from actors.tracker.gate import EffectGate
    from actors.tracker.lifecycle import Lifecycle
    from actors.tracker.rules import TrackerRules
    from actors.tracker.silence import SilenceWatch


class CoinWindows:
    """The running window, where the ones before it ended, and whether the last one is closed."""

    __slots__ = (
        "_gate",
        "_life",
        "_rows_end_us",
        "_rules",
        "_span_end_us",
        "_stale_end_us",
        "_watchdog",
        "candle",
        "closed_total",
        "ended",
        "graduating",
        "window",
    )

    def __init__(
        self,
        life: Lifecycle,
        watchdog: SilenceWatch,
        gate: EffectGate,
        rules: TrackerRules,
        rows_end_us: int,
    ) -> None:
        """Begin without a window.

        Args:
            life: The phases of the coin; advanced here and nowhere else.
            watchdog: Says whether a new phase may repeat the subscription.
            gate: The way out for what concerns other rooms.
            rules: The settings to go by.
            rows_end_us: End of the newest candle in rows, 0 without one; no window begins before.
        """
        self._life = life
        self._watchdog = watchdog
        self._gate = gate
        self._rules = rules
        """Those of when the running window opened: a change acts from the next one on."""
        self._rows_end_us = rows_end_us
        self._span_end_us: int | None = None
        self._stale_end_us: int | None = None
        self.window: Window | None = None
        self.candle: OpenCandle | None = None
        """There is one exactly while there is a window."""
        self.closed_total = 0
        self.graduating = False
        """Whether the running window is the last."""
        self.ended = False
        """Whether the last window is closed."""

    @property
    def covered_until_us(self) -> int:
        """End of the newest span in a candle; the next candle of this mint may not begin before."""
        return max(self._rows_end_us, self._span_end_us or 0)

    @property
    def interval_seconds(self) -> int:
        """Length of the running window's grid cell, else of the current phase's; 0 at the end."""
        if self.window is not None:
            return self.window.interval_seconds
        phase = self._life.phase
        return 0 if phase is None else phase.interval_seconds

    @property
    def timers(self) -> list[Arm]:
        """The timer of the running window, or of the stale one; none without either."""
        ends_us = self._stale_end_us if self.window is None else self.window.end_us
        return [] if ends_us is None else [Arm(TimerKey.WINDOW, ends_us)]

    # One window: it opens, begins earlier, closes.

    def open(self, at_us: int, rules: TrackerRules) -> list[Effect]:
        """Open the window of an instant, under the phase of that instant; between windows only.

        Where the coin has ended by then there is no window afterwards.
        """
        effects = self.advance(at_us)
        phase = self._life.phase
        if self.ended or phase is None:
            return effects
        self._stale_end_us = None
        self.window = window_of(at_us, phase, self._floor_us(at_us))
        self._rules = rules
        self.candle = OpenCandle(rules.thresholds.whale_lamports, keep_trades=rules.keep_trades)
        return [*effects, Arm(TimerKey.WINDOW, self.window.end_us)]

    def reach_back(self, window: Window, at_us: int) -> list[Effect]:
        """Let the running window begin earlier, for a trade that comes behind later ones.

        Where an earlier candle lies in between, the trade is late.
        """
        floor_us = self._floor_us(at_us)
        if at_us < floor_us:
            return [Mark.LATE]
        self.window = reach_back(window, at_us, floor_us)
        return []

    def skip(self, at_us: int) -> list[Effect]:
        """Leave a known trade out; a window with nothing else in it is stale."""
        if self.window is not None or self._stale_end_us is not None:
            return [Mark.DUPLICATE]
        phase = self._life.phase
        if phase is None or at_us < self.covered_until_us:
            return [Mark.DUPLICATE]
        self._stale_end_us = window_of(at_us, phase, self._floor_us(at_us)).end_us
        return [Mark.DUPLICATE, Arm(TimerKey.WINDOW, self._stale_end_us)]

    def close_until(self, at_us: int) -> list[Effect]:
        """Close what has ended by an instant, and let what waited for that act."""
        window = self.window
        if window is not None and at_us >= window.end_us:
            effects = self._close(window.end_us)
            if self.graduating:
                return [*effects, *self._end(GRADUATED_PHASE, window.end_us)]
            return [*effects, *self.advance(window.end_us)]
        if self._stale_end_us is not None and at_us >= self._stale_end_us:
            self._stale_end_us = None
            return [Mark.STALE_WINDOW]
        return []

    def cut(self, at_us: int) -> list[Effect]:
        """End here: close the running window at `at_us`, or at its end when that is earlier."""
        if self.ended:
            return []
        if self.window is not None and self.candle is not None:
            # Behind the window's last trade, whatever the caller says: a trade is in its span.
            behind_us = max(self.candle.last_arrived_us, self.window.start_us) + 1
            effects = self._close(min(max(at_us, behind_us), self.window.end_us))
        else:
            effects = self._gate.pass_through(AthDue())
        if self.graduating:
            effects += self._end(GRADUATED_PHASE, at_us)
        self.ended = True
        return effects

    def _floor_us(self, at_us: int) -> int:
        """Give the earliest instant a window with this one may begin at."""
        if self._span_end_us is not None:
            return self._span_end_us
        observed_us = self._life.started_us
        if at_us < observed_us:
            # Cached before the stream began: observed since the create.
            observed_us = min(self._life.base_us, at_us)
        return max(observed_us, self._rows_end_us)

    def _close(self, end_us: int) -> list[Effect]:
        window, candle = self.window, self.candle
        if window is None or candle is None:
            return []
        self.window = self.candle = None
        self._span_end_us = end_us
        self.closed_total += 1
        closed = WindowClosed(candle, window, end_us, self._rules.thresholds)
        return self._gate.pass_through(closed)

    # Between windows: the phase changes, the coin ends.

    def advance(self, at_us: int) -> list[Effect]:
        """Enter the phase of this instant; does nothing while a window runs, and after the end."""
        if self.ended or self.window is not None or not self._life.advance(at_us):
            return []
        phase_id = self._life.phase_id
        if phase_id >= FINISHED_PHASE:
            return self._end(phase_id, at_us)
        effects = [*self._gate.pass_through(PhaseSwitched(phase_id)), self._life.timer]
        if self._watchdog.may_call(at_us):
            renew = RenewSubscription(in_doubt=False, first_doubt=False)
            effects += self._gate.pass_through(renew)
        return effects

    def graduate(self, at_us: int) -> list[Effect]:
        """Make the running window the last; without one the coin ends now, unless it has ended."""
        if self.ended:
            return []
        self.graduating = True
        return self._end(GRADUATED_PHASE, at_us) if self.window is None else []

    def _end(self, phase_id: int, at_us: int) -> list[Effect]:
        self.ended = True
        self._life.phase_id = phase_id
        ended = Ended(phase_id, phase_id == GRADUATED_PHASE, at_us)
        return self._gate.pass_through(AthDue(), ended)
