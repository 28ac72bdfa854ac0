"""Make SOL and price columns exact; add what a candle says of its window and coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yoyo import step

from db.adopt import Column, ensure_table, unconstrain

if TYPE_CHECKING:
    from db.pool import Connection

__depends__ = {"m0001_original_tables"}


def make_exact(conn: Connection) -> None:
    """Let every SOL and price column take all its digits."""
    unconstrain(
        conn,
        "coin_metrics",
        (
            *("price_open", "price_high", "price_low", "price_close", "market_cap_close"),
            *("virtual_sol_reserves", "volume_sol", "buy_volume_sol", "sell_volume_sol"),
            *("dev_sold_amount", "max_single_buy_sol", "max_single_sell_sol", "net_volume_sol"),
            *("avg_trade_size_sol", "whale_buy_volume_sol", "whale_sell_volume_sol"),
        ),
    )
    unconstrain(
        conn,
        "discovered_coins",
        (
            *("v_sol_in_bonding_curve", "initial_buy_sol", "price_sol", "market_cap_sol"),
            *("liquidity_sol", "open_market_cap_sol"),
        ),
    )
    unconstrain(conn, "coin_streams", ("ath_price_sol",))
    unconstrain(conn, "coin_transactions", ("sol_amount", "price_sol"))


def add_windows(conn: Connection) -> None:
    """Add our columns to coin_metrics.

    Rows with a window are ours and unique (`db.indexes`); the original's, duplicates included, stay
    as they are.
    """
    ensure_table(
        conn,
        "coin_metrics",
        (
            Column("window_start", "timestamptz"),
            Column("interval_seconds", "int"),
            Column("pool", "varchar(20)"),
            Column("covered_seconds", "double precision"),
            Column("chain_breaks", "int"),
        ),
    )


def add_identity(conn: Connection) -> None:
    """Give each trade the identity under which it counts once (`db.indexes`).

    Older rows have none and stay.
    """
    ensure_table(
        conn,
        "coin_transactions",
        (
            Column("signature", "varchar(88)"),
            Column("token_amount", "numeric"),
            Column("seq", "bigint"),
        ),
    )


def add_gaps(conn: Connection) -> None:
    """Make the table of times in which nothing was observed."""
    conn.execute(
        """
        CREATE TABLE feed_gaps (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            mint varchar(64),
            started_at timestamptz NOT NULL,
            ended_at timestamptz,
            reason text NOT NULL
        )
        """
    )
    conn.execute(
        "CREATE UNIQUE INDEX feed_gaps_once ON feed_gaps ((coalesce(mint, '')), started_at)"
    )
    conn.execute("CREATE INDEX feed_gaps_newest ON feed_gaps (started_at DESC)")


step(make_exact)
step(add_windows)
step(add_identity)
step(add_gaps)
