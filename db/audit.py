"""Rows as the auditor reads them: our own rows of `coin_metrics`, and nothing is ever written.

The original's rows (no `window_start`) are not looked at. Amounts come back in lamports, as an int
when the row holds a whole number of them. The caller owns the connection; each call is a
transaction of its own on one that commits by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from psycopg import sql

from db.values import MicrosLoader, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from db.pool import Connection

_AMOUNTS: Final = (
    "volume_sol",
    "buy_volume_sol",
    "sell_volume_sol",
    "net_volume_sol",
    "max_single_buy_sol",
    "max_single_sell_sol",
    "whale_buy_volume_sol",
    "whale_sell_volume_sol",
    "virtual_sol_reserves",
    "dev_sold_amount",
)
_PRICES: Final = ("price_open", "price_high", "price_low", "price_close", "market_cap_close")
_COUNTS: Final = (
    "num_buys",
    "num_sells",
    "unique_wallets",
    "num_micro_trades",
    "num_whale_buys",
    "num_whale_sells",
)
_ASIDE: Final = ("coin_metrics_conflicts", "coin_metrics_ahead")
_LAMPORT_DIGITS: Final = 9
_SHORTEST_S: Final = 60
_REACH_S: Final = 3_600
"""Windows up to this length are found, also where phases have become shorter."""

_ROWS: Final = """
SELECT mint, window_start, timestamp, interval_seconds, journal_id, {figures}
FROM coin_metrics
WHERE {windows} AND (%(mints)s::text[] IS NULL OR mint = ANY(%(mints)s))
ORDER BY window_start, timestamp, mint
"""
# By the end of the window too, which has an index; a window is not longer than `reach`.
_BEGUN_IN: Final = sql.SQL(
    """
    window_start >= %(from)s AND window_start < %(to)s
    AND timestamp > %(from)s AND timestamp <= %(to)s + %(reach)s * interval '1 second'
    """
)
_OVER: Final = sql.SQL(
    """
    window_start < %(at)s
    AND timestamp > %(at)s AND timestamp <= %(at)s + %(reach)s * interval '1 second'
    """
)
_COUNT: Final = """
SELECT count(*) FROM coin_metrics
WHERE timestamp > %(from)s AND timestamp <= %(to)s AND window_start IS NOT NULL
  AND (%(mints)s::text[] IS NULL OR mint = ANY(%(mints)s))
"""
_SET_ASIDE: Final = """
SELECT mint, window_start, timestamp FROM {table}
WHERE timestamp > %(from)s AND window_start IS NOT NULL
  AND (%(to)s::timestamptz IS NULL OR window_start < %(to)s)
  AND (%(mints)s::text[] IS NULL OR mint = ANY(%(mints)s))
