"""The entries of a spool as SQLite keeps them: every statement about them, a function each.

Here are neither bounds nor retries: `store` sees to those. What changes something is one
transaction. `sqlite3.Error` is let through.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PAGE_BYTES: Final = 4096
_VACUUM_PAGES: Final = 4096
_PAGE_ENTRIES: Final = 1_000

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


def create_tables(db: sqlite3.Connection, version: int) -> None:
    """Make an empty database a spool of this version."""
    with _transaction(db):
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")


def insert(
    db: sqlite3.Connection, owner: str, entries: Sequence[Entry], now_us: int, mark: int | None
) -> None:
    """Append entries behind what the owner has; raise the owner's mark when one is given."""
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


def delete(db: sqlite3.Connection, owner: str, entries: Sequence[StoredEntry]) -> int:
    """Remove an owner's entries; return how many of them were there."""
    with _transaction(db):
        return db.executemany(
            "DELETE FROM entries WHERE id = ? AND owner = ?", [(e.id, owner) for e in entries]
        ).rowcount


def delete_key(db: sqlite3.Connection, owner: str, key: str) -> None:
    """Remove an owner's entries of one key."""
    with _transaction(db):
        db.execute("DELETE FROM entries WHERE owner = ? AND key = ?", (owner, key))


def reassign(db: sqlite3.Connection, owned: str, owner_of: Callable[[str], str]) -> int:
    """Give entries of owners whose name begins with `owned` their new owner; count the moved."""
    db.create_function("new_owner", 1, owner_of, deterministic=True)
    with _transaction(db):
        return db.execute(
            "UPDATE entries SET owner = new_owner(key) "
            "WHERE substr(owner, 1, ?) = ? AND owner <> new_owner(key)",
            (len(owned), owned),
        ).rowcount


def total_of(db: sqlite3.Connection, owner: str) -> tuple[int, int]:
    """Count an owner's entries and add up their weights."""
    row = db.execute(
        "SELECT count(*), coalesce(sum(trades), 0) FROM entries WHERE owner = ?", (owner,)
    ).fetchone()
    return row[0], row[1]


def oldest_put_us(db: sqlite3.Connection, owner: str) -> int | None:
    """Tell when an owner's oldest entry was put; None: there is none."""
    first = db.execute(
        "SELECT put_us FROM entries WHERE owner = ? ORDER BY id LIMIT 1", (owner,)
    ).fetchone()
    return first[0] if first else None


def oldest(db: sqlite3.Connection, owner: str, limit: int) -> list[StoredEntry]:
    """Read up to `limit` of an owner's entries, oldest first."""
    rows = db.execute(
        "SELECT id, kind, key, payload, trades, put_us FROM entries "
        "WHERE owner = ? ORDER BY id LIMIT ?",
        (owner, limit),
    )
    return [StoredEntry(*row) for row in rows]


def mark_of(db: sqlite3.Connection, owner: str) -> int:
    """Read an owner's mark, 0 when it never set one."""
    row = db.execute("SELECT mark FROM marks WHERE owner = ?", (owner,)).fetchone()
    return int(row[0]) if row else 0


def count_keys(db: sqlite3.Connection, owner: str, kinds: Sequence[str]) -> dict[str, int]:
    """Count an owner's entries of these kinds by their key."""
    counts: dict[str, int] = {}
    for kind in kinds:
        rows = db.execute(
            "SELECT key, count(*) FROM entries WHERE owner = ? AND kind = ? GROUP BY key",
            (owner, kind),
        )
        for key, number in rows:
            counts[key] = counts.get(key, 0) + number
    return counts


def newest_of_kinds(db: sqlite3.Connection, owned: str, kinds: Sequence[str]) -> list[StoredEntry]:
    """Read the newest entry of each of these kinds and each key, oldest first."""
    found: list[StoredEntry] = []
    for kind in kinds:
        rows = db.execute(
            "SELECT id, kind, key, payload, trades, put_us FROM entries WHERE id IN "
            "(SELECT max(id) FROM entries WHERE substr(owner, 1, ?) = ? AND kind = ? GROUP BY key)",
            (len(owned), owned, kind),
        )
        found += [StoredEntry(*row) for row in rows]
    return sorted(found, key=lambda entry: entry.id)


def page_of_kind(db: sqlite3.Connection, *, owned: str, kind: str, after: int) -> list[StoredEntry]:
    """Read up to 1,000 entries of a kind with ids above `after`, oldest first."""
    rows = db.execute(
        "SELECT id, kind, key, payload, trades, put_us FROM entries "
        "WHERE id > ? AND substr(owner, 1, ?) = ? AND kind = ? ORDER BY id LIMIT ?",
        (after, len(owned), owned, kind, _PAGE_ENTRIES),
    )
    return [StoredEntry(*row) for row in rows]


def used_bytes(db: sqlite3.Connection) -> int:
    """Measure the pages that hold something, all owners together."""
    pages = int(db.execute("PRAGMA page_count").fetchone()[0])
    free = int(db.execute("PRAGMA freelist_count").fetchone()[0])
    return (pages - free) * PAGE_BYTES


def give_back_pages(db: sqlite3.Connection) -> None:
    """Let the disk have up to 4,096 freed pages."""
    # Bounded work a call, so that the removal of a batch never stands behind that of a gigabyte.
    # `execute` would take one step, and one step gives back one page.
    db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")


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
