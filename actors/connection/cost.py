"""What the feed costs: PumpPortal charges 0.01 SOL for every 10,000 trade messages delivered."""

from __future__ import annotations

from typing import Final

SOL_PER_FRAME: Final = 0.01 / 10_000
WARN_AT_SOL: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Estimated costs since the start that are worth a warning, each once."""


class FeedCost:
    """Counts billed frames since the start of the process."""

    def __init__(self) -> None:
        self.frames = 0
        self._warned = 0

    @property
    def cost_sol(self) -> float:
        """Estimated cost of the frames so far, in SOL."""
        return round(self.frames * SOL_PER_FRAME, 9)

    def count(self, frames: int) -> float | None:
        """Count trade frames; return the highest warning mark that was passed just now, in SOL."""
        self.frames += frames
        passed = None
        while self._warned < len(WARN_AT_SOL) and self.cost_sol >= WARN_AT_SOL[self._warned]:
            passed = WARN_AT_SOL[self._warned]
            self._warned += 1
        return passed
