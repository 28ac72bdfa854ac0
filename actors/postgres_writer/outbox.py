"""What a writer holds: in memory, and in its part of the spool; and what the ledger knows of it.

Guarantees: what is on disk is older than what is in memory, so taking the disk first keeps the
order. Trades of an item are in the ledger's place "queued" while it is in memory and "spooled"
while it is on disk, and leave it in the same step as the item.
Stream-watch hears of every stream change that is given up; one that is parked stays pending there,
like its mint, until the restart that takes the mint up again.
A spool that cannot be opened counts as empty as long as nothing was ever seen in it: items then go
from memory to the database, and only their safety net is missing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.domain import Mint, Place
from actors.postgres_writer.batch import Item, mint_of, trades_of
from actors.postgres_writer.codec import CHANGE_KINDS, UnreadableEntryError, decode, encode
from actors.postgres_writer.state import OnDisk
from actors.protocol.postgres_writer import CandleClosed, StreamChange
from actors.protocol.stream_watch import StreamChangesGivenUp
from actors.protocol.supervisor import STREAM_WATCH
from actors.spool.store import SpoolError, SpoolStats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.postgres_writer.state import WriterState
    from actors.runtime import Context
    from actors.spool.entries import Entry, StoredEntry
    from actors.spool.store import Spool

MEMORY_ROWS: Final = 50_000
"""Rows kept in memory while the database is away."""

_BATCH_ROWS: Final = 2_000
"""Rows moved to disk at a time: a few ms, one fsync."""
_PUT_AGAIN_S: Final = 1.0
"""A spool that refused is not asked again for this long."""
_EMPTY: Final = SpoolStats(entries=0, weight=0, oldest_put_us=None, file_bytes=0)


class Piece(NamedTuple):
    """An item in hand, and the entry it stands in when it came from disk."""

    item: Item
    entry: StoredEntry | None


class Outbox:
    """See the module's docstring. Blocks as the spool does."""

    def __init__(self, context: Context, state: WriterState, spool: Spool) -> None:
        self._context = context
        self._state = state
        self._spool = spool
        self._stats: SpoolStats | None = None
        self._refusal: str | None = None
        self._put_again_s = 0.0

    def open(self) -> None:
        """Open the spool and count what is there; when that fails it is tried again later."""
        if self._stats is None:
            try:
                self._spool.open()
                self._count()
            except SpoolError as error:
                self._complain(error)

    def close(self) -> None:
        """Store what is in memory and give the spool back."""
        self.store_all()
        self._spool.close()

    def reopen(self) -> None:
        """Count anew what is on disk, because writers of this process have exchanged entries."""
        self._spool.close()
        self._stats = None
        self.open()

    def resize(self, max_bytes: int) -> None:
        """Let the spool grow to another size from now on."""
        self._spool.resize(max_bytes)

    @property
    def stats(self) -> SpoolStats:
        """What is on disk of this writer, as far as it could be counted."""
        return self._stats or _EMPTY

    @property
    def left(self) -> int:
        """Items that are not settled, in memory and on disk."""
        return self.stats.entries + len(self._state.backlog)

    @property
    def full(self) -> bool:
        """Whether memory holds all it may."""
        return self._state.backlog.rows >= MEMORY_ROWS

    def add(self, item: Item) -> bool:
        """Take an item into memory, and say whether it is the first one there."""
        first = not self._state.backlog
        self._state.backlog.add(item, self._context.monotonic_s())
        return first

    def is_parked(self, item: Item) -> bool:
        """Say whether something earlier of the item's mint was parked."""
        return mint_of(item) in self._state.parking

    def park(self, item: Item) -> None:
        """Refuse an item, and from now on everything of its mint: the journal still has its trades.

        A restart takes a mint up behind its newest row; a row behind a hole would hide the hole.
        What belongs to no mint is given up.
        """
        mint = mint_of(item)
        if mint is None:
            self._context.dead_letter(item, "refused", None)
            return
        window_us = item.candle.window_start_us if isinstance(item, CandleClosed) else None
        self._warn_of_parking(mint, window_us)
        self._state.park(mint, window_us)
        trades = trades_of(item)
        self._context.ledger.move(Place.QUEUED, Place.PARKED, trades)
        self._context.telemetry.trades_parked.inc(trades)

    def park_all(self) -> None:
        """Refuse everything in memory, because neither the database nor the spool takes it."""
        while items := self._state.backlog.oldest(_BATCH_ROWS):
            for item in items:
                self.park(item)
            self._state.backlog.drop(len(items))

    def oldest(self, rows: int) -> list[Piece]:
        """Look at the oldest items, from disk as long as there is something.

        Raises:
            SpoolError: There is something on disk, and it cannot be read right now.
        """
        self.open()
        if not self.stats.entries:
            return [Piece(item, None) for item in self._state.backlog.oldest(rows)]
        entries = self._spool.oldest(self._context.name, rows)
        if not entries:
            # A damaged file was moved aside with what it held.
            self._count()
        return [piece for entry in entries if (piece := self._decoded(entry)) is not None]

    def settle(self, pieces: Sequence[Piece], target: Place) -> None:
        """Let go of the oldest pieces, whose trades have reached their place.

        Raises:
            SpoolError: They are still on disk.
        """
        entries = [entry for _, entry in pieces if entry is not None]
        if entries:
            self._remove(entries, target)
            return
        self._state.backlog.drop(len(pieces))
        trades = sum(trades_of(item) for item, _ in pieces)
        self._context.ledger.move(Place.QUEUED, target, trades)

    def give_up(self, pieces: Sequence[Piece], error: Exception) -> None:
        """Let go of the oldest pieces because nobody will ever take them.

        Raises:
            SpoolError: They are still on disk.
        """
        self.settle(pieces, Place.DEAD)
        for item, _ in pieces:
            self._bury(item, error)

    def store_all(self) -> None:
        """Move everything from memory to disk, as far as the spool takes it."""
        while self._state.backlog and self._store(_BATCH_ROWS):
            pass

    def store_oldest(self) -> None:
        """Move the oldest items from memory to disk; nothing happens when the spool refuses."""
        if self._context.monotonic_s() >= self._put_again_s:
            self._store(_BATCH_ROWS)

    def _store(self, rows: int) -> bool:
        self.open()
        items = self._state.backlog.oldest(rows)
        entries, refused = _encoded(items)
        try:
            self._spool.put(self._context.name, entries, self._context.now_us())
        except SpoolError as error:
            self._complain(error)
            self._put_again_s = self._context.monotonic_s() + _PUT_AGAIN_S
            return False
        self._refusal = None
        self._state.backlog.drop(len(items))
        self._context.ledger.move(Place.QUEUED, Place.SPOOLED, self._on_disk().added(entries))
        for item, reason in refused:
            self._context.ledger.move(Place.QUEUED, Place.DEAD, trades_of(item))
            self._bury(item, reason)
        self._recount()
        return True

    def _bury(self, item: Item, reason: Exception) -> None:
        self._context.dead_letter(item, "refused", reason)
        mint = mint_of(item)
        if mint is not None:
            kind, error = type(item).__name__, type(reason).__name__
            self._context.note(mint, "row_dead", kind=kind, error=error)
        if isinstance(item, StreamChange) and mint is not None:
            self._tell_given_up([mint])

    def _decoded(self, entry: StoredEntry) -> Piece | None:
        try:
            return Piece(decode(entry), entry)
        except UnreadableEntryError as error:
            self._remove([entry], Place.DEAD)
            self._context.dead_letter(entry, "refused", error)
            if entry.kind in CHANGE_KINDS:
                self._tell_given_up([Mint(entry.key)])
            return None

    def _tell_given_up(self, mints: Sequence[Mint]) -> None:
        if mints:
            self._context.tell(STREAM_WATCH, StreamChangesGivenUp(tuple(mints)))

    def _remove(self, entries: list[StoredEntry], target: Place) -> None:
        self._spool.remove(self._context.name, entries)
        self._context.ledger.move(Place.SPOOLED, target, self._on_disk().removed(entries))
        self._recount()

    def _recount(self) -> None:
        try:
            self._count()
        except SpoolError as error:
            self._complain(error)

    def _on_disk(self) -> OnDisk:
        if self._state.on_disk is None:
            # The spool refused to be counted when it was opened, and takes entries all the same.
            self._state.on_disk = OnDisk(0, 0, Counter())
        return self._state.on_disk

    def _count(self) -> None:
        """Read the figures, and bring the ledger to them.

        At the start of the process the trades that are found are entered. Later, entries vanish
        only with a damaged file, which the spool has moved aside with an error: they are given up.
        """
        stats, known = self._spool.stats(self._context.name), self._state.on_disk
        if known is None:
            self._state.on_disk = OnDisk(stats.entries, stats.weight, self._changes_found())
            if self._state.adopt:
                self._context.ledger.receive(Place.SPOOLED, stats.weight)
        elif stats.entries < known.entries:
            found = OnDisk(stats.entries, stats.weight, self._changes_found())
            self._state.on_disk = found
            self._context.ledger.move(Place.SPOOLED, Place.DEAD, known.trades - found.trades)
            self._tell_given_up(tuple((known.changes - found.changes).elements()))
        self._stats = stats

    def _changes_found(self) -> Counter[Mint]:
        counts = self._spool.count_keys(self._context.name, sorted(CHANGE_KINDS))
        return Counter({Mint(key): number for key, number in counts.items()})

    def _complain(self, error: SpoolError) -> None:
        reason = str(error)
        if reason != self._refusal:
            self._refusal = reason
            self._context.log.error("spool_refused", reason=reason)

    def _warn_of_parking(self, mint: Mint, window_us: int | None) -> None:
        if not self._state.parking:
            self._context.log.error(
                "rows_parked",
                mint=mint,
                from_us=window_us,
                reason="memory and spool are full; bring the database back, or raise SPOOL_MAX_MB",
            )


def _encoded(items: Sequence[Item]) -> tuple[list[Entry], list[tuple[Item, ValueError]]]:
    entries: list[Entry] = []
    refused: list[tuple[Item, ValueError]] = []
    for item in items:
        try:
            entries.append(encode(item))
        except ValueError as error:
            refused.append((item, error))
    return entries, refused
