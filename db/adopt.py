"""Bring an existing table to a wanted shape without losing what it holds.

Used by the migrations. Every function looks first and changes only what differs, inside the
caller's transaction. None drops a column or a row: rows that stand in the way of a unique key move
to a side table of the same columns. Views and the like on a column whose type changes are there
again afterwards (`db.dependents`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import sql

from db.dependents import set_aside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from db.pool import Connection

_VARCHAR_HEADER: Final = 4
"""A varchar's modifier is its length plus this."""


@dataclass(frozen=True)
class Column:
    """A column as it is wanted: a name, an SQL type, and its default as SQL (empty: none)."""

    name: str
    type: str
    default: str = ""

    def definition(self) -> sql.Composable:
        """Write it as CREATE TABLE and ADD COLUMN take it."""
        default = sql.SQL(f" DEFAULT {self.default}" if self.default else "")
        return sql.SQL("{} {}{}").format(sql.Identifier(self.name), sql.SQL(self.type), default)


def ensure_table(
    conn: Connection, table: str, columns: Iterable[Column], constraints: Iterable[str] = ()
) -> None:
    """Create the table, or add the columns it lacks and widen its text columns that are too short.

    Args:
        conn: With an open transaction.
        table: The table.
        columns: What it must have at least.
        constraints: SQL of the constraints that a new table gets; an existing one keeps its own.
    """
    wanted = tuple(columns)
    parts = [*(column.definition() for column in wanted), *map(sql.SQL, constraints)]
    conn.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(
            sql.Identifier(table), sql.SQL(", ").join(parts)
        )
    )
    for column in wanted:
        conn.execute(
            sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {}").format(
                sql.Identifier(table), column.definition()
            )
        )
    _widen_texts(conn, table, wanted)


def ensure_view(conn: Connection, name: str, columns: Iterable[str], rest: str) -> bool:
    """Make a view, unless there is a relation of this name, whatever it is; say whether it did.

    Args:
        conn: With an open transaction.
        name: The view.
        columns: SQL of each.
        rest: SQL from FROM on.
    """
    if conn.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchone() == (True,):
        return False
    conn.execute(
        sql.SQL("CREATE VIEW {} AS SELECT {} {}").format(
            sql.Identifier(name), sql.SQL(", ").join(map(sql.SQL, columns)), sql.SQL(rest)
        )
    )
    return True


def unconstrain(conn: Connection, table: str, names: Iterable[str]) -> None:
    """Turn numeric(p,s) columns into numeric, which takes every digit; only the catalogue changes.

    A column of another type stays: double precision holds a float exactly, and to change it would
    rewrite the table and give another type to the scripts that read it.
    """
    found = _types(conn, table)
    _retype(conn, table, {name: "numeric" for name in names if found[name].startswith("numeric(")})


def ensure_time_zones(conn: Connection, table: str, names: Iterable[str]) -> None:
    """Turn `timestamp` columns into `timestamptz`, read as UTC whatever the session's zone is.

    In a UTC session only the catalogue changes.
    """
    found = _types(conn, table)
    plain = {name: "timestamptz" for name in names if found[name] == "timestamp without time zone"}
    if plain:
        # A pooler may have kept the zone that the connection asked for from the server.
        conn.execute("SET LOCAL timezone = 'UTC'")
        _retype(conn, table, plain)


def ensure_unique(conn: Connection, table: str, key: str, newest_first: str) -> None:
    """Make a column unique, unless it is; older rows of the same key move to `<table>_duplicates`.

    Args:
        conn: With an open transaction.
        table: The table.
        key: The column to be unique.
        newest_first: SQL to order rows of one key by, the one to keep first.
    """
    if _is_unique(conn, table, key):
        return
    if _has_duplicates(conn, table, key):
        _move_duplicates(conn, table, key, newest_first)
    conn.execute(
        sql.SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(
            sql.Identifier(f"{table}_{key}_unique"), sql.Identifier(table), sql.Identifier(key)
        )
    )


def copy_privileges(conn: Connection, source: str, target: str, only: Iterable[str] = ()) -> None:
    """Let everybody do with one table what they may do with another, its owner included.

    Privileges on single columns are left out.

    Args:
        conn: With an open transaction, of the target's owner.
        source: The table whose privileges are read.
        target: The table or view that gets them as well.
        only: Which privileges, such as SELECT; all of them without.
    """
    wanted = list(only)
    found = conn.execute(
        """
        SELECT held.grantee = 0, held.grantee::regrole::text, held.privilege_type,
            bool_or(held.is_grantable)
        FROM pg_class source,
            aclexplode(coalesce(source.relacl, acldefault('r', source.relowner))) held
        WHERE source.oid = to_regclass(%s) AND held.grantee <> (
            SELECT relowner FROM pg_class WHERE oid = to_regclass(%s))
            AND (held.privilege_type = ANY(%s) OR %s)
        GROUP BY held.grantee, held.privilege_type ORDER BY 2, 3
        """,
        (source, target, wanted, not wanted),
    ).fetchall()
    for is_public, grantee, privilege, is_grantable in found:
        # A regrole is written as an identifier, quoted where it has to be.
        conn.execute(
            sql.SQL("GRANT {} ON {} TO {}{}").format(
                sql.SQL(privilege),
                sql.Identifier(target),
                sql.SQL("PUBLIC" if is_public else grantee),
                sql.SQL(" WITH GRANT OPTION" if is_grantable and not is_public else ""),
            )
        )


