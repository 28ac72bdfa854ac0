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
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_T = TypeVar("_T")

_BUSY_S: Final = 5.0
_PAGE_BYTES: Final = 4096
_ENTRY_OVERHEAD_BYTES: Final = 96
"""Columns and index entries beside the payload, for the estimate of the bound."""
_VACUUM_PAGES: Final = 4096
_PAGE_ENTRIES: Final = 1_000
_WAL_BYTES: Final = 16 * 1024 * 1024
_VERSION: Final = 1
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

# The column `trades` is an entry's weight; it got its name when only rows had one.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    trades INTEGER NOT NULL,
    put_us INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_in_order ON entries (owner, id, trades);
CREATE TABLE IF NOT EXISTS marks (owner TEXT PRIMARY KEY, mark INTEGER NOT NULL)
"""


class SpoolError(Exception):
    """Nothing was stored or read; the caller still holds what it wanted to put."""


class SpoolFullError(SpoolError):
    """The bound, or the disk, leaves no room for what was to be put."""


class SpoolUnavailableError(SpoolError):
    """The file cannot be used right now: locked for too long, or an I/O error."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One thing to keep."""

    kind: str
    """What the payload is; the owner's vocabulary."""
    payload: bytes
    key: str = ""
    """The mint, or the id of a batch; entries can be removed and handed to another owner by it."""
    weight: int = 0
    """How many of what its owner counts are inside: received trades, or coins."""


class StoredEntry(msgspec.Struct, frozen=True, gc=False):
    """One thing that is kept. A smaller `id` was put earlier; ids are never used twice."""

    id: int
    kind: str
    key: str
    payload: bytes
    weight: int
    put_us: int


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
        return self._guarded(lambda db: _mark(db, owner))

    def oldest(self, owner: str, limit: int) -> list[StoredEntry]:
        """Read up to `limit` of the owner's entries, oldest first; they stay until `remove`.

        Raises:
            SpoolUnavailableError: they cannot be read right now.
        """
        return self._guarded(lambda db: _oldest(db, owner, limit))

    def of_kinds(self, owned: str, kinds: Sequence[str]) -> list[StoredEntry]:
        """Read the entries of these kinds of all owners whose name begins with `owned`.

        Oldest first, and only the newest of each kind and key.

        Raises:
            SpoolUnavailableError: they cannot be read right now.
        """
        return self._guarded(lambda db: _of_kinds(db, owned, kinds))

    def each_of_kind(self, owned: str, kind: str) -> Iterator[StoredEntry]:
        """Read all entries of a kind of all owners whose name begins with `owned`, oldest first.

        Holds 1,000 of them at a time.

        Raises:
            SpoolUnavailableError: they cannot be read right now.
        """
        after = 0
        while page := self._guarded(partial(_page_of_kind, owned=owned, kind=kind, after=after)):
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
        return self._guarded(lambda db: _count_keys(db, owner, kinds))

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
        if _used_bytes(db) + wanted > self._max_bytes:
            raise SpoolFullError(
                f"the spool {self._path.name} has reached its bound of {self._max_bytes} bytes; "
                "bring the destination back, or raise SPOOL_MAX_MB"
            )
        count, weight = self._total(db, owner)
        with _transaction(db):
            db.executemany(
                "INSERT INTO entries (owner, kind, key, trades, put_us, payload) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [(owner, e.kind, e.key, e.weight, now_us, e.payload) for e in entries],
            )
            if mark is not None:
                db.execute(
                    "INSERT INTO marks (owner, mark) VALUES (?, ?) "
                    "ON CONFLICT (owner) DO UPDATE SET mark = max(mark, excluded.mark)",
                    (owner, mark),
                )
        self._totals[owner] = (count + len(entries), weight + sum(e.weight for e in entries))

    def _remove(self, db: sqlite3.Connection, owner: str, entries: Sequence[StoredEntry]) -> None:
        count, weight = self._total(db, owner)
        with _transaction(db):
            removed = db.executemany(
                "DELETE FROM entries WHERE id = ? AND owner = ?", [(e.id, owner) for e in entries]
            ).rowcount
        if removed == len(entries):
            self._totals[owner] = (count - removed, weight - sum(e.weight for e in entries))
        else:
            self._totals.pop(owner, None)
        _give_back_pages(db)

    def _remove_key(self, db: sqlite3.Connection, owner: str, key: str) -> None:
        with _transaction(db):
            db.execute("DELETE FROM entries WHERE owner = ? AND key = ?", (owner, key))
        self._totals.pop(owner, None)
        _give_back_pages(db)

    def _reassign(self, db: sqlite3.Connection, owned: str, owner_of: Callable[[str], str]) -> int:
        self._totals.clear()
        db.create_function("new_owner", 1, owner_of, deterministic=True)
        with _transaction(db):
            return db.execute(
                "UPDATE entries SET owner = new_owner(key) "
                "WHERE substr(owner, 1, ?) = ? AND owner <> new_owner(key)",
                (len(owned), owned),
            ).rowcount

    def _stats(self, db: sqlite3.Connection, owner: str) -> SpoolStats:
        entries, weight = self._total(db, owner)
        first = db.execute(
            "SELECT put_us FROM entries WHERE owner = ? ORDER BY id LIMIT 1", (owner,)
        ).fetchone()
        return SpoolStats(
            entries=entries,
            weight=weight,
            oldest_put_us=first[0] if first else None,
            file_bytes=_used_bytes(db),
        )

    def _total(self, db: sqlite3.Connection, owner: str) -> tuple[int, int]:
        total = self._totals.get(owner)
        if total is None:
            row = db.execute(
                "SELECT count(*), coalesce(sum(trades), 0) FROM entries WHERE owner = ?", (owner,)
            ).fetchone()
            total = self._totals[owner] = (row[0], row[1])
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
        with _transaction(db):
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")


