"""The indexes of tables that may be large: made while others read and write, and until they are.

A small table gets its index at once. A large one gets it concurrently, outside any transaction;
broken off, that leaves an index that is not valid, and the next call begins it anew. A partitioned
table gets one a partition, which are attached to an index of the whole.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
import structlog
from psycopg import sql

from db.adopt import has_index_on
from db.errors import MigrationError
from db.pool import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from db.pool import Connection

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("mintwatch")
_Result = TypeVar("_Result")

SMALL_BYTES: Final = 16 * 2**20
"""A table up to this size is indexed within about a tenth of a second."""
_PAUSE_S: Final = 0.3
"""After giving way, for those who have waited behind us."""
_PROGRESS_S: Final = 10.0

_IS_BEING_MADE: Final = """
    SELECT EXISTS (
        SELECT FROM pg_stat_progress_create_index
        WHERE datname = current_database() AND index_relid = to_regclass(quote_ident(%s)))
"""


@dataclass(frozen=True)
class _Index:
    """An index as it is wanted. Not unique: any whole index on the same columns will do."""

    name: str
    table: str
    columns: tuple[str, ...]
    order: str = ""
    """SQL behind the last column."""
    where: str = ""
    unique: bool = False
    takes_more: bool = False
    """Unique by more columns will do, where a partitioned table asks for its key."""


INDEXES: Final = (
    _Index(
        "coin_metrics_window_unique",
        "coin_metrics",
        ("mint", "timestamp"),
        where="window_start IS NOT NULL",
        unique=True,
    ),
    _Index("coin_metrics_newest", "coin_metrics", ("mint", "timestamp"), order="DESC"),
    _Index("coin_metrics_time", "coin_metrics", ("timestamp",), order="DESC"),
    _Index(
        "coin_transactions_identity",
        "coin_transactions",
        ("mint", "signature", "trader_public_key", "tx_type", "token_amount"),
        unique=True,
        takes_more=True,
    ),
)


def giving_way(action: Callable[[], _Result], patience_s: float) -> _Result:
    """Do something that waits for locks, again and again while others hold them.

    Args:
        action: Raises LockNotAvailable or DeadlockDetected, and has changed nothing then.
        patience_s: After how long the error is raised.
    """
    until_s = time.monotonic() + patience_s
    is_said = False
    while True:
        try:
            return action()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if time.monotonic() >= until_s:
                raise
            if not is_said:
                _log.info("giving_way", cause="a table is locked by another session")
                is_said = True
            time.sleep(min(_PAUSE_S, patience_s))


def make_indexes(dsn: str, *, lock_timeout_s: float, patience_s: float) -> None:
    """Make the indexes that are missing, one by one.

    Raises:
        MigrationError: An index cannot be; says why.
        psycopg.errors.LockNotAvailable: Somebody holds a table for longer than `patience_s`.
    """
    with connect(
        dsn,
        application_name="mintwatch migrate",
        statement_timeout_s=0,
        lock_timeout_s=lock_timeout_s,
        autocommit=True,
    ) as conn:
        for index in INDEXES:
            _Making(conn, dsn, index, lock_timeout_s, patience_s).make()


class _Making:
    """Makes one index."""

    def __init__(
        self, conn: Connection, dsn: str, index: _Index, lock_timeout_s: float, patience_s: float
    ) -> None:
        self._conn = conn
        self._dsn = dsn
        self._index = index
        self._lock_timeout_s = lock_timeout_s
        self._patience_s = patience_s

    def make(self) -> None:
        index = self._index
        self._wait_for_others()
        if _validity(self._conn, index.name) is True:
            return
        if not index.unique and has_index_on(self._conn, index.table, list(index.columns)):
            return
        columns = (*index.columns, *self._partition_key_left())
        if _size(self._conn, index.table) <= SMALL_BYTES:
            giving_way(lambda: self._at_once(columns), self._patience_s)
        else:
            with _progress(self._dsn, index):
                self._while_others_work(columns)

    def _wait_for_others(self) -> None:
        """Wait while a session makes the index whose client was killed: it goes on to its end."""
        is_said = False
        while self._conn.execute(_IS_BEING_MADE, (self._index.name,)).fetchone() == (True,):
            if not is_said:
                _log.info("waiting_for_index", index=self._index.name)
                is_said = True
            time.sleep(_PAUSE_S)

    def _partition_key_left(self) -> list[str]:
        """Give the columns by which the table is partitioned and which the index lacks."""
        index = self._index
        if not index.unique:
            return []
        rows = self._conn.execute(
            """
            SELECT a.attname FROM pg_partitioned_table p, unnest(p.partattrs::int2[]) AS key
            LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(%(table)s) AND a.attnum = key
            WHERE p.partrelid = to_regclass(%(table)s)
            """,
            {"table": index.table},
        )
        left = [name for (name,) in rows.fetchall() if name not in index.columns]
        if left and (None in left or not index.takes_more):
            raise MigrationError(
                f"{index.table} is partitioned by "
                f"{', '.join(name or 'an expression' for name in left)}, so no row can be "
                f"made unique by {' and '.join(index.columns)}, which mintwatch needs: partition "
                f"it by one of these, or rename it (ALTER TABLE {index.table} RENAME TO "
                f"{index.table}_old), then start again."
            )
        return left

    def _at_once(self, columns: tuple[str, ...]) -> None:
        with self._conn.transaction():
            self._drop_invalid(self._index.name, concurrently=False)
            self._conn.execute(self._definition(columns, self._index.table, self._index.name))

    def _while_others_work(self, columns: tuple[str, ...]) -> None:
        index = self._index
        kind = self._conn.execute(
            "SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", (index.table,)
        ).fetchone()
        if kind == ("p",):
            self._for_partitions(columns, index.table, index.name)
        else:
            self._concurrently(columns, index.table, index.name)

    def _for_partitions(self, columns: tuple[str, ...], table: str, name: str) -> None:
        """Make an index of a whole that is not valid until each partition's is attached."""
        conn = self._conn
        if _validity(conn, name) is None:
            whole = self._definition(columns, table, name, how="ONLY")
            giving_way(lambda: conn.execute(whole), self._patience_s)
        partitions = conn.execute(
            """
            SELECT c.oid::bigint, c.oid::regclass::text, c.relkind = 'p' FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = to_regclass(%s) AND NOT EXISTS (
                SELECT FROM pg_index held JOIN pg_inherits above ON above.inhrelid = held.indexrelid
                WHERE held.indrelid = c.oid AND above.inhparent = to_regclass(%s))
            ORDER BY 1
            """,
            (table, name),
        ).fetchall()
        for oid, partition, is_partitioned in partitions:
            part = f"{self._index.name}_{oid}"
            if is_partitioned:
                self._for_partitions(columns, partition, part)
            elif _validity(conn, part) is not True:
                self._concurrently(columns, partition, part)
            attach = sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(
                sql.Identifier(name), sql.Identifier(part)
            )
            giving_way(lambda attach=attach: conn.execute(attach), self._patience_s)  # type: ignore[misc]

    def _concurrently(self, columns: tuple[str, ...], table: str, name: str) -> None:
        """Make an index that keeps nobody from reading or writing.

        It waits for transactions that are older than itself, and holds nobody up meanwhile.
        """
        conn = self._conn
        self._drop_invalid(name, concurrently=True)
        _log.info("making_index", index=name)
        self._wait_for_locks(self._patience_s)
        try:
            conn.execute(self._definition(columns, table, name, how="CONCURRENTLY"))
        except psycopg.Error:
            with suppress(psycopg.Error):
                self._drop_invalid(name, concurrently=True)
            raise
        finally:
            if not conn.closed:
                self._wait_for_locks(self._lock_timeout_s)

    def _wait_for_locks(self, seconds: float) -> None:
        self._conn.execute(
            "SELECT set_config('lock_timeout', %s, false)", (f"{round(seconds * 1000)}ms",)
        )

    def _drop_invalid(self, name: str, *, concurrently: bool) -> None:
        if _validity(self._conn, name) is False:
            self._conn.execute(
                sql.SQL("DROP INDEX {} {}").format(
                    sql.SQL("CONCURRENTLY" if concurrently else ""), sql.Identifier(name)
                )
            )

    def _definition(
        self, columns: tuple[str, ...], table: str, name: str, how: str = ""
    ) -> sql.Composed:
        index = self._index
        return sql.SQL("CREATE {} INDEX {} {} ON {} {} ({} {}) {}").format(
            sql.SQL("UNIQUE" if index.unique else ""),
            sql.SQL("CONCURRENTLY" if how == "CONCURRENTLY" else ""),
            sql.Identifier(name),
            sql.SQL("ONLY" if how == "ONLY" else ""),
            # A partition's name comes from the catalogue, quoted where it has to be.
            sql.SQL(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(index.order),
            sql.SQL(f"WHERE {index.where}" if index.where else ""),
        )


def _validity(conn: Connection, name: str) -> bool | None:
    """Say whether an index is valid; None: there is none."""
    row = conn.execute(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))", (name,)
    ).fetchone()
    return None if row is None else bool(row[0])


