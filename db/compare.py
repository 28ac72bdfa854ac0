"""Rows of two tables `coin_metrics` for a comparison: the original's, and ours. Nothing is written.

Each side is one transaction, read only, of one snapshot. Rows come through a cursor of the server,
some thousand at a time, in order of their mints' bytes, so that both sides have the same order
whatever collation their databases have. The caller owns the connections.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg
from psycopg import sql

from db.encoding import prepare_session
from db.errors import DatabaseError
from db.pool import connection_string
from db.values import MicrosLoader, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db.pool import Connection

STATEMENT_S: Final = 120.0
"""The longest statement is the first look into a cursor, for which the server sorts all rows."""
_LOCK_S: Final = 10.0
_AT_ONCE: Final = 5_000
_MOST_GAPS: Final = 100_000
_MOST_COINS: Final = 200_000
_MOST_PHASES: Final = 1_000
_LAMPORTS_PER_SOL: Final = 1_000_000_000
_LAMPORT_DIGITS: Final = 9

_TABLE: Final = "coin_metrics"
_AMOUNTS: Final = ("volume_sol", "buy_volume_sol", "sell_volume_sol")
_PRICES: Final = ("price_high", "price_low")
_NEEDED: Final = (
    *("mint", "timestamp", "phase_id_at_time", "num_buys", "num_sells"),
    *_AMOUNTS,
    *_PRICES,
    "virtual_sol_reserves",
)
_WINDOW: Final = "window_start"

_COLUMNS: Final = """
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""
_READABLE: Final = f"{_COLUMNS} AND has_column_privilege(attrelid, attnum, 'SELECT')"
_ROWS: Final = """
SELECT mint::text, {start}, {end}, phase_id_at_time::int8, coalesce(num_buys, 0)::int8,
    coalesce(num_sells, 0)::int8, volume_sol::float8, buy_volume_sol::float8,
    sell_volume_sol::float8, price_high::float8, price_low::float8, virtual_sol_reserves::float8
FROM coin_metrics
WHERE timestamp > {from_} AND timestamp <= {to} AND {ours} AND mint IS NOT NULL
  AND (%(mint)s::text IS NULL OR mint = %(mint)s)
ORDER BY mint::text COLLATE "C", timestamp
"""
_PHASES: Final = """
SELECT id, interval_seconds FROM ref_coin_phases WHERE interval_seconds > 0 ORDER BY id LIMIT %s
"""
_GAPS: Final = """
SELECT mint, started_at, coalesce(ended_at, %(to)s) FROM feed_gaps
WHERE started_at < %(to)s AND (ended_at IS NULL OR ended_at > %(from)s)
  AND (%(mint)s::text IS NULL OR mint IS NULL OR mint = %(mint)s)
ORDER BY started_at DESC LIMIT %(most)s
"""
_CREATORS_BUYS: Final = """
SELECT token_address::text, initial_buy_sol::float8 FROM discovered_coins
WHERE discovered_at > %(from)s AND discovered_at <= %(to)s AND initial_buy_sol > 0
  AND (%(mint)s::text IS NULL OR token_address = %(mint)s)
LIMIT %(most)s
"""
_SET: Final = """
SELECT set_config(name, value, true)
FROM unnest(%(names)s::text[], %(values)s::text[]) AS ours(name, value)
"""


class Side(Enum):
    """Whose rows are read."""

    THEIRS = "theirs"
    OURS = "ours"


class NotComparableError(DatabaseError):
    """The table is not what can be compared; the text is the end of a sentence about it."""


class ComparedRow(msgspec.Struct, gc=False):
    """One row; `start_us` is None where it is the original's."""

    mint: str
    start_us: int | None
    end_us: int
    phase_id: int | None
    figures: tuple[int, ...]
    """Buys, sells, and the volume of all, of buys and of sells in lamports."""
    high_sol: float | None
    low_sol: float | None
    reserves_lamports: int | None


