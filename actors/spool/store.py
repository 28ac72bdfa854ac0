"""What a writer could not deliver, on disk, in order.

Purpose: one SQLite file under the state folder that holds rows, stream changes and n8n batches
until their destination is back. An entry is opaque here: a kind, a key (the mint, or a batch id)
and bytes that its owner encoded.
Guarantees:
- what `put` has returned from survives a kill -9 of the process and, as far as the disk keeps its
  promises, a power failure (WAL with `synchronous=FULL`: one fsync a call); a call takes effect
  whole or not at all;
- `oldest` gives an owner's entries in the order they were put, so the entries of one key stay in
  order;
- the file stays below `max_bytes` of used pages (its write-ahead log, at most 16 MiB more, not
  counted): past that `put` raises `SpoolFullError`, stores nothing and removes nothing; what to do
  then is the owner's decision;
- a damaged file is moved aside (`<name>.corrupt-1`, ...) with an error in the log, and a new one is
  begun: it never ends the process.
Not guaranteed: exactly once. What was delivered but not yet removed when the process died is
delivered again.
Relies on: one `Spool` object per owner, used by one thread between `open` and `close`. Objects of
several owners share the file; SQLite makes them take turns, and a call waits at most 5 s for the
others.

Errors:
    SpoolError
    |-- SpoolFullError         the bound or the disk leaves no room
    `-- SpoolUnavailableError  the file cannot be opened, read or written right now
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import structlog

from actors.spool.entries import (
    PAGE_BYTES,
    count_keys,
    create_tables,
    delete,
    delete_key,
    give_back_pages,
    insert,
    mark_of,
    newest_of_kinds,
    oldest,
    oldest_put_us,
    page_of_kind,
    reassign,
    total_of,
    used_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from actors.spool.entries import Entry, StoredEntry

_T = TypeVar("_T")

_BUSY_S: Final = 5.0
_ENTRY_OVERHEAD_BYTES: Final = 96
"""Columns and index entries beside the payload, for the estimate of the bound."""
_WAL_BYTES: Final = 16 * 1024 * 1024
_VERSION: Final = 1
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class SpoolError(Exception):
    """Nothing was stored or read; the caller still holds what it wanted to put."""


class SpoolFullError(SpoolError):
    """The bound, or the disk, leaves no room for what was to be put."""


class SpoolUnavailableError(SpoolError):
    """The file cannot be used right now: locked for too long, or an I/O error."""


class SpoolStats(msgspec.Struct, frozen=True):
    """What the spool holds of one owner, and how big the whole file is."""

    entries: int
    weight: int
    """Of all entries together."""
    oldest_put_us: int | None
    file_bytes: int
    """Used pages of the file, all owners together."""


class Spool:
    """See the module's docstring.

    Every method may block for as long as the disk does, and up to 5 s on other owners.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._totals: dict[str, tuple[int, int]] = {}
        self._log = structlog.get_logger("mintwatch").bind(spool=path.name)

    def open(self) -> None:
        """Open or create the file (mode 0600); move a damaged one aside. Harmless when open.

        Raises:
            SpoolUnavailableError: the file or its folder cannot be opened.
        """
        if self._db is None:
            self._guarded(self._check)

    def close(self) -> None:
        """Give the file back. May be called twice; `open` works again afterwards."""
        db, self._db = self._db, None
        self._totals.clear()
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def put(
        self, owner: str, entries: Sequence[Entry], now_us: int, mark: int | None = None
    ) -> None:
        """Append entries behind what the owner has here already; on disk when this returns.

        With a `mark` the owner's mark is raised to it in the same transaction.

        Raises:
            SpoolFullError: no room; nothing was stored.
            SpoolUnavailableError: nothing was stored.
        """
        if entries:
            self._guarded(lambda db: self._put(db, owner, entries, now_us, mark))

    def mark(self, owner: str) -> int:
        """Read the owner's mark, 0 when it never set one; it outlives the entries.

        Raises:
            SpoolUnavailableError: it cannot be read right now.
        """
        return self._guarded(lambda db: mark_of(db, owner))

    def oldest(self, owner: str, limit: int) -> list[StoredEntry]:
        """Read up to `limit` of the owner's entries, oldest first; they stay until `remove`.

        Raises:
            SpoolUnavailableError: they cannot be read right now.
        """
        return self._guarded(lambda db: oldest(db, owner, limit))

    def of_kinds(self, owned: str, kinds: Sequence[str]) -> list[StoredEntry]:
        """Read the entries of these kinds of all owners whose name begins with `owned`.

        Oldest first, and only the newest of each kind and key.

        Raises:
            SpoolUnavailableError: they cannot be read right now.
        """
        return self._guarded(lambda db: newest_of_kinds(db, owned, kinds))

    def each_of_kind(self, owned: str, kind: str) -> Iterator[StoredEntry]:
        """Read all entries of a kind of all owners whose name begins with `owned`, oldest first.

        Holds 1,000 of them at a time.

        Raises:
            SpoolUnavailableError: they cannot be read right now.
        """
        after = 0
        while page := self._guarded(partial(page_of_kind, owned=owned, kind=kind, after=after)):
            yield from page
            after = page[-1].id

    def remove(self, owner: str, entries: Sequence[StoredEntry]) -> None:
        """Forget entries that were delivered; freed pages go back to the disk bit by bit.

        Raises:
            SpoolUnavailableError: nothing was removed.
        """
        if entries:
            self._guarded(lambda db: self._remove(db, owner, entries))

    def remove_key(self, owner: str, key: str) -> None:
        """Forget the owner's entries of one key.

        Raises:
            SpoolUnavailableError: nothing was removed.
        """
        self._guarded(lambda db: self._remove_key(db, owner, key))

    def stats(self, owner: str) -> SpoolStats:
        """Count what is here of an owner.

        Scans an index the first time after `open`, and costs microseconds afterwards.

        Raises:
            SpoolUnavailableError: it cannot be read right now.
        """
        return self._guarded(lambda db: self._stats(db, owner))

    def count_keys(self, owner: str, kinds: Sequence[str]) -> dict[str, int]:
        """Count the owner's entries of these kinds by their key.

        Reads all of the owner's entries: 10 ms for 12,000.

        Raises:
            SpoolUnavailableError: they cannot be read right now.
        """
        return self._guarded(lambda db: count_keys(db, owner, kinds))

    def resize(self, max_bytes: int) -> None:
        """Use another bound from now on; what is here stays, also when it is more than that."""
        self._max_bytes = max_bytes
        if self._db is not None:
            with suppress(sqlite3.Error):
                _bound(self._db, max_bytes)

    def reassign(self, owned: str, owner_of: Callable[[str], str]) -> int:
        """Hand entries to other owners by their key, in unchanged order; return how many moved.

        Only while none of the owners concerned delivers from the spool: at start, or while all of
        them wait for it. They count anew afterwards (`close`, `open`). Other owners wait as long as
        this takes: 0.5 s for 100,000 entries of 700 bytes (2 shared cores), which then stand in the
        write-ahead log once.

        Args:
            owned: only owners whose name begins with this.
            owner_of: the new owner for a key; asked for each entry, twice when it moves.

        Raises:
            SpoolFullError: the disk has no room for the write-ahead log; nothing was moved.
            SpoolUnavailableError: nothing was moved.
        """
        return self._guarded(lambda db: self._reassign(db, owned, owner_of))

    # One transaction each.

    def _put(
        self,
        db: sqlite3.Connection,
        owner: str,
        entries: Sequence[Entry],
        now_us: int,
        mark: int | None,
    ) -> None:
        wanted = sum(len(entry.payload) + _ENTRY_OVERHEAD_BYTES for entry in entries)
        if used_bytes(db) + wanted > self._max_bytes:
            raise SpoolFullError(
                f"the spool {self._path.name} has reached its bound of {self._max_bytes} bytes; "
                "bring the destination back, or raise SPOOL_MAX_MB"
            )
        count, weight = self._total(db, owner)
        insert(db, owner, entries, now_us, mark)
        self._totals[owner] = (count + len(entries), weight + sum(e.weight for e in entries))

    def _remove(self, db: sqlite3.Connection, owner: str, entries: Sequence[StoredEntry]) -> None:
        count, weight = self._total(db, owner)
        removed = delete(db, owner, entries)
        if removed == len(entries):
            self._totals[owner] = (count - removed, weight - sum(e.weight for e in entries))
        else:
            self._totals.pop(owner, None)
        give_back_pages(db)

    def _remove_key(self, db: sqlite3.Connection, owner: str, key: str) -> None:
        delete_key(db, owner, key)
        self._totals.pop(owner, None)
        give_back_pages(db)

    def _reassign(self, db: sqlite3.Connection, owned: str, owner_of: Callable[[str], str]) -> int:
        self._totals.clear()
        return reassign(db, owned, owner_of)

    def _stats(self, db: sqlite3.Connection, owner: str) -> SpoolStats:
        entries, weight = self._total(db, owner)
        return SpoolStats(
            entries=entries,
            weight=weight,
            oldest_put_us=oldest_put_us(db, owner),
            file_bytes=used_bytes(db),
        )

    def _total(self, db: sqlite3.Connection, owner: str) -> tuple[int, int]:
        total = self._totals.get(owner)
        if total is None:
            total = self._totals[owner] = total_of(db, owner)
        return total

    # The file and its failures.

    def _guarded(self, step: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run a step; a damaged file is moved aside and the step runs once more, on a new one."""
        try:
            return self._translated(step)
        except _DamagedError as damage:
            self._move_aside(str(damage))
            try:
                return self._translated(step)
            except _DamagedError as again:
                raise SpoolUnavailableError(f"the spool cannot be used: {again}") from again

    def _translated(self, step: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return step(self._current())
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGED:
                raise _DamagedError(str(error)) from error
            if code == sqlite3.SQLITE_FULL:
                raise SpoolFullError(f"no room for the spool {self._path.name}: {error}") from error
            self.close()
            raise SpoolUnavailableError(f"the spool {self._path.name} failed: {error}") from error
        except OSError as error:
            self.close()
            raise SpoolUnavailableError(f"the spool cannot be opened: {error}") from error

    def _current(self) -> sqlite3.Connection:
        """Give the connection, opened anew when another owner has moved the file aside."""
        if self._db is not None and self._inode != _inode(self._path):
            self.close()
        if self._db is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._inode = _inode(self._path)
            self._db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            _prepare(self._db, self._max_bytes)
        return self._db

    @staticmethod
    def _check(db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            raise _DamagedError(f"its format is {version}, this program reads {_VERSION}")

    def _move_aside(self, reason: str) -> None:
        mine = self._inode
        self.close()
        if _inode(self._path) != mine:
            return  # another owner was faster
        aside = next(
            name
            for number in range(1, 1_000_000)
            if not (name := self._path.with_name(f"{self._path.name}.corrupt-{number}")).exists()
        )
        try:
            for suffix in ("-wal", "-shm", ""):
                part = self._path.with_name(self._path.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
        except OSError as error:
            raise SpoolUnavailableError(
                f"a damaged spool cannot be moved aside: {error}"
            ) from error
        self._log.error("spool_damaged", reason=reason, moved_to=str(aside))


class _DamagedError(Exception):
    """The file is not, or no longer, a spool."""


def _prepare(db: sqlite3.Connection, max_bytes: int) -> None:
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    _bound(db, max_bytes)
    if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        create_tables(db, _VERSION)


def _bound(db: sqlite3.Connection, max_bytes: int) -> None:
    # The estimate in `put` is the bound; this only stops a wrong estimate.
    db.execute(f"PRAGMA max_page_count = {max(64, 2 * max_bytes // PAGE_BYTES)}")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1
