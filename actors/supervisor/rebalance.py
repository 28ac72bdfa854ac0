"""A change of the number of postgres-writers, as a small state machine. Pure.

1. Writers that are new start and wait.
2. The table of routes is switched; every old writer finds the announcement behind the last message
   that was sent to it before. It commits or spools what it holds, waits, and says so.
3. When all have said so the spool is shared out anew, the others go on, and writers that are no
   longer wanted stop. The change is over when they have.

So rows of one mint never stand with two writers, and commit in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass
class WriterMove:
    """One change that is under way."""

    epoch: int
    before: tuple[str, ...]
    after: tuple[str, ...]
    waiting_for: set[str]
    """Old writers that still hold something."""
    ending: set[str] = field(default_factory=set)
    """Writers that were told to stop: their names are not free yet."""
    rows_committed: int = 0
    """What those have committed in their time."""
    reply: Any = None
    """A future of whoever asked for it, if anyone."""

    @property
    def leaving(self) -> tuple[str, ...]:
        """Writers that are no longer wanted."""
        return tuple(name for name in self.before if name not in self.after)

    def prepared(self, name: str, epoch: int) -> bool:
        """Strike a writer that holds nothing any more; True when it was the last one."""
        if epoch != self.epoch or name not in self.waiting_for:
            return False
        self.waiting_for.discard(name)
        return not self.waiting_for


def joining(before: Iterable[str], after: Iterable[str]) -> tuple[str, ...]:
    """Give the writers that are new."""
    known = set(before)
    return tuple(name for name in after if name not in known)
