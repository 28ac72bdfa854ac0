"""How much of a time was observed.

Pure. Observed means: the feed live, this coin's subscription acknowledged and not in doubt.
Times are microseconds UTC.
"""

from __future__ import annotations

from typing import Final

MEMORY_SPANS: Final = 256


class MintCoverage:
    """The last 256 observed spans; older ones are forgotten and count as not observed.

    Changes come in order, but one may be dated back: the loss of a feed is dated to its last frame.
    """

    __slots__ = ("_ended", "_since_us")

    def __init__(self) -> None:
        self._ended: tuple[tuple[int, int], ...] = ()
        self._since_us: int | None = None

    @property
    def on(self) -> bool:
        """Whether trades are known to reach this machine now."""
        return self._since_us is not None

    def change(self, *, covered: bool, at_us: int) -> None:
        """Begin or end an observed span. Repeating what is known already changes nothing."""
        if covered and self._since_us is None:
            self._since_us = max(at_us, self._ended[-1][1]) if self._ended else at_us
        elif not covered and self._since_us is not None:
            span = (self._since_us, max(at_us, self._since_us))
            self._ended = (*self._ended, span)[-MEMORY_SPANS:]
            self._since_us = None

    def within_us(self, start_us: int, end_us: int) -> int:
        """Tell how many microseconds of `[start_us, end_us)` were observed, as known now."""
        covered = sum(max(0, min(b, end_us) - max(a, start_us)) for a, b in self._ended)
        if self._since_us is not None:
            covered += max(0, end_us - max(self._since_us, start_us))
        return covered

    def forget_before(self, at_us: int) -> None:
        """Drop spans that ended at or before an instant nobody will ask about again."""
        if self._ended and self._ended[0][1] <= at_us:
            self._ended = tuple(span for span in self._ended if span[1] > at_us)
