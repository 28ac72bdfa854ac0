"""What a writer must not lose when its instance is replaced."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from actors.domain import Mint
from actors.postgres_writer.batch import Backlog
from actors.postgres_writer.codec import CHANGE_KINDS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from actors.spool.entries import Entry, StoredEntry


class ParkedMints:
    """Mints of which something was refused, and with it everything later. Thread-safe.

    A restart takes up a mint behind its newest row, so what comes behind a hole must not be
    written: it would hide the hole. All writers of a process share one of these, as a mint may get
    another writer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mints: set[Mint] = set()
        self._from_us: int | None = None

    def __contains__(self, mint: Mint | None) -> bool:
        return mint in self._mints

    def __len__(self) -> int:
        return len(self._mints)

    @property
    def from_us(self) -> int | None:
        """The earliest arrival among what was refused; the journal is needed from there on."""
        return self._from_us

    def add(self, mint: Mint, window_start_us: int | None) -> None:
        """Note that an item of a mint was refused; None: it was not a candle."""
        with self._lock:
            self._mints.add(mint)
            if window_start_us is not None:
                known = self._from_us
                self._from_us = window_start_us if known is None else min(known, window_start_us)


class Preparation:
    """Where a writer stands in a change of the number of writers.

    Args:
        awaiting: the change whose end is waited for from the start, as a new writer does.
    """

    def __init__(self, awaiting: int | None = None) -> None:
        self._finished = 0
        self.awaiting = awaiting
        """The epoch whose end is waited for, with a held data lane; None: it is business as usual.
        """
        self.prepared = awaiting is not None
        """Whether nothing is held in memory any more."""
        self.began_s = 0.0
        """When the preparation began, in monotonic seconds."""

    def begin(self, epoch: int, now_s: float) -> bool:
        """Begin to prepare; False when this epoch was begun or finished already."""
        if epoch <= max(self._finished, self.awaiting or 0):
            return False
        self.awaiting, self.prepared, self.began_s = epoch, False, now_s
        return True

    def finish(self, epoch: int) -> bool:
        """End the waiting; False when this epoch was finished already, or a later one is awaited.

        An epoch that ends before it was prepared, because nobody waited for this writer any longer,
        is not begun afterwards.
        """
        if epoch <= self._finished or epoch < (self.awaiting or 0):
            return False
        self._finished, self.awaiting, self.prepared = epoch, None, False
        return True

    @property
    def prepared_epoch(self) -> int:
        """The epoch that is prepared and not finished; 0: there is none."""
        return (self.awaiting or 0) if self.prepared else 0


class OnDisk:
    """What a writer has put on disk and not removed; the ledger has its trades as spooled."""

    def __init__(self, entries: int, trades: int, changes: Counter[Mint]) -> None:
        self.entries = entries
        self.trades = trades
        self.changes = changes
        """How many stream changes of each mint are among them."""

    def added(self, entries: Iterable[Entry]) -> int:
        """Note entries that were put; return their trades."""
        return self._count(entries, 1)

    def removed(self, entries: Iterable[StoredEntry]) -> int:
        """Note entries that were removed; return their trades."""
        return -self._count(entries, -1)

    def _count(self, entries: Iterable[Entry | StoredEntry], sign: int) -> int:
        trades = 0
        for entry in entries:
            trades += sign * entry.weight
            self.entries += sign
            if entry.kind in CHANGE_KINDS:
                self.changes[Mint(entry.key)] += sign
        self.trades += trades
        self.changes = +self.changes
        return trades


class WriterState:
    """Made once per writer, by the child spec's factory; every instance of the actor works on it.

    Args:
        adopt: Whether what the spool holds of this writer at its first opening is new to the
            ledger. True at the start of the process; False for a writer that a resize adds, whose
            entries were spooled, and entered, by another writer of this process.
        awaiting_epoch: The resize that adds this writer: it takes no data before its end.
        parking: What the writers of this process have parked; they all share one.
    """

    def __init__(
        self,
        *,
        adopt: bool = True,
        awaiting_epoch: int | None = None,
        parking: ParkedMints | None = None,
    ) -> None:
        self.adopt = adopt
        self.backlog = Backlog()
        self.committed_rows = 0
        self.on_disk: OnDisk | None = None
        """None before the first opening of the spool."""
        self.parking = ParkedMints() if parking is None else parking
        self.parked_rows = 0
        self.moving = Preparation(awaiting_epoch)

    def shared_out(self) -> None:
        """Forget what was on disk: writers of this process have exchanged entries.

        The ledger, which only knows the sum of all, stays as it is.
        """
        self.adopt = False
        self.on_disk = None

    def park(self, mint: Mint, window_start_us: int | None) -> None:
        """Note that an item was refused, and with it everything later of its mint."""
        self.parking.add(mint, window_start_us)
        if window_start_us is not None:
            self.parked_rows += 1

    @property
    def journal_needed_from_us(self) -> int | None:
        """The earliest arrival whose row is neither in the database nor on disk."""
        earliest = [
            us for us in (self.backlog.oldest_window_us, self.parking.from_us) if us is not None
        ]
        return min(earliest, default=None)
