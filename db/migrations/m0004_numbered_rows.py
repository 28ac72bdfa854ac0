"""Let a row say which trades are in it; make the tables for rows that stand aside.

Only columns and tables are added, and one partial index that no row of this version enters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql
from yoyo import step

from db.adopt import Column, copy_privileges, ensure_table

if TYPE_CHECKING:
    from db.pool import Connection

__depends__ = {"m0003_notify"}

# Wider than the columns of coin_metrics, which may be somebody else's: every row of theirs fits.
ROW: Final = (
    Column("mint", "text"),
    Column("window_start", "timestamptz"),
    Column("timestamp", "timestamptz"),
    Column("phase_id_at_time", "bigint"),
    Column("interval_seconds", "bigint"),
    Column("pool", "text"),
    Column("price_open", "numeric"),
    Column("price_high", "numeric"),
    Column("price_low", "numeric"),
    Column("price_close", "numeric"),
    Column("market_cap_close", "numeric"),
    Column("bonding_curve_pct", "numeric"),
    Column("virtual_sol_reserves", "numeric"),
    Column("is_koth", "boolean"),
    Column("volatility_pct", "numeric"),
    Column("volume_sol", "numeric"),
    Column("buy_volume_sol", "numeric"),
    Column("sell_volume_sol", "numeric"),
    Column("net_volume_sol", "numeric"),
    Column("num_buys", "bigint"),
    Column("num_sells", "bigint"),
    Column("unique_wallets", "bigint"),
    Column("num_micro_trades", "bigint"),
    Column("dev_sold_amount", "numeric"),
    Column("max_single_buy_sol", "numeric"),
    Column("max_single_sell_sol", "numeric"),
    Column("whale_buy_volume_sol", "numeric"),
    Column("whale_sell_volume_sol", "numeric"),
    Column("num_whale_buys", "bigint"),
    Column("num_whale_sells", "bigint"),
    Column("avg_trade_size_sol", "numeric"),
    Column("buy_pressure_ratio", "numeric"),
    Column("unique_signer_ratio", "numeric"),
    Column("covered_seconds", "double precision"),
    Column("chain_breaks", "bigint"),
    Column("trades_without_amount", "bigint"),
    Column("last_seq", "bigint"),
    Column("journal_id", "integer"),
    Column("other_columns", "jsonb"),
)


def number_rows(conn: Connection) -> None:
    """Add the numbers by which a trade is found in rows again; NULL in rows of version 0.1.0."""
    ensure_table(
        conn,
        "coin_metrics",
        (
            Column("last_seq", "bigint"),
            Column("journal_id", "integer"),
            Column("trades_without_amount", "integer"),
        ),
    )


def add_ahead(conn: Connection) -> None:
    """Make the table of rows that were written under a clock that was ahead."""
    _add_side_table(conn, "coin_metrics_ahead", "moved_at")
    conn.execute("CREATE INDEX IF NOT EXISTS coin_metrics_ahead_mint ON coin_metrics_ahead (mint)")


def add_conflicts(conn: Connection) -> None:
    """Make the table of candles whose row was there already, with other figures."""
    _add_side_table(conn, "coin_metrics_conflicts", "found_at")
    conn.execute(
        "CREATE INDEX IF NOT EXISTS coin_metrics_conflicts_mint ON coin_metrics_conflicts (mint)"
    )


def _add_side_table(conn: Connection, table: str, since: str) -> None:
    """Make a table that a role which writes rows may write as well, as nobody grants that anew."""
    ensure_table(
        conn,
        table,
        (
            *ROW,
            Column(since, "timestamptz NOT NULL", "now()"),
            Column("acknowledged_at", "timestamptz"),
        ),
    )
    copy_privileges(conn, "coin_metrics", table)
    conn.execute(
        sql.SQL("CREATE INDEX IF NOT EXISTS {} ON {} ({}) WHERE acknowledged_at IS NULL").format(
            sql.Identifier(f"{table}_open"), sql.Identifier(table), sql.Identifier(since)
        )
    )


step(number_rows)
step(add_ahead)
step(add_conflicts)