def has_index_on(conn: Connection, table: str, names: list[str]) -> bool:
    """Say whether a whole (not partial) valid index begins with exactly these columns."""
    row = conn.execute(
        """
        SELECT 1 FROM pg_index i
        WHERE i.indrelid = to_regclass(%s) AND i.indisvalid AND i.indpred IS NULL
          AND (SELECT array_agg(a.attname::text ORDER BY k.place)
               FROM unnest(i.indkey[0:%s]) WITH ORDINALITY k(number, place)
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number) = %s::text[]
        """,
        (table, len(names) - 1, names),
    ).fetchone()
    return row is not None


def _types(conn: Connection, table: str) -> dict[str, str]:
    rows = conn.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
        """,
        (table,),
    )
    return dict(rows.fetchall())


def _widen_texts(conn: Connection, table: str, wanted: Iterable[Column]) -> None:
    found = _types(conn, table)
    # PostgreSQL never changes a column that a table is partitioned by; every mint fits 44 letters.
    fixed = _partition_keys(conn, table)
    _retype(
        conn,
        table,
        {
            column.name: column.type
            for column in wanted
            if 0 < _length(found[column.name]) < _length(column.type) and column.name not in fixed
        },
    )


def _partition_keys(conn: Connection, table: str) -> set[str]:
    """Name the columns by which a table or one of its partitions is partitioned."""
    rows = conn.execute(
        """
        WITH RECURSIVE family AS (
            SELECT to_regclass(%s)::oid AS oid
            UNION SELECT i.inhrelid FROM family JOIN pg_inherits i ON i.inhparent = family.oid
        )
        SELECT a.attname FROM family JOIN pg_partitioned_table p ON p.partrelid = family.oid
        JOIN pg_attribute a ON a.attrelid = family.oid AND a.attnum = ANY(p.partattrs::int2[])
        """,
        (table,),
    )
    return {name for (name,) in rows.fetchall()}


def _length(type_name: str) -> int:
    """Read the length of a varchar; 0 for another type and for one without a limit."""
    name, _, rest = type_name.partition("(")
    return int(rest.rstrip(")")) if name in {"varchar", "character varying"} and rest else 0


def _retype(conn: Connection, table: str, types: dict[str, str]) -> None:
    """Give columns other types, all at once; views and the like on them are made again."""
    if not types:
        return
    changes = [
        sql.SQL("ALTER COLUMN {} TYPE {}").format(sql.Identifier(column), sql.SQL(type_name))
        for column, type_name in types.items()
    ]
    with set_aside(conn, table, types):
        conn.execute(
            sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table), sql.SQL(", ").join(changes))
        )


def _is_unique(conn: Connection, table: str, key: str) -> bool:
    row = conn.execute(
        """
        SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum =
        i.indkey[0] WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid
          AND i.indpred IS NULL AND i.indnkeyatts = 1 AND a.attname = %s
        """,
        (table, key),
    ).fetchone()
    return row is not None


def _has_duplicates(conn: Connection, table: str, key: str) -> bool:
    found = conn.execute(
        sql.SQL(
            "SELECT 1 FROM {table} WHERE {key} IS NOT NULL GROUP BY {key} HAVING count(*) > 1 "
            "LIMIT 1"
        ).format(table=sql.Identifier(table), key=sql.Identifier(key))
    ).fetchone()
    return found is not None


def _move_duplicates(conn: Connection, table: str, key: str, newest_first: str) -> None:
    names = {
        "table": sql.Identifier(table),
        "side": sql.Identifier(f"{table}_duplicates"),
        "key": sql.Identifier(key),
        "newest_first": sql.SQL(newest_first),
    }
    conn.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {side} (LIKE {table})").format(**names))
    conn.execute(
        sql.SQL(
            """
            WITH ranked AS (
                SELECT ctid, row_number() OVER (PARTITION BY {key} ORDER BY {newest_first}) AS place
                FROM {table} WHERE {key} IS NOT NULL
            ), moved AS (
                DELETE FROM {table} USING ranked
                WHERE {table}.ctid = ranked.ctid AND ranked.place > 1 RETURNING {table}.*
            )
            INSERT INTO {side} SELECT * FROM moved
            """
        ).format(**names)
    )