"""


class AuditedRow(msgspec.Struct, frozen=True):
    """One row, its figures by column."""

    mint: str
    start_us: int
    end_us: int
    interval_seconds: int | None
    journal_id: int | None
    """Whose numbers its trades have; None: a row of version 0.1.0, or nobody knows."""
    values: dict[str, Any]


class AuditQueries:
    """Reads rows for the auditor; one object is for one thread.

    Every method may raise `psycopg.Error`.
    """

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._longest_s: int | None = None

    def longest_window_s(self) -> int:
        """Tell how long a window can be, by the phases there are; at least a minute."""
        if self._longest_s is None:
            found = self._conn.execute("SELECT max(interval_seconds) FROM ref_coin_phases")
            row = found.fetchone()
            self._longest_s = max(_SHORTEST_S, (row[0] if row else None) or 0)
        return self._longest_s

    def rows(self, from_us: int, to_us: int, mints: Sequence[str] | None) -> list[AuditedRow]:
        """Read the rows whose windows begin in `[from_us, to_us)`, in that order.

        Args:
            from_us: Microseconds UTC.
            to_us: Microseconds UTC.
            mints: Of these alone; None: of all.
        """
        limits = {"from": to_datetime(from_us), "to": to_datetime(to_us)}
        return self._read(_BEGUN_IN, limits, mints)

    def rows_over(self, at_us: int, mints: Sequence[str] | None) -> list[AuditedRow]:
        """Read the rows whose windows begin before an instant and end behind it: one a mint.

        Args:
            at_us: Microseconds UTC.
            mints: Of these alone; None: of all.
        """
        return self._read(_OVER, {"at": to_datetime(at_us)}, mints)

    def _read(
        self, windows: sql.SQL, limits: dict[str, Any], mints: Sequence[str] | None
    ) -> list[AuditedRow]:
        names = (*_AMOUNTS, *_PRICES, *_COUNTS)
        figures = sql.SQL(", ").join(
            sql.SQL("{}::float8").format(sql.Identifier(name))
            if name in _PRICES
            else sql.Identifier(name)
            for name in names
        )
        query = sql.SQL(_ROWS).format(figures=figures, windows=windows)
        values = {
            **limits,
            "reach": max(_REACH_S, self.longest_window_s()),
            "mints": _listed(mints),
        }
        with self._conn.cursor(binary=True) as cursor:
            cursor.adapters.register_loader("timestamptz", MicrosLoader)
            return [_row(found, names) for found in cursor.execute(query, values)]

    def count_rows(self, from_us: int, to_us: int, mints: Sequence[str] | None) -> int:
        """Count the rows whose windows end in `(from_us, to_us]`.

        Args:
            from_us: Microseconds UTC.
            to_us: Microseconds UTC.
            mints: Of these alone; None: of all.
        """
        limits = {"from": to_datetime(from_us), "to": to_datetime(to_us), "mints": _listed(mints)}
        row = self._conn.execute(_COUNT, limits).fetchone()
        return row[0] if row else 0

    def creators(self, mints: Iterable[str]) -> dict[str, str]:
        """Read who created these coins, where that is known."""
        found = self._conn.execute(
            "SELECT token_address, trader_public_key FROM discovered_coins"
            " WHERE token_address = ANY(%s) AND trader_public_key <> ''",
            (list(mints),),
        )
        return dict(found.fetchall())

    def tracked_before(self, at_us: int, mints: Sequence[str] | None) -> frozenset[str]:
        """Name the coins that are active, and had a row of ours that ended by this time.

        Args:
            at_us: Microseconds UTC.
            mints: Of these alone; None: of all.
        """
        found = self._conn.execute(
            """
            SELECT s.token_address FROM coin_streams s WHERE s.is_active
            AND (%(mints)s::text[] IS NULL OR s.token_address = ANY(%(mints)s)) AND EXISTS (
                SELECT 1 FROM coin_metrics m WHERE m.mint = s.token_address
                AND m.window_start IS NOT NULL AND m.timestamp <= %(at)s)
            """,
            {"at": to_datetime(at_us), "mints": _listed(mints)},
        )
        return frozenset(row[0] for row in found)

    def set_aside(
        self, from_us: int, to_us: int | None, mints: Sequence[str] | None
    ) -> dict[str, tuple[tuple[int, int], ...]]:
        """Read the windows of candles that are kept beside `coin_metrics`, by mint.

        Tables of conflicts and of rows ahead of the clock; one that does not exist holds none.

        Args:
            from_us: Windows that end later, microseconds UTC.
            to_us: Windows that begin earlier; None: up to the last one.
            mints: Of these alone; None: of all.
        """
        limits = {
            "from": to_datetime(from_us),
            "to": None if to_us is None else to_datetime(to_us),
            "mints": _listed(mints),
        }
        found: dict[str, list[tuple[int, int]]] = {}
        for table in _ASIDE:
            known = self._conn.execute("SELECT to_regclass(%s)", (table,)).fetchone()
            if known is None or known[0] is None:
                continue
            query = sql.SQL(_SET_ASIDE).format(table=sql.Identifier(table))
            with self._conn.cursor(binary=True) as cursor:
                cursor.adapters.register_loader("timestamptz", MicrosLoader)
                for mint, start_us, end_us in cursor.execute(query, limits):
                    found.setdefault(mint, []).append((start_us, end_us))
        return {mint: tuple(spans) for mint, spans in found.items()}

    def some_mints(self, from_us: int, to_us: int, limit: int) -> list[str]:
        """Choose coins at random: `limit` with windows that end in a time, and `limit` active ones.

        The active ones show what has no row at all.
        """
        found = self._conn.execute(
            """
            (SELECT mint FROM (SELECT DISTINCT mint FROM coin_metrics WHERE timestamp > %s
                AND timestamp <= %s AND window_start IS NOT NULL) AS traded
            ORDER BY random() LIMIT %s)
            UNION
            (SELECT token_address FROM coin_streams WHERE is_active ORDER BY random() LIMIT %s)
            """,
            (to_datetime(from_us), to_datetime(to_us), limit, limit),
        )
        return [row[0] for row in found]


def _listed(mints: Sequence[str] | None) -> list[str] | None:
    return None if mints is None else list(mints)


def _row(found: tuple[Any, ...], names: tuple[str, ...]) -> AuditedRow:
    mint, start_us, end_us, interval_seconds, journal_id, *figures = found
    values = dict(zip(names, figures, strict=True))
    for name in _AMOUNTS:
        values[name] = _lamports(values[name])
    return AuditedRow(mint, start_us, end_us, interval_seconds, journal_id, values)


def _lamports(amount: Decimal | None) -> int | Decimal | None:
    if amount is None:
        return None
    lamports = amount.scaleb(_LAMPORT_DIGITS)
    return int(lamports) if lamports == lamports.to_integral_value() else lamports
