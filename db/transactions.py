"""Single trades (`coin_transactions`), kept when STORE_TRADES is on.

The caller owns the transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from db.values import clean, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.domain import Trade
    from db.pool import Connection

_CREATE_STAGING: Final = """
CREATE TEMP TABLE IF NOT EXISTS mintwatch_trades (
    mint varchar, "timestamp" timestamptz, trader varchar, sol int8, tx_type varchar, price float8,
    is_whale bool, phase_id int, signature varchar, token_units int8, seq int8
) ON COMMIT DELETE ROWS
"""
_STAGING_TYPES: Final = (
    *("varchar", "timestamptz", "varchar", "int8", "varchar", "float8"),
    *("bool", "int4", "varchar", "int8", "int8"),
)
_COPY: Final = "COPY mintwatch_trades FROM STDIN (FORMAT binary)"
_INSERT: Final = """
INSERT INTO coin_transactions (
    mint, timestamp, trader_public_key, sol_amount, tx_type, price_sol, is_whale, phase_id_at_time,
    signature, token_amount, seq)
SELECT mint, timestamp, trader, sol * 0.000000001, tx_type, price::text::numeric, is_whale,
phase_id,
    signature, token_units * 0.000001, seq
FROM mintwatch_trades
ORDER BY mint, signature, trader, tx_type, token_units
ON CONFLICT (mint, signature, trader_public_key, tx_type, token_amount) DO NOTHING
"""


def copy_trades(
    conn: Connection, trades: Iterable[tuple[Trade, int]], *, whale_lamports: int
) -> int:
    """Write trades in one go, each once by its identity.

    Identity is mint, signature, trader, side and token amount.

    Args:
        conn: With an open transaction.
        trades: Each with the phase of its candle.
        whale_lamports: A trade of at least this much is a whale's.

    Returns:
        How many rows were new.

    Raises:
        psycopg.DataError: A value does not fit; nothing of this call is written.
    """
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(_CREATE_STAGING)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_STAGING_TYPES)
            for trade, phase_id in trades:
                copy.write_row(_staged(trade, phase_id, whale_lamports))
        inserted = cursor.execute(_INSERT).rowcount
        cursor.execute("TRUNCATE mintwatch_trades")
    return inserted


def _staged(trade: Trade, phase_id: int, whale_lamports: int) -> tuple[Any, ...]:
    return (
        clean(trade.mint, 64),
        to_datetime(trade.arrived_us),
        clean(trade.trader, 44),
        trade.sol_lamports,
        "buy" if trade.is_buy else "sell",
        trade.price_sol,
        trade.sol_lamports >= whale_lamports,
        phase_id,
        clean(trade.signature, 88),
        trade.token_units,
        trade.seq,
    )