def _size(conn: Connection, table: str) -> int:
    """Give the bytes of a table, with its partitions."""
    row = conn.execute(
        """
        WITH RECURSIVE family AS (
            SELECT to_regclass(%s)::oid AS oid
            UNION SELECT i.inhrelid FROM family JOIN pg_inherits i ON i.inhparent = family.oid
        )
        SELECT coalesce(sum(pg_relation_size(oid)), 0)::bigint FROM family
        """,
        (table,),
    ).fetchone()
    return 0 if row is None else int(row[0])


@contextmanager
def _progress(dsn: str, index: _Index) -> Iterator[None]:
    """Say from time to time how far an index is; what cannot be asked is not said."""
    ended = threading.Event()
    thread = threading.Thread(
        target=_tell_progress, args=(dsn, index, ended), name="index-progress", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _tell_progress(dsn: str, index: _Index, ended: threading.Event) -> None:
    while not ended.wait(_PROGRESS_S):
        with (
            suppress(psycopg.Error),
            connect(dsn, application_name="mintwatch progress", statement_timeout_s=3.0) as conn,
        ):
            row = conn.execute(
                """
                SELECT phase, blocks_done, blocks_total FROM pg_stat_progress_create_index
                WHERE datname = current_database() AND index_relid = to_regclass(%s)
                """,
                (index.name,),
            ).fetchone()
            if row is not None:
                _log.info("making_index", index=index.name, phase=row[0], blocks=row[1], of=row[2])
