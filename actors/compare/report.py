"""What a comparison has found: counts, totals, and the hours that differ most. Pure."""

from __future__ import annotations

from collections import Counter
from heapq import heappush, heappushpop
from typing import TYPE_CHECKING, Final

from actors.compare.reasons import AGREEING, Reason
from actors.compare.rows import NOTHING, Figures, added

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.compare.judging import ComparedHour

KEPT: Final = 10_000
"""Hours kept of those that agree but are not the same, and as many of all others."""


class Total:
    """Rows and figures of one side."""

    def __init__(self) -> None:
        self.rows = 0
        self.figures: Figures = NOTHING

    def add(self, rows: int, figures: Figures) -> None:
        """Add what an hour says."""
        self.rows += rows
        self.figures = added(self.figures, figures)


class CompareReport:
    """Counts every hour and keeps the largest differences. Bounded: twice `KEPT` hours."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._differing: list[_Ranked] = []
        self._agreeing: list[_Ranked] = []
        self._order = 0
        self.counts: Counter[Reason] = Counter()
        self.coins = 0
        self.theirs = Total()
        self.ours = Total()
        self.notes: list[str] = []

    def add_coin(self, hours: Sequence[ComparedHour]) -> None:
        """Count the hours of one coin; one without an hour that was asked for is none."""
        self.coins += bool(hours)
        for hour in hours:
            self.counts[hour.reason] += 1
            self.theirs.add(hour.theirs.rows, hour.theirs.figures)
            self.ours.add(hour.ours.rows, hour.ours.figures)
            if hour.reason is not Reason.SAME:
                self._keep(hour)

    def _keep(self, hour: ComparedHour) -> None:
        heap = self._agreeing if hour.reason in AGREEING else self._differing
        # Of equal ones the first stays.
        self._order -= 1
        ranked = (hour.size, self._order, hour)
        if len(heap) < self._kept:
            heappush(heap, ranked)
        else:
            heappushpop(heap, ranked)

    @property
    def hours(self) -> int:
        """Hours that were compared: one coin in one hour each."""
        return sum(self.counts.values())

    @property
    def differing(self) -> int:
        """Hours in which one side has trades that the other lacks."""
        return sum(number for reason, number in self.counts.items() if reason not in AGREEING)

    @property
    def noted(self) -> int:
        """Hours that are not the same on both sides, whatever the reason."""
        return self.hours - self.counts[Reason.SAME]

    def largest(self) -> list[ComparedHour]:
        """List what is kept, the biggest first: hours that differ, then those that agree."""
        return [
            hour
            for heap in (self._differing, self._agreeing)
            for _, _, hour in sorted(heap, reverse=True)
        ]


_Ranked = tuple[tuple[int, int], int, "ComparedHour"]