class ComparedTable:
    """The rows of one side; one object is for one thread.

    Every method may raise `psycopg.Error`.
    """

    def __init__(self, conn: Connection, side: Side) -> None:
        """Look at the table; `conn` has no transaction yet.

        Raises:
            NotComparableError: It is not there, or lacks a column.
        """
        self._conn = conn
        self._side = side
        conn.read_only = True
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        _prepare(conn)
        self._types = _types(conn, _TABLE)
        self._check()

    def _check(self) -> None:
        if not self._types:
            raise NotComparableError(f"has no table {_TABLE}")
        needed = (*_NEEDED, _WINDOW) if self._side is Side.OURS else _NEEDED
        lacking = [name for name in needed if name not in self._types]
        if lacking:
            plural = "s" if len(lacking) > 1 else ""
            raise NotComparableError(
                f"has a table {_TABLE} without the column{plural} {', '.join(lacking)}"
            )
        if self._side is Side.OURS and not _types(self._conn, "feed_gaps"):
            raise NotComparableError("has no table feed_gaps")

    @property
    def holds_both(self) -> bool:
        """Whether rows of the original and rows of ours may lie in this table together."""
        return _WINDOW in self._types

    @property
    def has_time_zone(self) -> bool:
        """Whether `timestamp` says which time zone it means; without one it is read as UTC."""
        return self._types["timestamp"] == "timestamp with time zone"

    def volume_off_lamports(self) -> int:
        """Tell half a unit of the last digit of a volume, in lamports; 0: it has every digit."""
        digits = min(_digits(self._types[name]) for name in _AMOUNTS)
        return 0 if digits >= _LAMPORT_DIGITS else int(10 ** (_LAMPORT_DIGITS - digits)) // 2

    def price_off_sol(self) -> float:
        """Tell half a unit of the last digit of a price, in SOL; 0: prices have every digit."""
        digits = min(_digits(self._types[name]) for name in _PRICES)
        return 0.0 if digits >= _ALL_DIGITS else 0.5 * 10.0**-digits

    def is_single(self) -> bool:
        """Say whether a column has floats of four bytes, some seven digits."""
        return any(self._types[name] == "real" for name in (*_AMOUNTS, *_PRICES))

    def intervals_s(self) -> dict[int, int]:
        """Read how long windows are by phase; empty where no table that we may read says so."""
        if not _has(self._conn, "ref_coin_phases", {"id", "interval_seconds"}):
            return {}
        return dict(self._conn.execute(_PHASES, (_MOST_PHASES,)).fetchall())

    def gaps(
        self, from_us: int, to_us: int, mint: str | None
    ) -> dict[str | None, list[tuple[int, int]]]:
        """Read when nothing was observed, by mint; None: the whole feed.

        Args:
            from_us: Gaps that end later, microseconds UTC.
            to_us: Gaps that begin earlier.
            mint: Of this coin and the whole feed alone; None: of all.

        Raises:
            NotComparableError: There are more than 100,000.
        """
        values = {
            "from": to_datetime(from_us),
            "to": to_datetime(to_us),
            "mint": mint,
            "most": _MOST_GAPS + 1,
        }
        found: dict[str | None, list[tuple[int, int]]] = {}
        with self._conn.cursor(binary=True) as cursor:
            cursor.adapters.register_loader("timestamptz", MicrosLoader)
            rows = cursor.execute(_GAPS, values).fetchall()
        if len(rows) > _MOST_GAPS:
            raise NotComparableError(f"has more than {_MOST_GAPS:,} feed_gaps in that time")
        for whose, started_us, ended_us in rows:
            if started_us is not None and ended_us is not None:
                found.setdefault(whose, []).append((started_us, ended_us))
        return found

    def creators_buys(self, from_us: int, to_us: int, mint: str | None) -> dict[str, int] | None:
        """Read what creators bought inside their creates, lamports by mint, where it is known.

        None: more than 200,000 coins were discovered in that time.

        Args:
            from_us: Coins that were discovered later, microseconds UTC.
            to_us: And not later than this.
            mint: Of this coin alone; None: of all.
        """
        needed = {"token_address", "initial_buy_sol", "discovered_at"}
        if not _has(self._conn, "discovered_coins", needed):
            return {}
        values = {"from": to_datetime(from_us), "to": to_datetime(to_us), "mint": mint}
        with self._conn.cursor(binary=True) as cursor:
            cursor.execute(_CREATORS_BUYS, {**values, "most": _MOST_COINS + 1})
            found = cursor.fetchall()
        if len(found) > _MOST_COINS:
            return None
        return {whose: lamports for whose, sol in found if (lamports := _lamports(sol))}

    def rows(self, from_us: int, to_us: int, mint: str | None) -> Iterator[ComparedRow]:
        """Read rows whose windows end in `(from_us, to_us]`, by mint, then by time.

        Args:
            from_us: Microseconds UTC.
            to_us: Microseconds UTC.
            mint: Of this coin alone; None: of all.
        """
        query = sql.SQL(_ROWS).format(
            start=sql.SQL(_WINDOW if self._side is Side.OURS else "NULL::timestamptz"),
            end=self._time("timestamp"),
            from_=self._bound("from"),
            to=self._bound("to"),
            ours=self._whose(),
        )
        values = {"from": to_datetime(from_us), "to": to_datetime(to_us), "mint": mint}
        with self._conn.cursor(name="compared", binary=True) as cursor:
            cursor.adapters.register_loader("timestamptz", MicrosLoader)
            cursor.itersize = _AT_ONCE
            for values_of_row in cursor.execute(query, values):
                yield _row(values_of_row)

    def _whose(self) -> sql.SQL:
        if self._side is Side.OURS:
            return sql.SQL("window_start IS NOT NULL")
        return sql.SQL("window_start IS NULL" if self.holds_both else "true")

    def _time(self, name: str) -> sql.Composable:
        column = sql.Identifier(name)
        if self.has_time_zone:
            return column
        return sql.SQL("({}::timestamp AT TIME ZONE 'UTC')").format(column)

    def _bound(self, name: str) -> sql.Composable:
        bound = sql.SQL("{}::timestamptz").format(sql.Placeholder(name))
        if self.has_time_zone:
            return bound
        return sql.SQL("({} AT TIME ZONE 'UTC')").format(bound)


