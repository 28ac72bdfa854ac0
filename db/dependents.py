"""What stands on columns whose type changes: written down, dropped, and made again as it was.

PostgreSQL refuses to change the type of a column that a view, a rule, a trigger or a policy names.
So these are written down with owner, privileges, comments and options, dropped, and made again from
what was written, all in the caller's transaction: either everything is there again, or nothing was
changed. What stands on them in turn (views on views) goes the same way.

Materialised views come back empty, because filling them takes as long as their queries do. A table,
`mintwatch_to_refill`, names them until `refill` has filled each, after the commit.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg
import structlog
from psycopg import sql

from db.catalogue import Written, write_down
from db.errors import MigrationError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from db.pool import Connection

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("mintwatch")

_TO_REFILL: Final = "mintwatch_to_refill"


@contextmanager
def set_aside(conn: Connection, table: str, columns: Iterable[str]) -> Iterator[None]:
    """Take away what stands on some columns of a table, and put it back at the end of the block.

    Args:
        conn: With an open transaction.
        table: The table; its partitions and whatever inherits from it count as well.
        columns: The columns whose type changes in the block.

    Raises:
        MigrationError: Something can be neither changed, taken away nor made again, which the text
            names. The transaction has to be rolled back.
    """
    with _qualified_names(conn, table) as oid:
        written = [] if oid is None else write_down(conn, oid, list(columns))
        for each in written:
            _execute(conn, each.drop, f"The {each.name} cannot be set aside")
    with _refusal_named(f"The columns of {table} cannot be changed"):
        yield
    with _qualified_names(conn, table):
        for each in reversed(written):
            _make_again(conn, each)
    _note_empty(conn, [each.to_refill for each in reversed(written) if each.to_refill])


def refill(conn: Connection) -> None:
    """Fill the materialised views that came back empty.

    One that its own query does not let be filled is said in the log, and left to its owner.

    Args:
        conn: In autocommit. Each view is a transaction of its own, which may take minutes.
    """
    if conn.execute("SELECT to_regclass(%s)", (_TO_REFILL,)).fetchone() == (None,):
        return
    table = sql.Identifier(_TO_REFILL)
    waiting = conn.execute(sql.SQL("SELECT view FROM {} ORDER BY place").format(table)).fetchall()
    for (view,) in waiting:
        _log.info("filling_view", view=view)
        try:
            if conn.execute("SELECT to_regclass(%s)", (view,)).fetchone() != (None,):
                # The text of a regclass, which is quoted where it has to be.
                conn.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.SQL(view)))
        except psycopg.Error as error:
            if conn.broken:
                raise
            _log.warning("view_not_filled", view=view, error=one_line(error))
        conn.execute(sql.SQL("DELETE FROM {} WHERE view = %s").format(table), (view,))
    conn.execute(sql.SQL("DROP TABLE {}").format(table))


@contextmanager
def _qualified_names(conn: Connection, table: str) -> Iterator[int | None]:
    """Have the catalogue write every name with its schema, and read it so; give the table's oid."""
    found = conn.execute(
        "SELECT to_regclass(%s)::oid::bigint, pg_catalog.current_setting('search_path')", (table,)
    )
    ((oid, search_path),) = found.fetchall()
    conn.execute("SELECT pg_catalog.set_config('search_path', '', true)")
    yield oid
    conn.execute("SELECT pg_catalog.set_config('search_path', %s, true)", (search_path,))


def _make_again(conn: Connection, written: Written) -> None:
    trouble = f"The {written.name} cannot be made again"
    for statement in written.make:
        _execute(conn, statement, trouble)
    if written.privileges is None:
        return
    # Default privileges may have given others something; what was written is all there is.
    granted = conn.execute(
        """
        SELECT DISTINCT CASE WHEN held.grantee = 0 THEN 'PUBLIC' ELSE held.grantee::regrole::text
            END
        FROM pg_catalog.pg_class, pg_catalog.aclexplode(relacl) held
        WHERE oid = pg_catalog.to_regclass(%s)
        """,
        (written.relation,),
    ).fetchall()
    for (grantee,) in granted:
        _execute(conn, f"REVOKE ALL ON {written.relation} FROM {grantee}", trouble)
    for statement in written.privileges:
        _execute(conn, statement, trouble)


def _note_empty(conn: Connection, views: list[str]) -> None:
    if not views:
        return
    table = sql.Identifier(_TO_REFILL)
    conn.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS {} (place bigserial, view text PRIMARY KEY)").format(
            table
        )
    )
    for view in views:
        # Behind those that it may stand on.
        conn.execute(sql.SQL("DELETE FROM {} WHERE view = %s").format(table), (view,))
        conn.execute(sql.SQL("INSERT INTO {} (view) VALUES (%s)").format(table), (view,))


def _execute(conn: Connection, statement: str, trouble: str) -> None:
    with _refusal_named(trouble):
        # The catalogue's own words: a name is quoted in them where it has to be.
        conn.execute(statement.encode())


@contextmanager
def _refusal_named(trouble: str) -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.OperationalError):
        raise
    except psycopg.Error as error:
        said = "; ".join(filter(None, (error.diag.message_primary, error.diag.message_detail)))
        raise MigrationError(
            f"{trouble}: {' '.join(said.split())}. Nothing was changed. Take that away, migrate, "
            "and make it again."
        ) from error
