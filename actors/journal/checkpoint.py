"""What the journal's facts say of its frames: from where they are needed, which are done with.

Pure, but for the reading of the journal itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.domain import US_PER_SECOND, Mint
from actors.journal.records import FactRecord

if TYPE_CHECKING:
    from collections.abc import Generator

    from actors.journal.history import MintHistory

RELEASED: Final = "released"
STARTED: Final = "tracker_started"
STOPPED: Final = "tracker_stopped"
LEFT_OUT: Final = "frame_left_out"
HANDED_OVER: Final = "handed_over"
"""The coin cache has given a mint's trades to its tracker, from the number `from_seq` on."""
DRAINED: Final = "drained"
"""The process has ended in order: all that was received is in rows or on disk."""
MEMORY_US: Final = 600 * US_PER_SECOND
"""Trackers remember trades for this long, discovery names for less."""
SEARCH_RECORDS: Final = 4_096
"""Looked through in one step, about 20 ms."""


class Checkpoint(msgspec.Struct, frozen=True):
    """What the journal's facts say about its frames."""

    needed_us: int
    """From here on they are needed."""
    stopped: dict[Mint, int]
    """The last sequence number of each mint's ended tracking."""
    left_out_us: frozenset[int]
    """When those arrived that were left out."""


class _Facts:
    """What is gathered of facts on the way."""

    def __init__(self) -> None:
        self.released_us: int | None = None
        self._has_rows: dict[Mint, bool] = {}
        self._stops: dict[Mint, tuple[FactRecord, bool]] = {}
        self._left_out_us: set[int] = set()

    def take(self, fact: FactRecord) -> None:
        if fact.name == RELEASED:
            self.released_us = _number(fact, "before_us", self.released_us)
        elif fact.name == LEFT_OUT:
            self._left_out_us.add(_number(fact, "frame_us", 0) or 0)
        elif fact.mint is not None:
            self._take_tracking(fact, fact.mint)

    def _take_tracking(self, fact: FactRecord, mint: Mint) -> None:
        if fact.name == STARTED:
            self._has_rows[mint] = "rows_end_us" in fact.details
        elif fact.name == STOPPED:
            self._stops[mint] = (fact, self._has_rows.get(mint, False))

    def checkpoint(self) -> Checkpoint:
        needed_us = self.released_us or 0
        stopped = {
            mint: _number(stop, "through_seq", stop.seq) or 0
            for mint, (stop, had_rows) in self._stops.items()
            if _is_final(stop, needed_us, had_rows=had_rows)
        }
        return Checkpoint(needed_us, stopped, frozenset(self._left_out_us))


def needed_from(history: MintHistory, tail_us: int) -> Generator[None, None, Checkpoint]:
    """Find from where the journal is needed, and which mints' tracking has ended since.

    The note of what is released is renewed every few seconds, so it is looked for near the end
    first, and everywhere only when the end has none, or one of something older.

    Yields:
        Now and then, so that somebody else can have a turn.
    """
    facts = _Facts()
    for since_us in (max(0, tail_us - MEMORY_US), 0):
        facts = _Facts()
        for number, record in enumerate(history.records(since_us=since_us), 1):
            if number % SEARCH_RECORDS == 0:
                yield
            if isinstance(record, FactRecord):
                facts.take(record)
        if facts.released_us is not None and facts.released_us >= since_us:
            # Whatever has ended since was noted later.
            break
    return facts.checkpoint()


def _number(fact: FactRecord, name: str, default: int | None) -> int | None:
    value = fact.details.get(name)
    return value if isinstance(value, int) else default


def _is_final(stop: FactRecord, needed_us: int, *, had_rows: bool) -> bool:
    """Say whether a mint's frames from before its stop are done with.

    Rows and the end of a tracker that has ended by itself may not have been kept if that was
    lately: its frames are replayed then, come to the same end, and give the same rows. They would
    not give the same rows if an earlier tracker's last one was cut inside a cell. But the stream of
    a mint that had rows when this tracking began is known to the database: it would be active
    there, and routed again, had its end not been kept behind all of its rows. Whoever else stopped
    a tracker has done so in the database.
    """
    return not stop.details.get("ended") or had_rows or stop.at_us < needed_us
