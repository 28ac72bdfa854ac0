"""What a writer must not lose when its instance is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.postgres_writer.batch import Backlog

if TYPE_CHECKING:
    from actors.domain import Mint


class WriterState:
    """Made once per writer, by the child spec's factory; every instance of the actor works on it.

    Args:
        adopt: Whether what the spool holds of this writer at its first opening is new to the
        ledger.
            True at the start of the process; False for a writer that a resize adds, whose entries
            were spooled, and entered, by another writer of this process.
    """

    def __init__(self, *, adopt: bool = True) -> None:
        self.adopt = adopt
        self.backlog = Backlog()
        self.committed_rows = 0
        self.spooled_trades: int | None = None
        """Trades that the ledger has as spooled for this writer; None before the first opening."""
        self.parked_mints: set[Mint] = set()
        self.parked_rows = 0
        self.parked_from_us: int | None = None

    def park(self, mint: Mint, window_start_us: int | None) -> None:
        """Note that an item was refused, and with it everything later of its mint.

        What came before and what comes after a hole must not be told apart by a restart, which
        takes up a mint behind its newest row.
        """
        self.parked_mints.add(mint)
        if window_start_us is not None:
            self.parked_rows += 1
            known = self.parked_from_us
            self.parked_from_us = window_start_us if known is None else min(known, window_start_us)

    @property
    def journal_needed_from_us(self) -> int | None:
        """The earliest arrival whose row is neither in the database nor on disk."""
        earliest = [
            us for us in (self.backlog.oldest_window_us, self.parked_from_us) if us is not None
        ]
        return min(earliest, default=None)
