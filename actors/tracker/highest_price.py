"""The all-time high of one coin, and whether it was told.

Pure. Times are microseconds UTC of the feed clock.
"""

from __future__ import annotations

from actors.domain import AllTimeHigh, Mint
from actors.tracker.effects import Arm, TimerKey


class HighestPrice:
    """Never lowered. Told with the next candle, or when its timer is due, whichever is earlier."""

    __slots__ = ("_is_untold", "_mint", "ath")

    def __init__(self, mint: Mint, ath: AllTimeHigh | None) -> None:
        self._mint = mint
        self._is_untold = False
        self.ath = ath

    def reach(self, price_sol: float, at_us: int, interval_us: int) -> list[Arm]:
        """Take a price that is higher than `ath`; the first untold one sets the timer."""
        self.ath = AllTimeHigh(self._mint, price_sol, at_us)
        if self._is_untold:
            return []
        self._is_untold = True
        return self.timers(at_us, interval_us)

    def timers(self, now_us: int, interval_us: int) -> list[Arm]:
        """Give the timer for what is untold, `interval_us` from now; none when all is told."""
        return [Arm(TimerKey.ATH, now_us + interval_us)] if self._is_untold else []

    def take(self) -> AllTimeHigh | None:
        """Give the all-time high if it is untold; it counts as told from now on."""
        if not self._is_untold:
            return None
        self._is_untold = False
        return self.ath
