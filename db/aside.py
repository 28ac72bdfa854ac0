"""Rows that stand aside of `coin_metrics`: `coin_metrics_ahead` and `coin_metrics_conflicts`.

Ahead are rows that an earlier run wrote under a clock that was ahead: in `coin_metrics` they would
overlap with rows of now. Conflicts are candles whose row was there already, with other figures.
Nothing is deleted from either; an operator acknowledges that they were looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from psycopg import sql

from db.values import MicrosLoader, to_datetime

if TYPE_CHECKING:
    from db.pool import Connection

Kind = Literal["ahead", "conflicts"]

_TABLES: Final = {"ahead": "coin_metrics_ahead", "conflicts": "coin_metrics_conflicts"}
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
_ANY: Final = (
    'SELECT FROM coin_metrics WHERE "timestamp" > %(after)s AND window_start IS NOT NULL'
    " AND mint IS NOT NULL LIMIT 1"
)
_MOVE: Final = sql.SQL(
    """
    WITH chosen AS (
        SELECT mint, "timestamp" FROM coin_metrics
        WHERE "timestamp" > %(after)s AND window_start IS NOT NULL AND mint IS NOT NULL
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
    columns=sql.SQL(", ").join(map(sql.Identifier, (*_PLAIN, *_EXACT))),
    values=sql.SQL(", ").join(
        [
            *map(sql.Identifier, _PLAIN),
            *(sql.SQL("{}::text::numeric").format(sql.Identifier(name)) for name in _EXACT),
        ]
    ),
)


class Kept(msgspec.Struct, frozen=True):
    """What stands aside and was not acknowledged; times in microseconds since 1970 UTC."""

    ahead: int
    ahead_since_us: int | None
    """When the oldest of them was moved."""
    conflicts: int
    conflicts_since_us: int | None
    """When the oldest of them was found."""


def move_ahead(conn: Connection, after_us: int) -> int:
    """Move rows of ours that end after an instant, and say how many there were.

    Columns of others go along in `other_columns`. Moves 1,000 rows a transaction; an interrupted
    call leaves the rest for the next one, and a repeated call finds nothing.

    Args:
        conn: Without an open transaction.
        after_us: The arrival clock; a row that ends later was not closed by it. Not for a
            recording, whose clock is its own.
    """
    values = {
        "after": to_datetime(after_us),
        "rows": _BATCH_ROWS,
        "known": [*_PLAIN, *_EXACT],
    }
    total = 0
    # Nothing to move is nothing to write, so that a server that is read-only can be read.
    while conn.execute(_ANY, values).fetchone() is not None:
        with conn.transaction():
            moved = conn.execute(_MOVE, values).rowcount
        total += moved
    return total


def kept(conn: Connection) -> Kept:
    """Count what stands aside and was not acknowledged: two scans of small partial indexes."""
    with conn.cursor(binary=True) as cursor:
        cursor.adapters.register_loader("timestamptz", MicrosLoader)
        row = cursor.execute(
            """
            SELECT * FROM
            (SELECT count(*), min(moved_at) FROM coin_metrics_ahead
             WHERE acknowledged_at IS NULL) ahead,
            (SELECT count(*), min(found_at) FROM coin_metrics_conflicts
             WHERE acknowledged_at IS NULL) conflicts
            """
        ).fetchone()
    return Kept(*(row or (0, None, 0, None)))


def acknowledge(conn: Connection, kind: Kind) -> int:
    """Note that an operator has looked at what stands aside, and say how many rows that were."""
    return conn.execute(
        sql.SQL("UPDATE {} SET acknowledged_at = now() WHERE acknowledged_at IS NULL").format(
            sql.Identifier(_TABLES[kind])
        )
    ).rowcount
