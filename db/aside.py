"""Rows that stand aside of `coin_metrics`: `coin_metrics_ahead` and `coin_metrics_conflicts`.

Ahead are rows that an earlier run wrote under a clock that was ahead: in `coin_metrics` they would
overlap with rows of now. Conflicts are candles whose row was there already, with other figures.
Nothing is deleted from either; an operator acknowledges that they were looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from psycopg import sql

from db.values import MicrosLoader, to_datetime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.domain import Mint
    from db.pool import Connection

Kind = Literal["ahead", "conflicts"]

COUNTED_ROWS: Final = 10_000
"""So many rows are counted; that there are more is not worth a longer look."""

_TABLES: Final = {
    "ahead": (sql.Identifier("coin_metrics_ahead"), sql.Identifier("moved_at")),
    "conflicts": (sql.Identifier("coin_metrics_conflicts"), sql.Identifier("found_at")),
}
_BATCH_ROWS: Final = 1_000
"""Rows moved in one transaction: some 20 ms, in which a reader of them waits."""

_PLAIN: Final = (
    *("mint", "window_start", "timestamp", "phase_id_at_time", "interval_seconds", "pool"),
    *("is_koth", "num_buys", "num_sells", "unique_wallets", "num_micro_trades"),
    *("num_whale_buys", "num_whale_sells", "covered_seconds", "chain_breaks"),
    *("trades_without_amount", "last_seq", "journal_id"),
)
# By way of text: double precision, which an adopted table may have, would lose digits otherwise.
_EXACT: Final = (
    *("price_open", "price_high", "price_low", "price_close", "market_cap_close"),
    *("bonding_curve_pct", "virtual_sol_reserves", "volatility_pct", "volume_sol"),
    *("buy_volume_sol", "sell_volume_sol", "net_volume_sol", "dev_sold_amount"),
    *("max_single_buy_sol", "max_single_sell_sol", "whale_buy_volume_sol"),
    *("whale_sell_volume_sol", "avg_trade_size_sol", "buy_pressure_ratio", "unique_signer_ratio"),
)
_IS_AHEAD: Final = sql.SQL(
    """"timestamp" > %(after)s AND window_start IS NOT NULL AND mint IS NOT NULL
    AND (%(mints)s::text[] IS NULL OR mint = ANY(%(mints)s::text[]))"""
)
_ANY: Final = sql.SQL("SELECT FROM coin_metrics WHERE {} LIMIT 1").format(_IS_AHEAD)
_MOVE: Final = sql.SQL(
    """
    WITH chosen AS (
        SELECT mint, "timestamp" FROM coin_metrics WHERE {is_ahead}
        ORDER BY "timestamp" LIMIT %(rows)s
    ), moved AS (
        DELETE FROM coin_metrics m USING chosen
        WHERE m.mint = chosen.mint AND m."timestamp" = chosen."timestamp"
          AND m.window_start IS NOT NULL
        RETURNING m.*
    )
    INSERT INTO coin_metrics_ahead ({columns}, other_columns)
    SELECT {values}, nullif(to_jsonb(moved) - %(known)s::text[], '{{}}') FROM moved
    """
).format(
    is_ahead=_IS_AHEAD,
    columns=sql.SQL(", ").join(map(sql.Identifier, (*_PLAIN, *_EXACT))),
    values=sql.SQL(", ").join(
        [
            *map(sql.Identifier, _PLAIN),
            *(sql.SQL("{}::text::numeric").format(sql.Identifier(name)) for name in _EXACT),
        ]
    ),
)

_COUNT: Final = sql.SQL(
    """
    SELECT * FROM
    (SELECT count(*), min(since) FROM (
        SELECT {ahead_since} AS since FROM {ahead} WHERE acknowledged_at IS NULL
        ORDER BY since LIMIT %(rows)s) oldest) ahead,
    (SELECT count(*), min(since) FROM (
        SELECT {conflicts_since} AS since FROM {conflicts} WHERE acknowledged_at IS NULL
        ORDER BY since LIMIT %(rows)s) oldest) conflicts
    """
).format(
    ahead=_TABLES["ahead"][0],
    ahead_since=_TABLES["ahead"][1],
    conflicts=_TABLES["conflicts"][0],
    conflicts_since=_TABLES["conflicts"][1],
)
_NEWEST: Final = "SELECT max({since}) FROM {table} WHERE acknowledged_at IS NULL"
_ACKNOWLEDGE: Final = """
UPDATE {table} SET acknowledged_at = now() WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {table} WHERE acknowledged_at IS NULL AND {since} <= %(newest)s
    LIMIT %(rows)s))
"""


class Kept(msgspec.Struct, frozen=True):
    """What stands aside and was not acknowledged; times in microseconds since 1970 UTC.

    A count of `COUNTED_ROWS` means at least so many.
    """

    ahead: int
    ahead_since_us: int | None
    """When the oldest of them was moved."""
    conflicts: int
    conflicts_since_us: int | None
    """When the oldest of them was found."""


def move_ahead(
    conn: Connection,
    after_us: int,
    *,
    mints: Sequence[Mint] | None = None,
    most_batches: int | None = None,
) -> int:
    """Move rows of ours that end after an instant, and say how many there were.

    Columns of others go along in `other_columns`. Moves 1,000 rows a transaction; an interrupted
    call leaves the rest for the next one, and a repeated call finds nothing.

    Args:
        conn: Without an open transaction.
        after_us: The arrival clock; a row that ends later was not closed by it. Not for a
            recording, whose clock is its own.
        mints: Only rows of these; None: of all.
        most_batches: After so many transactions the rest is left; None: nothing is.
    """
    values = {
        "after": to_datetime(after_us),
        "rows": _BATCH_ROWS,
        "known": [*_PLAIN, *_EXACT],
        "mints": None if mints is None else list(mints),
    }
    total = batches = 0
    # Nothing to move is nothing to write, so that a server that is read-only can be read.
    while batches != most_batches and conn.execute(_ANY, values).fetchone() is not None:
        with conn.transaction():
            moved = conn.execute(_MOVE, values).rowcount
        total += moved
        batches += 1
    return total


def kept(conn: Connection) -> Kept:
    """Count what stands aside and was not acknowledged, up to `COUNTED_ROWS` of each kind."""
    with conn.cursor(binary=True) as cursor:
        cursor.adapters.register_loader("timestamptz", MicrosLoader)
        row = cursor.execute(_COUNT, {"rows": COUNTED_ROWS}).fetchone()
    return Kept(*(row or (0, None, 0, None)))


def acknowledge(conn: Connection, kind: Kind) -> int:
    """Note that an operator has looked at what stands aside, and say how many rows that were.

    1,000 rows a statement, so that none runs into the session's limit. What comes to stand aside
    meanwhile was not looked at, and is left.

    Args:
        conn: Each statement commits.
        kind: Which table.
    """
    table, since = _TABLES[kind]
    row = conn.execute(sql.SQL(_NEWEST).format(table=table, since=since)).fetchone()
    values: dict[str, Any] = {"newest": row[0] if row else None, "rows": _BATCH_ROWS}
    statement = sql.SQL(_ACKNOWLEDGE).format(table=table, since=since)
    total = 0
    while found := conn.execute(statement, values).rowcount:
        total += found
    return total