def _bound(db: sqlite3.Connection, max_bytes: int) -> None:
    # The estimate in `put` is the bound; this only stops a wrong estimate.
    db.execute(f"PRAGMA max_page_count = {max(64, 2 * max_bytes // _PAGE_BYTES)}")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _oldest(db: sqlite3.Connection, owner: str, limit: int) -> list[StoredEntry]:
    rows = db.execute(
        "SELECT id, kind, key, payload, trades, put_us FROM entries "
        "WHERE owner = ? ORDER BY id LIMIT ?",
        (owner, limit),
    )
    return [StoredEntry(*row) for row in rows]


def _mark(db: sqlite3.Connection, owner: str) -> int:
    row = db.execute("SELECT mark FROM marks WHERE owner = ?", (owner,)).fetchone()
    return int(row[0]) if row else 0


def _count_keys(db: sqlite3.Connection, owner: str, kinds: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for kind in kinds:
        rows = db.execute(
            "SELECT key, count(*) FROM entries WHERE owner = ? AND kind = ? GROUP BY key",
            (owner, kind),
        )
        for key, number in rows:
            counts[key] = counts.get(key, 0) + number
    return counts


def _of_kinds(db: sqlite3.Connection, owned: str, kinds: Sequence[str]) -> list[StoredEntry]:
    found: list[StoredEntry] = []
    for kind in kinds:
        rows = db.execute(
            "SELECT id, kind, key, payload, trades, put_us FROM entries WHERE id IN "
            "(SELECT max(id) FROM entries WHERE substr(owner, 1, ?) = ? AND kind = ? GROUP BY key)",
            (len(owned), owned, kind),
        )
        found += [StoredEntry(*row) for row in rows]
    return sorted(found, key=lambda entry: entry.id)


def _page_of_kind(
    db: sqlite3.Connection, *, owned: str, kind: str, after: int
) -> list[StoredEntry]:
    rows = db.execute(
        "SELECT id, kind, key, payload, trades, put_us FROM entries "
        "WHERE id > ? AND substr(owner, 1, ?) = ? AND kind = ? ORDER BY id LIMIT ?",
        (after, len(owned), owned, kind, _PAGE_ENTRIES),
    )
    return [StoredEntry(*row) for row in rows]


def _used_bytes(db: sqlite3.Connection) -> int:
    pages = int(db.execute("PRAGMA page_count").fetchone()[0])
    free = int(db.execute("PRAGMA freelist_count").fetchone()[0])
    return (pages - free) * _PAGE_BYTES


def _give_back_pages(db: sqlite3.Connection) -> None:
    # Bounded work a call, so that the removal of a batch never stands behind that of a gigabyte.
    # `execute` would take one step, and one step gives back one page.
    db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return -1