def open_compared(dsn: str, side: Side) -> Connection:
    """Open a connection for one side; nothing of its session is changed. Blocks as `connect` does.

    Raises:
        DsnError: The string cannot be used.
        psycopg.OperationalError: The server cannot be reached or refuses.
    """
    conninfo = connection_string(dsn, application_name=f"mintwatch compare ({side.value})")
    return psycopg.connect(conninfo, prepare_threshold=None)


def _prepare(conn: Connection) -> None:
    """Set what the transaction needs, for it alone: a pooler may give its session to others."""
    settings = {
        "statement_timeout": f"{round(STATEMENT_S * 1000)}ms",
        "lock_timeout": f"{round(_LOCK_S * 1000)}ms",
        "timezone": "UTC",
        "extra_float_digits": "1",
        # Room for the sort, a plan for all rows, and patience while the other side sorts.
        "work_mem": "32MB",
        "cursor_tuple_fraction": "1.0",
        "idle_in_transaction_session_timeout": "0",
    }
    conn.execute(_SET, {"names": list(settings), "values": list(settings.values())})
    prepare_session(conn, for_transaction=True)


_ALL_DIGITS: Final = 1_000


def _types(conn: Connection, table: str) -> dict[str, str]:
    """List the columns of a table with their types; none: there is no such table."""
    return dict(conn.execute(_COLUMNS, (table,)).fetchall())


def _has(conn: Connection, table: str, columns: set[str]) -> bool:
    """Say whether a table that may be missing has these columns, and lets us read them."""
    return columns <= dict(conn.execute(_READABLE, (table,)).fetchall()).keys()


def _digits(type_name: str) -> int:
    """Tell how many decimals a column has; `numeric` alone, and floats, have as many as needed."""
    name, _, rest = type_name.partition("(")
    if name != "numeric":
        return 0 if name in {"smallint", "integer", "bigint"} else _ALL_DIGITS
    return int(rest.rstrip(")").partition(",")[2] or 0) if rest else _ALL_DIGITS


def _row(values: tuple[Any, ...]) -> ComparedRow:
    mint, start_us, end_us, phase_id, buys, sells, volume, bought, sold, *rest = values
    high, low, reserves = rest
    return ComparedRow(
        mint,
        start_us,
        end_us,
        phase_id,
        (buys, sells, _lamports(volume) or 0, _lamports(bought) or 0, _lamports(sold) or 0),
        _price(high),
        _price(low),
        _lamports(reserves),
    )


def _lamports(sol: float | None) -> int | None:
    """Write SOL as lamports: exact below 4 million SOL; None for what is not finite."""
    if sol is None or not math.isfinite(sol):
        return None
    return round(sol * _LAMPORTS_PER_SOL)


def _price(sol: float | None) -> float | None:
    """Take a price; the original writes 0 where it has none."""
    return sol if sol is not None and 0 < sol < math.inf else None
