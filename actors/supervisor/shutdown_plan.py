"""The order in which everything ends, as a small state machine. Pure.

1. READING: the connection reads no more; what it read is in mailboxes, every route is closed.
2. DECIDING: discovery decides on everything that was read; coins it activates are still tracked,
   so that the trades it has cached of them get into rows, and the writers hear of every coin.
3. TRACKERS: each tracker cuts and hands over its candle, then ends; so nothing is written after 4.
4. WRITERS: postgres-writers and n8n-writer deliver what they hold, or leave it on disk.
5. DONE: the process may end.

Each stage has a share of the deadline, and what the stages before it have left of theirs: behind a
saturated feed discovery may have seconds to decide on. When it is used up, the next stage begins
without those who are late.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class Stage(IntEnum):
    """How far the drain has come."""

    RUNNING = 0
    READING = 1
    DECIDING = 2
    TRACKERS = 3
    WRITERS = 4
    DONE = 5


SHARES: Final = {
    Stage.READING: 0.2,
    Stage.DECIDING: 0.2,
    Stage.TRACKERS: 0.2,
    Stage.WRITERS: 0.4,
}
"""Parts of DRAIN_TIMEOUT."""


@dataclass
class DrainPlan:
    """Where the drain stands, and for whom it waits."""

    timeout_s: float
    begun_s: float = 0.0
    """On the monotonic clock."""
    stage: Stage = Stage.RUNNING
    reason: str = ""
    exit_code: int = 0
    waiting_for: set[str] = field(default_factory=set)
    undelivered: int = 0

    @property
    def active(self) -> bool:
        """Whether the drain has begun."""
        return self.stage is not Stage.RUNNING

    @property
    def takes_coins(self) -> bool:
        """Whether a coin can still get a tracker: until all that was read is decided on."""
        return self.stage < Stage.TRACKERS

    @property
    def complete(self) -> bool:
        """Whether nobody is waited for in this stage."""
        return not self.waiting_for

    def begin(self, reason: str, exit_code: int, reader: str, now_s: float) -> None:
        """Enter the first stage."""
        self.begun_s = now_s
        self.stage = Stage.READING
        self.reason = reason
        self.exit_code = exit_code
        self.waiting_for = {reader}

    def next(self, waiting_for: Iterable[str]) -> Stage:
        """Enter the next stage and wait for the given names."""
        self.stage = Stage(self.stage + 1)
        self.waiting_for = set(waiting_for)
        return self.stage

    def arrived(self, name: str) -> bool:
        """Strike a name; True when that was the last one of the stage."""
        self.waiting_for.discard(name)
        return self.complete

    def stage_s(self, now_s: float) -> float:
        """Give the seconds that the present stage may take from now on."""
        share_s = self.timeout_s * SHARES.get(self.stage, 0.0)
        until_s = self.timeout_s * sum(SHARES[each] for each in SHARES if each <= self.stage)
        return max(share_s, self.begun_s + until_s - now_s)
